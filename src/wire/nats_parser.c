// The client side of the NATS line protocol.
// SPDX-License-Identifier: Apache-2.0
#include "wire/nats_parser.h"

#include "base/scan.h"

/* What nats-server believes of a size: nine digits. */
#define SIZE_DIGITS_MAX 9
#define ARGS_MAX        4
#define PUB_ARGS_AT     4

struct verb {
    const char *text; /* lower case */
    uint8_t size;
    bool spaced;  /* a blank must follow */
    bool ignored; /* what follows in the line is ignored */
    enum wire_nats_op op;
};

static const struct verb VERBS[] = {
    {"pub", 3, true, false, WIRE_NATS_PUB},          {"hpub", 4, true, false, WIRE_NATS_HPUB},
    {"sub", 3, true, false, WIRE_NATS_SUB},          {"unsub", 5, true, false, WIRE_NATS_UNSUB},
    {"ping", 4, false, true, WIRE_NATS_PING},        {"pong", 4, false, true, WIRE_NATS_PONG},
    {"connect", 7, false, false, WIRE_NATS_CONNECT}, {"info", 4, false, false, WIRE_NATS_INFO},
    {"+ok", 3, false, true, WIRE_NATS_OK},           {"-err", 4, true, false, WIRE_NATS_ERR},
};

/* One line's arguments, and where the line ends. */
struct line {
    struct slice args;
    size_t end; /* behind the '\n' */
};

static enum wire_nats_status find_verb(struct slice input, const struct verb **out);
static enum wire_nats_status find_line(struct slice input, size_t start, uint32_t size_max,
                                       struct line *out);
static enum wire_nats_status parse_publish(struct slice input, const struct line *line,
                                           const struct wire_nats_limits *limits,
                                           struct wire_nats_request *out);
static enum wire_nats_status parse_sub(struct slice args, struct wire_nats_request *out);
static enum wire_nats_status parse_unsub(struct slice args, struct wire_nats_request *out);

static inline bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static inline uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

/* "PUB ", in whatever case. */
static inline bool is_pub(struct slice input)
{
    return input.size > 3 && (be32_get(input.data) & 0xdfdfdfff) == 0x50554220;
}

static inline bool is_line_end(const uint8_t *at)
{
    return be16_get(at) == 0x0d0a;
}

