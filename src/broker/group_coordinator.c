// Where groups live: finds or makes their topic, loads its partitions, lets calls wait meanwhile.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_coordinator.h"

#include <stdlib.h>

#include "base/hash.h"

#define NS_PER_MS           UINT64_C(1000000)
#define TEXT_OF(number)     #number
#define NUMBER_TEXT(number) TEXT_OF(number)
#define GROUP_SEGMENT_TEXT  NUMBER_TEXT(GROUP_BATCH_SIZE_MAX)

static uint64_t env_random(struct group_env *env)
{
    return core_random(CONTAINER_OF(env, struct groups, env)->core);
}

static void env_answer(struct group_env *env, struct broker_call *call)
{
    broker_call_finish(CONTAINER_OF(env, struct groups, env)->core, call, call->err);
}

void broker_group_coordinator_now(struct groups *groups)
{
    groups->env.now_ms = (int64_t)(core_now_ns(groups->core) / NS_PER_MS);
    groups->env.wall_ms = core_wall_ms(groups->core);
    groups->consumer_env.now_ms = groups->env.now_ms;
    groups->consumer_env.wall_ms = groups->env.wall_ms;
}

struct groups *broker_group_coordinator(struct core *core)
{
    struct broker *broker = broker_of(core);
    CHECK(core_id(core) == 0);
    if (broker->groups) {
        broker_group_coordinator_now(broker->groups);
        return broker->groups;
    }
    struct groups *groups = calloc(1, sizeof(*groups));
    if (!groups)
        return NULL;
    const struct broker_settings *settings = broker_settings_now(core);
    groups->broker = broker;
    groups->core = core;
    groups->rewrite_size_min = GROUP_REWRITE_SIZE_MIN;
    groups->rewrite_again_ms = GROUP_REWRITE_AGAIN_MS;
    groups->env = (struct group_env){.budget = reactor_budget(core_reactor(core)),
                                     .initial_delay_ms = settings->group_initial_rebalance_delay_ms,
                                     .size_max = settings->group_max_size,
                                     .session_ms_min = settings->group_min_session_timeout_ms,
                                     .session_ms_max = settings->group_max_session_timeout_ms,
                                     .random = env_random,
                                     .answer = env_answer,
                                     .write = broker_group_write_machine};
    map_init(&groups->by_id, core_random(core));
    list_init(&groups->parked);
    list_init(&groups->writes);
    list_init(&groups->rooms);
    list_init(&groups->batches_kept);
    list_init(&groups->gathered);
    list_init(&groups->gather.node);
    groups->gather.run = broker_group_write_gathered;
    broker_group_beat_init(groups);
    broker->groups = groups;
    broker_group_coordinator_now(groups);
    return groups;
}

void broker_group_coordinator_close(struct broker *broker)
{
    struct groups *groups = broker->groups;
    if (!groups)
        return;
    broker_group_write_stop(groups);
    for (uint32_t i = 0; i < groups->partition_count; i++) {
        struct group_partition *partition = &groups->partitions[i];
        core_timer_cancel(groups->core, &partition->timer);
        broker_group_rewrite_stop(partition);
        broker_group_promise_free_all(partition);
        list_for_each_safe (node, following, &partition->entries)
            broker_group_entry_free(LIST_ENTRY(node, struct group_entry, node));
    }
    if (groups->topic)
        broker_topic_unref(groups->topic);
    broker_group_write_deinit(groups);
    map_deinit(&groups->by_id);
    free(groups->partitions);
    free(groups);
    broker->groups = NULL;
}

/* --- the topic --- */

static void parked_timer(struct core *core, struct core_timer *timer)
{
    struct group_partition *partition = CONTAINER_OF(timer, struct group_partition, timer);
    broker_group_coordinator_unpark(partition, ERR_LOADING);
}

static enum err topic_take(struct groups *groups)
{
    const struct broker_topic *topic = broker_topic_find(groups->core, SLICE_LITERAL(GROUP_TOPIC));
    if (!topic)
        return ERR_NOT_FOUND;
    struct group_partition *partitions = calloc(topic->partition_count, sizeof(*partitions));
    if (!partitions)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        partitions[i].groups = groups;
        partitions[i].index = i;
        list_init(&partitions[i].entries);
        list_init(&partitions[i].parked);
        list_init(&partitions[i].promises);
        core_timer_init(&partitions[i].timer, parked_timer);
        broker_group_rewrite_init(&partitions[i]);
    }
    groups->partitions = partitions;
    groups->partition_count = topic->partition_count;
    groups->topic = broker_topic_ref(topic);
    return ERR_OK;
}

static void calls_move(struct list *to, struct list *from)
{
    list_init(to);
    list_splice_back(to, from);
}

