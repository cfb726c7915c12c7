// Civil time without the C library's locale and zones, durations, sizes.
// SPDX-License-Identifier: Apache-2.0
#include "cli/stamp.h"

#include <inttypes.h>

#define DAY_MS   INT64_C(86400000)
#define YEAR_MAX 9999

struct civil {
    int64_t year;
    int month, day, hour, minute, second, ms, day_of_year;
};

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar: years begin in March, so
 * that the leap day is their last. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static struct civil civil_of(int64_t time_ms)
{
    int64_t days = time_ms / DAY_MS - (time_ms % DAY_MS < 0);
    int64_t rest = time_ms - days * DAY_MS;
    struct civil c = {.ms = (int)(rest % 1000), .second = (int)(rest / 1000 % 60)};
    c.minute = (int)(rest / 60000 % 60);
    c.hour = (int)(rest / 3600000);
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    c.day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    c.month = (int)(month < 10 ? month + 3 : month - 9);
    c.year = year_of_era + era * 400 + (c.month <= 2);
    c.day_of_year = (int)(days - days_of(c.year, 1, 1)) + 1;
    return c;
}

void cli_stamp_add_time(struct text *out, int64_t time_ms)
{
    if (time_ms < 0) {
        text_add_text(out, "-");
        return;
    }
    struct civil c = civil_of(time_ms);
    text_add_format(out, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d.%03dZ", c.year, c.month, c.day,
                    c.hour, c.minute, c.second, c.ms);
}

static bool add_part(struct text *out, char letter, const struct civil *c, int64_t time_ms)
{
    const struct {
        char letter;
        int width;
        int64_t value;
    } numbers[] = {{'Y', 4, c->year},       {'y', 2, c->year % 100}, {'m', 2, c->month},
                   {'d', 2, c->day},        {'H', 2, c->hour},       {'M', 2, c->minute},
                   {'S', 2, c->second},     {'f', 3, c->ms},         {'j', 3, c->day_of_year},
                   {'s', 1, time_ms / 1000}};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        if (numbers[i].letter == letter) {
            text_add_format(out, "%0*" PRId64, numbers[i].width, numbers[i].value);
            return true;
        }
    }
    const char *words = letter == 'Z'   ? "UTC"
                        : letter == 'z' ? "+0000"
                        : letter == 'n' ? "\n"
                        : letter == 't' ? "\t"
                        : letter == '%' ? "%"
                                        : NULL;
    if (words)
        text_add_text(out, words);
    return words != NULL;
}

bool cli_stamp_add_strftime(struct text *out, struct slice format, int64_t time_ms)
{
    struct civil c = civil_of(time_ms);
    for (size_t i = 0; i < format.size; i++) {
        if (format.data[i] != '%') {
            text_add(out, slice_make(format.data + i, 1));
            continue;
        }
        if (++i == format.size)
            return false;
        char letter = (char)format.data[i];
        const char *longer = letter == 'F'   ? "%Y-%m-%d"
                             : letter == 'T' ? "%H:%M:%S"
                             : letter == 'R' ? "%H:%M"
                             : letter == 'D' ? "%m/%d/%y"
                                             : NULL;
        /* What a shorthand stands for holds none itself: one step deep. */
        bool known = longer ? cli_stamp_add_strftime(out, slice_text(longer), time_ms)
                            : add_part(out, letter, &c, time_ms);
        if (!known)
            return false;
    }
    return true;
}

void cli_stamp_add_duration(struct text *out, int64_t ms)
{
    if (ms < 0)
        text_add_text(out, "-");
    else if (ms < 1000)
        text_add_format(out, "%" PRId64 " ms", ms);
    else if (ms < 60000 && ms % 1000 == 0)
        text_add_format(out, "%" PRId64 " s", ms / 1000);
    else if (ms < 60000)
        text_add_format(out, "%" PRId64 ".%" PRId64 " s", ms / 1000, ms % 1000 / 100);
    else if (ms < 3600000)
        text_add_format(out, "%" PRId64 " min %" PRId64 " s", ms / 60000, ms / 1000 % 60);
    else if (ms < DAY_MS)
        text_add_format(out, "%" PRId64 " h %" PRId64 " min", ms / 3600000, ms / 60000 % 60);
    else
        text_add_format(out, "%" PRId64 " d %" PRId64 " h", ms / DAY_MS, ms / 3600000 % 24);
}

