// Messages for subscribers on other cores: one parcel a core, gathered over a publisher's input.
// SPDX-License-Identifier: Apache-2.0
//
// A parcel refers to the publisher's input; the receiver matches again for its own subscribers and
// sends the parcel home, where it is used again. A publisher with many parcels out waits.
#include <stdlib.h>

#include "nats/move.h"
#include "nats/view.h"

struct parcel_entry {
    struct nats_message message; /* holds a reference of its buffer */
    struct slice group;          /* null: for plain subscriptions; its own memory */
};

struct nats_parcel {
    struct core_message message;
    struct nats_parcel *next;
    struct nats_conn *publisher; /* NULL: the server itself */
    struct nats_source *source;  /* NULL: no reader */
    uint32_t home;
    uint32_t count;
    uint32_t parked; /* of its messages, for connections that are on their way here */
    bool met_full;
    struct parcel_entry entries[NATS_PARCEL_ENTRIES];
};

/* To a member here or, when the last one here has just left, to one elsewhere. */
static bool deliver_to_group(struct nats_core *home, struct parcel_entry *entry,
                             const struct interest_group *group)
{
    struct nats_message *message = &entry->message;
    if (!group)
        return false;
    if (group->member_count > 0 &&
        nats_deliver_group(home, message, group,
                           broker_interest_pick_local(group, core_random(home->core))))
        return true;
    if (group->remote_count == 0 || message->hops == NATS_HOPS_MAX)
        return nats_deliver_group_last(home, message, group);
    message->hops++;
    uint32_t to = group->remotes[core_random(home->core) % group->remote_count].core;
    return nats_parcel_add(home, to, message, entry->group);
}

static void deliver_entry(struct nats_core *home, struct parcel_entry *entry)
{
    const struct interest_match *match;
    if (broker_interest_match(nats_view_interest(home, entry->message.subject),
                              entry->message.subject, &match) != ERR_OK) {
        metric_add(&home->counters.dropped, 1);
        return;
    }
    if (!entry->group.data) {
        nats_deliver_plain(home, &entry->message, match);
    } else {
        if (!deliver_to_group(home, entry, broker_interest_group(match, entry->group)))
            metric_add(&home->counters.dropped, 1);
    }
    if (home->finished)
        nats_subs_remove_finished(home);
}

static void publisher_goes_on(struct nats_conn *publisher, bool met_full)
{
    publisher->parcels_out--;
    if (met_full && publisher->conn)
        nats_stall_begin(publisher, NULL);
    if (publisher->parcels_out <= NATS_PARCELS_OUT_MAX / 2 && publisher->conn)
        nats_conn_go_on(publisher, NATS_WAIT_PARCELS);
    if (publisher->parcels_out == 0 && publisher->conn)
        nats_move_try(publisher);
    if (!publisher->conn)
        nats_conn_unref(publisher);
}

static void source_goes_on(struct nats_source *source, bool met_full)
{
    source->parcels_out--;
    source->met_full |= met_full;
}

static void parcel_returns(struct core *core, struct core_message *message)
{
    struct nats_parcel *parcel = CONTAINER_OF(message, struct nats_parcel, message);
    struct nats_core *home = nats_state_of(core);
    struct nats_conn *publisher = parcel->publisher;
    if (publisher)
        publisher_goes_on(publisher, parcel->met_full);
    if (parcel->source)
        source_goes_on(parcel->source, parcel->met_full);
    if (home->parcels_free_count == NATS_PARCELS_FREE_MAX) {
        free(parcel);
        return;
    }
    parcel->next = home->parcels_free;
    home->parcels_free = parcel;
    home->parcels_free_count++;
}

static void parcel_send_back(struct nats_core *home, struct nats_parcel *parcel)
{
    parcel->message.run = parcel_returns;
    core_send(home->core, parcel->home, &parcel->message);
}

static void parcel_arrives(struct core *core, struct core_message *message)
{
    struct nats_parcel *parcel = CONTAINER_OF(message, struct nats_parcel, message);
    struct nats_core *home = nats_state_of(core);
    home->parcel_now = parcel;
    for (uint32_t i = 0; i < parcel->count; i++) {
        struct parcel_entry *entry = &parcel->entries[i];
        deliver_entry(home, entry);
        parcel->met_full |= entry->message.met_full;
        buf_unref(entry->message.payload.buf);
        free((void *)(uintptr_t)entry->group.data);
    }
    home->parcel_now = NULL;
    if (home->parcels_open > 0)
        nats_parcel_flush(home);
    if (parcel->parked == 0)
        parcel_send_back(home, parcel);
}

