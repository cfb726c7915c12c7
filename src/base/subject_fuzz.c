// Fuzz target of subjects: two of them, and the laws between the relations.
// SPDX-License-Identifier: Apache-2.0
#include "base/subject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_one(struct slice subject)
{
    struct slice rest = subject;
    struct slice token;
    size_t count = 0;
    while (subject.size > 0 && subject_token_next(&rest, &token))
        count++;
    CHECK(count == subject_token_count(subject));
    CHECK(!subject_is_valid(subject) || subject_is_filter(subject));
    CHECK(subject_is_literal(subject) ==
          (subject_is_filter(subject) && !subject_has_wildcard(subject)));
    if (subject_is_literal(subject))
        CHECK(subject_matches(subject, subject) && subject_matches(subject, SLICE_LITERAL(">")));
}

static void check_two(struct slice a, struct slice b)
{
    bool collide = subject_collide(a, b);
    CHECK(collide == subject_collide(b, a));
    if (subject_is_subset(a, b))
        CHECK(collide);
    if (subject_is_subset(a, b) && subject_is_subset(b, a))
        CHECK(slice_equal(a, b));
    if (subject_is_literal(a))
        CHECK(subject_matches(a, b) == subject_is_subset(a, b) && subject_matches(a, b) == collide);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *space = size ? memchr(data, ' ', size) : NULL;
    size_t first = space ? (size_t)(space - data) : size;
    struct slice a = slice_make(data, first);
    struct slice b = space ? slice_make(space + 1, size - first - 1) : a;
    check_one(a);
    check_one(b);
    if (subject_is_filter(a) && subject_is_filter(b))
        check_two(a, b);
    (void)subject_matches(a, b);
    return 0;
}
