// Core 0's part in changes: order for each topic, and spreading to all cores.
// SPDX-License-Identifier: Apache-2.0
#include "broker/owner.h"

#include <stdlib.h>

#include "broker/binding.h"

struct name_lock {
    struct list waiting; /* calls */
    struct slice name;   /* its bytes follow */
};

bool broker_owner_begin(struct core *core, struct broker_call *call)
{
    if (!list_empty(&call->node)) /* waited for a lock: counted already */
        list_remove(&call->node);
    else
        broker_owner_of(core)->change_count++;
    if (!broker_core(core)->draining)
        return true;
    broker_owner_end(core, call, ERR_CLOSED);
    return false;
}

void broker_owner_end(struct core *core, struct broker_call *call, enum err err)
{
    CHECK(broker_owner_of(core)->change_count > 0);
    broker_owner_of(core)->change_count--;
    broker_call_finish(core, call, err);
    broker_drain_look(core);
}

bool broker_owner_is_idle(const struct broker *broker)
{
    return broker->owner->change_count == 0 && !broker->owner->refresh_running;
}

/* --- one change of a topic at a time ---------------------------------------------------------- */

enum err broker_owner_lock(struct core *core, struct slice name, struct broker_call *call)
{
    struct owner *owner = broker_owner_of(core);
    struct name_lock *lock = map_get(&owner->locks, name);
    if (lock) {
        list_push_back(&lock->waiting, &call->node);
        return ERR_AGAIN;
    }
    lock = malloc(sizeof(*lock) + name.size);
    if (!lock)
        return ERR_NO_MEMORY;
    list_init(&lock->waiting);
    if (name.size > 0)
        memcpy(lock + 1, name.data, name.size);
    lock->name = slice_make(lock + 1, name.size);
    if (!map_put(&owner->locks, lock->name, lock, NULL)) {
        free(lock);
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

/* Those that waited begin again, in order, until one of them gets the lock: the others go on
 * waiting for that one. A call stays on the list until it is served, which tells broker_owner_begin
 * that it was counted. */
void broker_owner_unlock(struct core *core, struct slice name)
{
    struct owner *owner = broker_owner_of(core);
    struct name_lock *lock = map_remove(&owner->locks, name);
    struct name_lock *next = NULL;
    struct list *node;
    CHECK(lock);
    while (!next && (node = list_first(&lock->waiting))) {
        struct broker_call *call = LIST_ENTRY(node, struct broker_call, node);
        call->serve(core, call);
        next = map_get(&owner->locks, lock->name); /* name may be gone */
    }
    if (next)
        list_splice_back(&next->waiting, &lock->waiting);
    free(lock);
}

/* --- spreading -------------------------------------------------------------------------------- */

struct spread *broker_owner_spread_new(struct core *core, struct slice topic_name)
{
    unsigned count = broker_core(core)->broker->core_count;
    struct spread *spread = calloc(1, sizeof(*spread) + count * sizeof(struct spread_part));
    if (!spread)
        return NULL;
    for (unsigned i = 0; i < count; i++) {
        spread->parts[i].spread = spread;
        if (!topic_name.data)
            continue;
        spread->parts[i].entry = broker_topic_entry_new(topic_name);
        if (!spread->parts[i].entry) {
            broker_owner_spread_free(spread, count);
            return NULL;
        }
    }
    return spread;
}

void broker_owner_spread_free(struct spread *spread, unsigned core_count)
{
    if (!spread)
        return;
    for (unsigned i = 0; i < core_count; i++)
        free(spread->parts[i].entry);
    broker_topic_unref(spread->topic);
    broker_settings_version_unref(spread->settings);
    free(spread);
}

static void spread_apply(struct core *core, struct spread_part *part)
{
    struct spread *spread = part->spread;
    struct broker_core *here = broker_core(core);
    if (spread->apply) {
        spread->apply(core, spread->arg);
    } else if (spread->settings) {
        broker_settings_version_unref(here->settings);
        here->settings = broker_settings_version_ref(spread->settings);
    } else if (spread->remove) {
        broker_topic_view_remove(core, spread->topic);
    } else {
        broker_topic_view_put(core, part->entry, broker_topic_ref(spread->topic));
        part->entry = NULL;
    }
}

static void spread_acknowledged(struct core *core, struct core_message *message)
{
    struct spread *spread = CONTAINER_OF(message, struct spread_part, message)->spread;
    if (--spread->left > 0)
        return;
    spread->done(core, spread->arg);
    broker_owner_spread_free(spread, broker_core(core)->broker->core_count);
}

static void spread_arrive(struct core *core, struct core_message *message)
{
    struct spread_part *part = CONTAINER_OF(message, struct spread_part, message);
    spread_apply(core, part);
    part->message.run = spread_acknowledged;
    core_send(core, 0, &part->message);
}

/* Core 0 sees it at once; done comes later in any case. */
void broker_owner_spread(struct core *core, struct spread *take_spread)
{
    unsigned count = broker_core(core)->broker->core_count;
    take_spread->left = count;
    for (unsigned i = 1; i < count; i++) {
        take_spread->parts[i].message.run = spread_arrive;
        core_send(core, i, &take_spread->parts[i].message);
    }
    spread_apply(core, &take_spread->parts[0]);
    take_spread->parts[0].message.run = spread_acknowledged;
    core_send(core, 0, &take_spread->parts[0].message);
}

/* --- the whole -------------------------------------------------------------------------------- */

void broker_owner_close(struct broker *broker)
{
    struct owner *owner = broker->owner;
    if (!owner)
        return;
    size_t position = 0;
    struct name_lock *lock;
    while ((lock = map_next(&owner->locks, &position))) {
        map_remove(&owner->locks, lock->name);
        free(lock);
    }
    map_deinit(&owner->locks);
    broker_topic_name_free_all(owner);
    broker_binding_free_claims(&owner->bindings);
    free(owner);
    broker->owner = NULL;
}
