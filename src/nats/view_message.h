// A record as a NATS message of the partition view, and a published message as a record.
// SPDX-License-Identifier: Apache-2.0
//
// A message of the view has the header lines
//   Leat-Offset: <offset>, Leat-Timestamp: <ms, -1: none>,
//   Leat-Key: <text> or Leat-Key-Base64: <bytes>, neither for a null key,
//   Leat-Value: null for a null value, Leat-Size: <bytes of the value> when the message would be
//   too large: then the value is left out, and all that follows (key first) if it must be;
// then one line for each header of the record, in order, under its own name; or, where clients
// would choke on it or take it for one of ours, Leat-Header: <base64 name>:<base64 value, -: null>.
//
// On a subject that is bound to the topic a key that is the subject is not written, and a null key
// is what a message without key and with a header Leat-Subject has.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "record/build.h"

struct nats_view_record {
    struct slice subject; /* bound to the topic, and the message's; null: it is the partition's */
    int64_t offset;
    int64_t timestamp_ms;
    const struct record *record; /* of a batch that passed batch_check_records */
    size_t size_max;             /* of headers and payload together */
};

struct nats_view_message {
    size_t header_size;
    size_t size;    /* headers and payload */
    bool has_value; /* false: Leat-Size stands for it */
    bool has_all;   /* key and headers too */
};

/* How large it gets, and what will be left out. */
void nats_view_message_measure(const struct nats_view_record *record,
                               struct nats_view_message *out);
/* Writes the message and "\r\n" to out, which has message->size + 2 bytes. */
void nats_view_message_write(const struct nats_view_record *record,
                             const struct nats_view_message *message, uint8_t *out);

struct nats_view_published {
    struct slice block; /* empty: none */
    struct slice payload;
    struct slice subject; /* bound to the topic; null: the message came to the topic's own */
    int64_t time_ms;      /* now */
};

/* Takes header lines as above, and others as headers of the record; Leat-Offset is ignored. A block
 * that would not come out byte for byte becomes one header Leat-Block. *out points into the
 * published bytes and the arena. time_ms is the record's unless Leat-Timestamp says another.
 * ERR_INVALID, with words: malformed headers, an unknown Leat- header, or one that asks for what a
 * topic cannot do (Nats-Msg-Id, Nats-Expected-..., Nats-Rollup, Nats-TTL and their like).
 * ERR_NO_MEMORY. */
NODISCARD enum err nats_view_read_message(const struct nats_view_published *published,
                                          struct arena *arena, struct build_record *out,
                                          struct diag *diag);
