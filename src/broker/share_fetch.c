// Acknowledges records of share groups, and takes more of them: reads, locks, waits.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/share_state.h"

#define NS_PER_MS UINT64_C(1000000)
#define LOCKS_MIN 4

static void call_go(struct share_call *call);
static void fetch_step(struct share_call *call);

static struct shares *shares_of(const struct share_call *call)
{
    return broker_of(call->call.origin)->shares;
}

static int64_t lock_deadline_ms(const struct share_call *call)
{
    return broker_share_coordinator_now_ms(shares_of(call)) + call->lock_ms;
}

/* --- the end --- */

static void call_finish(struct share_call *call, enum err err)
{
    struct shares *shares = shares_of(call);
    struct share_session *session = call->session;
    core_timer_cancel(shares->core, &call->timer);
    list_remove(&call->node);
    if (session) {
        struct share_group *group = broker_share_coordinator_group(shares, call->group_id, false);
        session->is_busy = false;
        if (session->part_count > 0)
            session->first = (session->first + 1) % session->part_count;
        if (session->is_gone || call->is_final)
            broker_share_session_end(group, session);
        broker_share_coordinator_tidy(group);
    }
    broker_call_finish(shares->core, &call->call, err);
}

void broker_share_release(struct share_call *call)
{
    for (size_t i = 0; i < call->part_count; i++)
        if (call->parts[i]->is_read)
            broker_read_release(&call->parts[i]->read);
}

/* --- acknowledging --- */

/* In order, each offset once, and locked by this member. */
static enum err acks_check(const struct share_call *call, const struct share_call_part *part)
{
    int64_t next = 0;
    for (size_t i = 0; i < part->ack_count; i++) {
        const struct share_ack *ack = &part->acks[i];
        bool is_shaped =
            ack->first >= next && ack->next > ack->first &&
            (ack->verb_count == 1 || (int64_t)ack->verb_count == ack->next - ack->first);
        if (!is_shaped)
            return ERR_INVALID;
        for (size_t j = 0; j < ack->verb_count; j++)
            if (ack->verbs[j] < CURSOR_GAP || ack->verbs[j] > CURSOR_RENEW ||
                (ack->verbs[j] == CURSOR_RENEW && !call->is_renewing))
                return ERR_INVALID;
        for (size_t j = 0; j < ack->verb_count; j++)
            if (ack->verbs[j] == CURSOR_RENEW && !call->settings.share_renew_acknowledge_enable)
                return ERR_ACCESS;
        next = ack->next;
    }
    if (part->ack_count > 0 && next > part->cursor->cursor.end)
        return ERR_INVALID; /* nobody has seen that yet */
    for (size_t i = 0; i < part->ack_count; i++)
        if (!broker_cursor_holds(&part->cursor->cursor, call->session->owner, part->acks[i].first,
                                 part->acks[i].next))
            return ERR_ACCESS;
    return ERR_OK;
}

static enum err ack_apply(struct share_call_part *part, const struct share_ack *ack)
{
    enum err err = ERR_OK;
    for (int64_t first = ack->first; first < ack->next && !err;) {
        int64_t next = ack->verb_count == 1 ? ack->next : first + 1;
        int8_t verb = ack->verb_count == 1 ? ack->verbs[0] : ack->verbs[first - ack->first];
        while (next < ack->next && ack->verbs[next - ack->first] == verb)
            next++;
        err = broker_cursor_acknowledge(&part->cursor->cursor, first, next, (enum cursor_verb)verb,
                                        lock_deadline_ms(part->call));
        first = next;
    }
    return err;
}

static void ack_written(struct share_wait *wait, enum err err)
{
    struct share_call_part *part = wait->arg;
    if (err)
        part->ack_err = err;
    if (--part->call->pending == 0)
        call_go(part->call);
}

/* Whether anything beyond start, where the cursor was before, became something else than held for
 * longer: locks are not written down. */
static bool is_change(const struct share_call_part *part, int64_t start)
{
    for (size_t i = 0; i < part->ack_count; i++)
        for (size_t j = 0; j < part->acks[i].verb_count; j++)
            if (part->acks[i].verbs[j] != CURSOR_RENEW && part->acks[i].next > start)
                return true;
    return false;
}

