// Topics: versions that never change, and each core's view of them.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/state.h"

/* --- versions --------------------------------------------------------------------------------- */

struct topic_version *broker_topic_version_of(const struct broker_topic *topic)
{
    return CONTAINER_OF((struct broker_topic *)topic, struct topic_version, topic);
}

static size_t topic_size(size_t name_size, uint32_t partition_count)
{
    return sizeof(struct topic_version) + partition_count * sizeof(struct broker_partition *) +
           name_size + 1;
}

struct topic_version *broker_topic_version_new(const struct topic_version_options *options)
{
    size_t size = topic_size(options->name.size, options->partition_count);
    struct budget *budget = reactor_budget(options->broker->reactor);
    if (!budget_charge(budget, size))
        return NULL;
    struct topic_version *version = calloc(1, size);
    if (!version) {
        budget_release(budget, size);
        return NULL;
    }
    struct broker_topic *topic = &version->topic;
    topic->partitions = (struct broker_partition **)(version + 1);
    char *name = (char *)(topic->partitions + options->partition_count);
    memcpy(name, options->name.data, options->name.size);
    atomic_init(&topic->refs, 1);
    topic->id = options->id;
    topic->name = slice_make(name, options->name.size);
    topic->internal = options->internal;
    topic->partition_count = options->partition_count;
    topic->created_ms = options->created_ms;
    topic->config = &options->settings->config;
    topic->binding = options->settings->binding;
    version->settings = broker_topic_config_ref(options->settings);
    version->broker = options->broker;
    for (uint32_t i = 0; options->partitions && i < topic->partition_count; i++)
        topic->partitions[i] = broker_partition_ref(options->partitions[i]);
    return version;
}

const struct broker_topic *broker_topic_ref(const struct broker_topic *topic)
{
    atomic_fetch_add_explicit(&((struct broker_topic *)topic)->refs, 1, memory_order_relaxed);
    return topic;
}

void broker_topic_unref(const struct broker_topic *topic)
{
    if (!topic)
        return;
    struct topic_version *version = broker_topic_version_of(topic);
    if (atomic_fetch_sub_explicit(&version->topic.refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < topic->partition_count; i++)
        broker_partition_unref(topic->partitions[i]);
    broker_topic_config_unref(version->settings);
    budget_release(reactor_budget(version->broker->reactor),
                   topic_size(topic->name.size, topic->partition_count));
    free(version);
}

/* --- the view of a core ----------------------------------------------------------------------- */

int broker_topic_compare(const struct tree_node *a, const struct tree_node *b)
{
    return slice_compare(CONTAINER_OF(a, struct view_entry, node)->name,
                         CONTAINER_OF(b, struct view_entry, node)->name);
}

struct view_entry *broker_topic_entry_new(struct slice name)
{
    struct view_entry *entry = calloc(1, sizeof(*entry) + name.size);
    if (!entry)
        return NULL;
    memcpy(entry + 1, name.data, name.size);
    entry->name = slice_make(entry + 1, name.size);
    return entry;
}

static struct slice topic_id_key(const struct uuid *id)
{
    return slice_make(id->bytes, sizeof(id->bytes));
}

static struct view_entry *topic_entry_find(struct broker_core *here, struct slice name)
{
    struct view_entry *entry = map_get(&here->by_name, name);
    if (entry || !here->map_incomplete)
        return entry;
    struct view_entry key = {.name = name};
    struct tree_node *node = tree_find(&here->names, &key.node);
    return node ? CONTAINER_OF(node, struct view_entry, node) : NULL;
}

static void topic_settings_spread(struct core *core, const struct broker_topic *topic)
{
    struct topic_settings *settings = broker_topic_version_of(topic)->settings;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        if (broker_partition_is_here(core, topic->partitions[i]))
            broker_partition_settings_set(topic->partitions[i], settings);
    }
}

static void topic_rebound(struct broker_core *here, const struct broker_topic *before,
                          const struct broker_topic *after)
{
    bool is_bound = (before && before->binding) || (after && after->binding);
    if (here->topic_rebound && is_bound)
        here->topic_rebound(here->topic_rebound_arg, before, after);
}

