// Opens the broker from its facts, drains it, closes it.
// SPDX-License-Identifier: Apache-2.0
#include "broker/broker.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text.h"
#include "broker/binding.h"
#include "broker/group_settings_state.h"
#include "broker/owner.h"
#include "broker/quota_state.h"
#include "broker/telemetry_state.h"

#define BROKER_SPACE_AGE_NS 1000000000ull

struct broker *broker_of(struct core *core)
{
    return broker_core(core)->broker;
}

const char *broker_cluster_id(const struct broker *broker)
{
    return broker->cluster_id;
}

int32_t broker_node_id(const struct broker *broker)
{
    return broker->node_id;
}

/* --- opening: what the catalogue knows -------------------------------------------------------- */

struct opening {
    struct broker *broker;
    struct settings_version *settings;
    struct diag *diag;
    enum err err;
    bool only_settings; /* first pass: topics need them */
    bool has_cluster_id;
};

static void open_complain(struct opening *opening, enum err err, const char *what)
{
    struct diag why = opening->diag ? *opening->diag : (struct diag){{0}};
    opening->err = err;
    diag_set(opening->diag, "the catalogue's entry of %s cannot be used: %s", what,
             why.text[0] ? why.text : err_text(err));
}

static void open_settings(struct opening *opening, struct slice value, bool cluster)
{
    struct settings_version *version = opening->settings;
    struct config_layer layer = {
        .rules = broker_settings_rules(),
        .set = cluster ? &version->cluster_set : &version->node_set,
        .values = cluster ? &version->cluster : &version->node,
        .effective = &version->file,
    };
    enum err err = broker_facts_settings_decode(value, &layer, opening->diag);
    if (err)
        open_complain(opening, err, "settings");
}

static void open_first_pass(struct opening *opening, struct slice key, struct slice value)
{
    struct broker *broker = opening->broker;
    struct owner *owner = broker->owner;
    if (slice_equal_text(key, FACT_SETTINGS_CLUSTER_KEY)) {
        open_settings(opening, value, true);
    } else if (slice_equal_text(key, FACT_SETTINGS_NODE_KEY)) {
        open_settings(opening, value, false);
    } else if (slice_equal_text(key, FACT_PRODUCER_KEY)) {
        if (broker_facts_number_decode(value, &owner->producer_end) || owner->producer_end < 0)
            open_complain(opening, ERR_CORRUPT, "producer ids");
        owner->producer_next = owner->producer_end;
    } else if (slice_equal_text(key, FACT_CLUSTER_KEY)) {
        struct uuid id;
        if (value.size != 1 + sizeof(id.bytes) || value.data[0] != 1) {
            open_complain(opening, ERR_CORRUPT, "the cluster id");
            return;
        }
        memcpy(id.bytes, value.data + 1, sizeof(id.bytes));
        uuid_to_text(&id, broker->cluster_id);
        opening->has_cluster_id = true;
    }
}

/* Every core's view at once: no loop runs yet. */
static enum err open_topic_views(struct broker *broker, struct topic_version *take_version)
{
    const struct broker_topic *topic = &take_version->topic;
    enum err err = ERR_OK;
    for (unsigned i = 0; i < broker->core_count && !err; i++) {
        struct view_entry *entry = broker_topic_entry_new(topic->name);
        if (entry)
            broker_topic_view_put(reactor_core(broker->reactor, i), entry, broker_topic_ref(topic));
        else
            err = ERR_NO_MEMORY;
    }
    broker_topic_unref(topic);
    return err;
}

static enum err open_topic_make(struct broker *broker, const struct fact_topic *fact)
{
    struct core *core = reactor_core(broker->reactor, 0);
    struct broker_partition **partitions =
        calloc(fact->partition_count, sizeof(struct broker_partition *));
    if (!partitions)
        return ERR_NO_MEMORY;
    struct partitions_new all = {fact->id, fact->settings, 0, fact->partition_count};
    enum err err = broker_topic_partitions_new(core, &all, partitions);
    struct topic_version *version = NULL;
    if (!err) {
        struct topic_version_options options = {
            .broker = broker,
            .id = fact->id,
            .name = fact->name,
            .internal = fact->internal,
            .created_ms = fact->created_ms,
            .partition_count = fact->partition_count,
            .settings = fact->settings,
            .partitions = partitions,
        };
        for (uint32_t i = 0; fact->internal && i < fact->partition_count; i++)
            partitions[i]->internal = true;
        version = broker_topic_version_new(&options);
        if (!version)
            broker_topic_partitions_drop(partitions, fact->partition_count);
        err = version ? open_topic_views(broker, version) : ERR_NO_MEMORY;
    }
    free(partitions);
    return err;
}

