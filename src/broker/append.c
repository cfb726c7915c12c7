// Appends: the topic's rules on the caller's core, then in order into the log.
// SPDX-License-Identifier: Apache-2.0
#include "broker/state.h"

#define APPEND_QUEUE_SIZE_MAX ((size_t)16 << 20) /* of one partition, waiting for the store */
#define APPEND_WAIT_NS_MAX    30000000000ull
#define APPEND_RETRY_NS       20000000ull
#define APPEND_MAGIC_AT       16

static struct broker_append *append_of(struct broker_call *call)
{
    return CONTAINER_OF(call, struct broker_append, call);
}

/* --- the rules, on the caller's core ---------------------------------------------------------- */

static bool append_is_timely(int64_t now_ms, int64_t timestamp_ms,
                             const struct broker_topic_config *config)
{
    if (timestamp_ms < 0)
        return true;
    if (timestamp_ms < now_ms)
        return now_ms - timestamp_ms <= config->message_timestamp_before_max_ms;
    return timestamp_ms - now_ms <= config->message_timestamp_after_max_ms;
}

static enum err append_check_time(struct core *core, struct broker_append *append)
{
    const struct batch_header *header = &append->store.header;
    const struct broker_topic_config *config = append->topic->config;
    int64_t now_ms = core_wall_ms(core);
    if (append->store.append_time)
        return ERR_OK;
    bool is_first = !append_is_timely(now_ms, header->base_timestamp_ms, config);
    if (!is_first && append_is_timely(now_ms, header->max_timestamp_ms, config))
        return ERR_OK;
    append->error_record = is_first || header->record_count == 1 ? 0 : -1;
    diag_set(&append->call.diag,
             "timestamp %lld lies outside of what message.timestamp.before.max.ms and "
             "message.timestamp.after.max.ms allow",
             (long long)(is_first ? header->base_timestamp_ms : header->max_timestamp_ms));
    return ERR_TIMESTAMP;
}

/* What is asked of batches from outside only. */
static enum err append_check_produced(struct core *core, struct broker_append *append)
{
    const struct batch_header *header = &append->store.header;
    if (append->internal)
        return ERR_OK;
    struct batch_header produced = *header;
    if (append->is_delivered)
        produced.attributes &= (uint16_t)~BATCH_DELIVERED;
    if (batch_check_produced(&produced, &append->call.diag) != ERR_OK)
        return ERR_RECORD_INVALID;
    struct slice records = buf_range_slice(append->batch);
    records = slice_make(records.data + BATCH_HEADER_SIZE, records.size - BATCH_HEADER_SIZE);
    if (batch_codec(header) == BATCH_CODEC_NONE && batch_check_count(header, records) != ERR_OK) {
        diag_set(&append->call.diag, "the batch does not hold the %d records that it claims",
                 header->record_count);
        return ERR_RECORD_INVALID;
    }
    if (broker_topic_version_of(append->topic)->settings->log.compact &&
        batch_codec(header) == BATCH_CODEC_NONE &&
        !broker_recode_keys_are_there(records, &append->error_record)) {
        diag_set(&append->call.diag, BROKER_KEY_MISSING_TEXT);
        return ERR_RECORD_INVALID;
    }
    return append_check_time(core, append);
}

static enum err append_check(struct core *core, struct broker_append *append)
{
    struct slice bytes = buf_range_slice(append->batch);
    struct diag *diag = &append->call.diag;
    int32_t size_max = append->topic->config->max_message_bytes;
    if (bytes.size < BATCH_HEADER_SIZE) {
        diag_set(diag, "a record batch has %d bytes at least", BATCH_HEADER_SIZE);
        return ERR_CORRUPT;
    }
    if (bytes.data[APPEND_MAGIC_AT] != 2) {
        diag_set(diag, "only record batches of magic 2 are accepted, not %d",
                 bytes.data[APPEND_MAGIC_AT]);
        return ERR_RECORD_INVALID;
    }
    if (!append->internal && bytes.size > (size_t)size_max) {
        diag_set(diag, "the batch has %zu bytes, max.message.bytes is %d", bytes.size, size_max);
        return ERR_TOO_LARGE;
    }
    if (batch_check(bytes, &append->store.header) != ERR_OK) {
        diag_set(diag, "the batch does not match its checksum or its structure");
        return ERR_CORRUPT;
    }
    if (append->store.header.size != bytes.size) {
        diag_set(diag, "exactly one record batch is expected");
        return ERR_RECORD_INVALID;
    }
    return append_check_produced(core, append);
}