static void part_acknowledge(struct share_call *call, struct share_group *group,
                             struct share_call_part *part)
{
    const struct broker_topic *topic = broker_topic_find_id(shares_of(call)->core, &part->topic_id);
    part->cursor = broker_share_cursor_find(group, &part->topic_id, part->index);
    struct share_wait *wait = arena_alloc(&call->arena, sizeof(*wait));
    if (!wait)
        part->ack_err = ERR_NO_MEMORY;
    else if (!topic || !broker_partition_at(topic, part->index))
        part->ack_err = ERR_NOT_FOUND;
    else if (!part->cursor || !part->cursor->is_ready)
        part->ack_err = ERR_ACCESS;
    else
        part->ack_err = acks_check(call, part);
    if (part->ack_err)
        return;
    int64_t start = part->cursor->cursor.start;
    for (size_t i = 0; i < part->ack_count && !part->ack_err; i++)
        part->ack_err = ack_apply(part, &part->acks[i]);
    if (part->ack_err == ERR_ACCESS || part->ack_err == ERR_INVALID)
        return;
    broker_share_cursor_settle(part->cursor);
    if (!is_change(part, start) && !part->ack_err)
        return;
    *wait = (struct share_wait){.done = ack_written, .arg = part};
    call->pending++;
    broker_share_cursor_write(part->cursor, wait);
    broker_share_cursor_wake(part->cursor);
}

static void call_go(struct share_call *call)
{
    if (!call->is_fetch || call->is_final || call->is_renewing || call->record_max <= 0) {
        call_finish(call, ERR_OK);
        return;
    }
    core_timer_set(shares_of(call)->core, &call->timer,
                   core_now_ns(shares_of(call)->core) +
                       (uint64_t)MAX(call->wait_ms, 0) * NS_PER_MS);
    fetch_step(call);
}

/* --- reading --- */

static void lock_told(void *arg, const struct cursor_run *run)
{
    struct share_call_part *part = arg;
    const struct share_call *call = part->call;
    struct share_lock *last = part->lock_count > 0 ? &part->locks[part->lock_count - 1] : NULL;
    bool is_full = !call->is_exact && call->split > 0 && run->first == part->batch_first && last &&
                   run->first - last->first >= call->split;
    if (last && last->next == run->first && last->count == run->count && !is_full) {
        last->next = run->next;
        return;
    }
    if (part->lock_count == part->lock_capacity) {
        size_t capacity = MAX(part->lock_capacity * 2, (size_t)LOCKS_MIN);
        struct share_lock *locks = arena_alloc_array(&part->call->arena, capacity, sizeof(*locks));
        if (!locks) {
            part->err = ERR_NO_MEMORY; /* they come again when the lock ends */
            return;
        }
        if (part->lock_count > 0)
            memcpy(locks, part->locks, part->lock_count * sizeof(*locks));
        part->locks = locks;
        part->lock_capacity = capacity;
    }
    part->locks[part->lock_count++] = (struct share_lock){run->first, run->next, run->count};
}

/* Bytes of what was read, which may lie in several pieces. */
static enum err header_at(const struct store_read *read, size_t at, struct batch_header *out)
{
    uint8_t bytes[BATCH_HEADER_SIZE];
    size_t have = 0;
    for (unsigned i = 0; i < read->chunk_count && have < sizeof(bytes); i++) {
        struct slice piece = buf_range_slice(read->chunks[i].bytes);
        if (at >= piece.size) {
            at -= piece.size;
            continue;
        }
        size_t size = MIN(piece.size - at, sizeof(bytes) - have);
        memcpy(bytes + have, piece.data + at, size);
        have += size;
        at = 0;
    }
    return batch_header_read(slice_make(bytes, have), out);
}

/* What lies behind is not for this reader. */
static void read_cut(struct store_read *read, size_t size)
{
    read->size = size;
    for (unsigned i = 0; i < read->chunk_count; i++) {
        struct store_chunk *chunk = &read->chunks[i];
        size_t kept = MIN(chunk->size, size);
        chunk->size = kept;
        chunk->bytes.size = (uint32_t)kept;
        size -= kept;
    }
}

