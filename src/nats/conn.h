// A NATS client's connection: its state, and what the files of this room do with it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/map.h"
#include "nats/sids.h"
#include "nats/state.h"
#include "wire/nats_json.h"
#include "wire/nats_parser.h"

struct nats_login;
struct nats_fence;
struct nats_replies;
struct nats_view_append;
struct nats_bound;
struct nats_move;

/* Why input waits; any number of them at a time. */
enum nats_wait {
    NATS_WAIT_LOGIN = 1,    /* a password is being checked */
    NATS_WAIT_STALL = 2,    /* consumers are slow */
    NATS_WAIT_PARCELS = 4,  /* other cores are slow */
    NATS_WAIT_FENCE = 8,    /* other cores have not heard of all subscriptions yet */
    NATS_WAIT_LOG = 32,     /* too much of what it published is not durable yet */
    NATS_WAIT_VIEW = 128,   /* what it subscribed to is not watched yet */
    NATS_WAIT_TOPIC = 64,   /* the topic that it published to is being made */
    NATS_WAIT_INTEREST = 16 /* this core has not heard of the others' subscriptions yet */
};

struct nats_conn {
    struct conn *conn; /* NULL: closed, only parcels still know it */
    struct nats_core *home;
    struct nats_move *move; /* while it changes cores with its subscriptions; NULL: it does not */
    struct nats_config *config;
    const struct nats_user *user; /* in config; NULL: everybody */
    struct list node;
    struct nats_sids subs;
    struct core_timer timer; /* login, then pings */
    struct core_timer stall_timer;
    struct wire_nats_limits limits;
    struct wire_nats_connect connect; /* its strings are in text */
    char *text;
    struct nats_login *login;     /* running, or NULL */
    struct nats_fence *fence;     /* running, or NULL */
    struct nats_replies *replies; /* NULL: no permission for responses */
    struct nats_conn *stalled_by; /* while NATS_WAIT_STALL; NULL: a consumer on another core */
    struct list stalled;          /* node in stalling of the one that stalled it */
    struct list stalling;

    struct nats_view_append *append; /* being gathered, or NULL */
    size_t append_size_out;          /* bytes that are not durable yet */
    unsigned appends_out;            /* and other things under way that know it */

    uint64_t id;
    unsigned waits; /* enum nats_wait */
    unsigned parcels_out;
    unsigned pings_out;
    enum nats_reason reason; /* NONE: it is open */
    bool is_connected;       /* CONNECT was accepted */
    bool headers;
    bool pong_sent;
    bool is_unsynced; /* subscriptions changed that other cores may not know yet */
    bool knows_lame;  /* was told to go elsewhere, as far as it understands that */
    uint64_t config_serial;

    uint64_t input_ns; /* last operation */
    uint64_t ping_ns;
    uint64_t rtt_ns;
    uint64_t rtt_at_ns;
    int64_t opened_ms;
    uint64_t in_messages;
    uint64_t in_bytes;
    uint64_t out_messages;
    uint64_t out_bytes;
};

struct nats_sub {
    struct interest_sub interest;
    struct nats_conn *conn;
    struct nats_sub *next_sid; /* of its chain in conn->subs */
    struct nats_sub *next_finished;
    uint64_t delivered;
    uint64_t max;     /* 0: none */
    bool is_filtered; /* some of its messages are denied */
    bool is_finished;
    uint8_t text[]; /* sid, subject, queue */
};

static inline struct slice nats_conn_sid(const struct nats_sub *sub)
{
    return slice_make(sub->text, (size_t)(sub->interest.text - sub->text));
}

/* What a subscription with so much text takes. */
static inline size_t nats_conn_sub_size(size_t text_size)
{
    size_t size = offsetof(struct nats_sub, text) + text_size;
    return size > sizeof(struct nats_sub) ? size : sizeof(struct nats_sub);
}

static inline size_t nats_conn_sub_text_size(const struct nats_sub *sub)
{
    return nats_conn_sid(sub).size + sub->interest.subject_size +
           broker_interest_queue_size(&sub->interest);
}

