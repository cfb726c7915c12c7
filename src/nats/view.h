// Topics as seen by NATS clients: publishing to them, and the live view of their partitions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/broker.h"
#include "broker/subject.h"
#include "nats/conn.h"

enum nats_view_limit {
    NATS_VIEW_BATCH_SIZE = 128 << 10, /* messages of one input are gathered up to this */
    NATS_VIEW_OUT_SIZE_MAX = 4 << 20, /* of one connection, not durable yet: more make it wait */
    NATS_VIEW_OUT_MAX = 256,          /* batches of one connection, likewise */
};

/* The subject lies below the view's prefix: no ordinary message has it. */
static inline bool nats_view_has(const struct nats_core *home, struct slice subject)
{
    struct slice prefix = home->nats->view_prefix;
    /* Most have another first letter: that is asked first. */
    return prefix.data && subject.size > prefix.size && subject.data[0] == prefix.data[0] &&
           broker_subject_is_view(prefix, subject);
}

/* Where the subscriptions that match the subject, or have this filter, are kept. */
static inline struct interest *nats_view_interest(const struct nats_core *home,
                                                  struct slice subject)
{
    return nats_view_has(home, subject) ? home->view_interest : home->interest;
}

/* view_publish.c: a message below the prefix. It is appended to its topic, or refused: with an
 * error PubAck when it has a reply, else with -ERR. */
void nats_view_publish_handle(struct nats_conn *conn, const struct wire_nats_request *request,
                              struct buf *buf);
/* view_publish.c: a message on a subject that is bound to the topic, delivered already. */
void nats_view_publish_bound(struct nats_conn *conn, const struct wire_nats_request *request,
                             const struct broker_topic *topic);
/* Sends off what was gathered; at the end of an input. */
void nats_view_publish_flush(struct nats_conn *conn);
