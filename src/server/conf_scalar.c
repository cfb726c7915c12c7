// Classifies bare words and computes units; pure functions of their bytes.
// SPDX-License-Identifier: Apache-2.0
#include "server/conf_scalar.h"

#include <ctype.h>
#include <strings.h>

#include "base/text.h"

struct word {
    const char *text;
    bool value;
};

struct unit {
    const char *name;
    int64_t factor;
};

static const struct word bools[] = {
    {"true", true}, {"yes", true}, {"on", true}, {"false", false}, {"no", false}, {"off", false},
};

#define KIB (INT64_C(1) << 10)
#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)
#define TIB (INT64_C(1) << 40)
#define PIB (INT64_C(1) << 50)
#define EIB (INT64_C(1) << 60)

static const struct unit sizes[] = {
    {"", 1},      {"k", 1000},
    {"kb", KIB},  {"ki", KIB},
    {"kib", KIB}, {"m", 1000 * 1000},
    {"mb", MIB},  {"mi", MIB},
    {"mib", MIB}, {"g", INT64_C(1000000000)},
    {"gb", GIB},  {"gi", GIB},
    {"gib", GIB}, {"t", INT64_C(1000000000000)},
    {"tb", TIB},  {"ti", TIB},
    {"tib", TIB}, {"p", INT64_C(1000000000000000)},
    {"pb", PIB},  {"pi", PIB},
    {"pib", PIB}, {"e", INT64_C(1000000000000000000)},
    {"eb", EIB},  {"ei", EIB},
    {"eib", EIB},
};

static const struct unit durations_ns[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000000},
    {"s", INT64_C(1000000000)},
    {"m", INT64_C(60000000000)},
    {"h", INT64_C(3600000000000)},
    {"d", INT64_C(86400000000000)},
};

static const struct unit *unit_find(const struct unit *units, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(units[i].name) == name.size &&
            strncasecmp(units[i].name, (const char *)name.data, name.size) == 0)
            return &units[i];
    return NULL;
}

static size_t digits_at(struct slice word, size_t from)
{
    size_t at = from;
    while (at < word.size && isdigit(word.data[at]))
        at++;
    return at - from;
}

enum err server_conf_scalar_integer(struct slice word, int64_t *out)
{
    bool negative = word.size > 0 && word.data[0] == '-';
    size_t digits = digits_at(word, negative);
    size_t end = negative + digits;
    if (digits == 0)
        return ERR_INVALID;
    const struct unit *unit =
        unit_find(sizes, COUNT_OF(sizes), slice_make(word.data + end, word.size - end));
    if (!unit)
        return ERR_INVALID;
    int64_t value;
    if (!text_parse_i64(slice_make(word.data, end), &value) ||
        __builtin_mul_overflow(value, unit->factor, &value))
        return ERR_OUT_OF_RANGE;
    *out = value;
    return ERR_OK;
}

/* Adds one "12h" at *at to *total_ns. */
static enum err duration_part(struct slice word, size_t *at, int64_t *total_ns)
{
    size_t digits = digits_at(word, *at);
    size_t unit_at = *at + digits;
    size_t end = unit_at;
    while (end < word.size && isalpha(word.data[end]))
        end++;
    const struct unit *unit = unit_find(durations_ns, COUNT_OF(durations_ns),
                                        slice_make(word.data + unit_at, end - unit_at));
    if (digits == 0 || !unit)
        return ERR_INVALID;
    int64_t value;
    if (!text_parse_i64(slice_make(word.data + *at, digits), &value) ||
        __builtin_mul_overflow(value, unit->factor, &value) ||
        __builtin_add_overflow(*total_ns, value, total_ns))
        return ERR_OUT_OF_RANGE;
    *at = end;
    return ERR_OK;
}

enum err server_conf_scalar_duration_ms(struct slice word, int64_t *out)
{
    size_t sign = word.size > 0 && word.data[0] == '-';
    size_t digits = digits_at(word, sign);
    if (digits > 0 && sign + digits == word.size)
        return text_parse_i64(word, out) ? ERR_OK : ERR_OUT_OF_RANGE;
    int64_t total_ns = 0;
    size_t at = 0;
    do {
        enum err err = duration_part(word, &at, &total_ns);
        if (err)
            return err;
    } while (at < word.size);
    *out = total_ns / 1000000;
    return ERR_OK;
}

static bool is_float(struct slice word)
{
    size_t at = word.size > 0 && word.data[0] == '-';
    size_t whole = digits_at(word, at);
    if (whole == 0 || at + whole >= word.size || word.data[at + whole] != '.')
        return false;
    size_t fraction = digits_at(word, at + whole + 1);
    return fraction > 0 && at + whole + 1 + fraction == word.size;
}

/* Days from 1970-01-01 to the given day of the Gregorian calendar. */
static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    static const int16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t past = year - 1;
    int64_t leaps = past / 4 - past / 100 + past / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return (year - 1970) * 365 + leaps + before[month - 1] + (is_leap && month > 2) + day - 1;
}

static int64_t number_at(struct slice word, size_t at, size_t count)
{
    int64_t value = 0;
    for (size_t i = at; i < at + count; i++)
        value = value * 10 + (word.data[i] - '0');
    return value;
}

/* YYYY-MM-DDTHH:MM:SSZ and nothing else. */
static bool parse_time(struct slice word, int64_t *out_ms)
{
    static const char shape[] = "0000-00-00T00:00:00Z";
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (word.size != sizeof(shape) - 1)
        return false;
    for (size_t i = 0; i < word.size; i++)
        if (shape[i] == '0' ? !isdigit(word.data[i]) : word.data[i] != shape[i])
            return false;
    int64_t year = number_at(word, 0, 4);
    int64_t month = number_at(word, 5, 2);
    int64_t day = number_at(word, 8, 2);
    int64_t hour = number_at(word, 11, 2);
    int64_t minute = number_at(word, 14, 2);
    int64_t second = number_at(word, 17, 2);
    if (year < 1 || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59)
        return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > days[month - 1] + (is_leap && month == 2))
        return false;
    int64_t seconds = days_from_date(year, month, day) * 86400;
    *out_ms = (seconds + hour * 3600 + minute * 60 + second) * 1000;
    return true;
}

bool server_conf_scalar_classify(struct slice word, struct server_conf_value *out)
{
    for (size_t i = 0; i < COUNT_OF(bools); i++) {
        if (!server_conf_key_equal(word, bools[i].text))
            continue;
        out->type = SERVER_CONF_BOOL;
        out->boolean = bools[i].value;
        return true;
    }
    enum err err = server_conf_scalar_integer(word, &out->integer);
    if (err != ERR_INVALID) {
        out->type = SERVER_CONF_INTEGER;
        return err == ERR_OK;
    }
    if (is_float(word)) {
        out->type = SERVER_CONF_FLOAT;
        return text_parse_double(word, &out->number);
    }
    out->type = parse_time(word, &out->time_ms) ? SERVER_CONF_TIME : SERVER_CONF_STRING;
    return true;
}
