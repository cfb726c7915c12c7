// The table of sids: as many buckets as subscriptions, 8 bytes each and 8 in the subscription.
// SPDX-License-Identifier: Apache-2.0
#include "nats/sids.h"

#include <stdlib.h>

#include "base/hash.h"
#include "nats/conn.h"

#define BUCKETS_MIN 8

static size_t bucket_of(const struct nats_sids *sids, struct slice sid)
{
    uint64_t hash = hash_siphash(sids->seed, sid);
    size_t top = (size_t)1 << (63 - __builtin_clzll(sids->bucket_count));
    size_t bucket = hash & (2 * top - 1);
    return bucket < sids->bucket_count ? bucket : bucket - top;
}

static bool make_room(struct nats_sids *sids)
{
    size_t capacity = sids->bucket_capacity > 0 ? sids->bucket_capacity * 2 : BUCKETS_MIN;
    void *grown = realloc(sids->buckets, capacity * sizeof(struct nats_sub *));
    if (!grown)
        return false;
    sids->buckets = grown;
    sids->bucket_capacity = capacity;
    return true;
}

static void push(struct nats_sids *sids, struct nats_sub *sub)
{
    struct nats_sub **bucket = &sids->buckets[bucket_of(sids, nats_conn_sid(sub))];
    sub->next_sid = *bucket;
    *bucket = sub;
}

/* One more bucket, into which part of another moves. Without memory the chains get longer. */
static void grow(struct nats_sids *sids)
{
    if (sids->bucket_count == sids->bucket_capacity && !make_room(sids))
        return;
    size_t top = (size_t)1 << (63 - __builtin_clzll(sids->bucket_count));
    size_t made = sids->bucket_count++;
    struct nats_sub *sub = sids->buckets[made - top];
    sids->buckets[made] = NULL;
    sids->buckets[made - top] = NULL;
    while (sub) {
        struct nats_sub *next = sub->next_sid;
        push(sids, sub);
        sub = next;
    }
}

void nats_sids_init(struct nats_sids *sids, uint64_t seed)
{
    *sids = (struct nats_sids){
        .seed = {seed, seed * 0x9e3779b97f4a7c15u + 0x3c6ef372fe94f82au},
    };
}

void nats_sids_deinit(struct nats_sids *sids)
{
    free(sids->buckets);
    sids->buckets = NULL;
    sids->bucket_count = sids->bucket_capacity = sids->count = 0;
}

struct nats_sub *nats_sids_get(const struct nats_sids *sids, struct slice sid)
{
    if (sids->count == 0)
        return NULL;
    struct nats_sub *sub = sids->buckets[bucket_of(sids, sid)];
    while (sub && !slice_equal(nats_conn_sid(sub), sid))
        sub = sub->next_sid;
    return sub;
}

bool nats_sids_put(struct nats_sids *sids, struct nats_sub *sub)
{
    if (sids->bucket_count == 0) {
        if (!make_room(sids))
            return false;
        sids->buckets[0] = NULL;
        sids->bucket_count = 1;
    } else if (sids->count >= sids->bucket_count) {
        grow(sids);
    }
    push(sids, sub);
    sids->count++;
    return true;
}

void nats_sids_remove(struct nats_sids *sids, struct nats_sub *sub)
{
    CHECK(sids->count > 0);
    struct nats_sub **at = &sids->buckets[bucket_of(sids, nats_conn_sid(sub))];
    while (*at != sub) {
        CHECK(*at);
        at = &(*at)->next_sid;
    }
    *at = sub->next_sid;
    sids->count--;
}

struct nats_sub *nats_sids_next(const struct nats_sids *sids, struct nats_sids_walk *walk)
{
    struct nats_sub *sub = walk->next;
    while (!sub && walk->bucket < sids->bucket_count)
        sub = sids->buckets[walk->bucket++];
    walk->next = sub ? sub->next_sid : NULL;
    return sub;
}
