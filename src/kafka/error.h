// Kafka's error codes, and the one place where our errors become theirs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/err.h"

enum kafka_error {
#define KAFKA_ERROR(name, code) KAFKA_##name = (code),
#include "kafka/error.def"
#undef KAFKA_ERROR
};

/* The code of an error where no API says otherwise. */
int16_t kafka_error_of(enum err err);
