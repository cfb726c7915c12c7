// The named classes of bytes in regular expressions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/regex_parse.h"

void regex_class_add(struct regex_set *set, uint8_t first, uint8_t last);
void regex_class_merge(struct regex_set *set, const struct regex_set *other, bool negate);
/* Both cases of every letter in it. */
void regex_class_fold(struct regex_set *set);
/* \d \s \w and in capitals; false: none of them. */
bool regex_class_perl(uint8_t letter, struct regex_set *out);
/* alpha, digit ...; false: no such class. */
bool regex_class_posix(struct slice name, struct regex_set *out);
/* General categories and the commonest scripts, what is ASCII of them; false: not known. */
bool regex_class_unicode(struct slice name, struct regex_set *out);