/* Back on the caller's core, before done. */
static void append_over(struct core *core, struct broker_call *call)
{
    struct broker_append *append = append_of(call);
    buf_unref(append->store.batch.buf);
    append->store.batch.buf = NULL;
    broker_topic_unref(append->topic);
    append->topic = NULL;
    broker_core(core)->appends--;
    broker_drain_look(core);
}

static void append_serve(struct core *core, struct broker_call *call);

/* What can be said without looking into the batch. */
static enum err append_refusal(struct core *core, const struct broker_topic *topic,
                               const struct broker_partition *partition,
                               struct broker_append *append)
{
    if (broker_core(core)->draining)
        return ERR_CLOSED;
    if (!partition)
        return ERR_NOT_FOUND;
    if (topic->internal && !append->internal) {
        diag_set(&append->call.diag, "internal topics are written by the server alone");
        return ERR_ACCESS;
    }
    return ERR_OK;
}

void broker_append(struct core *core, const struct broker_topic *topic, int32_t partition,
                   struct broker_append *append)
{
    struct broker_partition *target = broker_partition_at(topic, partition);
    append->base_offset = -1;
    append->append_time_ms = -1;
    append->log_start = -1;
    append->error_record = -1;
    append->recode = NULL;
    append->call.diag.text[0] = 0;
    enum err err = append_refusal(core, topic, target, append);
    if (err) {
        broker_call_fail(core, &append->call, err);
        return;
    }
    append->topic = topic;
    append->store.append_time = broker_topic_version_of(topic)->settings->append_time;
    err = append_check(core, append);
    if (err) {
        append->topic = NULL;
        broker_call_fail(core, &append->call, err);
        return;
    }
    broker_topic_ref(topic);
    buf_ref(append->batch.buf);
    append->store.batch = append->batch;
    append->store.control = append->internal;
    append->store.is_verified = append->is_verified || append->internal;
    append->store.verify_end = append->internal ? INT64_MAX : append->verify_end;
    append->call.origin = core;
    append->call.err = ERR_OK;
    append->call.serve = append_serve;
    append->call.over = append_over;
    append->call.partition = broker_partition_ref(target);
    list_init(&append->call.node);
    broker_core(core)->appends++;
    if (!broker_recode_take(core, append))
        broker_append_route(core, append);
}

void broker_append_route(struct core *core, struct broker_append *append)
{
    broker_call_route(core, &append->call);
}

size_t broker_append_size(const struct broker_call *call)
{
    if (call->serve != append_serve)
        return 0;
    return append_of((struct broker_call *)call)->store.batch.size;
}

/* --- on the partition's core ------------------------------------------------------------------ */

static void append_done(struct store_append *store)
{
    struct broker_append *append = CONTAINER_OF(store, struct broker_append, store);
    struct broker_partition *partition = append->call.partition;
    struct core *core = broker_partition_core(partition);
    enum err err = store->result == ERR_DUPLICATE ? ERR_OK : store->result;
    append->base_offset = store->base_offset;
    append->log_start = store_log_start(partition->log);
    if ((store->append_time && store->result == ERR_OK) || store->result == ERR_DUPLICATE)
        append->append_time_ms = store->header.max_timestamp_ms;
    broker_call_finish(core, &append->call, err);
    broker_partition_pending_done(core, partition);
}

