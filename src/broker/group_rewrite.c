// Keeps a partition of __consumer_offsets small: what counts is written anew, the rest cut off.
// SPDX-License-Identifier: Apache-2.0
//
// A rewrite begins at the offset beyond all that is known to be durable. Every value that counts
// knows the offset of its record; those before the beginning are appended again as they are, in the
// order of all other writes, so that what is newer comes later. A value with a write under way is
// left alone and looked at in the next pass: what an earlier write brings is not known yet. When a
// pass finds nothing, and no write begun before the rewrite is under way, nothing before the
// beginning counts, and all that replaced it is durable: only then the log's start moves there. A
// stop anywhere leaves either the old start, with a log that says everything, or the new one.
#include "broker/group_coordinator.h"

#define NS_PER_MS UINT64_C(1000000)

static void rewrite_turn(struct core *core, struct core_task *task);
static void rewrite_timer(struct core *core, struct core_timer *timer);

static struct group_partition *partition_of(struct group_rewrite *rewrite)
{
    return CONTAINER_OF(rewrite, struct group_partition, rewrite);
}

void broker_group_rewrite_init(struct group_partition *partition)
{
    struct group_rewrite *rewrite = &partition->rewrite;
    list_init(&rewrite->todo);
    core_task_init(&rewrite->task, rewrite_turn);
    core_timer_init(&rewrite->timer, rewrite_timer);
}

void broker_group_rewrite_stop(struct group_partition *partition)
{
    core_timer_cancel(partition->groups->core, &partition->rewrite.timer);
    core_task_cancel(&partition->rewrite.task);
    list_splice_back(&partition->entries, &partition->rewrite.todo);
}

/* --- what its metadata is --- */

static uint64_t kept_bytes(const struct group_entry *entry)
{
    return entry->kept.data ? GROUP_RECORD_SIZE + entry->group.id.size + entry->kept.size : 0;
}

void broker_group_rewrite_keep(struct group_entry *entry, struct slice take_kept,
                               int64_t log_offset)
{
    if (log_offset < entry->kept_offset) {
        broker_group_member_disown(&entry->group, &take_kept);
        return;
    }
    entry->partition->live_bytes -= kept_bytes(entry);
    broker_group_member_disown(&entry->group, &entry->kept);
    entry->kept = take_kept;
    entry->kept_offset = log_offset;
    entry->stored = take_kept.data != NULL;
    entry->partition->live_bytes += kept_bytes(entry);
}

/* --- beginning and end --- */

static void pass_begin(struct group_rewrite *rewrite)
{
    struct group_partition *partition = partition_of(rewrite);
    list_splice_back(&rewrite->todo, &partition->entries);
    rewrite->is_again = rewrite->writes_old > 0;
    core_task_post(partition->groups->core, &rewrite->task);
}

void broker_group_rewrite_consider(struct group_partition *partition)
{
    struct group_rewrite *rewrite = &partition->rewrite;
    if (rewrite->is_active || partition->load != GROUP_LOADED ||
        core_timer_is_set(&rewrite->timer) ||
        partition->log_bytes <= partition->groups->rewrite_size_min ||
        partition->log_bytes / GROUP_REWRITE_FACTOR <= partition->live_bytes)
        return;
    rewrite->is_active = true;
    rewrite->offset = partition->offset_next;
    rewrite->bytes = partition->log_bytes;
    rewrite->writes_old = partition->writes;
    rewrite->err = ERR_OK;
    partition->round++;
    pass_begin(rewrite);
}

static void timer_after(struct group_rewrite *rewrite, uint64_t delay_ms)
{
    struct core *core = partition_of(rewrite)->groups->core;
    core_timer_set(core, &rewrite->timer, core_now_ns(core) + delay_ms * NS_PER_MS);
}

