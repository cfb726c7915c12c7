// A partition: the object that every core points to, and its log on the home core.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/state.h"

static void partition_on_durable(void *arg, struct store_log *log)
{
    struct broker_partition *partition = arg;
    struct core *core = broker_partition_core(partition);
    if (store_log_state(log) != ERR_OK)
        atomic_store_explicit(&partition->offline, true, memory_order_relaxed);
    broker_watch_wake(core, partition);
    if (!list_empty(&partition->queue))
        broker_append_retry(core);
}

static const struct store_log_events partition_events = {.on_durable = partition_on_durable};

enum err broker_partition_new(struct broker *broker, struct core *core,
                              const struct store_log_key *key, struct topic_settings *settings,
                              struct broker_partition **out)
{
    struct budget *budget = reactor_budget(broker->reactor);
    if (!budget_charge(budget, sizeof(struct broker_partition)))
        return ERR_NO_MEMORY;
    struct broker_partition *partition = calloc(1, sizeof(*partition));
    enum err err = partition ? ERR_OK : ERR_NO_MEMORY;
    if (!err)
        err = store_log_new(broker->store, core, *key, &settings->log, &partition->log);
    if (err) {
        free(partition);
        budget_release(budget, sizeof(*partition));
        return err;
    }
    atomic_init(&partition->refs, 1);
    atomic_init(&partition->home, core_id(core));
    atomic_init(&partition->epoch, 0); /* a single node has one leader for ever */
    atomic_init(&partition->offline, store_log_state(partition->log) != ERR_OK);
    partition->index = key->partition;
    partition->topic_id = key->topic;
    partition->broker = broker;
    partition->settings = broker_topic_config_ref(settings);
    list_init(&partition->waiters);
    list_init(&partition->queue);
    list_init(&partition->blocked);
    list_init(&partition->dying);
    store_log_events_set(partition->log, &partition_events, partition);
    *out = partition;
    return ERR_OK;
}

struct broker_partition *broker_partition_ref(struct broker_partition *partition)
{
    atomic_fetch_add_explicit(&partition->refs, 1, memory_order_relaxed);
    return partition;
}

void broker_partition_unref(struct broker_partition *partition)
{
    if (!partition || atomic_fetch_sub_explicit(&partition->refs, 1, memory_order_acq_rel) != 1)
        return;
    CHECK(!partition->log);
    budget_release(reactor_budget(partition->broker->reactor), sizeof(*partition));
    free(partition);
}

/* The reference that the home core holds goes with the log. */
static void partition_forget(struct broker_partition *partition)
{
    list_remove(&partition->dying);
    partition->log = NULL;
    broker_topic_config_unref(partition->settings);
    partition->settings = NULL;
    broker_partition_unref(partition);
}

void broker_partition_drop(struct broker_partition *partition)
{
    if (partition->log) {
        store_log_free(partition->log);
        partition_forget(partition);
    }
}

unsigned broker_partition_home(const struct broker_partition *partition)
{
    return atomic_load_explicit(&partition->home, memory_order_relaxed);
}

struct core *broker_partition_core(const struct broker_partition *partition)
{
    unsigned home = atomic_load_explicit(&partition->home, memory_order_relaxed);
    return reactor_core(partition->broker->reactor, home);
}

bool broker_partition_is_here(const struct core *core, const struct broker_partition *partition)
{
    if (atomic_load_explicit(&partition->home, memory_order_relaxed) != core_id(core))
        return false;
    return !partition->move || !broker_move_is_away(partition->move);
}

