// Changes settings of topics and of the broker, and lets topics follow the broker's.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/text.h"
#include "broker/binding.h"
#include "broker/owner.h"

enum err broker_settings_pairs_apply(struct topic_settings *settings,
                                     const struct broker_setting_pair *pairs, size_t count,
                                     struct diag *diag)
{
    for (size_t i = 0; i < count; i++) {
        struct broker_setting_change change = {.name = pairs[i].name, .value = pairs[i].value};
        enum err err = broker_topic_config_change(settings, &change, diag);
        if (err)
            return err;
    }
    return ERR_OK;
}

/* --- of a topic ------------------------------------------------------------------------------- */

static enum err alter_topic_settings(struct core *core, const struct broker_topic *topic,
                                     struct broker_settings_alter *alter,
                                     struct topic_settings **out)
{
    const struct settings_version *base = broker_core(core)->settings;
    const struct topic_settings *now = broker_topic_version_of(topic)->settings;
    struct topic_settings *settings =
        alter->replace_all ? broker_topic_config_new(base) : broker_topic_config_copy(now, base);
    enum err err = settings ? ERR_OK : ERR_NO_MEMORY;
    for (size_t i = 0; i < alter->change_count && !err; i++)
        err = broker_topic_config_change(settings, &alter->changes[i], &alter->call.diag);
    if (!err) {
        broker_topic_config_resolve(settings, base);
        err = broker_topic_config_check(settings, &alter->call.diag);
    }
    if (err) {
        broker_topic_config_unref(settings);
        return err;
    }
    *out = settings;
    return ERR_OK;
}

static enum err alter_topic(struct core *core, const struct broker_topic *topic,
                            struct broker_settings_alter *alter, bool *out_begun)
{
    struct topic_settings *settings;
    enum err err = alter_topic_settings(core, topic, alter, &settings);
    if (err)
        return err;
    if (alter->validate_only) {
        err = broker_binding_check(core, &topic->id, settings->binding, &alter->call.diag);
    } else {
        struct topic_put put = {
            .old = topic,
            .settings = settings,
            .partition_count = topic->partition_count,
            .partitions = topic->partitions,
            .call = &alter->call,
            .done = broker_owner_end,
        };
        err = broker_topic_put(core, &put);
        *out_begun = !err;
    }
    broker_topic_config_unref(settings);
    return err;
}

/* --- of the broker ---------------------------------------------------------------------------- */

struct broker_alter {
    struct core *core;
    struct broker_settings_alter *alter;
    struct settings_version *version;
    struct spread *spread;
    struct text fact;
};

static void alter_broker_free(struct broker_alter *work)
{
    broker_owner_spread_free(work->spread, broker_core(work->core)->broker->core_count);
    broker_settings_version_unref(work->version);
    text_deinit(&work->fact);
    free(work);
}

/* The answer waits until the topics have followed. */
static void alter_broker_spread(struct core *core, void *arg)
{
    struct broker_alter *work = arg;
    struct owner *owner = broker_owner_of(core);
    struct broker_call *call = &work->alter->call;
    alter_broker_free(work);
    list_push_back(&owner->refresh_next, &call->node);
    broker_owner_unlock(core, SLICE_LITERAL(""));
    broker_settings_refresh(core);
}

static void alter_broker_stored(void *arg, enum err err)
{
    struct broker_alter *work = arg;
    struct core *core = work->core;
    if (err) {
        struct broker_call *call = &work->alter->call;
        alter_broker_free(work);
        broker_owner_unlock(core, SLICE_LITERAL(""));
        broker_owner_end(core, call, err);
        return;
    }
    struct spread *spread = work->spread;
    work->spread = NULL;
    spread->settings = broker_settings_version_ref(work->version);
    spread->done = alter_broker_spread;
    spread->arg = work;
    broker_owner_spread(core, spread);
}

static enum err alter_broker_layer(struct settings_version *version,
                                   struct broker_settings_alter *alter, struct text *fact)
{
    config_set *set = alter->cluster ? &version->cluster_set : &version->node_set;
    void *values = alter->cluster ? &version->cluster : &version->node;
    struct config_layer layer = {
        .rules = broker_settings_rules(),
        .set = set,
        .values = values,
        .effective = &version->values,
        .dynamic_only = true,
    };
    enum err err = ERR_OK;
    if (alter->replace_all)
        *set = 0;
    for (size_t i = 0; i < alter->change_count && !err; i++)
        err = broker_config_change(&layer, &alter->changes[i], &alter->call.diag);
    alter->is_misasked = layer.is_fixed;
    if (err)
        return err;
    broker_settings_version_resolve(version);
    broker_facts_settings_encode(layer.rules, *set, values, fact);
    return fact->failed ? ERR_NO_MEMORY : ERR_OK;
}

static enum err alter_broker(struct core *core, struct broker_settings_alter *alter,
                             bool *out_begun)
{
    struct broker_alter *work = calloc(1, sizeof(*work));
    if (!work)
        return ERR_NO_MEMORY;
    work->core = core;
    work->alter = alter;
    text_init(&work->fact);
    work->version = broker_settings_version_copy(broker_core(core)->settings);
    work->spread = broker_owner_spread_new(core, SLICE_NULL);
    enum err err = work->version && work->spread ? ERR_OK : ERR_NO_MEMORY;
    if (!err)
        err = alter_broker_layer(work->version, alter, &work->fact);
    if (err || alter->validate_only) {
        alter_broker_free(work);
        return err;
    }
    *out_begun = true;
    store_fact_put(broker_core(core)->broker->store,
                   slice_text(alter->cluster ? FACT_SETTINGS_CLUSTER_KEY : FACT_SETTINGS_NODE_KEY),
                   text_slice(&work->fact), alter_broker_stored, work);
    return ERR_OK;
}

