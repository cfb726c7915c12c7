// Times, durations and sizes as people write and read them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/text.h"

/* "2026-01-02T03:04:05.678Z"; -1 and less: "-". */
void cli_stamp_add_time(struct text *out, int64_t time_ms);
/* strftime's conversions that need no locale: %Y %m %d %H %M %S %F %T %D %R %y %j %s %Z %z %n %t
 * %% and %f for milliseconds, in UTC. False: another one. */
NODISCARD bool cli_stamp_add_strftime(struct text *out, struct slice format, int64_t time_ms);
/* "850 ms", "12.3 s", "3 min 20 s", "2 h 5 min", "4 d 3 h"; below 0: "-". */
void cli_stamp_add_duration(struct text *out, int64_t duration_ms);
/* "512 B", "1.5 MiB"; below 0: "-". */
void cli_stamp_add_size(struct text *out, int64_t size_bytes);

/* "1500ms", "3s", "5m", "2h", "7d", "1w", also "1h30m"; a bare number is seconds. Not negative. */
NODISCARD bool cli_stamp_parse_duration(struct slice text, int64_t *out_ms);
/* "2026-01-02", "2026-01-02T03:04[:05[.678]][Z|+hh:mm]" (UTC without a zone), a number (seconds
 * with up to 11 digits, else milliseconds), "-1h" (before now_ms), "now". */
NODISCARD bool cli_stamp_parse_time(struct slice text, int64_t now_ms, int64_t *out_ms);