static enum err batch_take(struct share_call_part *part, const struct batch_header *header,
                           int64_t *taken)
{
    struct share_call *call = part->call;
    struct cursor *cursor = &part->cursor->cursor;
    int64_t next = batch_last_offset(header) + 1;
    *taken = 0;
    part->batch_first = header->base_offset;
    if (header->attributes & BATCH_CONTROL || header->record_count == 0 ||
        (part->read.committed && broker_read_is_aborted(&part->read, header)))
        return broker_cursor_kill(cursor, header->base_offset, next);
    int64_t left = call->record_max - call->records;
    struct cursor_lock lock = {.owner = call->session->owner,
                               .deadline_ms = lock_deadline_ms(call),
                               .first = header->base_offset,
                               .next = next,
                               .count_max = call->is_exact ? left : next - header->base_offset,
                               .locked = lock_told,
                               .arg = part};
    enum err err = broker_cursor_lock(cursor, &lock);
    *taken = lock.count;
    return err;
}

/* Less is there than the client waits for, as far as is known. */
static bool is_probing(const struct share_call *call)
{
    return !call->is_over && call->probed < call->size_min;
}

/* True: something was locked. */
static bool part_take(struct share_call_part *part)
{
    struct share_call *call = part->call;
    struct store_read *read = &part->read.store;
    struct cursor *cursor = &part->cursor->cursor;
    int64_t offset = part->read.offset;
    size_t at = 0, kept = 0;
    enum err err = ERR_OK;
    while (at < read->size && call->records < call->record_max && !err) {
        struct batch_header header;
        int64_t taken;
        err = header_at(read, at, &header);
        if (!err)
            err = broker_cursor_kill(cursor, offset, header.base_offset);
        if (!err)
            err = batch_take(part, &header, &taken);
        if (err)
            break;
        at += header.size;
        offset = batch_last_offset(&header) + 1;
        if (taken > 0)
            kept = at;
        call->records += taken;
        if (cursor->end < offset)
            break; /* the window is full, or that was enough: the rest of the batch is for later */
    }
    if (err && kept == 0)
        part->err = err;
    read_cut(read, kept);
    call->size += (int64_t)kept;
    return kept > 0;
}

/* Something came: it is taken, or only counted as long as it is too little. True: read again. */
static bool part_found(struct share_call_part *part)
{
    struct share_call *call = part->call;
    struct broker_read *read = &part->read;
    if (is_probing(call)) {
        call->has_probed = true;
        call->probed += (int64_t)read->store.size;
        part->cursor->limit = read->store.offset_next;
        broker_read_release(read);
        return false;
    }
    part->is_read = part_take(part);
    if (!part->is_read)
        broker_read_release(read);
    return !part->is_read && !part->err;
}

static void part_done(struct broker_call *read_call)
{
    struct share_call_part *part = CONTAINER_OF(read_call, struct share_call_part, read.call);
    struct share_call *call = part->call;
    struct share_cursor *cursor = part->cursor;
    struct broker_read *read = &part->read;
    enum err err = read_call->err;
    call->is_reading = false;
    cursor->reader = NULL;
    bool is_again = false;
    if (!cursor->is_ready) { /* its state was set anew or could not be written meanwhile */
        if (!err)
            broker_read_release(read);
        err = ERR_BUSY;
    } else if (err == ERR_OUT_OF_RANGE && read->offset < read->log_start) {
        err = broker_cursor_trim(&cursor->cursor, read->log_start);
        is_again = !err;
    } else if (err == ERR_OUT_OF_RANGE) {
        err = ERR_OK; /* it was set beyond the end, which will come there */
        cursor->limit = read->offset;
    } else if (!err && read->store.size > 0) {
        is_again = part_found(part);
    } else if ((!err || err == ERR_CORRUPT) && read->store.offset_next > read->offset) {
        err = broker_cursor_kill(&cursor->cursor, read->offset, read->store.offset_next);
        is_again = !err;
    } else if (!err) {
        cursor->limit = read->offset;
    }
    if (err)
        part->err = err;
    call->next += is_again ? 0 : 1;
    if (part->err)
        call->is_over = true;
    broker_share_cursor_settle(cursor);
    broker_share_cursor_wake(cursor);
    fetch_step(call);
}