/* --- the call --------------------------------------------------------------------------------- */

static void alter_serve(struct core *core, struct broker_call *call)
{
    struct broker_settings_alter *alter = CONTAINER_OF(call, struct broker_settings_alter, call);
    const struct broker_topic *topic = NULL;
    bool is_begun = false;
    if (!broker_owner_begin(core, call))
        return;
    enum err err = alter->for_broker ? broker_owner_lock(core, SLICE_LITERAL(""), call)
                                     : broker_topic_lock(core, &alter->topic_id, call, &topic);
    if (err == ERR_AGAIN)
        return;
    if (!err) {
        err = topic ? alter_topic(core, topic, alter, &is_begun)
                    : alter_broker(core, alter, &is_begun);
        if (is_begun)
            return;
        broker_owner_unlock(core, topic ? topic->name : SLICE_LITERAL(""));
    }
    broker_owner_end(core, call, err);
}

void broker_settings_alter(struct core *core, struct broker_settings_alter *call)
{
    call->call.diag.text[0] = 0;
    broker_call_to_owner(core, &call->call, alter_serve);
}

/* --- topics follow ---------------------------------------------------------------------------- */

static void refresh_serve(struct core *core, struct broker_call *call);

static void refresh_over(struct core *core)
{
    struct owner *owner = broker_owner_of(core);
    struct list *node;
    owner->refresh_running = false;
    while ((node = list_pop_front(&owner->refresh_waiting)))
        broker_owner_end(core, LIST_ENTRY(node, struct broker_call, node), ERR_OK);
    if (owner->refresh_again)
        broker_settings_refresh(core);
    else
        broker_drain_look(core);
}

static void refresh_topic_done(struct core *core, struct broker_call *call, enum err err)
{
    if (err)
        log_warn(core_logger(core), "broker", "a topic keeps its old settings error=%s",
                 err_name(err));
    refresh_serve(core, call);
}

static bool refresh_is_same(const struct topic_settings *a, const struct topic_settings *b)
{
    return memcmp(&a->config, &b->config, sizeof(a->config)) == 0 &&
           memcmp(&a->log, &b->log, sizeof(a->log)) == 0;
}

static enum err refresh_put(struct core *core, const struct broker_topic *topic,
                            struct topic_settings *settings)
{
    struct owner *owner = broker_owner_of(core);
    enum err err = broker_owner_lock(core, topic->name, &owner->refresh);
    if (err)
        return err;
    struct topic_put put = {
        .old = topic,
        .settings = settings,
        .partition_count = topic->partition_count,
        .partitions = topic->partitions,
        .call = &owner->refresh,
        .done = refresh_topic_done,
        .is_known = true,
    };
    err = broker_topic_put(core, &put);
    if (err)
        broker_owner_unlock(core, topic->name);
    return err;
}

/* True: a new version is on its way, or the topic's lock is awaited. */
static bool refresh_topic(struct core *core, const struct broker_topic *topic)
{
    const struct settings_version *base = broker_core(core)->settings;
    struct topic_settings *now = broker_topic_version_of(topic)->settings;
    if (now->generation == base->generation)
        return false;
    struct topic_settings *settings = broker_topic_config_copy(now, base);
    if (settings && refresh_is_same(settings, now)) {
        now->generation = base->generation;
        broker_topic_config_unref(settings);
        return false;
    }
    enum err err = settings ? refresh_put(core, topic, settings) : ERR_NO_MEMORY;
    broker_topic_config_unref(settings);
    if (err && err != ERR_AGAIN)
        log_warn(core_logger(core), "broker", "a topic keeps its old settings error=%s",
                 err_name(err));
    return !err || err == ERR_AGAIN;
}

/* Goes on behind the topic reached. A topic whose lock was awaited is looked at again. */
static void refresh_serve(struct core *core, struct broker_call *call)
{
    struct owner *owner = broker_owner_of(core);
    const struct broker_topic *topic;
    list_remove(&call->node);
    while ((topic = broker_topic_after(core, owner->refresh_name))) {
        if (refresh_topic(core, topic))
            return;
        memcpy(owner->refresh_bytes, topic->name.data, topic->name.size);
        owner->refresh_name = slice_make(owner->refresh_bytes, topic->name.size);
    }
    refresh_over(core);
}

void broker_settings_refresh(struct core *core)
{
    struct owner *owner = broker_owner_of(core);
    if (owner->refresh_running) {
        owner->refresh_again = true;
        return;
    }
    owner->refresh_running = true;
    owner->refresh_again = false;
    owner->refresh_name = SLICE_NULL;
    list_splice_back(&owner->refresh_waiting, &owner->refresh_next);
    owner->refresh.serve = refresh_serve;
    list_init(&owner->refresh.node);
    refresh_serve(core, &owner->refresh);
}
