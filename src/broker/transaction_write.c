// Records of __transaction_state on their way to the log; what they say holds once durable.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/transaction_coordinator.h"
#include "broker/transaction_record.h"
#include "record/build.h"

enum write_kind {
    WRITE_MOVE, /* what is next */
    WRITE_AGAIN,
    WRITE_TOMBSTONE,
};

struct transaction_write {
    struct broker_append append;
    struct transaction_entry *entry;
    enum write_kind kind;
    struct list calls; /* to be answered */
};

static struct core *write_core(const struct transaction_write *write)
{
    return write->entry->partition->transactions->core;
}

static void write_applied(struct transaction_write *write, enum err err)
{
    struct transaction_entry *entry = write->entry;
    struct transaction *transaction = &entry->transaction;
    enum transaction_state before = transaction->now.state;
    if (write->kind == WRITE_MOVE && err)
        broker_transaction_state_forget(transaction);
    if (write->kind == WRITE_MOVE && !err)
        broker_transaction_state_apply(transaction);
    if (write->kind == WRITE_TOMBSTONE) {
        entry->is_leaving = false;
        if (!err)
            broker_transaction_state_reset(transaction);
    }
    entry->is_stale = err ? entry->is_stale || write->kind == WRITE_AGAIN : false;
    if (err && write->kind == WRITE_MOVE && list_empty(&write->calls))
        broker_transaction_entry_fail(entry, err);
    else if (entry->is_stale || (err && write->kind == WRITE_TOMBSTONE))
        broker_transaction_entry_retry(entry);
    else if (!err)
        entry->failures = 0;
    if (transaction->now.state == TRANSACTION_ONGOING && before != TRANSACTION_ONGOING)
        entry->abort_ms = broker_transaction_coordinator_now_ms(entry->partition->transactions) +
                          transaction->now.timeout_ms;
}

static void write_finish(struct transaction_write *write, enum err err)
{
    struct transaction_entry *entry = write->entry;
    struct core *core = write_core(write);
    struct list *node;
    entry->writes--;
    write_applied(write, err);
    if (err)
        log_warn(core_logger(core), "broker", "a step of a transaction was not written: %s id=%.*s",
                 err_text(err), (int)MIN(entry->transaction.id.size, (size_t)200),
                 (const char *)entry->transaction.id.data);
    while ((node = list_pop_front(&write->calls)) != NULL) {
        struct transaction_call *call =
            CONTAINER_OF(LIST_ENTRY(node, struct broker_call, node), struct transaction_call, call);
        if (!err)
            broker_transaction_state_told(&entry->transaction, call);
        broker_call_finish(core, &call->call, err);
    }
    free(write);
    broker_transaction_entry_settle(entry);
}

static void append_done(struct broker_call *call)
{
    struct transaction_write *write = CONTAINER_OF(call, struct transaction_write, append.call);
    buf_unref(write->append.batch.buf);
    write_finish(write, call->err);
}

static enum err record_make(const struct transaction_write *write, struct codec_output *key,
                            struct codec_output *value, struct build *build)
{
    const struct transaction *transaction = &write->entry->transaction;
    bool is_tombstone = write->kind == WRITE_TOMBSTONE;
    enum err err = broker_transaction_record_key(key, transaction->id);
    if (!err && !is_tombstone)
        err = broker_transaction_record_value(value, transaction, write->kind == WRITE_MOVE);
    if (err)
        return err;
    struct build_record record = {.timestamp_ms = core_wall_ms(write_core(write)),
                                  .key = slice_make(key->data, key->size),
                                  .value = is_tombstone ? SLICE_NULL
                                                        : slice_make(value->data, value->size)};
    return build_add(build, &record);
}

/* The batch in a buffer that the log may keep. */
static enum err batch_make(struct transaction_write *write)
{
    struct build build;
    struct codec_output key, value;
    struct buf *buf = NULL;
    build_init(&build, TRANSACTION_BATCH_SIZE_MAX);
    codec_output_init(&key, TRANSACTION_BATCH_SIZE_MAX);
    codec_output_init(&value, TRANSACTION_BATCH_SIZE_MAX);
    enum err err = record_make(write, &key, &value, &build);
    value.size = 0;
    if (!err)
        err = build_finish(&build, &value);
    if (!err) {
        buf = buf_pool_get(core_buffers(write_core(write)), value.size);
        err = buf ? ERR_OK : ERR_NO_MEMORY;
    }
    if (!err) {
        memcpy(buf->data, value.data, value.size);
        write->append.batch = (struct buf_range){.buf = buf, .size = (uint32_t)value.size};
    }
    build_deinit(&build);
    codec_output_deinit(&key);
    codec_output_deinit(&value);
    return err;
}

static void write_send(struct transaction_write *write)
{
    struct transaction_partition *partition = write->entry->partition;
    struct core *core = write_core(write);
    write->append.call.done = append_done;
    write->append.internal = true;
    enum err err = batch_make(write);
    if (err)
        broker_call_fail(core, &write->append.call, err);
    else
        broker_append(core, partition->transactions->topic, (int32_t)partition->index,
                      &write->append);
}

/* NULL: out of memory; what was to be written is forgotten. */
static struct transaction_write *write_new(struct transaction_entry *entry, enum write_kind kind,
                                           struct transaction_call *call)
{
    struct core *core = entry->partition->transactions->core;
    struct transaction_write *write = calloc(1, sizeof(*write));
    if (!write) {
        if (kind == WRITE_MOVE)
            broker_transaction_state_forget(&entry->transaction);
        if (kind != WRITE_MOVE)
            broker_transaction_entry_retry(entry);
        else if (!call)
            broker_transaction_entry_fail(entry, ERR_NO_MEMORY);
        entry->is_stale = entry->is_stale || kind == WRITE_AGAIN;
        if (call)
            broker_call_finish(core, &call->call, ERR_NO_MEMORY);
        return NULL;
    }
    write->entry = entry;
    write->kind = kind;
    list_init(&write->calls);
    entry->writes++;
    if (call)
        list_push_back(&write->calls, &call->call.node);
    return write;
}

void broker_transaction_write_move(struct transaction_entry *entry, struct transaction_call *call)
{
    struct transaction_write *write = write_new(entry, WRITE_MOVE, call);
    if (write)
        write_send(write);
}

void broker_transaction_write_gather(struct transaction_entry *entry, struct transaction_call *call)
{
    if (entry->gathering) {
        list_push_back(&entry->gathering->calls, &call->call.node);
        return;
    }
    entry->gathering = write_new(entry, WRITE_MOVE, call);
    if (entry->gathering)
        core_task_post(entry->partition->transactions->core, &entry->gathered);
}

void broker_transaction_write_gathered(struct core *core, struct core_task *task)
{
    struct transaction_entry *entry = CONTAINER_OF(task, struct transaction_entry, gathered);
    struct transaction_write *write = entry->gathering;
    entry->gathering = NULL;
    write_send(write);
}

void broker_transaction_write_again(struct transaction_entry *entry)
{
    struct transaction_write *write = write_new(entry, WRITE_AGAIN, NULL);
    if (write)
        write_send(write);
}

void broker_transaction_write_tombstone(struct transaction_entry *entry)
{
    struct transaction_write *write = write_new(entry, WRITE_TOMBSTONE, NULL);
    if (!write)
        return;
    entry->is_leaving = true;
    write_send(write);
}