void cli_stamp_add_size(struct text *out, int64_t size)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (size < 0) {
        text_add_text(out, "-");
        return;
    }
    if (size < 1024) {
        text_add_format(out, "%" PRId64 " B", size);
        return;
    }
    size_t unit = 0;
    double value = (double)size / 1024;
    while (value >= 1024 && unit + 1 < COUNT_OF(units)) {
        value /= 1024;
        unit++;
    }
    text_add_format(out, value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

/* Digits at the start of *rest, at most digits_max of them; steps behind them. */
static bool take_number(struct slice *rest, size_t digits_max, int64_t *out)
{
    size_t size = 0;
    int64_t value = 0;
    while (size < rest->size && size < digits_max && rest->data[size] >= '0' &&
           rest->data[size] <= '9')
        value = value * 10 + (rest->data[size++] - '0');
    *rest = slice_make(rest->data + size, rest->size - size);
    *out = value;
    return size > 0;
}

static bool take_char(struct slice *rest, char c)
{
    if (rest->size == 0 || rest->data[0] != (uint8_t)c)
        return false;
    *rest = slice_make(rest->data + 1, rest->size - 1);
    return true;
}

static int64_t take_unit_ms(struct slice *rest)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1},      {"s", 1000},   {"min", 60000},   {"m", 60000},
                 {"h", 3600000}, {"d", DAY_MS}, {"w", 7 * DAY_MS}};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        size_t size = strlen(units[i].name);
        if (rest->size >= size && memcmp(rest->data, units[i].name, size) == 0) {
            *rest = slice_make(rest->data + size, rest->size - size);
            return units[i].ms;
        }
    }
    return 0;
}

bool cli_stamp_parse_duration(struct slice text, int64_t *out_ms)
{
    int64_t total = 0;
    struct slice rest = text;
    if (rest.size == 0)
        return false;
    while (rest.size > 0) {
        int64_t number;
        if (!take_number(&rest, 18, &number))
            return false;
        bool bare = rest.size == 0 && total == 0;
        int64_t unit = bare ? 1000 : take_unit_ms(&rest);
        int64_t part;
        if (unit == 0 || __builtin_mul_overflow(number, unit, &part) ||
            __builtin_add_overflow(total, part, &total))
            return false;
    }
    *out_ms = total;
    return true;
}

static bool take_zone(struct slice *rest, int64_t *out_offset_ms)
{
    *out_offset_ms = 0;
    if (rest->size == 0 || take_char(rest, 'Z') || take_char(rest, 'z'))
        return true;
    int64_t sign = take_char(rest, '+') ? 1 : take_char(rest, '-') ? -1 : 0;
    int64_t hour, minute;
    if (sign == 0 || !take_number(rest, 2, &hour) || hour > 23)
        return false;
    take_char(rest, ':');
    if (!take_number(rest, 2, &minute) || minute > 59)
        return false;
    *out_offset_ms = sign * (hour * 60 + minute) * 60000;
    return true;
}

static bool take_clock(struct slice *rest, int64_t *out_ms)
{
    int64_t hour, minute, second = 0, ms = 0;
    if (!take_number(rest, 2, &hour) || hour > 23 || !take_char(rest, ':') ||
        !take_number(rest, 2, &minute) || minute > 59)
        return false;
    if (take_char(rest, ':') && (!take_number(rest, 2, &second) || second > 60))
        return false;
    if (take_char(rest, '.')) {
        size_t before = rest->size;
        if (!take_number(rest, 9, &ms))
            return false;
        for (size_t digits = before - rest->size; digits != 3; digits += digits < 3 ? 1 : -1UL)
            ms = digits < 3 ? ms * 10 : ms / 10;
    }
    *out_ms = ((hour * 60 + minute) * 60 + second) * 1000 + ms;
    return true;
}

static bool parse_date(struct slice text, int64_t *out_ms)
{
    struct slice rest = text;
    int64_t year, month, day, clock_ms = 0, zone_ms = 0;
    if (!take_number(&rest, 4, &year) || !take_char(&rest, '-') || !take_number(&rest, 2, &month) ||
        !take_char(&rest, '-') || !take_number(&rest, 2, &day))
        return false;
    if (year < 1970 || year > YEAR_MAX || month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    int64_t days = days_of(year, (int)month, (int)day);
    if (civil_of(days * DAY_MS).day != day)
        return false; /* the 30th of February */
    if (rest.size > 0 && !take_char(&rest, 'T') && !take_char(&rest, ' '))
        return false;
    bool has_clock = rest.size > 0;
    if (has_clock && (!take_clock(&rest, &clock_ms) || !take_zone(&rest, &zone_ms)))
        return false;
    *out_ms = days * DAY_MS + clock_ms - zone_ms;
    return rest.size == 0;
}

bool cli_stamp_parse_time(struct slice text, int64_t now_ms, int64_t *out_ms)
{
    int64_t number;
    if (slice_equal_text(text, "now")) {
        *out_ms = now_ms;
        return true;
    }
    struct slice rest = text;
    if (take_char(&rest, '-')) {
        if (!cli_stamp_parse_duration(rest, &number))
            return false;
        *out_ms = MAX(now_ms - number, 0);
        return true;
    }
    if (text_parse_i64(text, &number)) {
        *out_ms = text.size <= 11 ? number * 1000 : number;
        return true;
    }
    return parse_date(text, out_ms);
}
