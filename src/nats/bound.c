// Keeps the filters bound to topics, and finds the one that takes a subject.
// SPDX-License-Identifier: Apache-2.0
#include "nats/bound.h"

#include <stdlib.h>

#include "base/subject.h"
#include "nats/view_live.h"

/* What is published is matched against the filters once, then remembered with the match of its
 * subject: a small cache is enough. */
#define CACHE_ENTRIES 64

static struct nats_bound *bound_of(struct nats_core *home, const struct broker_topic *topic)
{
    list_for_each (node, &home->bounds) {
        struct nats_bound *bound = LIST_ENTRY(node, struct nats_bound, node);
        if (uuid_equal(&bound->topic->id, &topic->id))
            return bound;
    }
    return NULL;
}

static void bound_free(struct nats_core *home, struct nats_bound *bound)
{
    for (size_t i = 0; i < bound->count; i++)
        broker_interest_remove(home->bound_interest, &bound->filters[i].interest);
    list_remove(&bound->node);
    broker_topic_unref(bound->topic);
    free(bound);
}

static enum err bound_add(struct nats_core *home, const struct broker_topic *topic)
{
    size_t count = topic->binding->count;
    struct nats_bound *bound = calloc(1, sizeof(*bound) + count * sizeof(bound->filters[0]));
    if (!bound)
        return ERR_NO_MEMORY;
    bound->topic = broker_topic_ref(topic);
    list_push_back(&home->bounds, &bound->node);
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && !err; i++) {
        struct nats_bound_filter *filter = &bound->filters[bound->count++];
        filter->bound = bound;
        broker_interest_set(&filter->interest, topic->binding->filters[i], 0);
        err = broker_interest_add(home->bound_interest, &filter->interest);
    }
    if (err)
        bound_free(home, bound);
    return err;
}

static void changed(void *arg, const struct broker_topic *before, const struct broker_topic *after)
{
    struct nats_core *home = arg;
    struct nats_bound *bound = bound_of(home, after ? after : before);
    if (bound)
        bound_free(home, bound);
    enum err err = after && after->binding ? bound_add(home, after) : ERR_OK;
    broker_interest_tap_changed(home->interest);
    if (err)
        log_error(home->nats->options.logger, "nats",
                  "subjects bound to topic %.*s are not known to core %u: %s",
                  (int)after->name.size, (const char *)after->name.data, core_id(home->core),
                  err_text(err));
    if (before && after && core_id(home->core) == 0)
        nats_view_live_rebound(home->nats, after);
}

enum err nats_bound_open(struct nats_core *home)
{
    struct interest_options options = {
        .seed = {core_random(home->core), core_random(home->core)},
        .budget = reactor_budget(core_reactor(home->core)),
        .cache_entries = CACHE_ENTRIES,
    };
    list_init(&home->bounds);
    home->bound_interest = broker_interest_new(&options);
    if (!home->bound_interest)
        return ERR_NO_MEMORY;
    enum err err = ERR_OK;
    const struct broker_topic *topic = broker_topic_after(home->core, SLICE_NULL);
    for (; topic && !err; topic = broker_topic_after(home->core, topic->name))
        if (topic->binding)
            err = bound_add(home, topic);
    if (!err)
        broker_binding_listen(home->core, changed, home);
    return err;
}

void nats_bound_close(struct nats_core *home)
{
    if (!home->bound_interest)
        return;
    list_for_each_safe (node, following, &home->bounds)
        bound_free(home, LIST_ENTRY(node, struct nats_bound, node));
    broker_interest_free(home->bound_interest);
}

static bool is_excepted(const struct nats_core *home, struct slice subject)
{
    return broker_binding_is_reserved(subject) || nats_view_has(home, subject);
}

void *nats_bound_find(void *arg, struct slice subject)
{
    struct nats_core *home = arg;
    const struct interest_match *match;
    if (list_empty(&home->bounds) || is_excepted(home, subject) || !subject_is_literal(subject) ||
        subject.size > BROKER_SUBJECT_SIZE_MAX ||
        broker_interest_match(home->bound_interest, subject, &match) != ERR_OK ||
        match->plain_count == 0)
        return NULL;
    return CONTAINER_OF(match->plain[0], struct nats_bound_filter, interest)->bound;
}

bool nats_bound_topic_meets(const struct broker_topic *topic, struct slice filter)
{
    for (size_t i = 0; topic->binding && i < topic->binding->count; i++)
        if (subject_collide(topic->binding->filters[i], filter))
            return true;
    return false;
}

bool nats_bound_meets(struct nats_core *home, struct slice filter)
{
    const struct interest_match *match;
    if (list_empty(&home->bounds) || is_excepted(home, filter))
        return false;
    if (!subject_has_wildcard(filter))
        return broker_interest_match(home->bound_interest, filter, &match) != ERR_OK ||
               match->plain_count > 0;
    list_for_each (node, &home->bounds)
        if (nats_bound_topic_meets(LIST_ENTRY(node, struct nats_bound, node)->topic, filter))
            return true;
    return false;
}

bool nats_bound_is_wanted(struct nats_core *home, const struct broker_topic *topic)
{
    for (size_t i = 0; topic->binding && i < topic->binding->count; i++)
        if (broker_interest_wants(home->interest, topic->binding->filters[i]))
            return true;
    return false;
}