/* ERR_BUSY: to be tried again; anything else is settled. */
static enum err append_try(struct core *core, struct broker_partition *partition,
                           struct broker_append *append)
{
    append->store.leader_epoch = broker_partition_epoch(partition);
    append->store.done = append_done;
    list_init(&append->store.node);
    enum err err = store_log_append(partition->log, &append->store);
    if (err == ERR_UNVERIFIED)
        append->verify_end = append->store.verify_end;
    if (err == ERR_OFFLINE)
        atomic_store_explicit(&partition->offline, true, memory_order_relaxed);
    return err;
}

static void append_wait(struct core *core, struct broker_partition *partition,
                        struct broker_append *append)
{
    struct broker_core *here = broker_core(core);
    partition->queue_size_bytes += append->store.batch.size;
    list_push_back(&partition->queue, &append->call.node);
    if (list_empty(&partition->blocked))
        list_push_back(&here->blocked, &partition->blocked);
    if (!core_timer_is_set(&here->blocked_timer))
        core_timer_set(core, &here->blocked_timer, core_now_ns(core) + APPEND_RETRY_NS);
}

static void append_serve(struct core *core, struct broker_call *call)
{
    struct broker_append *append = append_of(call);
    struct broker_partition *partition = call->partition;
    broker_placement_count(core, partition, call->origin);
    if (broker_partition_is_gone(partition)) {
        broker_call_finish(core, call, ERR_NOT_FOUND);
        return;
    }
    append->deadline_ns = core_now_ns(core) + APPEND_WAIT_NS_MAX;
    bool must_wait = !list_empty(&partition->queue);
    enum err err = must_wait ? ERR_BUSY : append_try(core, partition, append);
    bool has_room =
        partition->queue_size_bytes + append->store.batch.size <= APPEND_QUEUE_SIZE_MAX ||
        !must_wait;
    if (err && !(err == ERR_BUSY && has_room)) {
        broker_call_finish(core, call, err);
        return;
    }
    partition->pending++;
    if (err)
        append_wait(core, partition, append);
}

static struct broker_append *append_queue_pop(struct broker_partition *partition)
{
    struct list *node = list_pop_front(&partition->queue);
    if (!node)
        return NULL;
    struct broker_append *append = append_of(LIST_ENTRY(node, struct broker_call, node));
    partition->queue_size_bytes -= append->store.batch.size;
    return append;
}

/* In order: the first that the store cannot take stops the others. */
static void append_queue_try(struct core *core, struct broker_partition *partition)
{
    struct list *node;
    while ((node = list_first(&partition->queue))) {
        struct broker_append *append = append_of(LIST_ENTRY(node, struct broker_call, node));
        enum err err = append_try(core, partition, append);
        if (err == ERR_BUSY && core_now_ns(core) < append->deadline_ns)
            return;
        append_queue_pop(partition);
        if (err == ERR_OK)
            continue;
        broker_call_finish(core, &append->call, err);
        broker_partition_pending_done(core, partition);
    }
    list_remove(&partition->blocked);
}

static void append_retry_all(struct core *core, struct core_task *task)
{
    struct broker_core *here = broker_core(core);
    list_for_each_safe (node, following, &here->blocked) {
        append_queue_try(core, LIST_ENTRY(node, struct broker_partition, blocked));
    }
    if (!list_empty(&here->blocked))
        core_timer_set(core, &here->blocked_timer, core_now_ns(core) + APPEND_RETRY_NS);
}

static void append_timer(struct core *core, struct core_timer *timer)
{
    append_retry_all(core, NULL);
}

void broker_append_core_init(struct broker_core *here)
{
    list_init(&here->blocked);
    core_timer_init(&here->blocked_timer, append_timer);
    core_task_init(&here->blocked_task, append_retry_all);
}

void broker_append_retry(struct core *core)
{
    core_task_post(core, &broker_core(core)->blocked_task);
}

void broker_append_abandon(struct core *core, struct broker_partition *partition, enum err err)
{
    struct broker_append *append;
    list_remove(&partition->blocked);
    while ((append = append_queue_pop(partition))) {
        partition->pending--;
        broker_call_finish(core, &append->call, err);
    }
}
