// A share group's cursor in one partition: its state in the log, its locks in time, its waiters.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/hash.h"
#include "base/text.h"
#include "broker/share_state.h"
#include "record/build.h"

#define NS_PER_MS UINT64_C(1000000)

static void cursor_timer(struct core *core, struct core_timer *timer);
static void cursor_send(struct share_cursor *cursor);
static void start_find(struct share_cursor *cursor, enum broker_offset_kind kind,
                       int64_t timestamp_ms);

static struct cursor_limits limits_now(const struct share_group *group)
{
    struct broker_group_settings settings;
    broker_group_settings_get(group->shares->core, group->id, &settings);
    return (struct cursor_limits){.window_max = settings.share_partition_max_record_locks,
                                  .count_max = (int16_t)settings.share_delivery_count_limit};
}

static struct slice part_key(const struct group_part *part)
{
    return slice_make(part, sizeof(*part));
}

static struct share_cursor *cursor_new(struct share_group *group, const struct group_part *part)
{
    struct budget *budget = group->shares->budget;
    if (!budget_charge(budget, sizeof(struct share_cursor)))
        return NULL;
    struct share_cursor *cursor = calloc(1, sizeof(*cursor));
    if (cursor) {
        cursor->part = *part;
        if (map_put(&group->parts, part_key(&cursor->part), cursor, NULL))
            return cursor;
        free(cursor);
    }
    budget_release(budget, sizeof(*cursor));
    return NULL;
}

struct share_cursor *broker_share_cursor_get(struct share_group *group, const struct uuid *topic_id,
                                             int32_t index)
{
    const struct group_part part = {.topic = *topic_id, .index = index};
    struct share_cursor *cursor = map_get(&group->parts, part_key(&part));
    if (cursor)
        return cursor;
    cursor = cursor_new(group, &part);
    if (!cursor)
        return NULL;
    cursor->group = group;
    cursor->limit = -1;
    cursor->snapshot_epoch = -1;
    cursor->timer_ms = CURSOR_NEVER_MS;
    struct cursor_limits limits = limits_now(group);
    broker_cursor_init(&cursor->cursor, group->shares->budget, 0, &limits);
    list_init(&cursor->answers);
    list_init(&cursor->sent);
    list_init(&cursor->waiters);
    codec_output_init(&cursor->durable, SHARE_BATCH_SIZE_MAX);
    codec_output_init(&cursor->writing, SHARE_BATCH_SIZE_MAX);
    core_timer_init(&cursor->timer, cursor_timer);
    list_push_back(&group->cursors, &cursor->node);
    return cursor;
}

bool broker_share_cursor_is_idle(const struct share_cursor *cursor)
{
    return !cursor->is_ready && cursor->durable.size == 0 && !cursor->is_starting &&
           !cursor->is_writing && !cursor->is_dirty && !cursor->reader &&
           list_empty(&cursor->waiters) && !cursor->watch.armed;
}

void broker_share_cursor_free(struct share_cursor *cursor)
{
    struct shares *shares = cursor->group->shares;
    core_timer_cancel(shares->core, &cursor->timer);
    list_remove(&cursor->node);
    map_remove(&cursor->group->parts, part_key(&cursor->part));
    broker_cursor_deinit(&cursor->cursor);
    codec_output_deinit(&cursor->durable);
    codec_output_deinit(&cursor->writing);
    if (cursor->topic)
        broker_topic_unref(cursor->topic);
    budget_release(shares->budget, sizeof(*cursor));
    free(cursor);
}

static enum err cursor_from(struct share_cursor *cursor, struct slice value)
{
    struct cursor_limits limits = limits_now(cursor->group);
    broker_cursor_deinit(&cursor->cursor);
    broker_cursor_init(&cursor->cursor, cursor->group->shares->budget, 0, &limits);
    enum err err = broker_share_record_read_value(value, cursor);
    cursor->is_ready = !err;
    cursor->is_erased = false;
    cursor->limit = -1;
    return err;
}

