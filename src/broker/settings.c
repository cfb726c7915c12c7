// Fills the broker's settings with their defaults.
// SPDX-License-Identifier: Apache-2.0
#include "broker/settings.h"

void broker_settings_init(struct broker_settings *settings)
{
    *settings = (struct broker_settings){
#define SETTING(kind, field, name, value, min, max, dynamic, doc) .field = value,
#include "broker/settings.def"
#undef SETTING
    };
}