/* A reader of a partition, as those who carry its messages know it. */
struct nats_source {
    unsigned parcels_out;
    bool met_full; /* some taker of what it sent is slow */
};

/* A message on its way to subscribers of one core. */
struct nats_message {
    struct nats_conn *publisher; /* NULL: on another core */
    struct nats_source *source;  /* NULL: no reader */
    struct slice subject;
    struct slice reply; /* null: none */
    struct slice size_text;
    struct slice header_text;
    uint32_t header_size;
    /* Of another name, behind the subject's bytes, which must not be denied either; 0: none. */
    uint32_t also_size;
    struct buf_range payload; /* header and payload; "\r\n" lies behind it */
    bool met_full;            /* out: some taker is slow */
    uint8_t hops;             /* cores whose members of the group had just left */
};

/* conn.c */
extern const struct conn_ops nats_conn_ops;
/* Says -ERR where there are words for it, and closes where the error does. */
void nats_conn_fail(struct nats_conn *conn, enum nats_error error);
/* -ERR 'words "subject" using queue "queue"more'; queue may be null. */
void nats_conn_fail_subject(struct nats_conn *conn, const char *words, struct slice subject,
                            struct slice queue, const char *more);
/* What a client is told of a subscription that a new configuration takes away. */
void nats_conn_fail_removed(struct nats_conn *conn, const struct nats_sub *sub);
/* Sends what is queued and closes. */
void nats_conn_end(struct nats_conn *conn, enum nats_reason reason);
/* Closes at once. */
void nats_conn_cut(struct nats_conn *conn, enum nats_reason reason);
bool nats_conn_is_open(const struct nats_conn *conn);
/* What the parser lets through, by configuration and CONNECT. */
void nats_conn_set_limits(struct nats_conn *conn);
/* Of all cores; from any. */
uint64_t nats_conn_count(const struct nats *nats);
void nats_conn_wait(struct nats_conn *conn, enum nats_wait wait);
void nats_conn_go_on(struct nats_conn *conn, enum nats_wait wait);
/* A parcel came home. */
void nats_conn_unref(struct nats_conn *conn);
void nats_conn_send(struct nats_conn *conn, const char *text);
/* PONG, and after the first one INFO for those who understand it. */
void nats_conn_pong(struct nats_conn *conn);

/* info.c */
void nats_info_make_id(struct nats *nats, const uint8_t random[32]);
void nats_info_send(struct nats_conn *conn, bool is_connect_info);
/* What INFO tells as this server's address. */
void nats_info_set_address(struct nats *nats, const struct sockaddr_storage *address);
void nats_info_client_ip(const struct nats_conn *conn, char out[INET6_ADDRSTRLEN]);

/* ping.c */
void nats_ping_run(struct core *core, struct core_timer *timer);
void nats_ping_start(struct nats_conn *conn);
void nats_ping_pong(struct nats_conn *conn);

/* connect.c */
void nats_connect_handle(struct nats_conn *conn, struct slice json);
/* Lets it in, or not, by what its CONNECT said; perhaps later. */
void nats_connect_login(struct nats_conn *conn);
/* Lets it in as the user for those who say nothing; false: there is none. */
bool nats_connect_without(struct nats_conn *conn);
/* The connection is gone. */
void nats_connect_forget(struct nats_conn *conn);
/* The connection acts as user from now on; NULL: as everybody. */
void nats_connect_use(struct nats_conn *conn, const struct nats_user *user);

/* subs.c */
void nats_subs_add(struct nats_conn *conn, const struct wire_nats_request *request);
void nats_subs_unsub(struct nats_conn *conn, const struct wire_nats_request *request);
void nats_subs_remove_all(struct nats_conn *conn);
/* Those that the user may no longer have. */
void nats_subs_recheck(struct nats_conn *conn);
/* Frees one that nobody knows any more. */
void nats_subs_free(struct nats_sub *sub);
/* Subscriptions that got their last message. */
void nats_subs_remove_finished(struct nats_core *home);

