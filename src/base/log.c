// Makes log lines: time, level, room, words; one write call a line.
// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/text.h"

#define LOG_LINE_SIZE_MAX   4096 /* with the newline */
#define LOG_ESCAPE_SIZE_MAX 16   /* four bytes as \xNN */

static const char *const level_names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};

struct line {
    size_t size;
    char bytes[LOG_LINE_SIZE_MAX];
};

static void start(struct line *line, int64_t now_ms, enum log_level level, const char *room)
{
    int64_t ms = now_ms % 1000;
    time_t seconds = (time_t)(now_ms / 1000);
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    int size = snprintf(line->bytes, sizeof(line->bytes) / 2,
                        "%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ %s %s: ", tm.tm_year + 1900LL,
                        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)ms,
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