enum err broker_share_cursor_revive(struct share_cursor *cursor)
{
    if (cursor->is_ready || cursor->is_writing || cursor->durable.size == 0)
        return ERR_OK;
    return cursor_from(cursor, slice_make(cursor->durable.data, cursor->durable.size));
}

struct share_cursor *broker_share_cursor_find(const struct share_group *group,
                                              const struct uuid *topic_id, int32_t index)
{
    const struct group_part part = {.topic = *topic_id, .index = index};
    struct share_cursor *cursor = map_get(&group->parts, part_key(&part));
    if (cursor)
        (void)broker_share_cursor_revive(cursor); /* else it is not ready, as who asks will see */
    return cursor;
}

void broker_share_cursor_reset(struct share_cursor *cursor, int64_t start)
{
    const struct group_entry *entry =
        broker_share_coordinator_entry(cursor->group->shares->core, cursor->group->id);
    struct cursor_limits limits = limits_now(cursor->group);
    broker_cursor_deinit(&cursor->cursor);
    broker_cursor_init(&cursor->cursor, cursor->group->shares->budget, MAX(start, (int64_t)0),
                       &limits);
    cursor->is_ready = false;
    cursor->is_overtaken = cursor->is_starting;
    cursor->is_erased = start < 0;
    cursor->limit = -1;
    if (entry && entry->share)
        cursor->state_epoch = entry->share->epoch;
    if (cursor->is_erased)
        cursor->group->has_erased = true;
}

enum err broker_share_cursor_restore(struct share_cursor *cursor, struct slice value)
{
    cursor->durable.size = 0;
    enum err err = codec_output_add(&cursor->durable, value);
    if (!err)
        err = cursor_from(cursor, value);
    if (err)
        cursor->durable.size = 0;
    return err;
}

/* --- waiting --- */

void broker_share_cursor_wake(struct share_cursor *cursor)
{
    struct list here;
    struct list *node;
    list_init(&here);
    list_splice_back(&here, &cursor->waiters);
    while ((node = list_pop_front(&here)) != NULL)
        broker_share_fetch_look(LIST_ENTRY(node, struct share_call_part, waiting)->call);
}

/* Those that wait are answered: their clients ask again. */
static void waiters_fail(struct share_cursor *cursor, enum err err)
{
    list_for_each (node, &cursor->waiters) {
        struct share_call_part *part = LIST_ENTRY(node, struct share_call_part, waiting);
        part->err = err;
        part->call->is_over = true;
    }
    broker_share_cursor_wake(cursor);
}

static void cursor_watched(struct broker_call *call)
{
    struct share_cursor *cursor = CONTAINER_OF(call, struct share_cursor, watch.call);
    cursor->limit = -1;
    broker_share_cursor_wake(cursor);
}

void broker_share_cursor_watch(struct share_cursor *cursor)
{
    struct core *core = cursor->group->shares->core;
    bool is_wanted = cursor->limit >= 0 && !list_empty(&cursor->waiters);
    if (cursor->watch.armed && !is_wanted)
        broker_watch_disarm(core, &cursor->watch);
    if (cursor->watch.armed || !is_wanted)
        return;
    cursor->watch = (struct broker_watch){
        .call.done = cursor_watched, .offset = cursor->limit, .committed = cursor->is_committed};
    broker_watch_arm(core, broker_partition_at(cursor->topic, cursor->part.index), &cursor->watch);
}

void broker_share_cursor_settle(struct share_cursor *cursor)
{
    int64_t due_ms = broker_cursor_deadline_ms(&cursor->cursor);
    if (due_ms >= cursor->timer_ms)
        return; /* the timer looks again when it fires */
    cursor->timer_ms = due_ms;
    core_timer_set(cursor->group->shares->core, &cursor->timer, (uint64_t)due_ms * NS_PER_MS);
}

