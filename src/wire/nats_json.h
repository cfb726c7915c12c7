// The JSON of NATS: a bounded pull reader, CONNECT read from it, INFO written.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/arena.h"
#include "base/text.h"

/* Deeper nesting is ERR_INVALID. */
#define WIRE_NATS_JSON_DEPTH_MAX 64

enum wire_nats_json_kind {
    WIRE_NATS_JSON_OBJECT, /* then keys and values by turns, and END */
    WIRE_NATS_JSON_ARRAY,  /* then values, and END */
    WIRE_NATS_JSON_END,
    WIRE_NATS_JSON_STRING, /* raw: between the quotes, escapes included */
    WIRE_NATS_JSON_NUMBER, /* raw: as written */
    WIRE_NATS_JSON_TRUE,
    WIRE_NATS_JSON_FALSE,
    WIRE_NATS_JSON_NULL,
    WIRE_NATS_JSON_DONE, /* the input's one value is over */
};

struct wire_nats_json_token {
    enum wire_nats_json_kind kind;
    bool is_key;    /* a STRING that names a member */
    bool escaped;   /* a STRING with escapes or invalid UTF-8: needs _unescape */
    unsigned depth; /* of what it lies in: 0 for the outermost value */
    struct slice raw;
};

struct wire_nats_json {
    struct slice input;
    size_t position;
    unsigned depth;
    uint8_t state;
    uint64_t objects; /* bit n: what is open at depth n is an object */
};

void wire_nats_json_init(struct wire_nats_json *json, struct slice input);
/* The next token; ERR_INVALID sticks for what RFC 8259 does not allow. */
NODISCARD enum err wire_nats_json_next(struct wire_nats_json *json,
                                       struct wire_nats_json_token *out);
/* Skips the value whose first token was given (nothing to do for a scalar). */
NODISCARD enum err wire_nats_json_skip(struct wire_nats_json *json,
                                       const struct wire_nats_json_token *first);
/* The text of a STRING in the arena, or raw itself when there is nothing to undo. Invalid UTF-8 and
 * lone surrogates become U+FFFD. */
NODISCARD enum err wire_nats_json_unescape(const struct wire_nats_json_token *token,
                                           struct arena *arena, struct slice *out);
/* The whole input is one object (or null): what nats-server asks of a client's INFO. */
bool wire_nats_json_is_object(struct slice input);

/* What a client says of itself. Strings are null when never given. */
struct wire_nats_connect {
    bool verbose;
    bool pedantic;
    bool echo;
    bool tls_required;
    bool headers;
    bool no_responders;
    bool new_account;
    int64_t protocol;
    struct slice nkey;
    struct slice jwt;
    struct slice sig;
    struct slice auth_token;
    struct slice user;
    struct slice pass;
    struct slice name;
    struct slice lang;
    struct slice version;
    struct slice account;
    struct slice remote_account;
    struct slice proxy_sig;
};

/* As nats-server treats a client before its CONNECT: verbose, pedantic and echo are on. */
void wire_nats_json_connect_init(struct wire_nats_connect *connect);
/* Sets the members that are in json and leaves the others, so that a second CONNECT changes the
 * first. Names in any case, unknown ones ignored, null changes nothing, the last of two wins; a
 * wrong type is ERR_INVALID (nats-server then closes without -ERR). Strings point into json or the
 * arena. On an error *connect may be partly changed. */
NODISCARD enum err wire_nats_json_connect_decode(struct slice json, struct arena *arena,
                                                 struct wire_nats_connect *connect);

/* Fields of INFO; those after `proto` are left out when zero, false or null, except headers and
 * the numbers that nats-server always sends. */
struct wire_nats_info {
    struct slice server_id;
    struct slice server_name;
    struct slice version;
    int proto;
    struct slice git_commit;
    struct slice go;   /* always sent */
    struct slice host; /* always sent */
    uint16_t port;     /* always sent */
    bool headers;      /* always sent */
    bool auth_required;
    bool tls_required;
    bool tls_verify;
    bool tls_available;
    uint64_t max_payload; /* always sent */
    bool jetstream;
    struct slice ip;
    uint64_t client_id;
    struct slice client_ip;
    struct slice nonce;
    struct slice cluster;
    struct slice domain;
    const struct slice *connect_urls;
    size_t connect_urls_count;
    bool ldm;
    bool connect_info;
    struct slice remote_account;
    bool acc_is_sys;
    uint32_t api_lvl;
    struct slice xkey;
};

/* Adds "INFO {...} \r\n" in the order of nats-server; out->failed tells of missing memory. */
void wire_nats_json_info_encode(const struct wire_nats_info *info, struct text *out);
