// Where transactional ids live: finds or makes their topic, loads it, lets calls wait meanwhile.
// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_coordinator.h"

#include <stdlib.h>

#include "base/hash.h"

#define NS_PER_MS           UINT64_C(1000000)
#define TEXT_OF(number)     #number
#define NUMBER_TEXT(number) TEXT_OF(number)
#define SEGMENT_TEXT        NUMBER_TEXT(TRANSACTION_SEGMENT_SIZE)

static void start_run(struct core *core, struct core_task *task);
static void start_timer(struct core *core, struct core_timer *timer);

int64_t broker_transaction_coordinator_now_ms(const struct transaction_ids *transactions)
{
    return (int64_t)(core_now_ns(transactions->core) / NS_PER_MS);
}

struct transaction_ids *broker_transaction_coordinator(struct core *core)
{
    struct broker *broker = broker_of(core);
    CHECK(core_id(core) == 0);
    if (broker->transactions)
        return broker->transactions;
    struct transaction_ids *transactions = calloc(1, sizeof(*transactions));
    if (!transactions)
        return NULL;
    transactions->broker = broker;
    transactions->core = core;
    map_init(&transactions->by_id, core_random(core));
    list_init(&transactions->parked);
    core_task_init(&transactions->start, start_run);
    core_timer_init(&transactions->start_again, start_timer);
    broker->transactions = transactions;
    return transactions;
}

void broker_transaction_coordinator_close(struct broker *broker)
{
    struct transaction_ids *transactions = broker->transactions;
    if (!transactions)
        return;
    core_task_cancel(&transactions->start);
    core_timer_cancel(transactions->core, &transactions->start_again);
    for (uint32_t i = 0; i < transactions->partition_count; i++) {
        struct transaction_partition *partition = &transactions->partitions[i];
        core_timer_cancel(transactions->core, &partition->timer);
        list_for_each_safe (node, following, &partition->entries) {
            broker_transaction_entry_free(LIST_ENTRY(node, struct transaction_entry, node));
        }
    }
    if (transactions->topic)
        broker_topic_unref(transactions->topic);
    map_deinit(&transactions->by_id);
    free(transactions->partitions);
    free(transactions);
    broker->transactions = NULL;
}

/* --- the topic --- */

static void parked_timer(struct core *core, struct core_timer *timer)
{
    broker_transaction_coordinator_unpark(CONTAINER_OF(timer, struct transaction_partition, timer),
                                          ERR_LOADING);
}

static enum err topic_take(struct transaction_ids *transactions)
{
    const struct broker_topic *topic =
        broker_topic_find(transactions->core, SLICE_LITERAL(TRANSACTION_TOPIC));
    if (!topic)
        return ERR_NOT_FOUND;
    struct transaction_partition *partitions = calloc(topic->partition_count, sizeof(*partitions));
    if (!partitions)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        partitions[i].transactions = transactions;
        partitions[i].index = i;
        list_init(&partitions[i].entries);
        list_init(&partitions[i].parked);
        core_timer_init(&partitions[i].timer, parked_timer);
    }
    transactions->partitions = partitions;
    transactions->partition_count = topic->partition_count;
    transactions->topic = broker_topic_ref(topic);
    return ERR_OK;
}

/* Answers all with err, or serves them again. */
static void calls_end(struct core *core, struct list *calls, enum err err)
{
    struct list here;
    struct list *node;
    list_init(&here);
    list_splice_back(&here, calls);
    while ((node = list_pop_front(&here)) != NULL) {
        struct broker_call *call = LIST_ENTRY(node, struct broker_call, node);
        if (err)
            broker_call_finish(core, call, err);
        else
            call->serve(core, call);
    }
}

static void topic_created(struct broker_call *call)
{
    struct transaction_ids *transactions = CONTAINER_OF(call, struct transaction_ids, create.call);
    enum err err = call->err == ERR_EXISTS ? ERR_OK : call->err;
    transactions->is_creating = false;
    if (!err)
        err = topic_take(transactions);
    if (err)
        log_error(core_logger(transactions->core), "broker",
                  "cannot make " TRANSACTION_TOPIC ": %s %s", err_text(err), call->diag.text);
    calls_end(transactions->core, &transactions->parked, err);
}

static void topic_create(struct transaction_ids *transactions)
{
    static const struct broker_setting_pair settings[] = {
        {SLICE_LITERAL("cleanup.policy"), SLICE_LITERAL("compact")},
        {SLICE_LITERAL("retention.ms"), SLICE_LITERAL("-1")},
        {SLICE_LITERAL("retention.bytes"), SLICE_LITERAL("-1")},
        {SLICE_LITERAL("segment.bytes"), SLICE_LITERAL(SEGMENT_TEXT)},
    };
    transactions->is_creating = true;
    transactions->create = (struct broker_topic_create){
        .call.done = topic_created,
        .name = SLICE_LITERAL(TRANSACTION_TOPIC),
        .partition_count =
            broker_settings_now(transactions->core)->transaction_state_log_num_partitions,
        .replication_factor = -1,
        .settings = settings,
        .setting_count = COUNT_OF(settings),
        .internal = true};
    broker_topic_create(transactions->core, &transactions->create);
}

