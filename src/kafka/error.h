// Kafka's error codes, and the one place where our errors become theirs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/err.h"

enum kafka_error {
#define KAFKA_ERROR(name, code) KAFKA_##name = (code),
#include "kafka/error.def"
#undef KAFKA_ERROR
};

enum kafka_error_limit {
    KAFKA_ERROR_CODE_MIN = -1,
    KAFKA_ERROR_CODE_MAX = 133,
};

/* Kafka's name of a code; NULL: none that is used here. */
const char *kafka_error_name(int16_t code);
/* The code of an error where no API says otherwise. */
int16_t kafka_error_of(enum err err);
/* Of an append: what a batch breaks is the batch's fault, not the request's. */
int16_t kafka_error_of_append(enum err err);
/* Of a read or look-up: what is fenced there is the leader epoch. */
int16_t kafka_error_of_read(enum err err);
/* Of a change of topics or settings: ERR_INVALID is about the settings. */
int16_t kafka_error_of_change(enum err err);
