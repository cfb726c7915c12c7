// Regular expressions in the syntax of RE2, matched in linear time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/err.h"
#include "base/slice.h"

/* The longest expression, the deepest nesting, and the steps it may come to with its repetitions
 * written out. */
#define REGEX_SIZE_MAX   8192
#define REGEX_DEPTH_MAX  200
#define REGEX_STEPS_MAX  20000
#define REGEX_VISITS_MAX 100000 /* of nodes, while they are written out */
#define REGEX_REPEAT_MAX 1000

/* Works on bytes: of what is not ASCII a literal matches, classes know nothing, and '.' matches one
 * byte of it. No back references and no looking around, as in RE2. */
struct regex;

/* ERR_INVALID with words, ERR_NO_MEMORY. */
NODISCARD enum err regex_new(struct slice text, struct regex **out, struct diag *diag);
void regex_delete(struct regex *regex);
/* Whether all of text matches. Takes time in proportion to its size and the expression's steps. */
bool regex_matches(struct regex *regex, struct slice text);
/* Matching may follow so many steps more, of some nanoseconds each; the first call sets a limit
 * where there was none. When they are spent nothing matches any more. */
void regex_allow(struct regex *regex, uint64_t steps);
bool regex_is_spent(const struct regex *regex);
