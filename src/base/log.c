// Makes log lines: time, level, room, words; one write call a line.
// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

#define MS_PER_DAY          86400000LL
#define LOG_LINE_SIZE_MAX   4096 /* with the newline */
#define LOG_ESCAPE_SIZE_MAX 16   /* four bytes as \xNN */

static const char *const level_names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};

struct line {
    size_t size;
    char bytes[LOG_LINE_SIZE_MAX];
};

struct date {
    long long year;
    int month;
    int day;
};

/* The Gregorian date of a day counted from 1970-01-01. Years run from March here, so that the leap
 * day comes last. (gmtime_r would take a lock and read the time zone's file.) */
static struct date date_of(int64_t day)
{
    const int64_t days_per_era = 146097; /* 400 years */
    int64_t shifted = day + 719468;      /* from 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - (days_per_era - 1)) / days_per_era;
    int64_t in_era = shifted - era * days_per_era;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * in_year + 2) / 153;
    return (struct date){
        .year = year + era * 400 + (month >= 10),
        .month = (int)(month < 10 ? month + 3 : month - 9),
        .day = (int)(in_year - (153 * month + 2) / 5 + 1),
    };
}

static void start(struct line *line, int64_t now_ms, enum log_level level, const char *room)
{
    int64_t day = now_ms / MS_PER_DAY;
    int ms = (int)(now_ms % MS_PER_DAY);
    if (ms < 0) {
        ms += (int)MS_PER_DAY;
        day--;
    }
    struct date date = date_of(day);
    int size = snprintf(line->bytes, sizeof(line->bytes) / 2,
                        "%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ %s %s: ", date.year, date.month,
                        date.day, ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000,
                        level_names[level], room);
    CHECK(size > 0 && (size_t)size < sizeof(line->bytes) / 2);
    line->size = (size_t)size;
}

/* Text as it is; control characters and what is no UTF-8 as \n, \t or \xNN. Returns its size. */
static size_t escape(struct slice from, bool plain, char out[LOG_ESCAPE_SIZE_MAX])
{
    if (plain) {
        memcpy(out, from.data, from.size);
        return from.size;
    }
    static const char hex[] = "0123456789abcdef";
    size_t size = 0;
    for (size_t i = 0; i < from.size; i++) {
        uint8_t byte = from.data[i];
        out[size++] = '\\';
        if (byte == '\n' || byte == '\t' || byte == '\r') {
            out[size++] = (char)(byte == '\n' ? 'n' : byte == '\t' ? 't' : 'r');
            continue;
        }
        out[size++] = 'x';
        out[size++] = hex[byte >> 4];
        out[size++] = hex[byte & 15];
    }
    return size;
}

/* What finds no room is left out, and "..." ends the line. */
static void add_escaped(struct line *line, struct slice words, bool is_cut)
{
    const size_t end = LOG_LINE_SIZE_MAX - 1; /* the newline */
    size_t size_fits = line->size;            /* the last place where "..." fits */
    for (size_t position = 0; position < words.size;) {
        size_t begin = position;
        int32_t point = text_utf8_next(words, &position);
        bool plain = point >= 0x20 && (point < 0x7f || point > 0x9f);
        char piece[LOG_ESCAPE_SIZE_MAX];
        size_t size = escape(slice_make(words.data + begin, position - begin), plain, piece);
        if (line->size + size > end) {
            is_cut = true;
            break;
        }
        memcpy(line->bytes + line->size, piece, size);
        line->size += size;
        if (line->size + 3 <= end)
            size_fits = line->size;
    }
    if (is_cut) {
        line->size = size_fits;
        memcpy(line->bytes + line->size, "...", 3);
        line->size += 3;
    }
}

const char *log_level_name(enum log_level level)
{
    CHECK((size_t)level < COUNT_OF(level_names));
    return level_names[level];
}

bool log_level_find(struct slice name, enum log_level *out)
{
    for (size_t i = 0; i < COUNT_OF(level_names); i++) {
        if (!slice_equal_text(name, level_names[i]))
            continue;
        *out = (enum log_level)i;
        return true;
    }
    return false;
}

void log_line(struct logger *logger, enum log_level level, const char *room, const char *format,
              ...)
{
    if (!log_enabled(logger, level))
        return;
    CHECK((size_t)level < COUNT_OF(level_names));
    struct line line;
    start(&line, logger->now_ms(logger), level, room);
    char words[LOG_LINE_SIZE_MAX];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    bool is_cut = size >= (int)sizeof(words);
    size_t size_words = size < 0 ? 0 : is_cut ? sizeof(words) - 1 : (size_t)size;
    add_escaped(&line, slice_make(words, size_words), is_cut);
    line.bytes[line.size++] = '\n';
    logger->write(logger, slice_make(line.bytes, line.size));
}
