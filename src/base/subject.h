// NATS subjects: tokens between dots, "*" for one token, ">" for all that follow (at least one).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"

/* What nats-server calls a valid subject: tokens not empty, no blanks (space, \t \n \f \r), ">"
 * only as the last one. Wildcards are allowed. */
bool subject_is_valid(struct slice subject);
/* What may be subscribed to: as subject_is_valid, but blanks are not looked at, as in nats-server's
 * insert (the line protocol lets through only \f). */
bool subject_is_filter(struct slice subject);
/* Tokens not empty and none of them a wildcard: the check of a pedantic publish. */
bool subject_is_literal(struct slice subject);
/* One of its tokens is "*" or ">"; the subject needs not be valid. */
bool subject_has_wildcard(struct slice subject);
/* Dots plus one; 0 for an empty subject. */
size_t subject_token_count(struct slice subject);
/* Cuts the first token off *rest; false when none is left. Start with rest = the subject; tokens
 * may be empty when the subject is not valid. */
bool subject_token_next(struct slice *rest, struct slice *out_token);

/* The literal subject matches the filter. Tokens of subject are taken as they are: "a.*" published
 * is matched by "a.*" and "a.>" but not by "a.b"; a subject with an empty token matches nothing. */
bool subject_matches(struct slice subject, struct slice filter);
/* Every subject that matches inner matches outer. Both valid. */
bool subject_is_subset(struct slice inner, struct slice outer);
/* Some literal subject matches both. Both valid. */
bool subject_collide(struct slice a, struct slice b);
