// The broker's settings: a table (settings.def) makes the struct, defaults and descriptions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/err.h"
#include "base/slice.h"

/* settings.def: SETTING(kind, field, "kafka.name", default, min, max, dynamic, "documentation")
 * kind: BOOL bool, INT int32_t, LONG int64_t, DOUBLE double (max INT64_MAX: none), TEXT and LIST
 * const char * (owned by whoever filled it). */
struct broker_settings {
#define SETTING_TYPE_BOOL                                         bool
#define SETTING_TYPE_INT                                          int32_t
#define SETTING_TYPE_LONG                                         int64_t
#define SETTING_TYPE_DOUBLE                                       double
#define SETTING_TYPE_TEXT                                         const char *
#define SETTING_TYPE_LIST                                         const char *
#define SETTING_TYPE_RESET                                        int64_t
#define SETTING(kind, field, name, value, min, max, dynamic, doc) SETTING_TYPE_##kind field;
#include "broker/settings.def" // IWYU pragma: keep
#undef SETTING
};

void broker_settings_init(struct broker_settings *settings);
