// Tells every partition of a transaction how it ended, until all have it in their logs.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/group_coordinator.h"
#include "broker/transaction_coordinator.h"

struct transaction_marker {
    struct broker_marker marker;
    struct transaction_entry *entry;
    struct transaction_part *part;
};

static void markers_complete(struct transaction_entry *entry)
{
    struct transaction_ids *transactions = entry->partition->transactions;
    broker_transaction_state_complete(&entry->transaction, core_wall_ms(transactions->core));
    broker_transaction_write_again(entry);
}

/* Whether the partition has all it needs, or never will. */
static bool marker_is_settled(const struct transaction_marker *marker)
{
    struct core *core = marker->entry->partition->transactions->core;
    enum err err = marker->marker.call.err;
    struct slice topic = broker_transaction_part_topic(marker->part);
    int32_t partition = broker_transaction_part_partition(marker->part);
    if (err == ERR_OK && slice_equal_text(topic, GROUP_TOPIC))
        err = broker_group_promise_end(core, partition, marker->marker.producer_id,
                                       marker->marker.commit);
    if (err && err != ERR_NOT_FOUND && err != ERR_CLOSED)
        log_warn(core_logger(core), "broker",
                 "a transaction's end was not written: %s topic=%.*s partition=%d producer=%lld",
                 err_text(err), (int)topic.size, (const char *)topic.data, partition,
                 (long long)marker->marker.producer_id);
    return err == ERR_OK || err == ERR_NOT_FOUND || err == ERR_FENCED;
}

static void marker_done(struct broker_call *call)
{
    struct transaction_marker *marker = CONTAINER_OF(call, struct transaction_marker, marker.call);
    struct transaction_entry *entry = marker->entry;
    struct transaction_part *part = marker->part;
    bool is_settled = marker_is_settled(marker);
    part->marker = NULL;
    entry->markers--;
    free(marker);
    if (is_settled)
        broker_transaction_part_remove(&entry->transaction, part);
    else
        broker_transaction_entry_retry(entry);
    if (entry->retry_ms == TRANSACTION_NEVER_MS)
        broker_transaction_markers_send(entry); /* more of them, or that was all */
    broker_transaction_entry_settle(entry);
}

/* False: out of memory. */
static bool marker_send(struct transaction_entry *entry, struct transaction_part *part)
{
    struct core *core = entry->partition->transactions->core;
    const struct transaction_value *now = &entry->transaction.now;
    const struct broker_topic *topic = broker_topic_find(core, broker_transaction_part_topic(part));
    struct transaction_marker *marker = calloc(1, sizeof(*marker));
    if (!marker)
        return false;
    marker->entry = entry;
    marker->part = part;
    marker->marker = (struct broker_marker){.call.done = marker_done,
                                            .producer_id = now->producer_id,
                                            .epoch = now->epoch,
                                            .commit = now->state == TRANSACTION_PREPARE_COMMIT,
                                            .transaction_version = (int8_t)now->version};
    part->marker = marker;
    entry->markers++;
    if (topic)
        broker_marker_write(core, topic, broker_transaction_part_partition(part), &marker->marker);
    else
        broker_call_fail(core, &marker->marker.call, ERR_NOT_FOUND);
    return true;
}

void broker_transaction_markers_send(struct transaction_entry *entry)
{
    CHECK(broker_transaction_state_is_prepared(&entry->transaction));
    if (list_empty(&entry->transaction.parts)) {
        markers_complete(entry);
        return;
    }
    list_for_each (node, &entry->transaction.parts) {
        struct transaction_part *part = LIST_ENTRY(node, struct transaction_part, node);
        if (entry->markers >= TRANSACTION_MARKERS_MAX)
            return;
        if (part->marker || marker_send(entry, part))
            continue;
        broker_transaction_entry_retry(entry);
        return;
    }
}

/* --- markers of others --- */

static void settle_serve(struct core *core, struct broker_call *call)
{
    const struct transaction_settle *settle = CONTAINER_OF(call, struct transaction_settle, call);
    enum err err =
        broker_group_promise_end(core, settle->partition, settle->producer_id, settle->commit);
    broker_call_finish(core, call, err == ERR_AGAIN ? ERR_LOADING : err);
}

void broker_transaction_settle(struct core *core, struct transaction_settle *settle)
{
    broker_call_to_owner(core, &settle->call, settle_serve);
}