/* publish.c */
void nats_publish_handle(struct nats_conn *conn, const struct wire_nats_request *request,
                         struct buf *buf);

/* May the connection publish on that subject? */
bool nats_publish_is_allowed(struct nats_conn *conn, struct slice subject);
/* To all its takers on all cores; parcels are to be flushed then. False: nobody wants it. */
bool nats_publish_spread(struct nats_core *home, struct nats_message *message);

/* deliver.c */
/* Returns how many got it. */
size_t nats_deliver_plain(struct nats_core *home, struct nats_message *message,
                          const struct interest_match *match);
bool nats_deliver_group(struct nats_core *home, struct nats_message *message,
                        const struct interest_group *group, uint32_t index);
/* The same when nobody elsewhere takes it: a member that changes cores does, though what is sent to
 * it on its other core may then come first. */
bool nats_deliver_group_last(struct nats_core *home, struct nats_message *message,
                             const struct interest_group *group);
bool nats_deliver_one(struct nats_core *home, struct nats_message *message, struct nats_sub *sub);
void nats_deliver_deinit(struct nats_core *home);

/* replies.c */
/* Tracks them if the user's permissions say so. */
void nats_replies_start(struct nats_conn *conn);
void nats_replies_track(struct nats_conn *conn, struct slice reply);
bool nats_replies_allow(struct nats_conn *conn, struct slice subject);
void nats_replies_free(struct nats_conn *conn);

/* stall.c */
/* The producer's input waits until the consumer (NULL: on another core) has caught up, for a moment
 * at most. */
void nats_stall_begin(struct nats_conn *producer, struct nats_conn *consumer);
void nats_stall_run(struct core *core, struct core_timer *timer);
/* The consumer has caught up or is gone. */
void nats_stall_release(struct nats_conn *consumer);
void nats_stall_forget(struct nats_conn *conn);

/* announce.c */
void nats_announce_interest(void *arg, struct slice subject, struct slice queue, uint32_t count);
void nats_announce_flush(struct nats_core *home);
void nats_announce_run(struct core *core, struct core_task *task);
/* Makes the core hear of the others' interest; the connection waits for that. */
void nats_announce_listen(struct nats_core *home, struct nats_conn *conn);
/* The same for readers: true when it has heard of all. False: nats_view_reader_listening comes, or
 * memory is short. */
bool nats_announce_is_heard(struct nats_core *home);
/* The connection waits until all cores know its subscriptions, and is answered PONG then. False:
 * they know already. */
bool nats_announce_fence(struct nats_conn *conn);
void nats_announce_forget(struct nats_conn *conn);
/* Makes room to announce all stand-ins of the move to every core. False: out of memory. */
bool nats_announce_reserve(struct nats_core *home, const struct nats_move *move);
/* Sends the announcements off: every other core switches with them. */
void nats_announce_move(struct nats_core *home, struct nats_move *move);
void nats_announce_deinit(struct nats_core *home);

/* reload.c: it has come from a core that had not heard of the newest configuration. */
void nats_reload_catch_up(struct nats_conn *conn);

/* lame.c */
/* The same about the end that is near. */
void nats_lame_catch_up(struct nats_conn *conn);
void nats_lame_free(struct nats *nats);

/* parcel.c */
/* group null: for plain subscriptions. False: out of memory. */
bool nats_parcel_add(struct nats_core *home, uint32_t to, const struct nats_message *message,
                     struct slice group);
void nats_parcel_flush(struct nats_core *home);
/* The core that the message being delivered was sent on. */
uint32_t nats_parcel_from(const struct nats_core *home);
/* The message is kept: for whoever sent it, it is on its way until _unpark, which gets what this
 * returns. */
struct nats_parcel *nats_parcel_park(struct nats_core *home, const struct nats_message *message);
void nats_parcel_unpark(struct nats_core *home, struct nats_parcel *parcel,
                        const struct nats_message *message);
/* To some member of the group, wherever one is. */
void nats_parcel_regroup(struct nats_core *home, const struct nats_message *message,
                         struct slice group);
void nats_parcel_deinit(struct nats_core *home);