void broker_partition_settings_set(struct broker_partition *partition,
                                   struct topic_settings *settings)
{
    struct topic_settings *old = partition->settings;
    if (!partition->log || old == settings)
        return;
    partition->settings = broker_topic_config_ref(settings);
    store_log_config_set(partition->log, &settings->log);
    broker_topic_config_unref(old);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Keeps the settings until the store does not look at them any more. */
struct partition_end {
    struct broker *broker;
    struct topic_settings *settings;
    struct uuid topic_id;
    uint32_t index;
};

static void partition_deleted(void *arg, enum err err)
{
    struct partition_end *end = arg;
    char id[UUID_TEXT_SIZE + 1];
    if (err) {
        uuid_to_text(&end->topic_id, id);
        log_warn(end->broker->logger, "broker", "log not deleted topic=%s partition=%u error=%s",
                 id, end->index, err_name(err));
    }
    broker_topic_config_unref(end->settings);
    free(end);
}

static void partition_delete(struct core *core, struct broker_partition *partition)
{
    struct partition_end *end = malloc(sizeof(*end));
    if (!end) { /* the next start finds that nobody claims it */
        broker_partition_drop(partition);
        return;
    }
    *end = (struct partition_end){partition->broker, broker_topic_config_ref(partition->settings),
                                  partition->topic_id, partition->index};
    struct store_log *log = partition->log;
    partition_forget(partition);
    store_log_delete(log, partition_deleted, end);
}

void broker_partition_close(struct core *core, struct broker_partition *partition)
{
    if (!partition->log || !list_empty(&partition->dying))
        return;
    list_push_back(&broker_core(core)->dying, &partition->dying);
    broker_append_abandon(core, partition, ERR_NOT_FOUND);
    broker_watch_wake_all(core, partition);
    if (partition->pending == 0)
        partition_delete(core, partition);
}

void broker_partition_pending_done(struct core *core, struct broker_partition *partition)
{
    CHECK(partition->pending > 0);
    if (--partition->pending > 0)
        return;
    struct broker_move *move = partition->move; /* keeps the partition in memory */
    if (!list_empty(&partition->dying))
        partition_delete(core, partition);
    if (move)
        broker_move_quiet(core, move);
}

/* --- what callers ask ------------------------------------------------------------------------- */

size_t broker_partition_count_total(struct core *core)
{
    return broker_core(core)->partition_count;
}

struct broker_partition *broker_partition_at(const struct broker_topic *topic, int32_t index)
{
    if (index < 0 || (uint32_t)index >= topic->partition_count)
        return NULL;
    return topic->partitions[index];
}

int32_t broker_partition_epoch(const struct broker_partition *partition)
{
    return atomic_load_explicit(&partition->epoch, memory_order_relaxed);
}

bool broker_partition_is_offline(const struct broker_partition *partition)
{
    return atomic_load_explicit(&partition->offline, memory_order_relaxed);
}

/* A single node: everything durable is visible. */
int64_t broker_partition_visible(const struct broker_partition *partition)
{
    return store_log_durable(partition->log);
}

int64_t broker_partition_limit(const struct broker_partition *partition, bool committed)
{
    int64_t visible = broker_partition_visible(partition);
    return committed ? MIN(store_log_stable(partition->log), visible) : visible;
}

enum err broker_partition_epoch_check(const struct broker_partition *partition, int32_t epoch)
{
    int32_t current = broker_partition_epoch(partition);
    if (epoch == BROKER_EPOCH_ANY || epoch == current)
        return ERR_OK;
    return epoch < current ? ERR_FENCED : ERR_EPOCH_UNKNOWN;
}

bool broker_partition_is_gone(const struct broker_partition *partition)
{
    return !partition->log || !list_empty(&partition->dying);
}

static void state_serve(struct core *core, struct broker_call *call)
{
    struct broker_partition_state *state = CONTAINER_OF(call, struct broker_partition_state, call);
    const struct broker_partition *partition = call->partition;
    if (broker_partition_is_gone(partition)) {
        broker_call_finish(core, call, ERR_NOT_FOUND);
        return;
    }
    state->log_start = store_log_start(partition->log);
    state->high_watermark = broker_partition_visible(partition);
    state->end = store_log_end(partition->log);
    state->leader_epoch = broker_partition_epoch(partition);
    state->size_bytes = store_log_size(partition->log);
    state->offline = store_log_state(partition->log) != ERR_OK;
    broker_call_finish(core, call, ERR_OK);
}

void broker_partition_state(struct core *core, struct broker_partition *partition,
                            struct broker_partition_state *call)
{
    broker_call_to_partition(core, partition, &call->call, state_serve);
}
