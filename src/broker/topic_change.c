// Deletes topics, gives them more partitions, and puts new versions of them.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/text.h"
#include "broker/binding.h"
#include "broker/owner.h"

/* A new version of a topic, or its end, on its way to the catalogue and to all cores. */
struct topic_change {
    struct core *core;
    struct broker_call *call;       /* NULL: the refresh */
    const struct broker_topic *old; /* a reference */
    struct topic_version *version;  /* NULL: deleted */
    struct spread *spread;
    topic_change_done_fn done;
    struct text fact;
    uint8_t key[FACT_TOPIC_KEY_SIZE];
};

static void change_free(struct topic_change *change)
{
    broker_owner_spread_free(change->spread, broker_core(change->core)->broker->core_count);
    broker_topic_unref(change->old);
    text_deinit(&change->fact);
    free(change);
}

static void change_end(struct core *core, struct topic_change *change, enum err err)
{
    struct broker_call *call = change->call;
    topic_change_done_fn done = change->done;
    const struct broker_topic *old = broker_topic_ref(change->old);
    change_free(change);
    broker_owner_unlock(core, old->name);
    broker_topic_unref(old);
    done(core, call, err);
}

static struct broker_binding *binding_of(const struct broker_topic *topic)
{
    return topic ? broker_topic_version_of(topic)->settings->binding : NULL;
}

/* New partitions of a version that nobody will see. */
static void change_undo(struct core *core, struct topic_change *change, enum err err)
{
    const struct broker_topic *topic = change->version ? &change->version->topic : NULL;
    uint32_t before = change->old->partition_count;
    if (topic && topic->partition_count > before) {
        broker_topic_partitions_drop(topic->partitions + before, topic->partition_count - before);
        broker_owner_of(core)->partition_count -= topic->partition_count - before;
    }
    if (topic && topic->binding != change->old->binding)
        broker_binding_release(core, &topic->id, topic->binding);
    broker_topic_unref(topic);
    change_end(core, change, err);
}

static void change_spread(struct core *core, void *arg)
{
    change_end(core, arg, ERR_OK);
}

static void change_stored(void *arg, enum err err)
{
    struct topic_change *change = arg;
    struct core *core = change->core;
    const struct broker_topic *old = change->old;
    if (err) {
        change_undo(core, change, err);
        return;
    }
    if (!change->version || change->version->topic.binding != old->binding)
        broker_binding_release(core, &old->id, old->binding);
    struct spread *spread = change->spread;
    bool is_stale = change->version && change->version->settings->generation !=
                                           broker_core(core)->settings->generation;
    change->spread = NULL;
    spread->done = change_spread;
    spread->arg = change;
    spread->remove = !change->version;
    spread->topic = change->version ? &change->version->topic : broker_topic_ref(old);
    for (uint32_t i = 0; spread->remove && i < old->partition_count; i++)
        atomic_store_explicit(&old->partitions[i]->closing, true, memory_order_relaxed);
    if (spread->remove) {
        broker_owner_of(core)->partition_count -= old->partition_count;
        broker_topic_name_release(broker_owner_of(core), old->name);
    }
    broker_owner_spread(core, spread);
    if (is_stale)
        broker_settings_refresh(core);
}

static struct topic_change *change_new(struct core *core, const struct broker_topic *topic,
                                       struct broker_call *call, topic_change_done_fn done)
{
    struct topic_change *change = calloc(1, sizeof(*change));
    if (!change)
        return NULL;
    change->core = core;
    change->call = call;
    change->done = done;
    change->old = broker_topic_ref(topic);
    text_init(&change->fact);
    broker_facts_topic_key(&topic->id, change->key);
    change->spread = broker_owner_spread_new(core, SLICE_NULL);
    if (!change->spread) {
        change_free(change);
        return NULL;
    }
    return change;
}

static void change_store(struct core *core, struct topic_change *change, struct slice value)
{
    store_fact_put(broker_core(core)->broker->store, slice_make(change->key, sizeof(change->key)),
                   value, change_stored, change);
}

enum err broker_topic_put(struct core *core, const struct topic_put *put)
{
    const struct broker_topic *old = put->old;
    struct topic_change *change = change_new(core, old, put->call, put->done);
    if (!change)
        return ERR_NO_MEMORY;
    struct topic_version_options options = {
        .broker = broker_core(core)->broker,
        .id = old->id,
        .name = old->name,
        .internal = old->internal,
        .created_ms = old->created_ms,
        .partition_count = put->partition_count,
        .settings = put->settings,
        .partitions = put->partitions,
    };
    struct fact_topic fact = {old->id,         old->name,    old->internal, put->partition_count,
                              old->created_ms, put->settings};
    if (!put->is_known)
        broker_facts_topic_encode(&fact, &change->fact);
    struct broker_binding *binding = put->settings->binding;
    bool is_bound_anew = binding && binding != binding_of(old);
    enum err err = change->fact.failed ? ERR_NO_MEMORY : ERR_OK;
    if (!err && is_bound_anew)
        err = broker_binding_take(core, &old->id, binding, &put->call->diag);
    change->version = err ? NULL : broker_topic_version_new(&options);
    if (!change->version) {
        if (!err && is_bound_anew)
            broker_binding_release(core, &old->id, binding);
        change_free(change);
        return err ? err : ERR_NO_MEMORY;
    }
    if (put->is_known)
        change_stored(change, ERR_OK);
    else
        change_store(core, change, text_slice(&change->fact));
    return ERR_OK;
}

