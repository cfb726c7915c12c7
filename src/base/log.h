// Structured log lines: level, room, message, key=value pairs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdatomic.h>

#include "base/slice.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Where lines go. write gets one whole line with its newline and may be called from every thread;
 * now_ms gives the wall clock. Set up by the server, handed down; NULL loggers drop everything. */
struct logger {
    _Atomic int level; /* enum log_level; any thread may change it */
    void (*write)(struct logger *logger, struct slice line);
    int64_t (*now_ms)(struct logger *logger);
};

/* "2026-01-02T03:04:05.678Z INFO store: checkpoint done partitions=12 ms=3". room and the format's
 * words come first, pairs are part of the format. Cut at 4 KiB with "...". Control bytes are
 * escaped. */
void log_line(struct logger *logger, enum log_level level, const char *room, const char *format,
              ...) PRINTF_LIKE(4, 5);

#define log_enabled(logger, lvl)                                                                   \
    ((logger) != NULL && (int)(lvl) >= atomic_load_explicit(&(logger)->level, memory_order_relaxed))
/* "INFO" and so on. */
const char *log_level_name(enum log_level level);
NODISCARD bool log_level_find(struct slice name, enum log_level *out);
#define LOG_AT(logger, lvl, room, ...)                                                             \
    (log_enabled(logger, lvl) ? log_line(logger, lvl, room, __VA_ARGS__) : (void)0)
#define log_error(logger, room, ...) LOG_AT(logger, LOG_ERROR, room, __VA_ARGS__)
#define log_warn(logger, room, ...)  LOG_AT(logger, LOG_WARN, room, __VA_ARGS__)
#define log_info(logger, room, ...)  LOG_AT(logger, LOG_INFO, room, __VA_ARGS__)
#define log_debug(logger, room, ...) LOG_AT(logger, LOG_DEBUG, room, __VA_ARGS__)