/* The old start stays; the timer asks again. */
static void rewrite_abort(struct group_rewrite *rewrite, enum err err)
{
    struct group_partition *partition = partition_of(rewrite);
    struct list *node = list_first(&rewrite->todo);
    if (node) {
        LIST_ENTRY(node, struct group_entry, node)->cursor = NULL;
        LIST_ENTRY(node, struct group_entry, node)->fact_cursor = NULL;
    }
    if (err != ERR_CLOSED)
        log_warn(core_logger(partition->groups->core), "broker",
                 "group state could not be rewritten, it is tried again: %s partition=%u",
                 err_text(err), partition->index);
    rewrite->is_active = false;
    core_task_cancel(&rewrite->task);
    list_splice_back(&partition->entries, &rewrite->todo);
    timer_after(rewrite, GROUP_REWRITE_RETRY_MS);
}

static void rewrite_timer(struct core *core, struct core_timer *timer)
{
    struct group_rewrite *rewrite = CONTAINER_OF(timer, struct group_rewrite, timer);
    if (rewrite->is_active)
        pass_begin(rewrite);
    else
        broker_group_rewrite_consider(partition_of(rewrite));
}

static void trim_done(struct broker_call *call)
{
    struct group_rewrite *rewrite = CONTAINER_OF(call, struct group_rewrite, trim.call);
    struct group_partition *partition = partition_of(rewrite);
    if (call->err) {
        rewrite_abort(rewrite, call->err);
        return;
    }
    rewrite->is_active = false;
    partition->groups->rewrites++;
    partition->log_bytes -= rewrite->bytes;
    log_info(core_logger(partition->groups->core), "broker",
             "group state was rewritten partition=%u start=%lld before_bytes=%llu bytes=%llu",
             partition->index, (long long)rewrite->offset, (unsigned long long)rewrite->bytes,
             (unsigned long long)partition->log_bytes);
    broker_group_rewrite_consider(partition);
}

static void rewrite_trim(struct group_rewrite *rewrite)
{
    struct group_partition *partition = partition_of(rewrite);
    struct groups *groups = partition->groups;
    rewrite->trim = (struct broker_trim){.call.done = trim_done, .offset = rewrite->offset};
    broker_trim(groups->core, broker_partition_at(groups->topic, (int32_t)partition->index),
                &rewrite->trim);
}

/* What is next, when a turn or a write has ended. */
static void rewrite_look(struct group_rewrite *rewrite)
{
    bool is_done = list_empty(&rewrite->todo) || rewrite->err;
    if (!is_done && rewrite->under_way < GROUP_REWRITE_WINDOW)
        core_task_post(partition_of(rewrite)->groups->core, &rewrite->task);
    if (!is_done || rewrite->under_way > 0)
        return;
    if (rewrite->err)
        rewrite_abort(rewrite, rewrite->err);
    else if (rewrite->is_again ||
             broker_group_promise_is_before(partition_of(rewrite), rewrite->offset))
        timer_after(rewrite, partition_of(rewrite)->groups->rewrite_again_ms);
    else
        rewrite_trim(rewrite);
}

/* --- a pass --- */

static void write_done(void *arg, enum err err)
{
    struct group_rewrite *rewrite = arg;
    rewrite->under_way--;
    if (err)
        rewrite->err = err;
    rewrite_look(rewrite);
}

/* The slot's value, if its record is old. */
static enum err slot_rewrite(struct group_rewrite *rewrite, struct group_append *write,
                             const struct group_slot *slot)
{
    if (!list_empty(&slot->promises))
        rewrite->is_again = true; /* what they bring is older than the beginning, perhaps */
    if (!slot->value || slot->log_offset >= rewrite->offset)
        return ERR_OK;
    if (slot->pending > 0) {
        rewrite->is_again = true;
        return ERR_OK;
    }
    return broker_group_write_offset(write, broker_group_slot_topic(slot),
                                     broker_group_slot_partition(slot), &slot->value->value);
}

static enum err fact_rewrite(struct group_rewrite *rewrite, struct group_append *write,
                             const struct group_fact *fact)
{
    if (!fact->value.data || fact->log_offset >= rewrite->offset)
        return ERR_OK;
    if (fact->pending > 0) {
        rewrite->is_again = true;
        return ERR_OK;
    }
    return broker_group_write_fact(write, broker_group_fact_kind(fact),
                                   broker_group_fact_name(fact), fact->value);
}

