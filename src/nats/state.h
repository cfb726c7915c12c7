// What the NATS room keeps on each core, and what all cores share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>

#include "base/metrics.h"
#include "broker/interest.h"
#include "broker/subject.h"
#include "nats/error.h"
#include "nats/nats.h"

enum nats_limit {
    NATS_ID_SIZE = 56,
    NATS_COPY_MAX = 1024,      /* a payload up to this is copied, a larger one referenced */
    NATS_FILL_SIZE = 65536,    /* of the buffers for what several connections get alike */
    NATS_PARCEL_ENTRIES = 64,  /* messages in one parcel */
    NATS_PARCELS_OUT_MAX = 32, /* of one connection: more of them make it wait */
    NATS_PARCELS_FREE_MAX = 64,
    NATS_HOPS_MAX = 3,  /* a message to a queue group looks for a member on so many more cores */
    NATS_STALL_MS = 10, /* a producer waits so long for a slow consumer */
    NATS_FULL_PERCENT = 75,       /* of the pending bytes, from where producers wait */
    NATS_FIRST_PING_MS = 2000,    /* after CONNECT, to measure the round trip */
    NATS_RTT_MS = 60 * 60 * 1000, /* it is measured again so often */
    NATS_REPLIES_MAX = 65536,     /* reply subjects that one connection may publish to */
    NATS_REPLIES_PRUNE_MS = 1000,
};

struct nats_core;
struct nats_parcel;
struct nats_announcement;
struct nats_live;

struct nats_counters {
    struct metric_counter opened;
    struct metric_counter closed[NATS_REASON_COUNT];
    struct metric_counter here; /* connections now */
    struct metric_counter subscriptions;
    struct metric_counter in_messages;
    struct metric_counter in_bytes;
    struct metric_counter out_messages;
    struct metric_counter out_bytes;
    struct metric_counter stalls;  /* producers that waited for slow consumers */
    struct metric_counter dropped; /* messages that nobody got for lack of memory */
};

/* Connections that were closed last (closed.c), oldest first. */
struct nats_closed_ring {
    struct list entries; /* struct nats_closed */
    size_t count;
    size_t size_bytes;
};

struct nats {
    struct nats_options options;
    struct nats_core *cores; /* one a core */
    unsigned core_count;
    struct slice view_prefix; /* null: topics are not seen as subjects */
    uint8_t view_prefix_text[BROKER_SUBJECT_PREFIX_SIZE_MAX];
    char id[NATS_ID_SIZE + 1];
    char host[INET6_ADDRSTRLEN];
    uint16_t port;
    int64_t opened_ms;
    uint64_t opened_ns;
    uint64_t conn_id_last;          /* core 0 */
    struct nats_live *live;         /* core 0 */
    struct nats_lame *lame;         /* core 0; NULL: not */
    struct nats_closed_ring closed; /* core 0 */
};

struct nats_core {
    struct nats *nats;
    struct core *core;
    struct nats_config *config;
    struct interest *interest;
    struct interest *view_interest;  /* filters below the view's prefix */
    struct interest *bound_interest; /* filters that are bound to topics */
    struct list bounds;              /* struct nats_bound */
    struct list readers;             /* struct nats_reader that live here */
    size_t reader_count;
    struct list conns;      /* struct nats_conn.node */
    struct list arrivals;   /* struct nats_move: connections that come here */
    struct list leavings;   /* struct nats_move: that go, until they have settled */
    struct list switched;   /* struct nats_move_switched */
    uint64_t config_serial; /* of config */
    bool is_lame;

    struct buf *fill; /* text that several connections get */
    uint32_t fill_used;
    uint8_t *head; /* scratch of deliver.c */
    size_t head_capacity;
    struct nats_sub *finished; /* got their last message; removed after the publish */

    bool is_listening; /* asked the others for their interest */
    unsigned snapshots_missing;
    bool *listeners; /* cores that want to hear of this one's interest */
    unsigned listener_count;
    struct nats_announcement **announcements; /* for each core, not sent yet */
    struct core_task announce_task;

    struct nats_parcel *parcel_now; /* its messages are being delivered; NULL: one from here */
    struct nats_parcel **parcels;   /* for each core, being filled */
    unsigned parcels_open;
    struct nats_parcel *parcels_free;
    unsigned parcels_free_count;

    struct core_task view_task;
    struct core_task recheck_task;
    size_t recheck_left; /* readers, from the first on, that may be wanted no more */

    struct nats_counters counters;
};

static inline struct nats_core *nats_state_of(const struct core *core)
{
    return core_slot_get(core, CORE_SLOT_NATS);
}