static void cursor_timer(struct core *core, struct core_timer *timer)
{
    struct share_cursor *cursor = CONTAINER_OF(timer, struct share_cursor, timer);
    int64_t now_ms = broker_share_coordinator_now_ms(cursor->group->shares);
    cursor->timer_ms = CURSOR_NEVER_MS;
    bool is_changed = broker_cursor_expire(&cursor->cursor, now_ms);
    broker_share_cursor_settle(cursor);
    if (!is_changed)
        return;
    broker_share_cursor_write(cursor, NULL);
    broker_share_cursor_wake(cursor);
}

/* --- writing --- */

static void answers_end(struct list *answers, enum err err)
{
    struct list here;
    struct list *node;
    list_init(&here);
    list_splice_back(&here, answers);
    while ((node = list_pop_front(&here)) != NULL) {
        struct share_wait *wait = LIST_ENTRY(node, struct share_wait, node);
        wait->done(wait, err);
    }
}

/* All that ran ahead is void: as the newest durable record says (as soon as there is memory for
 * it), or as if never begun. */
static void cursor_void(struct share_cursor *cursor, enum err err)
{
    struct slice value = slice_make(cursor->durable.data, cursor->durable.size);
    if (err != ERR_CLOSED) /* the server stops: who asked is told */
        log_warn(core_logger(cursor->group->shares->core), "broker",
                 "state of a share group was not written: %s group=%.*s", err_text(err),
                 (int)MIN(cursor->group->id.size, (size_t)200),
                 (const char *)cursor->group->id.data);
    cursor->is_dirty = false;
    cursor->is_ready = false;
    cursor->is_erased = value.size == 0;
    if (value.size > 0 && cursor_from(cursor, value) != ERR_OK)
        log_warn(core_logger(cursor->group->shares->core), "broker",
                 "the share group's state is read again later: out of memory");
    list_splice_back(&cursor->sent, &cursor->answers);
    answers_end(&cursor->sent, err);
}

/* Until all have heard of it the cursor counts as being written: who hears may end a call, and with
 * it all that nobody uses. */
static void cursor_written(struct broker_call *call)
{
    struct share_cursor *cursor = CONTAINER_OF(call, struct share_cursor, append.call);
    enum err err = call->err;
    bool is_first = !cursor->is_ready;
    if (cursor->append.batch.buf)
        buf_unref(cursor->append.batch.buf);
    if (err) {
        cursor_void(cursor, err);
    } else {
        struct codec_output written = cursor->writing;
        cursor->writing = cursor->durable;
        cursor->durable = written;
        cursor->is_ready = !cursor->is_erased;
        answers_end(&cursor->sent, ERR_OK);
    }
    cursor->is_writing = false;
    if (cursor->is_dirty)
        cursor_send(cursor);
    if (err)
        waiters_fail(cursor, err);
    else if (is_first && !list_empty(&cursor->waiters))
        broker_share_cursor_wake(cursor);
    else if (cursor->is_erased)
        broker_share_coordinator_tidy(cursor->group);
}

static enum err record_make(struct share_cursor *cursor, struct codec_output *key,
                            struct build *build)
{
    struct core *core = cursor->group->shares->core;
    const struct share_record_key of = {cursor->group->id, cursor->part.topic, cursor->part.index};
    struct build_record record = {.timestamp_ms = core_wall_ms(core), .value = SLICE_NULL};
    cursor->writing.size = 0;
    enum err err = broker_share_record_key(key, &of);
    if (!err && cursor->is_erased) {
        cursor->snapshot_epoch = -1;
    } else if (!err) {
        cursor->snapshot_epoch++;
        err = broker_share_record_value(&cursor->writing, cursor, core_wall_ms(core));
        record.value = slice_make(cursor->writing.data, cursor->writing.size);
    }
    record.key = slice_make(key->data, key->size);
    return err ? err : build_add(build, &record);
}

