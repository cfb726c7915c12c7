// allow_responses: reply subjects that a connection has been asked on, and may answer to.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "nats/conn.h"

#define NS_PER_MS 1000000ull

struct reply {
    uint64_t at_ns;
    int64_t count; /* answers so far */
    struct slice subject;
    uint8_t text[];
};

struct nats_replies {
    struct map subjects; /* of struct reply */
    uint64_t pruned_ns;
};

static void reply_remove(struct nats_replies *replies, struct reply *reply)
{
    (void)map_remove(&replies->subjects, reply->subject);
    free(reply);
}

static bool is_over(const struct nats_conn *conn, const struct reply *reply)
{
    const struct security_permissions *permissions = conn->user->permissions;
    uint64_t age_ns = core_now_ns(conn->home->core) - reply->at_ns;
    bool is_old = permissions->response_ttl_ms > 0 &&
                  age_ns > (uint64_t)permissions->response_ttl_ms * NS_PER_MS;
    return is_old || (permissions->responses_max > 0 && reply->count >= permissions->responses_max);
}

static void prune(struct nats_conn *conn)
{
    struct nats_replies *replies = conn->replies;
    size_t position = 0;
    struct reply *reply;
    while ((reply = map_next(&replies->subjects, &position)) != NULL)
        if (is_over(conn, reply))
            reply_remove(replies, reply);
    replies->pruned_ns = core_now_ns(conn->home->core);
}

void nats_replies_start(struct nats_conn *conn)
{
    bool is_wanted =
        conn->user && conn->user->permissions && conn->user->permissions->has_responses;
    if (!is_wanted)
        nats_replies_free(conn);
    if (!is_wanted || conn->replies)
        return;
    conn->replies = calloc(1, sizeof(*conn->replies));
    if (conn->replies)
        map_init(&conn->replies->subjects, core_random(conn->home->core));
}

/* Without memory, or with too many of them, the answer will be refused. */
void nats_replies_track(struct nats_conn *conn, struct slice subject)
{
    struct nats_replies *replies = conn->replies;
    uint64_t now_ns = core_now_ns(conn->home->core);
    if (security_permissions_publish(conn->user->permissions, subject))
        return;
    struct reply *reply = map_get(&replies->subjects, subject);
    if (reply) {
        reply->at_ns = now_ns;
        reply->count = 0;
        return;
    }
    if (now_ns - replies->pruned_ns > NATS_REPLIES_PRUNE_MS * NS_PER_MS)
        prune(conn);
    if (replies->subjects.count >= NATS_REPLIES_MAX)
        return;
    reply = malloc(sizeof(*reply) + subject.size);
    if (!reply)
        return;
    memcpy(reply->text, subject.data, subject.size);
    reply->at_ns = now_ns;
    reply->count = 0;
    reply->subject = slice_make(reply->text, subject.size);
    if (!map_put(&replies->subjects, reply->subject, reply, NULL))
        free(reply);
}

bool nats_replies_allow(struct nats_conn *conn, struct slice subject)
{
    struct reply *reply = conn->replies ? map_get(&conn->replies->subjects, subject) : NULL;
    if (!reply)
        return false;
    bool is_allowed = !is_over(conn, reply);
    if (is_allowed)
        reply->count++;
    if (!is_allowed || is_over(conn, reply))
        reply_remove(conn->replies, reply);
    return is_allowed;
}

void nats_replies_free(struct nats_conn *conn)
{
    struct nats_replies *replies = conn->replies;
    size_t position = 0;
    struct reply *reply;
    if (!replies)
        return;
    while ((reply = map_next(&replies->subjects, &position)) != NULL)
        reply_remove(replies, reply);
    map_deinit(&replies->subjects);
    free(replies);
    conn->replies = NULL;
}
