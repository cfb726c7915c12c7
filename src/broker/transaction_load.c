// Reads a partition of __transaction_state back into memory; what was decided there is finished.
// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_coordinator.h"
#include "broker/transaction_record.h"

static enum err part_load(void *arg, struct slice topic, int32_t partition)
{
    struct transaction_part *part = broker_transaction_part_get(arg, topic, partition);
    if (!part)
        return ERR_NO_MEMORY;
    part->is_new = false;
    return ERR_OK;
}

static enum err part_pass(void *arg, struct slice topic, int32_t partition)
{
    return ERR_OK;
}

static enum err load_record(struct replay *replay, const struct batch_header *header,
                            const struct record *record)
{
    struct transaction_partition *partition =
        CONTAINER_OF(replay, struct transaction_partition, replay);
    struct slice id;
    struct transaction_value value;
    enum err err = broker_transaction_record_read_key(record->key, &id);
    if (err)
        return err;
    struct transaction_entry *entry = broker_transaction_entry_find(partition->transactions, id);
    if (!record->value.data) {
        if (entry)
            broker_transaction_entry_free(entry);
        return ERR_OK;
    }
    /* As a whole or not at all. */
    err = broker_transaction_record_read_value(record->value, &value, part_pass, NULL);
    if (err)
        return err;
    if (!entry)
        entry = broker_transaction_entry_new(partition, id);
    if (!entry)
        return ERR_NO_MEMORY;
    broker_transaction_part_remove_all(&entry->transaction);
    entry->transaction.now = value;
    return broker_transaction_record_read_value(record->value, &value, part_load,
                                                &entry->transaction);
}

/* What ran when the server stopped has the rest of its time. */
static void entry_begin(struct transaction_entry *entry)
{
    struct transaction_ids *transactions = entry->partition->transactions;
    const struct transaction_value *now = &entry->transaction.now;
    int64_t passed_ms = core_wall_ms(transactions->core) - now->start_ms;
    int64_t left_ms = now->timeout_ms - MAX(MIN(passed_ms, (int64_t)now->timeout_ms), 0);
    entry->abort_ms = broker_transaction_coordinator_now_ms(transactions) + left_ms;
    broker_transaction_entry_settle(entry);
}

static void load_done(struct replay *replay, enum err err)
{
    struct transaction_partition *partition =
        CONTAINER_OF(replay, struct transaction_partition, replay);
    if (err) {
        log_error(core_logger(replay->core), "broker",
                  "the state of transactions cannot be read: %s partition=%u", err_text(err),
                  partition->index);
        list_for_each_safe (node, following, &partition->entries) {
            broker_transaction_entry_free(LIST_ENTRY(node, struct transaction_entry, node));
        }
        partition->load = TRANSACTION_UNLOADED; /* the next call tries again */
        broker_transaction_coordinator_unpark(partition, ERR_LOADING);
        broker_transaction_coordinator_loaded(partition->transactions, err);
        return;
    }
    partition->load = TRANSACTION_LOADED;
    list_for_each_safe (node, following, &partition->entries) {
        entry_begin(LIST_ENTRY(node, struct transaction_entry, node));
    }
    broker_transaction_coordinator_unpark(partition, ERR_OK);
    broker_transaction_coordinator_loaded(partition->transactions, ERR_OK);
}

void broker_transaction_load_start(struct transaction_partition *partition)
{
    CHECK(partition->load == TRANSACTION_UNLOADED);
    partition->load = TRANSACTION_LOADING;
    partition->replay = (struct replay){.core = partition->transactions->core,
                                        .topic = partition->transactions->topic,
                                        .partition = (int32_t)partition->index,
                                        .batch_size_max = TRANSACTION_BATCH_SIZE_MAX,
                                        .record = load_record,
                                        .done = load_done};
    broker_replay_start(&partition->replay);
}