static bool parse_size(struct slice text, uint32_t *out)
{
    uint32_t value = 0;
    if (text.size == 0 || text.size > SIZE_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint32_t digit = (uint32_t)text.data[i] - '0';
        if (digit > 9)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* The value of the digits at the start, of nine at most; what it returns lies behind them. */
static inline const uint8_t *read_size(const uint8_t *at, const uint8_t *end, uint32_t *out)
{
    uint32_t value = 0;
    uint32_t digit;
    if (end - at > SIZE_DIGITS_MAX)
        end = at + SIZE_DIGITS_MAX;
    while (at < end && (digit = (uint32_t)*at - '0') <= 9) {
        value = value * 10 + digit;
        at++;
    }
    *out = value;
    return at;
}

/* Nearly every operation is a PUB as clients write it, single blanks and all there: read in one
 * pass, without clearing what it does not use first. False: the long way decides, out is not set.
 */
static inline bool parse_plain_pub(struct slice input, const struct wire_nats_limits *limits,
                                   struct wire_nats_request *out)
{
    const uint8_t *start = input.data + PUB_ARGS_AT;
    const uint8_t *end = start + MIN(input.size - PUB_ARGS_AT, (size_t)limits->control_line_max);
    const uint8_t *at = scan_word(start, end);
    struct slice subject = slice_make(start, (size_t)(at - start));
    if (subject.size == 0 || at == end || *at != ' ')
        return false;
    struct slice reply = SLICE_NULL;
    const uint8_t *word = at + 1;
    uint32_t size;
    at = read_size(word, end, &size);
    if (at < end && *at != '\r') {
        at = scan_word(at, end);
        reply = slice_make(word, (size_t)(at - word));
        if (reply.size == 0 || at == end || *at != ' ')
            return false;
        word = at + 1;
        at = read_size(word, end, &size);
    }
    size_t head = (size_t)(at - input.data) + 2;
    if (at == word || size > limits->payload_max || input.size < head + size + 2)
        return false;
    if (!is_line_end(at) || !is_line_end(at + 2 + size))
        return false;
    out->op = WIRE_NATS_PUB;
    out->subject = subject;
    out->reply = reply;
    out->size_text = slice_make(word, (size_t)(at - word));
    out->payload = slice_make(at + 2, size);
    out->consumed = head + size + 2;
    /* One by one: in a chain each is read back from the one before, and waits for it. */
    out->queue = SLICE_NULL;
    out->sid = SLICE_NULL;
    out->header_text = SLICE_NULL;
    out->args = SLICE_NULL;
    out->header_size = 0;
    out->unsub_max = 0;
    out->wanted = 0;
    return true;
}

static NOINLINE enum wire_nats_status
parse_any(struct slice input, const struct wire_nats_limits *limits, struct wire_nats_request *out);

enum wire_nats_status wire_nats_parser_next(struct slice input,
                                            const struct wire_nats_limits *limits,
                                            struct wire_nats_request *out)
{
    if (!limits->connect_first && is_pub(input) && parse_plain_pub(input, limits, out))
        return WIRE_NATS_COMPLETE;
    return parse_any(input, limits, out);
}

static NOINLINE enum wire_nats_status
parse_any(struct slice input, const struct wire_nats_limits *limits, struct wire_nats_request *out)
{
    *out = (struct wire_nats_request){0};
    if (input.size == 0)
        return WIRE_NATS_INCOMPLETE;
    if (limits->connect_first && lower(input.data[0]) != 'c')
        return WIRE_NATS_AUTH;
    const struct verb *verb = NULL;
    enum wire_nats_status status = find_verb(input, &verb);
    if (status != WIRE_NATS_COMPLETE)
        return status;
    struct line line = {0};
    status = find_line(input, verb->size, limits->control_line_max, &line);
    if (status != WIRE_NATS_COMPLETE)
        return status;
    out->op = verb->op;
    out->consumed = line.end;
    switch (verb->op) {
    case WIRE_NATS_PUB:
    case WIRE_NATS_HPUB:
        return parse_publish(input, &line, limits, out);
    case WIRE_NATS_SUB:
        return parse_sub(line.args, out);
    case WIRE_NATS_UNSUB:
        return parse_unsub(line.args, out);
    default:
        if (!verb->ignored)
            out->args = line.args;
        return WIRE_NATS_COMPLETE;
    }
}

const char *wire_nats_parser_error_text(enum wire_nats_status status)
{
    switch (status) {
    case WIRE_NATS_UNKNOWN:
        return "Unknown Protocol Operation";
    case WIRE_NATS_LINE_TOO_LONG:
        return "maximum control line exceeded";
    case WIRE_NATS_PAYLOAD_MAX:
        return "Maximum Payload Violation";
    case WIRE_NATS_AUTH:
        return "Authorization Violation";
    default:
        return NULL;
    }
}

/* The input begins with the verb, or with a part of it and ends there. */
static bool verb_fits(const struct verb *verb, struct slice input, bool *out_whole)
{
    size_t count = MIN((size_t)verb->size, input.size);
    for (size_t i = 0; i < count; i++)
        if (lower(input.data[i]) != (uint8_t)verb->text[i])
            return false;
    *out_whole = count == verb->size;
    return true;
}

static enum wire_nats_status find_verb(struct slice input, const struct verb **out)
{
    bool begun = false;
    for (size_t i = 0; i < COUNT_OF(VERBS); i++) {
        bool whole = false;
        if (!verb_fits(&VERBS[i], input, &whole))
            continue;
        begun = true;
        if (!whole)
            continue;
        *out = &VERBS[i];
        if (!VERBS[i].spaced)
            return WIRE_NATS_COMPLETE;
        if (input.size == VERBS[i].size)
            return WIRE_NATS_INCOMPLETE;
        return is_blank(input.data[VERBS[i].size]) ? WIRE_NATS_COMPLETE : WIRE_NATS_UNKNOWN;
    }
    return begun ? WIRE_NATS_INCOMPLETE : WIRE_NATS_UNKNOWN;
}

/* The arguments begin behind the blanks at start. Only as much is searched as a legal line has. */
static enum wire_nats_status find_line(struct slice input, size_t start, uint32_t size_max,
                                       struct line *out)
{
    size_t at = start;
    while (at < input.size && is_blank(input.data[at]))
        at++;
    if (at - start > size_max)
        return WIRE_NATS_LINE_TOO_LONG;
    const uint8_t *args = input.data + at;
    size_t window = MIN(input.size - at, (size_t)size_max + 2);
    const uint8_t *end = window ? memchr(args, '\n', window) : NULL;
    size_t size = end ? (size_t)(end - args) : window;
    if (size > 0 && args[size - 1] == '\r')
        size--;
    if (size > size_max)
        return WIRE_NATS_LINE_TOO_LONG;
    if (!end)
        return WIRE_NATS_INCOMPLETE;
    out->args = slice_make(args, size);
    out->end = (size_t)(end - input.data) + 1;
    return WIRE_NATS_COMPLETE;
}

/* Cuts at runs of blanks (and of `also`). The number of arguments; ARGS_MAX + 1 for more. */
static size_t split(struct slice text, uint8_t also, struct slice out[ARGS_MAX])
{
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + text.size;
    size_t count = 0;
    for (;;) {
        while (at < end && (is_blank(*at) || *at == also))
            at++;
        if (at == end)
            return count;
        if (count == ARGS_MAX)
            return ARGS_MAX + 1;
        const uint8_t *start = at;
        while (at < end && !is_blank(*at) && *at != also)
            at++;
        out[count++] = slice_make(start, (size_t)(at - start));
    }
}

static enum wire_nats_status take_payload(struct slice input, const struct line *line, size_t size,
                                          struct wire_nats_request *out)
{
    const uint8_t *payload = input.data + line->end;
    size_t left = input.size - line->end;
    if (left > size && payload[size] != '\r')
        return WIRE_NATS_UNKNOWN;
    if (left > size + 1 && payload[size + 1] != '\n')
        return WIRE_NATS_UNKNOWN;
    if (left < size + 2) {
        out->wanted = line->end + size + 2;
        return WIRE_NATS_INCOMPLETE;
    }
    out->payload = slice_make(payload, size);
    out->consumed = line->end + size + 2;
    return WIRE_NATS_COMPLETE;
}

static enum wire_nats_status parse_publish(struct slice input, const struct line *line,
                                           const struct wire_nats_limits *limits,
                                           struct wire_nats_request *out)
{
    struct slice args[ARGS_MAX];
    size_t numbers = out->op == WIRE_NATS_HPUB ? 2 : 1;
    if (numbers == 2 && !limits->headers)
        return WIRE_NATS_CLOSE;
    size_t count = split(line->args, ' ', args);
    if (count != numbers + 1 && count != numbers + 2)
        return WIRE_NATS_CLOSE;
    uint32_t size = 0;
    out->size_text = args[count - 1];
    if (numbers == 2) {
        out->header_text = args[count - 2];
        if (!parse_size(out->header_text, &out->header_size))
            return WIRE_NATS_CLOSE;
    }
    if (!parse_size(out->size_text, &size) || out->header_size > size)
        return WIRE_NATS_CLOSE;
    if (size > limits->payload_max)
        return WIRE_NATS_PAYLOAD_MAX;
    out->subject = args[0];
    if (count == numbers + 2)
        out->reply = args[1];
    return take_payload(input, line, size, out);
}

static enum wire_nats_status parse_sub(struct slice args, struct wire_nats_request *out)
{
    struct slice parts[ARGS_MAX];
    size_t count = split(args, '\r', parts);
    if (count != 2 && count != 3)
        return WIRE_NATS_CLOSE;
    out->subject = parts[0];
    if (count == 3)
        out->queue = parts[1];
    out->sid = parts[count - 1];
    return WIRE_NATS_COMPLETE;
}

static enum wire_nats_status parse_unsub(struct slice args, struct wire_nats_request *out)
{
    struct slice parts[ARGS_MAX];
    size_t count = split(args, '\r', parts);
    if (count != 1 && count != 2)
        return WIRE_NATS_CLOSE;
    out->sid = parts[0];
    if (count == 2 && !parse_size(parts[1], &out->unsub_max))
        out->unsub_max = 0;
    return WIRE_NATS_COMPLETE;
}
