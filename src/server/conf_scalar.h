// What a bare word of the configuration language means: bool, number with unit, time or string.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "server/conf.h"

/* Sets type and value of out from word; text and place stay as they are. Words that are nothing
 * else are strings. False when a number is out of range. */
NODISCARD bool server_conf_scalar_classify(struct slice word, struct server_conf_value *out);

/* Digits with an optional '-' and unit: k = 1000, kb, ki and kib = 1024, then m g t p e alike.
 * ERR_INVALID when word is no such number, ERR_OUT_OF_RANGE when it does not fit. */
NODISCARD enum err server_conf_scalar_integer(struct slice word, int64_t *out);

/* Digits with one unit of ns us ms s m h d, several in a row ("1h30m"); no unit means
 * milliseconds. Below a millisecond is rounded down. Errors as above. */
NODISCARD enum err server_conf_scalar_duration_ms(struct slice word, int64_t *out);