/* --- at the start --- */

static void start_run(struct core *core, struct core_task *task)
{
    struct transaction_ids *transactions = CONTAINER_OF(task, struct transaction_ids, start);
    enum err err = transactions->topic ? ERR_OK : topic_take(transactions);
    if (err) {
        broker_transaction_coordinator_loaded(transactions, err);
        return;
    }
    for (uint32_t i = 0; i < transactions->partition_count; i++) {
        struct transaction_partition *partition = &transactions->partitions[i];
        if (partition->load == TRANSACTION_UNLOADED)
            broker_transaction_load_start(partition);
        if (partition->load == TRANSACTION_LOADING)
            return; /* and go on when it is done */
    }
    transactions->is_starting = false;
}

static void start_timer(struct core *core, struct core_timer *timer)
{
    struct transaction_ids *transactions = CONTAINER_OF(timer, struct transaction_ids, start_again);
    core_task_post(core, &transactions->start);
}

void broker_transaction_coordinator_loaded(struct transaction_ids *transactions, enum err err)
{
    struct core *core = transactions->core;
    if (!transactions->is_starting)
        return;
    if (err)
        core_timer_set(core, &transactions->start_again,
                       core_now_ns(core) + TRANSACTION_RETRY_MS * NS_PER_MS);
    else
        core_task_post(core, &transactions->start);
}

void broker_transaction_coordinator_open(struct broker *broker)
{
    struct core *core = reactor_core(broker->reactor, 0);
    if (!broker_topic_find(core, SLICE_LITERAL(TRANSACTION_TOPIC)))
        return;
    struct transaction_ids *transactions = broker_transaction_coordinator(core);
    if (!transactions)
        return; /* the first call tries again */
    transactions->is_starting = true;
    core_task_post(core, &transactions->start);
}

/* --- waiting for state --- */

void broker_transaction_coordinator_unpark(struct transaction_partition *partition, enum err err)
{
    struct core *core = partition->transactions->core;
    core_timer_cancel(core, &partition->timer);
    partition->parked_count = 0;
    calls_end(core, &partition->parked, err);
}

static enum transaction_way partition_wait(struct transaction_partition *partition,
                                           struct broker_call *call)
{
    struct core *core = partition->transactions->core;
    if (partition->load == TRANSACTION_LOADED)
        return TRANSACTION_GO;
    if (partition->parked_count >= TRANSACTION_LOAD_CALLS_MAX) {
        broker_call_finish(core, call, ERR_LOADING);
        return TRANSACTION_WAIT;
    }
    if (partition->parked_count++ == 0)
        core_timer_set(core, &partition->timer,
                       core_now_ns(core) + TRANSACTION_LOAD_WAIT_MS * NS_PER_MS);
    list_push_back(&partition->parked, &call->node);
    if (partition->load == TRANSACTION_UNLOADED)
        broker_transaction_load_start(partition);
    return TRANSACTION_WAIT;
}

static enum transaction_way topic_enter(struct core *core, struct broker_call *call, bool create)
{
    struct transaction_ids *transactions = broker_transaction_coordinator(core);
    enum err err = transactions ? ERR_OK : ERR_NO_MEMORY;
    if (!err && !transactions->topic && !transactions->is_creating)
        err = topic_take(transactions);
    if (err && err != ERR_NOT_FOUND) {
        broker_call_finish(core, call, err);
        return TRANSACTION_WAIT;
    }
    if (transactions->topic || (err == ERR_NOT_FOUND && !create))
        return TRANSACTION_GO;
    list_push_back(&transactions->parked, &call->node);
    if (!transactions->is_creating)
        topic_create(transactions);
    return TRANSACTION_WAIT;
}

enum transaction_way
broker_transaction_coordinator_enter(struct core *core, struct broker_call *call, struct slice id,
                                     bool create, struct transaction_partition **out_partition)
{
    *out_partition = NULL;
    if (id.size == 0 || id.size > TRANSACTION_ID_SIZE_MAX) {
        broker_call_finish(core, call, ERR_INVALID);
        return TRANSACTION_WAIT;
    }
    if (topic_enter(core, call, create) == TRANSACTION_WAIT)
        return TRANSACTION_WAIT;
    struct transaction_ids *transactions = broker_of(core)->transactions;
    if (!transactions->topic)
        return TRANSACTION_GO;
    uint32_t index = hash_java_magnitude(id) % transactions->partition_count;
    struct transaction_partition *partition = &transactions->partitions[index];
    enum transaction_way way = partition_wait(partition, call);
    if (way == TRANSACTION_GO)
        *out_partition = partition;
    return way;
}

enum transaction_way broker_transaction_coordinator_enter_all(struct core *core,
                                                              struct broker_call *call)
{
    if (topic_enter(core, call, false) == TRANSACTION_WAIT)
        return TRANSACTION_WAIT;
    struct transaction_ids *transactions = broker_of(core)->transactions;
    for (uint32_t i = 0; i < transactions->partition_count; i++)
        if (partition_wait(&transactions->partitions[i], call) == TRANSACTION_WAIT)
            return TRANSACTION_WAIT;
    return TRANSACTION_GO;
}