/* --- one part after the other --- */

static bool part_resolve(struct share_call *call, struct share_group *group,
                         struct share_call_part *part)
{
    const struct broker_topic *topic = broker_topic_find_id(shares_of(call)->core, &part->topic_id);
    if (!topic || !broker_partition_at(topic, part->index)) {
        part->err = ERR_NOT_FOUND;
        call->is_over = true;
        return false;
    }
    if (!part->cursor)
        part->cursor = broker_share_cursor_get(group, &part->topic_id, part->index);
    if (!part->cursor) {
        part->err = ERR_NO_MEMORY;
        return false;
    }
    if (part->cursor->topic != topic) {
        if (part->cursor->topic)
            broker_topic_unref(part->cursor->topic);
        part->cursor->topic = broker_topic_ref(topic);
    }
    part->cursor->cursor.window_max = call->settings.share_partition_max_record_locks;
    part->cursor->cursor.count_max = (int16_t)call->settings.share_delivery_count_limit;
    part->cursor->is_committed = broker_group_settings_is_committed(&call->settings);
    part->err = broker_share_cursor_revive(part->cursor);
    return !part->err;
}

/* Where the cursor is to begin is being found, if its group reads the partition. */
static void part_begin(struct share_call *call, struct share_call_part *part)
{
    const struct group_entry *entry =
        broker_share_coordinator_entry(shares_of(call)->core, call->group_id);
    if (entry && entry->share &&
        broker_group_share_has(entry->share, &part->topic_id, part->index)) {
        broker_share_cursor_start(part->cursor, &call->settings);
        return;
    }
    part->err = ERR_INVALID;
    part->cursor->group->has_erased = true;
    call->is_over = true;
}

static size_t part_at(const struct share_call *call, size_t i)
{
    return (i + call->session->first) % call->part_count;
}

/* True: a read is under way. */
static bool part_try(struct share_call *call, struct share_group *group,
                     struct share_call_part *part)
{
    if (part->forgotten || part->err || part->is_read || !part_resolve(call, group, part))
        return false;
    struct share_cursor *cursor = part->cursor;
    if (!cursor->is_ready) {
        part_begin(call, part);
        return false;
    }
    int64_t wanted = broker_cursor_wanted(&cursor->cursor, 0);
    if (cursor->reader || wanted < 0 || (cursor->limit >= 0 && wanted >= cursor->limit))
        return false;
    cursor->reader = part;
    call->is_reading = true;
    part->read = (struct broker_read){.call.done = part_done,
                                      .offset = wanted,
                                      .epoch = BROKER_EPOCH_ANY,
                                      .size_max = (size_t)(call->size_max - call->size),
                                      .want_one = call->records == 0,
                                      .committed = cursor->is_committed,
                                      .want_memory = true};
    broker_read(shares_of(call)->core, broker_partition_at(cursor->topic, cursor->part.index),
                &part->read);
    return true;
}

static void fetch_wait(struct share_call *call)
{
    call->is_waiting = true;
    for (size_t i = 0; i < call->part_count; i++) {
        struct share_call_part *part = call->parts[i];
        if (!part->cursor || part->forgotten || part->err)
            continue;
        list_push_back(&part->cursor->waiters, &part->waiting);
        broker_share_cursor_watch(part->cursor);
    }
}

static void fetch_step(struct share_call *call)
{
    struct share_group *group =
        broker_share_coordinator_group(shares_of(call), call->group_id, false);
    if (call->has_probed && !is_probing(call)) {
        call->has_probed = false;
        call->next = 0;
    }
    for (; call->next < call->part_count; call->next++) {
        if (call->records >= call->record_max || call->size >= call->size_max)
            break;
        if (part_try(call, group, call->parts[part_at(call, call->next)]))
            return;
    }
    if (call->records > 0 || call->is_over)
        call_finish(call, ERR_OK);
    else
        fetch_wait(call);
}