static enum err batch_make(struct share_cursor *cursor)
{
    struct build build;
    struct codec_output key, batch;
    build_init(&build, SHARE_BATCH_SIZE_MAX);
    codec_output_init(&key, SHARE_BATCH_SIZE_MAX);
    codec_output_init(&batch, SHARE_BATCH_SIZE_MAX);
    enum err err = record_make(cursor, &key, &build);
    if (!err)
        err = build_finish(&build, &batch);
    struct buf *buf = NULL;
    if (!err) {
        buf = buf_pool_get(core_buffers(cursor->group->shares->core), batch.size);
        err = buf ? ERR_OK : ERR_NO_MEMORY;
    }
    if (!err) {
        memcpy(buf->data, batch.data, batch.size);
        cursor->append.batch = (struct buf_range){.buf = buf, .size = (uint32_t)batch.size};
    }
    build_deinit(&build);
    codec_output_deinit(&key);
    codec_output_deinit(&batch);
    return err;
}

/* As Kafka: by the text "group:topic id:partition". */
static int32_t place_of(const struct share_cursor *cursor)
{
    const struct share_group *group = cursor->group;
    char id[UUID_TEXT_SIZE + 1];
    struct text text;
    text_init(&text);
    uuid_to_text(&cursor->part.topic, id);
    text_add(&text, group->id);
    text_add_format(&text, ":%s:%d", id, cursor->part.index);
    uint32_t hash = hash_java_magnitude(text_slice(&text));
    text_deinit(&text);
    return (int32_t)(hash % group->shares->topic->partition_count);
}

static void cursor_send(struct share_cursor *cursor)
{
    struct shares *shares = cursor->group->shares;
    cursor->is_dirty = false;
    cursor->is_writing = true;
    list_splice_back(&cursor->sent, &cursor->answers);
    cursor->append = (struct broker_append){.call.done = cursor_written, .internal = true};
    enum err err = batch_make(cursor);
    if (err)
        broker_call_fail(shares->core, &cursor->append.call, err);
    else
        broker_append(shares->core, shares->topic, place_of(cursor), &cursor->append);
}

void broker_share_cursor_write(struct share_cursor *cursor, struct share_wait *wait)
{
    if (wait)
        list_push_back(&cursor->answers, &wait->node);
    cursor->is_dirty = true;
    if (!cursor->is_writing)
        cursor_send(cursor);
}

/* --- where it begins --- */

static void start_found(struct broker_call *call)
{
    struct share_cursor *cursor = CONTAINER_OF(call, struct share_cursor, find.call);
    cursor->is_starting = false;
    if (call->err) {
        waiters_fail(cursor, call->err);
        return;
    }
    if (cursor->is_overtaken || cursor->is_writing) {
        cursor->is_overtaken = false;
        broker_share_cursor_wake(cursor);
        return;
    }
    if (cursor->find.offset < 0 && cursor->find.kind == BROKER_OFFSET_TIMESTAMP) {
        start_find(cursor, BROKER_OFFSET_LATEST, 0); /* nothing is as new as that */
        return;
    }
    broker_share_cursor_reset(cursor, MAX(cursor->find.offset, (int64_t)0));
    broker_share_cursor_write(cursor, NULL);
}

static void start_find(struct share_cursor *cursor, enum broker_offset_kind kind,
                       int64_t timestamp_ms)
{
    cursor->is_starting = true;
    cursor->find = (struct broker_offset_find){.call.done = start_found,
                                               .kind = kind,
                                               .timestamp_ms = timestamp_ms,
                                               .epoch = BROKER_EPOCH_ANY};
    broker_offset_find(cursor->group->shares->core,
                       broker_partition_at(cursor->topic, cursor->part.index), &cursor->find);
}

void broker_share_cursor_start(struct share_cursor *cursor,
                               const struct broker_group_settings *settings)
{
    int64_t reset = settings->share_auto_offset_reset;
    int64_t now_ms = core_wall_ms(cursor->group->shares->core);
    if (cursor->is_starting || cursor->is_writing)
        return;
    if (reset == BROKER_RESET_LATEST)
        start_find(cursor, BROKER_OFFSET_LATEST, 0);
    else if (reset == BROKER_RESET_EARLIEST)
        start_find(cursor, BROKER_OFFSET_EARLIEST, 0);
    else
        start_find(cursor, BROKER_OFFSET_TIMESTAMP, MAX(now_ms - reset, (int64_t)0));
}
