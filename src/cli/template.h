// The language of -f: how records are written as text and read from it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdio.h>

#include "base/arena.h"
#include "base/text.h"

/* Longer formats are refused, as are records longer than this in input. */
#define CLI_TEMPLATE_SIZE_MAX        65536
#define CLI_TEMPLATE_RECORD_SIZE_MAX ((size_t)256 << 20)
#define CLI_TEMPLATE_HEADER_MAX      1000

struct cli_record_header {
    struct slice name;
    struct slice value; /* may be null */
};

struct cli_record {
    struct slice topic;
    struct slice key;   /* may be null */
    struct slice value; /* may be null */
    int32_t partition;  /* -1: not known */
    int64_t offset;
    int64_t timestamp_ms; /* -1: none */
    const struct cli_record_header *headers;
    size_t header_count;
    int64_t counter;
    int64_t log_start;
    int64_t log_end;
};

enum cli_template_kind {
    CLI_TEMPLATE_LITERAL,
    CLI_TEMPLATE_TOPIC,
    CLI_TEMPLATE_KEY,
    CLI_TEMPLATE_VALUE,
    CLI_TEMPLATE_PARTITION,
    CLI_TEMPLATE_OFFSET,
    CLI_TEMPLATE_TIME,
    CLI_TEMPLATE_HEADERS,
    CLI_TEMPLATE_TOPIC_SIZE,
    CLI_TEMPLATE_KEY_SIZE,
    CLI_TEMPLATE_VALUE_SIZE,
    CLI_TEMPLATE_HEADER_COUNT,
    CLI_TEMPLATE_COUNTER,
    CLI_TEMPLATE_LOG_START,
    CLI_TEMPLATE_LOG_END,
};

enum cli_template_as {
    CLI_TEMPLATE_PLAIN,
    CLI_TEMPLATE_HEX,
    CLI_TEMPLATE_BASE64,
    CLI_TEMPLATE_BASE64_RAW, /* without padding */
    CLI_TEMPLATE_JSON,       /* a JSON string */
    CLI_TEMPLATE_BIG,        /* numbers: width bytes, big endian */
    CLI_TEMPLATE_LITTLE,
    CLI_TEMPLATE_STRFTIME,
    CLI_TEMPLATE_ISO,
};

struct cli_template_piece {
    enum cli_template_kind kind;
    enum cli_template_as as;
    unsigned width;               /* bytes of BIG and LITTLE, digits of a number in HEX */
    struct slice text;            /* LITERAL; the format of STRFTIME */
    struct cli_template *headers; /* of HEADERS: how each is written; NULL: as kcat does */
};

struct cli_template {
    struct cli_template_piece *pieces;
    size_t count;
    bool json; /* the whole record as one line of JSON */
};

/* Reads a format; "json" is one by name. kcat: letters as in kcat. On ERR_INVALID diag says what.
 */
NODISCARD enum err cli_template_parse(struct slice text, bool kcat, struct arena *arena,
                                      struct cli_template *out, struct diag *diag);
/* Adds the record as the format says. */
void cli_template_render(const struct cli_template *format, const struct cli_record *record,
                         struct text *out);
/* Adds one line of JSON; keys and values that are no UTF-8 go under key_base64, value_base64. */
void cli_template_render_json(const struct cli_record *record, struct text *out);

/* Whether records can be read by it: ERR_INVALID with the reason in diag. */
NODISCARD enum err cli_template_check_read(const struct cli_template *format, struct diag *diag);

/* Input of records; reads ahead. */
struct cli_template_input {
    FILE *file;
    uint8_t *data;
    size_t capacity;
    size_t start;
    size_t end;
    bool is_over;
};
void cli_template_input_init(struct cli_template_input *input, FILE *file);
void cli_template_input_deinit(struct cli_template_input *input);
/* The next record; what it points to lies in the arena. ERR_NOT_FOUND at the end; ERR_TRUNCATED,
 * ERR_INVALID, ERR_TOO_LARGE, ERR_NO_MEMORY with words in diag. What the format does not have is
 * left as *record has it. */
NODISCARD enum err cli_template_read(const struct cli_template *format,
                                     struct cli_template_input *input, struct arena *arena,
                                     struct cli_record *record, struct diag *diag);
/* One line of JSON, as _render_json writes it; a text is taken for its UTF-8 bytes. */
NODISCARD enum err cli_template_read_json(struct slice line, struct arena *arena,
                                          struct cli_record *record);