void broker_share_fetch_look(struct share_call *call)
{
    if (!call->is_waiting)
        return;
    call->is_waiting = false;
    for (size_t i = 0; i < call->part_count; i++) {
        struct share_call_part *part = call->parts[i];
        list_remove(&part->waiting);
        if (part->cursor && call->is_over)
            broker_share_cursor_watch(part->cursor);
    }
    call->next = 0;
    call->probed = 0;
    fetch_step(call);
}

static void call_timer(struct core *core, struct core_timer *timer)
{
    struct share_call *call = CONTAINER_OF(timer, struct share_call, timer);
    call->is_over = true;
    broker_share_fetch_look(call);
}

/* --- calls --- */

static void call_serve(struct core *core, struct broker_call *broker_call)
{
    struct share_call *call = CONTAINER_OF(broker_call, struct share_call, call);
    struct group_partition *partition;
    if (!broker_share_coordinator_enter(core, broker_call) ||
        broker_group_coordinator_enter(core, broker_call, call->group_id, false, &partition) ==
            GROUP_WAIT)
        return;
    struct shares *shares = broker_of(core)->shares;
    struct share_group *group =
        broker_share_coordinator_group(shares, call->group_id, call->is_fetch && call->epoch == 0);
    enum err err = ERR_OK;
    if (!group && call->epoch == 0)
        err = call->is_fetch ? ERR_NO_MEMORY : ERR_SEQUENCE;
    else if (!group)
        err = ERR_NOT_FOUND;
    if (!err)
        err = broker_share_session_enter(group, call, &call->session);
    if (err) {
        if (group)
            broker_share_coordinator_tidy(group);
        broker_call_finish(core, broker_call, err);
        return;
    }
    list_push_back(&shares->calls, &call->node);
    broker_group_settings_get(core, call->group_id, &call->settings);
    call->lock_ms = call->settings.share_record_lock_duration_ms;
    call->pending = 1;
    for (size_t i = 0; i < call->named_count; i++)
        if (call->named[i].ack_count > 0)
            part_acknowledge(call, group, &call->named[i]);
    if (--call->pending == 0)
        call_go(call);
}

void broker_share_call(struct core *core, struct share_call *call)
{
    bool is_id = call->group_id.size > 0 && call->group_id.size <= SHARE_NAME_SIZE_MAX;
    bool is_member = call->member_id.size > 0 && call->member_id.size <= SHARE_NAME_SIZE_MAX;
    list_init(&call->node);
    core_timer_init(&call->timer, call_timer);
    if (is_id && is_member)
        broker_call_to_owner(core, &call->call, call_serve);
    else
        broker_call_fail(core, &call->call, is_id ? ERR_INVALID : ERR_GROUP_ID);
}

/* True: one has ended, which may have changed all lists. */
static bool session_gone(struct shares *shares, uint64_t client)
{
    list_for_each (node, &shares->groups) {
        struct share_group *group = LIST_ENTRY(node, struct share_group, node);
        list_for_each (inner, &group->sessions) {
            struct share_session *session = LIST_ENTRY(inner, struct share_session, node);
            if (session->client != client || session->is_gone)
                continue;
            broker_share_session_end(group, session);
            broker_share_coordinator_tidy(group);
            return true;
        }
    }
    return false;
}

static void gone_serve(struct core *core, struct broker_call *broker_call)
{
    const struct share_gone *gone = CONTAINER_OF(broker_call, struct share_gone, call);
    struct shares *shares = broker_share_coordinator(core);
    if (shares) {
        while (session_gone(shares, gone->client))
            ;
        struct list over;
        struct list *node;
        list_init(&over);
        list_splice_back(&over, &shares->calls);
        while ((node = list_pop_front(&over)) != NULL) {
            struct share_call *call = LIST_ENTRY(node, struct share_call, node);
            list_push_back(&shares->calls, &call->node);
            if (call->client != gone->client)
                continue;
            call->is_over = true;
            broker_share_fetch_look(call);
        }
    }
    broker_call_finish(core, broker_call, ERR_OK);
}

void broker_share_gone(struct core *core, struct share_gone *gone)
{
    broker_call_to_owner(core, &gone->call, gone_serve);
}
