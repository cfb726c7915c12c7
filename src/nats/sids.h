// The subscriptions of a connection by sid: a hash table whose chains run through them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"

struct nats_sub;

/* Linear hashing: grows by one bucket a subscription, so that a storm of them never waits for a
 * table to be made anew. Keeps what it has grown to until _deinit. Belongs to one core. */
struct nats_sids {
    struct nats_sub **buckets;
    size_t bucket_count;
    size_t bucket_capacity;
    size_t count;
    uint64_t seed[2];
};

/* Where a walk is; zeroed to begin with. */
struct nats_sids_walk {
    size_t bucket;
    struct nats_sub *next;
};

void nats_sids_init(struct nats_sids *sids, uint64_t seed);
/* Its subscriptions are not freed; it is as after _init. */
void nats_sids_deinit(struct nats_sids *sids);
struct nats_sub *nats_sids_get(const struct nats_sids *sids, struct slice sid);
/* The sid is not in use. False: out of memory. */
NODISCARD bool nats_sids_put(struct nats_sids *sids, struct nats_sub *sub);
/* It has been put, and is not freed. */
void nats_sids_remove(struct nats_sids *sids, struct nats_sub *sub);
/* All of them in no order; NULL at the end. The one just returned may be removed, no other one, and
 * none may be put. */
struct nats_sub *nats_sids_next(const struct nats_sids *sids, struct nats_sids_walk *walk);