uint32_t nats_parcel_from(const struct nats_core *home)
{
    return home->parcel_now ? home->parcel_now->home : core_id(home->core);
}

struct nats_parcel *nats_parcel_park(struct nats_core *home, const struct nats_message *message)
{
    if (home->parcel_now)
        home->parcel_now->parked++;
    else if (message->publisher)
        message->publisher->parcels_out++;
    else if (message->source)
        message->source->parcels_out++;
    return home->parcel_now;
}

void nats_parcel_unpark(struct nats_core *home, struct nats_parcel *parcel,
                        const struct nats_message *message)
{
    if (!parcel && message->publisher)
        publisher_goes_on(message->publisher, message->met_full);
    else if (!parcel && message->source)
        source_goes_on(message->source, message->met_full);
    if (!parcel)
        return;
    parcel->met_full |= message->met_full;
    if (--parcel->parked == 0)
        parcel_send_back(home, parcel);
}

void nats_parcel_regroup(struct nats_core *home, const struct nats_message *message,
                         struct slice group)
{
    struct parcel_entry entry = {.message = *message, .group = group};
    entry.message.publisher = NULL;
    entry.message.source = NULL;
    deliver_entry(home, &entry);
}

static struct nats_parcel *parcel_new(struct nats_core *home, const struct nats_message *message)
{
    struct nats_conn *publisher = message->publisher;
    struct nats_parcel *parcel = home->parcels_free;
    if (parcel) {
        home->parcels_free = parcel->next;
        home->parcels_free_count--;
    } else {
        parcel = malloc(sizeof(*parcel));
    }
    if (!parcel)
        return NULL;
    parcel->message.run = parcel_arrives;
    parcel->home = core_id(home->core);
    parcel->publisher = publisher;
    parcel->source = message->source;
    parcel->count = 0;
    parcel->parked = 0;
    parcel->met_full = false;
    if (publisher)
        publisher->parcels_out++;
    if (message->source)
        message->source->parcels_out++;
    return parcel;
}

static void parcel_send(struct nats_core *home, uint32_t to)
{
    struct nats_parcel *parcel = home->parcels[to];
    home->parcels[to] = NULL;
    home->parcels_open--;
    core_send(home->core, to, &parcel->message);
}

/* SLICE_NULL of a null group; data NULL and a size: out of memory. */
static struct slice copy_group(struct slice group)
{
    if (!group.data)
        return SLICE_NULL;
    uint8_t *copy = malloc(MAX(group.size, (size_t)1));
    if (!copy)
        return slice_make(NULL, 1);
    memcpy(copy, group.data, group.size);
    return slice_make(copy, group.size);
}

bool nats_parcel_add(struct nats_core *home, uint32_t to, const struct nats_message *message,
                     struct slice group)
{
    struct slice copy = copy_group(group);
    if (!home->parcels[to]) {
        home->parcels[to] = parcel_new(home, message);
        home->parcels_open += home->parcels[to] != NULL;
    }
    struct nats_parcel *parcel = home->parcels[to];
    if (!parcel || (!copy.data && copy.size > 0)) {
        free((void *)(uintptr_t)copy.data);
        metric_add(&home->counters.dropped, 1);
        return false;
    }
    struct parcel_entry *entry = &parcel->entries[parcel->count++];
    entry->message = *message;
    entry->message.publisher = NULL;
    entry->message.source = NULL;
    entry->message.met_full = false;
    entry->group = copy;
    buf_ref(message->payload.buf);
    if (parcel->count == NATS_PARCEL_ENTRIES) {
        nats_announce_flush(home);
        parcel_send(home, to);
    }
    return true;
}

void nats_parcel_flush(struct nats_core *home)
{
    for (uint32_t to = 0; home->parcels_open > 0 && to < home->nats->core_count; to++)
        if (home->parcels[to])
            parcel_send(home, to);
}

void nats_parcel_deinit(struct nats_core *home)
{
    struct nats_parcel *parcel;
    while ((parcel = home->parcels_free) != NULL) {
        home->parcels_free = parcel->next;
        free(parcel);
    }
    free(home->parcels);
}
