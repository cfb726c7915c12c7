// NATS subjects: validation and matching.
// SPDX-License-Identifier: Apache-2.0
#include "base/subject.h"

static bool is_one(struct slice token, char byte)
{
    return token.size == 1 && token.data[0] == (uint8_t)byte;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\f' || byte == '\r';
}

bool subject_token_next(struct slice *rest, struct slice *out_token)
{
    if (!rest->data)
        return false;
    const uint8_t *dot = rest->size ? memchr(rest->data, '.', rest->size) : NULL;
    if (!dot) {
        *out_token = *rest;
        *rest = SLICE_NULL;
        return true;
    }
    size_t size = (size_t)(dot - rest->data);
    *out_token = slice_make(rest->data, size);
    *rest = slice_make(dot + 1, rest->size - size - 1);
    return true;
}

bool subject_is_filter(struct slice subject)
{
    struct slice rest = subject;
    struct slice token;
    bool over = false;
    if (subject.size == 0)
        return false;
    while (subject_token_next(&rest, &token)) {
        if (token.size == 0 || over)
            return false;
        over = is_one(token, '>');
    }
    return true;
}

bool subject_is_valid(struct slice subject)
{
    for (size_t i = 0; i < subject.size; i++)
        if (is_blank(subject.data[i]))
            return false;
    return subject_is_filter(subject);
}

bool subject_is_literal(struct slice subject)
{
    struct slice rest = subject;
    struct slice token;
    if (subject.size == 0)
        return false;
    while (subject_token_next(&rest, &token))
        if (token.size == 0 || is_one(token, '*') || is_one(token, '>'))
            return false;
    return true;
}

bool subject_has_wildcard(struct slice subject)
{
    struct slice rest = subject;
    struct slice token;
    while (subject_token_next(&rest, &token))
        if (is_one(token, '*') || is_one(token, '>'))
            return true;
    return false;
}

size_t subject_token_count(struct slice subject)
{
    if (subject.size == 0)
        return 0;
    size_t count = 1;
    for (size_t i = 0; i < subject.size; i++)
        count += subject.data[i] == '.';
    return count;
}

bool subject_matches(struct slice subject, struct slice filter)
{
    struct slice token;
    struct slice wanted;
    struct slice rest = subject;
    if (subject.size == 0)
        return false;
    while (subject_token_next(&rest, &token))
        if (token.size == 0)
            return false;
    while (subject_token_next(&filter, &wanted)) {
        if (!subject_token_next(&subject, &token))
            return false;
        if (is_one(wanted, '>'))
            return true;
        if (!is_one(wanted, '*') && !slice_equal(wanted, token))
            return false;
    }
    return !subject.data;
}

bool subject_is_subset(struct slice inner, struct slice outer)
{
    struct slice token;
    struct slice wanted;
    while (subject_token_next(&outer, &wanted)) {
        if (!subject_token_next(&inner, &token))
            return false;
        if (is_one(wanted, '>'))
            return true;
        if (is_one(token, '>'))
            return false;
        if (!is_one(wanted, '*') && (is_one(token, '*') || !slice_equal(wanted, token)))
            return false;
    }
    return !inner.data;
}

bool subject_collide(struct slice a, struct slice b)
{
    struct slice left;
    struct slice right;
    for (;;) {
        bool more = subject_token_next(&a, &left);
        if (subject_token_next(&b, &right) != more)
            return false;
        if (!more || is_one(left, '>') || is_one(right, '>'))
            return true;
        if (!is_one(left, '*') && !is_one(right, '*') && !slice_equal(left, right))
            return false;
    }
}