/* A binding that leads into the view since the view's prefix changed stays, and catches nothing. */
static enum err open_binding(struct opening *opening, const struct fact_topic *fact)
{
    struct broker *broker = opening->broker;
    struct core *core = reactor_core(broker->reactor, 0);
    struct diag diag = {{0}};
    enum err err = broker_binding_claim(core, &fact->id, fact->settings->binding);
    if (!err && broker_binding_check(core, &fact->id, fact->settings->binding, &diag) != ERR_OK)
        log_warn(broker->logger, "broker", "topic %.*s: %s", (int)fact->name.size,
                 (const char *)fact->name.data, diag.text);
    return err;
}

static void open_topic(struct opening *opening, struct slice key, struct slice value)
{
    struct broker *broker = opening->broker;
    struct fact_topic fact = {.settings = broker_topic_config_new(opening->settings)};
    enum err err = ERR_NO_MEMORY;
    if (fact.settings)
        err = broker_facts_topic_decode(key, value, &fact, opening->diag);
    if (!err && broker_topic_find(reactor_core(broker->reactor, 0), fact.name))
        err = ERR_CORRUPT; /* a name twice */
    if (!err) {
        broker_topic_config_resolve(fact.settings, opening->settings);
        err = broker_topic_name_claim(broker->owner, fact.name, opening->diag);
    }
    if (!err)
        err = open_binding(opening, &fact);
    if (!err)
        err = open_topic_make(broker, &fact);
    broker->owner->partition_count += fact.partition_count;
    broker_topic_config_unref(fact.settings);
    if (err)
        open_complain(opening, err, "a topic");
}

static void open_quota(struct opening *opening, struct slice key, struct slice value)
{
    enum err err = broker_quota_load(opening->broker, key, value);
    if (err)
        open_complain(opening, err, "a quota");
}

static void open_telemetry(struct opening *opening, struct slice key, struct slice value)
{
    enum err err = broker_telemetry_load(opening->broker, key, value);
    if (err)
        open_complain(opening, err, "a subscription to client metrics");
}

static void open_group(struct opening *opening, struct slice key, struct slice value)
{
    enum err err = broker_group_settings_load(opening->broker, key, value, opening->diag);
    if (err)
        open_complain(opening, err, "settings of a group");
}

static void open_fact(void *arg, struct slice key, struct slice value)
{
    struct opening *opening = arg;
    if (opening->err)
        return;
    if (opening->only_settings)
        open_first_pass(opening, key, value);
    else if (broker_facts_is_topic(key))
        open_topic(opening, key, value);
    else if (broker_facts_has_prefix(key, FACT_QUOTA_PREFIX))
        open_quota(opening, key, value);
    else if (broker_facts_has_prefix(key, FACT_TELEMETRY_PREFIX))
        open_telemetry(opening, key, value);
    else if (broker_facts_has_prefix(key, FACT_GROUP_PREFIX))
        open_group(opening, key, value);
}

static enum err open_facts(struct broker *broker, struct settings_version *settings,
                           struct opening *opening)
{
    opening->broker = broker;
    opening->settings = settings;
    opening->only_settings = true;
    store_fact_each(broker->store, open_fact, opening);
    if (opening->err)
        return opening->err;
    broker_settings_version_resolve(settings);
    for (unsigned i = 0; i < broker->core_count; i++)
        broker->cores[i].settings = broker_settings_version_ref(settings);
    broker->node_id = settings->values.node_id;
    opening->only_settings = false;
    store_fact_each(broker->store, open_fact, opening);
    if (opening->err)
        return opening->err;
    broker_quota_loaded(broker);
    broker_telemetry_loaded(broker);
    broker_group_settings_loaded(broker);
    return opening->err;
}

