// Where readers begin: latest, earliest, or some time ago in the words of ISO 8601.
// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "broker/config.h"

#define DURATION_PREFIX "by_duration:"
#define FRACTION_DIGITS 9

struct duration {
    struct slice rest;
    int64_t ms;
    unsigned parts;
};

static bool take_any(struct slice *rest, char lower, char upper)
{
    if (rest->size == 0 || (rest->data[0] != lower && rest->data[0] != upper))
        return false;
    *rest = slice_make(rest->data + 1, rest->size - 1);
    return true;
}

static bool take_digits(struct slice *rest, struct slice *out)
{
    size_t size = 0;
    while (size < rest->size && rest->data[size] >= '0' && rest->data[size] <= '9')
        size++;
    *out = slice_make(rest->data, size);
    *rest = slice_make(rest->data + size, rest->size - size);
    return size > 0;
}

static bool add_ms(struct duration *d, int64_t number, int64_t unit_ms)
{
    d->parts++;
    return !__builtin_mul_overflow(number, unit_ms, &number) &&
           !__builtin_add_overflow(d->ms, number, &d->ms);
}

/* A number and its unit, if they come next. False: too large. */
static bool take_part(struct duration *d, const char *unit, int64_t unit_ms)
{
    struct slice rest = d->rest;
    struct slice digits;
    int64_t number;
    bool is_negative = take_any(&rest, '-', '-');
    if (!is_negative)
        (void)take_any(&rest, '+', '+');
    if (!take_digits(&rest, &digits) || !take_any(&rest, unit[0], unit[1]))
        return true;
    d->rest = rest;
    return text_parse_i64(digits, &number) && add_ms(d, is_negative ? -number : number, unit_ms);
}

/* Seconds with up to nine digits behind the point. */
static bool take_fraction(struct duration *d)
{
    struct slice rest = d->rest;
    struct slice digits;
    struct slice fraction;
    int64_t seconds;
    int64_t ms = 0;
    bool is_negative = take_any(&rest, '-', '-');
    if (!is_negative)
        (void)take_any(&rest, '+', '+');
    if (!take_digits(&rest, &digits) || !take_any(&rest, '.', ','))
        return true;
    (void)take_digits(&rest, &fraction);
    if (fraction.size > FRACTION_DIGITS || !take_any(&rest, 's', 'S'))
        return false;
    for (size_t i = 0; i < 3; i++)
        ms = ms * 10 + (i < fraction.size ? fraction.data[i] - '0' : 0);
    d->rest = rest;
    return text_parse_i64(digits, &seconds) && add_ms(d, is_negative ? -seconds : seconds, 1000) &&
           add_ms(d, is_negative ? -ms : ms, 1);
}

static bool duration_parse(struct slice text, int64_t *out)
{
    struct duration d = {.rest = text};
    bool is_negative = take_any(&d.rest, '-', '-');
    if (!is_negative)
        (void)take_any(&d.rest, '+', '+');
    if (!take_any(&d.rest, 'p', 'P') || !take_part(&d, "dD", 86400000))
        return false;
    if (take_any(&d.rest, 't', 'T')) {
        unsigned parts = d.parts;
        if (!take_part(&d, "hH", 3600000) || !take_part(&d, "mM", 60000) || !take_fraction(&d) ||
            !take_part(&d, "sS", 1000) || d.parts == parts)
            return false;
    }
    if (d.parts == 0 || d.rest.size > 0 || (is_negative && d.ms > 0) || (!is_negative && d.ms < 0))
        return false;
    *out = is_negative ? -d.ms : d.ms;
    return *out >= 0;
}

bool broker_config_reset_parse(struct slice text, int64_t *out)
{
    size_t prefix = sizeof(DURATION_PREFIX) - 1;
    if (slice_equal_text(text, "latest"))
        *out = BROKER_RESET_LATEST;
    else if (slice_equal_text(text, "earliest"))
        *out = BROKER_RESET_EARLIEST;
    else
        return text.size > prefix && memcmp(text.data, DURATION_PREFIX, prefix) == 0 &&
               duration_parse(slice_make(text.data + prefix, text.size - prefix), out);
    return true;
}

/* As Java writes a duration. */
const char *broker_config_reset_text(int64_t reset, char buffer[CONFIG_VALUE_SIZE])
{
    if (reset == BROKER_RESET_LATEST)
        return "latest";
    if (reset == BROKER_RESET_EARLIEST)
        return "earliest";
    int64_t hours = reset / 3600000;
    int minutes = (int)(reset / 60000 % 60);
    int ms = (int)(reset % 60000);
    char *at = buffer + snprintf(buffer, CONFIG_VALUE_SIZE, DURATION_PREFIX "PT");
    char *end = buffer + CONFIG_VALUE_SIZE;
    if (hours)
        at += snprintf(at, (size_t)(end - at), "%" PRId64 "H", hours);
    if (minutes)
        at += snprintf(at, (size_t)(end - at), "%dM", minutes);
    if (ms % 1000 == 0) {
        if (ms || reset == 0)
            (void)snprintf(at, (size_t)(end - at), "%dS", ms / 1000);
        return buffer;
    }
    at += snprintf(at, (size_t)(end - at), "%d.%03d", ms / 1000, ms % 1000);
    while (at[-1] == '0')
        at--;
    (void)snprintf(at, (size_t)(end - at), "S");
    return buffer;
}