enum err broker_topic_lock(struct core *core, const struct uuid *id, struct broker_call *call,
                           const struct broker_topic **out)
{
    *out = broker_topic_find_id(core, id);
    return *out ? broker_owner_lock(core, (*out)->name, call) : ERR_NOT_FOUND;
}

/* --- deleting --------------------------------------------------------------------------------- */

static enum err delete_locked(struct core *core, const struct broker_topic *topic,
                              struct broker_call *call)
{
    if (topic->internal) {
        diag_set(&call->diag, "internal topics cannot be deleted");
        return ERR_ACCESS;
    }
    struct topic_change *change = change_new(core, topic, call, broker_owner_end);
    if (!change)
        return ERR_NO_MEMORY;
    change_store(core, change, SLICE_NULL);
    return ERR_OK;
}

static void delete_serve(struct core *core, struct broker_call *call)
{
    struct broker_topic_delete *ask = CONTAINER_OF(call, struct broker_topic_delete, call);
    const struct broker_topic *topic;
    if (!broker_owner_begin(core, call))
        return;
    if (!broker_settings_now(core)->delete_topic_enable) {
        diag_set(&call->diag, "delete.topic.enable is false");
        broker_owner_end(core, call, ERR_UNSUPPORTED);
        return;
    }
    enum err err = broker_topic_lock(core, &ask->id, call, &topic);
    if (err == ERR_AGAIN)
        return;
    if (!err) {
        err = delete_locked(core, topic, call);
        if (!err)
            return;
        broker_owner_unlock(core, topic->name);
    }
    broker_owner_end(core, call, err);
}

void broker_topic_delete(struct core *core, struct broker_topic_delete *call)
{
    call->call.diag.text[0] = 0;
    broker_call_to_owner(core, &call->call, delete_serve);
}

/* --- more partitions -------------------------------------------------------------------------- */

static enum err grow_check(struct core *core, const struct broker_topic *topic,
                           struct broker_topic_grow *grow)
{
    struct diag *diag = &grow->call.diag;
    if (topic->internal) {
        diag_set(diag, "internal topics do not grow");
        return ERR_ACCESS;
    }
    if (grow->partition_count < 0 || (uint32_t)grow->partition_count <= topic->partition_count) {
        diag_set(diag, "the topic has %u partitions; %d are not more", topic->partition_count,
                 grow->partition_count);
        return ERR_INVALID;
    }
    return broker_topic_count_check(core, grow->partition_count, (int32_t)topic->partition_count,
                                    diag);
}

static enum err grow_locked(struct core *core, const struct broker_topic *topic,
                            struct broker_topic_grow *grow)
{
    uint32_t before = topic->partition_count;
    uint32_t count = (uint32_t)grow->partition_count;
    struct topic_settings *settings = broker_topic_version_of(topic)->settings;
    struct broker_partition **partitions = calloc(count, sizeof(struct broker_partition *));
    if (!partitions)
        return ERR_NO_MEMORY;
    memcpy(partitions, topic->partitions, before * sizeof(struct broker_partition *));
    struct partitions_new more = {topic->id, settings, before, count - before};
    enum err err = broker_topic_partitions_new(core, &more, partitions + before);
    if (!err) {
        struct topic_put put = {topic,       settings,         count, partitions,
                                &grow->call, broker_owner_end, false};
        broker_owner_of(core)->partition_count += count - before;
        err = broker_topic_put(core, &put);
        if (err) {
            broker_owner_of(core)->partition_count -= count - before;
            broker_topic_partitions_drop(partitions + before, count - before);
        }
    }
    free(partitions);
    return err;
}

static void grow_serve(struct core *core, struct broker_call *call)
{
    struct broker_topic_grow *grow = CONTAINER_OF(call, struct broker_topic_grow, call);
    const struct broker_topic *topic;
    if (!broker_owner_begin(core, call))
        return;
    enum err err = broker_topic_lock(core, &grow->id, call, &topic);
    if (err == ERR_AGAIN)
        return;
    if (!err) {
        err = grow_check(core, topic, grow);
        bool is_begun = false;
        if (!err && !grow->validate_only) {
            err = grow_locked(core, topic, grow);
            is_begun = !err;
        }
        if (is_begun)
            return;
        broker_owner_unlock(core, topic->name);
    }
    broker_owner_end(core, call, err);
}

void broker_topic_grow(struct core *core, struct broker_topic_grow *call)
{
    call->call.diag.text[0] = 0;
    broker_call_to_owner(core, &call->call, grow_serve);
}