struct cluster_fact {
    struct broker *broker;
    uint8_t bytes[1 + 16];
};

static void open_cluster_stored(void *arg, enum err err)
{
    struct cluster_fact *fact = arg;
    if (err)
        log_warn(fact->broker->logger, "broker", "the cluster id is not durable error=%s",
                 err_name(err));
    free(fact);
}

/* Earlier in the catalogue than any topic. */
static enum err open_cluster_id(struct broker *broker)
{
    struct cluster_fact *fact = malloc(sizeof(*fact));
    uint8_t random[16];
    if (!fact)
        return ERR_NO_MEMORY;
    broker->os->ops->random(broker->os, random, sizeof(random));
    struct uuid id = uuid_from_random(random);
    uuid_to_text(&id, broker->cluster_id);
    fact->broker = broker;
    fact->bytes[0] = 1;
    memcpy(fact->bytes + 1, id.bytes, sizeof(id.bytes));
    store_fact_put(broker->store, slice_text(FACT_CLUSTER_KEY),
                   slice_make(fact->bytes, sizeof(fact->bytes)), open_cluster_stored, fact);
    return ERR_OK;
}

/* --- opening: the rest ------------------------------------------------------------------------ */

static void open_core(struct broker *broker, unsigned id)
{
    struct broker_core *here = &broker->cores[id];
    struct core *core = reactor_core(broker->reactor, id);
    here->broker = broker;
    here->core = core;
    map_init(&here->by_name, core_random(core));
    map_init(&here->by_id, core_random(core));
    tree_init(&here->names, broker_topic_compare);
    list_init(&here->moves);
    list_init(&here->dying);
    list_init(&here->recodes);
    broker_append_core_init(here);
    core_slot_set(core, CORE_SLOT_BROKER, here);
}

static enum err open_memory(const struct broker_options *options, struct broker *broker)
{
    broker->reactor = options->reactor;
    broker->store = options->store;
    broker->os = options->os;
    broker->logger = options->logger;
    broker->core_count = reactor_core_count(options->reactor);
    broker->cores = calloc(broker->core_count, sizeof(*broker->cores));
    broker->owner = calloc(1, sizeof(*broker->owner));
    if (!broker->cores || !broker->owner)
        return ERR_NO_MEMORY;
    for (unsigned i = 0; i < broker->core_count; i++)
        open_core(broker, i);
    struct core *core = reactor_core(options->reactor, 0);
    map_init(&broker->owner->locks, core_random(core));
    map_init(&broker->owner->collisions, core_random(core));
    list_init(&broker->owner->bindings);
    list_init(&broker->owner->refresh_waiting);
    list_init(&broker->owner->refresh_next);
    list_init(&broker->owner->producer_waiting);
    enum err err = broker_quota_open(broker);
    if (err)
        return err;
    if (options->view_prefix.data) {
        char *bytes = strndup((const char *)options->view_prefix.data, options->view_prefix.size);
        if (!bytes)
            return ERR_NO_MEMORY;
        broker->view_prefix = slice_make(bytes, options->view_prefix.size);
    }
    if (!options->data_dir)
        return ERR_OK;
    broker->data_dir = strdup(options->data_dir);
    return broker->data_dir ? ERR_OK : ERR_NO_MEMORY;
}

enum err broker_open(const struct broker_options *options, struct broker **out, struct diag *diag)
{
    struct broker *broker = calloc(1, sizeof(*broker));
    struct settings_version *settings = NULL;
    struct opening opening = {.diag = diag};
    if (diag)
        diag->text[0] = 0;
    if (!broker)
        return ERR_NO_MEMORY;
    enum err err = open_memory(options, broker);
    if (!err)
        err = broker_settings_version_new(options->settings, &settings);
    if (!err)
        err = open_facts(broker, settings, &opening);
    broker_settings_version_unref(settings);
    if (!err && !opening.has_cluster_id)
        err = open_cluster_id(broker);
    if (err) {
        broker_close(broker);
        return err;
    }
    store_logs_claimed(broker->store);
    broker_transaction_coordinator_open(broker);
    broker_space_measure(broker);
    *out = broker;
    return ERR_OK;
}

