// The client side of the NATS line protocol: one operation at the start of a range of bytes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"

enum wire_nats_op {
    WIRE_NATS_CONNECT, /* args: the JSON */
    WIRE_NATS_INFO,    /* args: the JSON; nats-server only checks that it parses */
    WIRE_NATS_PING,
    WIRE_NATS_PONG,
    WIRE_NATS_OK,  /* ignored */
    WIRE_NATS_ERR, /* args: the text; nats-server closes the connection without a word */
    WIRE_NATS_PUB,
    WIRE_NATS_HPUB,
    WIRE_NATS_SUB,
    WIRE_NATS_UNSUB,
    WIRE_NATS_OP_COUNT,
};

/* What nats-server does in the case is given by its name. */
enum wire_nats_status {
    WIRE_NATS_COMPLETE,      /* one operation, out->consumed bytes long */
    WIRE_NATS_INCOMPLETE,    /* keep the bytes, come again with more: out->wanted */
    WIRE_NATS_UNKNOWN,       /* -ERR 'Unknown Protocol Operation', then close */
    WIRE_NATS_CLOSE,         /* close without -ERR: arguments that do not parse */
    WIRE_NATS_LINE_TOO_LONG, /* -ERR 'maximum control line exceeded', then close */
    WIRE_NATS_PAYLOAD_MAX,   /* -ERR 'Maximum Payload Violation', then close */
    WIRE_NATS_AUTH,          /* -ERR 'Authorization Violation', then close */
};

struct wire_nats_limits {
    uint32_t control_line_max; /* bytes of a line's arguments, without verb and line end */
    uint32_t payload_max;      /* bytes of header and payload together */
    bool headers;              /* HPUB is allowed: both sides announced headers */
    bool connect_first;        /* nothing but CONNECT is accepted yet */
};

/* The slices point into the input. What an operation does not have is SLICE_NULL or 0. */
struct wire_nats_request {
    enum wire_nats_op op;
    uint32_t header_size;     /* HPUB: the first bytes of payload */
    struct slice subject;     /* PUB, HPUB, SUB; not validated */
    struct slice reply;       /* PUB, HPUB; null: none */
    struct slice queue;       /* SUB; null: none */
    struct slice sid;         /* SUB, UNSUB */
    struct slice size_text;   /* PUB, HPUB: the last number as the client wrote it */
    struct slice header_text; /* HPUB: the header's size as the client wrote it */
    struct slice args;        /* CONNECT, INFO, ERR */
    struct slice payload;     /* PUB, HPUB: header and payload without the line end; never null */
    uint32_t unsub_max; /* UNSUB; 0: none (or one that does not parse, as nats-server takes it) */
    size_t consumed;    /* COMPLETE */
    size_t wanted; /* INCOMPLETE: contiguous bytes from the start of this operation that complete
                      it, bounded by the limits; 0: any more */
};

/* Parses the first operation of input. Never copies, keeps no state: after INCOMPLETE the caller
 * comes again with the same bytes and more behind them. Errors are found as early as nats-server
 * finds them: a wrong verb before its line ends, a wrong line before its payload is there. */
enum wire_nats_status wire_nats_parser_next(struct slice input,
                                            const struct wire_nats_limits *limits,
                                            struct wire_nats_request *out);
/* The text of the -ERR that goes with status, without quotes; NULL: none. */
const char *wire_nats_parser_error_text(enum wire_nats_status status);
