// Fetch sessions: what a consumer fetches is remembered, so that requests name only changes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/budget.h"
#include "base/list.h"
#include "base/map.h"
#include "base/uuid.h"

/* KIP-227. */
#define KAFKA_SESSION_EPOCH_INITIAL 0
#define KAFKA_SESSION_EPOCH_FINAL   (-1)
/* A session that was not used for so long makes room for others. */
#define KAFKA_SESSION_IDLE_NS ((uint64_t)120 * 1000000000)

/* What is fetched of one partition. */
struct kafka_session_want {
    struct slice topic; /* empty when named by id */
    struct uuid topic_id;
    int32_t index;
    int32_t leader_epoch; /* -1: any */
    int32_t last_epoch;   /* of the last record fetched; -1: unknown */
    int32_t size_max_bytes;
    int64_t offset;
};

struct kafka_session_partition {
    struct list node; /* in the order of service */
    struct kafka_session_want want;
    int64_t high_watermark; /* as last told; -1: tell again */
    int64_t log_start;
    size_t key_size;
    uint8_t key[];
};

/* Belongs to one core, as everything here. Not freed while somebody holds it. */
struct kafka_session {
    struct list node; /* least recently used first */
    struct kafka_sessions *sessions;
    struct map map; /* partitions by key */
    struct list partitions;
    size_t count;
    size_t charged; /* of the budget */
    uint64_t used_ns;
    uint64_t created_ns;
    unsigned refs;
    int32_t id;
    int32_t epoch; /* that the next request must have */
    bool by_id;    /* topics are named by id */
    bool busy;     /* a request is in flight */
    bool dropped;  /* not found any more */
};

struct kafka_sessions {
    struct map map; /* by id */
    struct list list;
    struct budget *budget;
    size_t count;
    size_t count_max;
};

void kafka_session_cache_init(struct kafka_sessions *sessions, struct budget *budget,
                              size_t count_max, uint64_t seed);
/* No request is in flight. */
void kafka_session_cache_deinit(struct kafka_sessions *sessions);
/* NULL when there is none (any more). */
struct kafka_session *kafka_session_cache_find(struct kafka_sessions *sessions, int32_t id);
/* A session for count partitions, held by the caller, or NULL when there is no room: all slots hold
 * sessions that are in use and no smaller. id: random. */
struct kafka_session *kafka_session_cache_new(struct kafka_sessions *sessions, size_t count,
                                              uint64_t now_ns, uint64_t random);

struct kafka_session *kafka_session_ref(struct kafka_session *session);
void kafka_session_unref(struct kafka_session *session);
/* Not found any more; freed when nobody holds it. */
void kafka_session_drop(struct kafka_session *session);
/* It is used now, for the request with the epoch that was expected. */
void kafka_session_use(struct kafka_session *session, uint64_t now_ns);
/* Adds or changes what is fetched of a partition. False: out of memory or budget. */
NODISCARD bool kafka_session_put(struct kafka_session *session,
                                 const struct kafka_session_want *want);
void kafka_session_forget(struct kafka_session *session, const struct kafka_session_want *want);

/* What a fetch has found in a partition. */
struct kafka_session_news {
    int16_t error;
    bool has_records;
    bool diverges;
    int64_t high_watermark;
    int64_t log_start;
};
/* Whether the answer must tell it; remembers what was told. A partition with records goes to the
 * end of the order, so that the others come first next time. */
bool kafka_session_tell(struct kafka_session *session, struct kafka_session_partition *partition,
                        const struct kafka_session_news *news);