void broker_close(struct broker *broker)
{
    const struct broker_topic *topic = NULL;
    struct list *node;
    struct core *core = broker->cores && broker->cores[0].core ? broker->cores[0].core : NULL;
    broker_group_coordinator_close(broker);
    broker_transaction_coordinator_close(broker);
    broker_share_coordinator_close(broker);
    if (core) {
        broker_quota_close(broker);
        broker_telemetry_close(broker);
        broker_group_settings_close(broker);
    }
    while (core && (topic = broker_topic_after(core, topic ? topic->name : SLICE_NULL))) {
        for (uint32_t i = 0; i < topic->partition_count; i++)
            broker_partition_drop(topic->partitions[i]);
    }
    for (unsigned i = 0; core && i < broker->core_count; i++) {
        struct broker_core *here = &broker->cores[i];
        while ((node = list_first(&here->dying)))
            broker_partition_drop(LIST_ENTRY(node, struct broker_partition, dying));
        broker_topic_view_free(here);
        broker_settings_version_unref(here->settings);
        core_slot_set(here->core, CORE_SLOT_BROKER, NULL);
    }
    broker_owner_close(broker);
    free(broker->cores);
    free(broker->data_dir);
    free((void *)(uintptr_t)broker->view_prefix.data);
    free(broker);
}

/* --- draining --------------------------------------------------------------------------------- */

static void drain_core_done(struct core *core, struct core_message *message)
{
    struct broker *broker = broker_of(core);
    if (--broker->drain_left > 0)
        return;
    broker->drain_done(broker->drain_arg);
}

void broker_drain_look(struct core *core)
{
    struct broker_core *here = broker_core(core);
    bool is_quiet = here->appends == 0 && here->moving == 0 &&
                    (core_id(core) != 0 || broker_owner_is_idle(here->broker));
    if (!here->draining || here->drained || !is_quiet)
        return;
    here->drained = true;
    here->drain_message.run = drain_core_done;
    core_send(core, 0, &here->drain_message);
}

static void drain_core(struct core *core, struct core_message *message)
{
    broker_core(core)->draining = true;
    broker_drain_look(core);
}

void broker_drain(struct broker *broker, void (*done)(void *arg), void *arg)
{
    struct core *core = reactor_core(broker->reactor, 0);
    broker->drain_done = done;
    broker->drain_arg = arg;
    broker->drain_left = broker->core_count;
    for (unsigned i = 0; i < broker->core_count; i++) {
        broker->cores[i].drain_message.run = drain_core;
        core_send(core, i, &broker->cores[i].drain_message);
    }
}

/* --- space ------------------------------------------------------------------------------------ */

static void space_run(struct core_work *work)
{
    struct broker *broker = CONTAINER_OF(work, struct broker, space_work);
    broker_space_measure(broker);
}

static void space_done(struct core *core, struct core_work *work)
{
    struct broker *broker = CONTAINER_OF(work, struct broker, space_work);
    atomic_store_explicit(&broker->space_ns, core_now_ns(core), memory_order_relaxed);
    atomic_store_explicit(&broker->space_busy, false, memory_order_release);
}

void broker_space_measure(struct broker *broker)
{
    struct os_space space;
    struct os *os = broker->os;
    if (!broker->data_dir || os->ops->space(os, broker->data_dir, &space) != 0)
        return;
    atomic_store_explicit(&broker->space_total_bytes, space.total_bytes, memory_order_relaxed);
    atomic_store_explicit(&broker->space_free_bytes, space.free_bytes, memory_order_relaxed);
}

void broker_space(struct core *core, uint64_t *out_total_bytes, uint64_t *out_free_bytes)
{
    struct broker *broker = broker_of(core);
    uint64_t then_ns = atomic_load_explicit(&broker->space_ns, memory_order_relaxed);
    *out_total_bytes = atomic_load_explicit(&broker->space_total_bytes, memory_order_relaxed);
    *out_free_bytes = atomic_load_explicit(&broker->space_free_bytes, memory_order_relaxed);
    if (core_now_ns(core) - then_ns < BROKER_SPACE_AGE_NS ||
        atomic_exchange_explicit(&broker->space_busy, true, memory_order_acquire))
        return;
    broker->space_work = (struct core_work){.run = space_run, .done = space_done};
    core_work_submit(core, CORE_LANE_BULK, &broker->space_work);
}