static void topic_created(struct broker_call *call)
{
    struct groups *groups = CONTAINER_OF(call, struct groups, create.call);
    enum err err = call->err == ERR_EXISTS ? ERR_OK : call->err;
    groups->creating = false;
    if (!err)
        err = topic_take(groups);
    if (err)
        log_error(core_logger(groups->core), "broker", "cannot make " GROUP_TOPIC ": %s %s",
                  err_text(err), call->diag.text);
    struct list calls;
    calls_move(&calls, &groups->parked);
    struct list *node;
    while ((node = list_pop_front(&calls)) != NULL) {
        struct broker_call *parked = LIST_ENTRY(node, struct broker_call, node);
        if (err)
            broker_call_finish(groups->core, parked, err);
        else
            parked->serve(groups->core, parked);
    }
}

/* Kept for ever and by nobody's retention: the newest record of each key is what counts. */
static void topic_create(struct groups *groups)
{
    static const struct broker_setting_pair settings[] = {
        {SLICE_LITERAL("cleanup.policy"), SLICE_LITERAL("compact")},
        {SLICE_LITERAL("retention.ms"), SLICE_LITERAL("-1")},
        {SLICE_LITERAL("retention.bytes"), SLICE_LITERAL("-1")},
        {SLICE_LITERAL("segment.bytes"), SLICE_LITERAL(GROUP_SEGMENT_TEXT)},
    };
    groups->creating = true;
    groups->create = (struct broker_topic_create){
        .call.done = topic_created,
        .name = SLICE_LITERAL(GROUP_TOPIC),
        .partition_count = broker_settings_now(groups->core)->offsets_topic_num_partitions,
        .replication_factor = -1,
        .settings = settings,
        .setting_count = COUNT_OF(settings),
        .internal = true};
    broker_topic_create(groups->core, &groups->create);
}

/* --- waiting for state --- */

void broker_group_coordinator_unpark(struct group_partition *partition, enum err err)
{
    struct core *core = partition->groups->core;
    core_timer_cancel(core, &partition->timer);
    partition->parked_count = 0;
    struct list calls;
    calls_move(&calls, &partition->parked);
    struct list *node;
    while ((node = list_pop_front(&calls)) != NULL) {
        struct broker_call *parked = LIST_ENTRY(node, struct broker_call, node);
        if (err)
            broker_call_finish(core, parked, err);
        else
            parked->serve(core, parked);
    }
}

enum group_way broker_group_coordinator_wait(struct group_partition *partition,
                                             struct broker_call *call)
{
    struct core *core = partition->groups->core;
    if (partition->load == GROUP_LOADED)
        return GROUP_GO;
    if (partition->parked_count >= GROUP_LOAD_CALLS_MAX) {
        broker_call_finish(core, call, ERR_LOADING);
        return GROUP_WAIT;
    }
    if (partition->parked_count++ == 0)
        core_timer_set(core, &partition->timer, core_now_ns(core) + GROUP_LOAD_WAIT_MS * NS_PER_MS);
    list_push_back(&partition->parked, &call->node);
    if (partition->load == GROUP_UNLOADED)
        broker_group_load_start(partition);
    return GROUP_WAIT;
}

static uint32_t partition_of(struct slice group_id, uint32_t count)
{
    return hash_java_magnitude(group_id) % count;
}

enum group_way broker_group_coordinator_enter(struct core *core, struct broker_call *call,
                                              struct slice group_id, bool create,
                                              struct group_partition **out_partition)
{
    struct groups *groups = broker_group_coordinator(core);
    *out_partition = NULL;
    enum err err = groups ? ERR_OK : ERR_NO_MEMORY;
    if (!err && group_id.size > GROUP_ID_SIZE_MAX)
        err = ERR_GROUP_ID;
    if (!err && !groups->topic && !groups->creating)
        err = topic_take(groups);
    if (err == ERR_NOT_FOUND && !create)
        return GROUP_GO;
    if (err && err != ERR_NOT_FOUND) {
        broker_call_finish(core, call, err);
        return GROUP_WAIT;
    }
    if (!groups->topic) {
        list_push_back(&groups->parked, &call->node);
        if (!groups->creating)
            topic_create(groups);
        return GROUP_WAIT;
    }
    struct group_partition *partition =
        &groups->partitions[partition_of(group_id, groups->partition_count)];
    enum group_way way = broker_group_coordinator_wait(partition, call);
    if (way == GROUP_GO)
        *out_partition = partition;
    return way;
}

uint32_t broker_group_partition(struct core *core, struct slice group_id)
{
    const struct broker_topic *topic = broker_topic_find(core, SLICE_LITERAL(GROUP_TOPIC));
    int32_t count = topic ? (int32_t)topic->partition_count
                          : broker_settings_now(core)->offsets_topic_num_partitions;
    return partition_of(group_id, (uint32_t)count);
}