void broker_topic_view_put(struct core *core, struct view_entry *take_entry,
                           const struct broker_topic *take_topic)
{
    struct broker_core *here = broker_core(core);
    struct view_entry *entry = topic_entry_find(here, take_topic->name);
    const struct broker_topic *old = entry ? entry->topic : NULL;
    uint32_t known = 0;
    if (entry) {
        known = old->partition_count;
        here->partition_count -= known;
        entry->topic = take_topic;
        free(take_entry);
        topic_settings_spread(core, take_topic);
    } else {
        entry = take_entry;
        CHECK(entry);
        entry->topic = take_topic;
        entry->id = take_topic->id;
        CHECK(!tree_insert(&here->names, &entry->node));
        if (!map_put(&here->by_name, entry->name, entry, NULL) ||
            !map_put(&here->by_id, topic_id_key(&entry->id), entry, NULL))
            here->map_incomplete = true;
    }
    if (take_topic->partition_count != known)
        broker_topic_changes_note(here, take_topic->name);
    here->partition_count += take_topic->partition_count;
    topic_rebound(here, old, take_topic);
    broker_topic_unref(old);
    if (here->topic_grown && take_topic->partition_count > known)
        here->topic_grown(here->topic_grown_arg, take_topic, known);
}

void broker_topic_view_remove(struct core *core, const struct broker_topic *topic)
{
    struct broker_core *here = broker_core(core);
    struct view_entry *entry = topic_entry_find(here, topic->name);
    if (!entry)
        return;
    const struct broker_topic *last = entry->topic;
    map_remove(&here->by_name, entry->name);
    map_remove(&here->by_id, topic_id_key(&entry->id));
    tree_remove(&here->names, &entry->node);
    broker_topic_changes_note(here, last->name);
    here->partition_count -= last->partition_count;
    free(entry);
    for (uint32_t i = 0; i < last->partition_count; i++) {
        if (broker_partition_is_here(core, last->partitions[i]))
            broker_partition_close(core, last->partitions[i]);
    }
    topic_rebound(here, last, NULL);
    broker_topic_unref(last);
    if (core_id(core) == 0)
        broker_share_coordinator_topic_gone(core);
}

void broker_topic_view_free(struct broker_core *here)
{
    struct tree_node *node;
    while ((node = tree_first(&here->names))) {
        struct view_entry *entry = CONTAINER_OF(node, struct view_entry, node);
        tree_remove(&here->names, node);
        broker_topic_unref(entry->topic);
        free(entry);
    }
    map_deinit(&here->by_name);
    map_deinit(&here->by_id);
    broker_topic_changes_free(here);
}

void broker_topic_listen(struct core *core,
                         void (*grown)(void *arg, const struct broker_topic *topic, uint32_t first),
                         void *arg)
{
    struct broker_core *here = broker_core(core);
    here->topic_grown = grown;
    here->topic_grown_arg = arg;
}

/* --- what callers ask ------------------------------------------------------------------------- */

const struct broker_topic *broker_topic_find(struct core *core, struct slice name)
{
    const struct view_entry *entry = topic_entry_find(broker_core(core), name);
    return entry ? entry->topic : NULL;
}

const struct broker_topic *broker_topic_find_id(struct core *core, const struct uuid *id)
{
    struct broker_core *here = broker_core(core);
    const struct view_entry *entry = map_get(&here->by_id, topic_id_key(id));
    if (entry)
        return entry->topic;
    struct tree_node *node = here->map_incomplete ? tree_first(&here->names) : NULL;
    for (; node; node = tree_next(node)) {
        entry = CONTAINER_OF(node, struct view_entry, node);
        if (uuid_equal(&entry->id, id))
            return entry->topic;
    }
    return NULL;
}

const struct broker_topic *broker_topic_after(struct core *core, struct slice name)
{
    struct broker_core *here = broker_core(core);
    struct view_entry key = {.name = name};
    struct tree_node *node =
        name.data ? tree_at_least(&here->names, &key.node) : tree_first(&here->names);
    if (node && name.data && slice_equal(CONTAINER_OF(node, struct view_entry, node)->name, name))
        node = tree_next(node);
    return node ? CONTAINER_OF(node, struct view_entry, node)->topic : NULL;
}

size_t broker_topic_count(struct core *core)
{
    return broker_core(core)->names.count;
}