/* The same for the records of the newer protocol; true: all have been looked at. */
static bool facts_rewrite(struct group_rewrite *rewrite, struct group_append *write,
                          struct group_entry *entry, unsigned *visits)
{
    if (!entry->fact_cursor)
        entry->fact_cursor = entry->fact_list.next;
    while (entry->fact_cursor != &entry->fact_list && *visits > 0 && !rewrite->err &&
           broker_group_write_size(write) < GROUP_REWRITE_BATCH_SIZE) {
        const struct group_fact *fact = LIST_ENTRY(entry->fact_cursor, struct group_fact, node);
        rewrite->err = fact_rewrite(rewrite, write, fact);
        entry->fact_cursor = fact->node.next;
        --*visits;
    }
    return !rewrite->err && entry->fact_cursor == &entry->fact_list;
}

static bool kept_is_old(const struct group_rewrite *rewrite, const struct group_entry *entry)
{
    return entry->kept.data && entry->kept_offset < rewrite->offset;
}

static enum err kept_rewrite(struct group_rewrite *rewrite, struct group_append *write)
{
    const struct group_entry *entry = LIST_ENTRY(rewrite->todo.next, struct group_entry, node);
    if (!kept_is_old(rewrite, entry))
        return ERR_OK;
    if (entry->group_writes > 0) {
        rewrite->is_again = true;
        return ERR_OK;
    }
    return broker_group_write_kept(write);
}

/* Goes on with the first entry; true: it has been looked at as a whole. */
static bool entry_rewrite(struct group_rewrite *rewrite, struct group_append *write,
                          unsigned *visits)
{
    struct group_entry *entry = LIST_ENTRY(rewrite->todo.next, struct group_entry, node);
    if (!entry->cursor)
        entry->cursor = entry->slots.next;
    while (entry->cursor != &entry->slots && *visits > 0 && !rewrite->err &&
           broker_group_write_size(write) < GROUP_REWRITE_BATCH_SIZE) {
        const struct group_slot *slot = LIST_ENTRY(entry->cursor, struct group_slot, node);
        rewrite->err = slot_rewrite(rewrite, write, slot);
        entry->cursor = slot->node.next;
        --*visits;
    }
    if (rewrite->err || entry->cursor != &entry->slots ||
        !facts_rewrite(rewrite, write, entry, visits))
        return false;
    /* The metadata comes in a batch of its own: it may be large. */
    if (!broker_group_write_is_empty(write) && kept_is_old(rewrite, entry))
        return false;
    rewrite->err = kept_rewrite(rewrite, write);
    if (rewrite->err)
        return false;
    entry->cursor = NULL;
    entry->fact_cursor = NULL;
    return true;
}

static void write_end(struct group_rewrite *rewrite, struct group_append *write)
{
    if (broker_group_write_is_empty(write)) {
        broker_group_write_drop(write);
        return;
    }
    rewrite->under_way++;
    broker_group_write_send(write, write_done, rewrite);
}

static void rewrite_turn(struct core *core, struct core_task *task)
{
    struct group_rewrite *rewrite = CONTAINER_OF(task, struct group_rewrite, task);
    struct group_partition *partition = partition_of(rewrite);
    unsigned visits = GROUP_REWRITE_VISITS;
    broker_group_coordinator_now(partition->groups);
    while (visits > 0 && !rewrite->err && rewrite->under_way < GROUP_REWRITE_WINDOW &&
           !list_empty(&rewrite->todo)) {
        struct group_entry *entry = LIST_ENTRY(rewrite->todo.next, struct group_entry, node);
        struct group_append *write = broker_group_write_new(entry);
        if (!write) {
            rewrite->err = ERR_NO_MEMORY;
            break;
        }
        visits--;
        if (entry_rewrite(rewrite, write, &visits)) {
            list_remove(&entry->node);
            list_push_back(&partition->entries, &entry->node);
        }
        write_end(rewrite, write);
    }
    rewrite_look(rewrite);
}
