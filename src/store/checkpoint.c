// Checkpoints: a consistent cut of a log, made durable, then published; then its journal may go.
// SPDX-License-Identifier: Apache-2.0
//
// The cut is made when nothing of the log is in flight: all it speaks of is durable, and the first
// batch that enters the journal afterwards carries the partial block at the cut (rule 1), whether
// the checkpoint will be published or not. Then the segments are written, cut and synced, then
// their folder; then the catalogue learns of it; then the pieces are let go.
//
// Many checkpoints at a time share one syncfs: a sync of each file and each folder would take
// longer than all the rest. Fewer do not, since it also writes what other processes have not
// written yet. When it fails all their logs are offline, as after any failed sync.
#include <stdlib.h>

#include "base/endian.h"
#include "base/text.h"
#include "store/tail_write.h"

struct log_publish {
    struct core_message message;
    struct catalogue_change change;
    struct store_log *log;
    struct text value;
    uint64_t lsn;         /* of the state that it speaks of, */
    int64_t segment_base; /* whose last segment this is */
    unsigned core;        /* the log's home */
    enum err err;
    uint8_t key[CHECKPOINT_KEY_SIZE];
};

struct slice checkpoint_key(const struct store_log_key *key, uint8_t out[CHECKPOINT_KEY_SIZE])
{
    out[0] = 'c';
    memcpy(out + 1, key->topic.bytes, sizeof(key->topic.bytes));
    le32_put(out + 17, key->partition);
    return slice_make(out, CHECKPOINT_KEY_SIZE);
}

static void publish_free(struct log_publish *publish)
{
    if (!publish)
        return;
    text_deinit(&publish->value);
    free(publish);
}

static void finish(struct store_log *log, enum err err)
{
    publish_free(log->publish);
    log->publish = NULL;
    log->checkpoint_state = LOG_CP_NONE;
    log->home->checkpoint_count--;
    if (err != ERR_OK) {
        log_warn(log->store->logger, "store", "no checkpoint log=%s error=%s",
                 log_name(&log->key).text, err_name(err));
        if (log->store->is_draining)
            list_remove(&log->live_node);
    }
    if (log->checkpoint_again && err == ERR_OK)
        checkpoint_queue(log);
    log->checkpoint_again = false;
    checkpoint_pump(log->home);
    log_mark_dirty(log);
    log_settle_check(log);
}

void checkpoint_queue(struct store_log *log)
{
    if (log->checkpoint_state == LOG_CP_QUEUED && log->quiet_done)
        list_remove(&log->checkpoint_node);
    else if (log->checkpoint_state == LOG_CP_QUEUED || log->checkpoint_state == LOG_CP_CUT)
        return;
    else if (log->checkpoint_state != LOG_CP_NONE) {
        log->checkpoint_again = true;
        return;
    }
    log->checkpoint_state = LOG_CP_QUEUED;
    if (log->quiet_done) /* somebody waits for this one */
        list_push_front(&log->home->checkpoints, &log->checkpoint_node);
    else
        list_push_back(&log->home->checkpoints, &log->checkpoint_node);
    checkpoint_pump(log->home);
}

static void abandon(struct log_core *home);

void checkpoint_pump(struct log_core *home)
{
    if (checkpoint_is_late(home))
        abandon(home);
    bool is_calm = !home->is_pressed && !home->store->is_draining;
    unsigned count_max = is_calm ? LOG_CHECKPOINT_CALM : LOG_CHECKPOINT_PARALLEL;
    if (list_empty(&home->checkpoints))
        home->is_pressed = false;
    while (home->checkpoint_count < count_max && !list_empty(&home->checkpoints)) {
        struct list *node = list_pop_front(&home->checkpoints);
        struct store_log *log = LIST_ENTRY(node, struct store_log, checkpoint_node);
        log->checkpoint_state = LOG_CP_CUT;
        home->checkpoint_count++;
        log_mark_dirty(log);
    }
}

bool checkpoint_is_late(const struct log_core *home)
{
    return home->is_draining && core_now_ns(home->core) >= home->drain_until_ns;
}

/* Those that wait for their turn: the journal holds what they would speak of. */
static void abandon(struct log_core *home)
{
    struct list *node;
    while ((node = list_pop_front(&home->checkpoints))) {
        struct store_log *log = LIST_ENTRY(node, struct store_log, checkpoint_node);
        log->checkpoint_state = LOG_CP_NONE;
        log_settle_check(log);
    }
}

void checkpoint_cut(struct store_log *log)
{
    CHECK(log->inflight_count == 0 && !log->write && log->state == LOG_OPEN);
    bool is_new = log->lsn_committed != log->lsn_checkpoint || log->piece_count > 0;
    if (log->err != ERR_OK || !(is_new || log->is_checkpoint_forced)) {
        finish(log, log->err);
        return;
    }
    struct log_publish *publish = calloc(1, sizeof(*publish));
    log->publish = publish;
    enum err err = publish ? tail_block_sync(log) : ERR_NO_MEMORY;
    if (publish)
        text_init(&publish->value);
    if (err == ERR_OK)
        err = log_checkpoint_encode(log, &publish->value);
    if (err != ERR_OK) {
        finish(log, err);
        return;
    }
    publish->log = log;
    publish->lsn = log->lsn_committed;
    publish->segment_base = log->place.segment_base;
    log->carry = (log->place.size & (LOG_BLOCK_SIZE - 1)) != 0;
    log->checkpoint_state = LOG_CP_WRITE;
    tail_write_start(log, true);
    if (!log->write)
        finish(log, ERR_NO_MEMORY);
}

/* --- one sync for many --- */

static void group_run(struct core_work *work)
{
    struct log_group *group = CONTAINER_OF(work, struct log_group, work);
    struct os *os = core_os(work->core);
    int error = os->ops->syncfs(os, group->dir_fd);
    group->err = error < 0 ? err_from_errno(-error) : ERR_OK;
}

static void group_done(struct core *core, struct core_work *work);

/* When the writes that are on their way have come, or enough of them. */
static void group_start(struct log_core *home)
{
    struct log_group *group = &home->group;
    if (group->in_flight || group->waiting_count == 0 ||
        (group->writing_count > 0 && group->waiting_count < LOG_GROUP_COUNT_MAX))
        return;
    list_splice_back(&group->syncing, &group->waiting);
    group->waiting_count = 0;
    group->in_flight = true;
    group->work.run = group_run;
    group->work.done = group_done;
    core_work_submit(home->core, CORE_LANE_BULK, &group->work);
}

static void group_done(struct core *core, struct core_work *work)
{
    struct log_group *group = CONTAINER_OF(work, struct log_group, work);
    struct log_core *home = CONTAINER_OF(group, struct log_core, group);
    struct list done, *node;
    list_init(&done);
    list_splice_back(&done, &group->syncing);
    group->in_flight = false;
    while ((node = list_pop_front(&done))) {
        struct log_write *write = LIST_ENTRY(node, struct log_write, node);
        write->err = group->err;
        write->is_sync_failed = group->err != ERR_OK;
        tail_write_finish(write);
    }
    group_start(home);
}

bool checkpoint_group_join(struct log_core *home)
{
    unsigned count_min = home->store->options.sync_together_min;
    if (home->checkpoint_count < (count_min ? count_min : LOG_GROUP_COUNT_MIN))
        return false;
    home->group.writing_count++;
    return true;
}

void checkpoint_group_add(struct log_write *write)
{
    struct log_core *home = write->log->home;
    home->group.writing_count--;
    if (write->err == ERR_OK) {
        list_push_back(&home->group.waiting, &write->node);
        home->group.waiting_count++;
    } else {
        tail_write_finish(write);
    }
    group_start(home);
}

/* --- publishing --- */

static void publish_back(struct core *core, struct core_message *message)
{
    struct log_publish *publish = CONTAINER_OF(message, struct log_publish, message);
    struct store_log *log = publish->log;
    enum err err = publish->err;
    log->home->job_count--;
    if (err == ERR_OK) {
        log->lsn_checkpoint = publish->lsn;
        log->checkpoint_base = publish->segment_base;
        log->is_checkpoint_forced = false;
        log_pieces_release(log, publish->lsn);
        log_retain_unlink(log);
    }
    finish(log, err);
    if (err == ERR_OK)
        log_wake_undo(log);
}

static void publish_put(struct catalogue_change *change, enum err err)
{
    struct log_publish *publish = CONTAINER_OF(change, struct log_publish, change);
    struct store *store = publish->log->store;
    publish->err = err;
    publish->message.run = publish_back;
    core_send(store->cores[0].core, publish->core, &publish->message);
}

static void publish_run(struct core *core, struct core_message *message)
{
    struct log_publish *publish = CONTAINER_OF(message, struct log_publish, message);
    catalogue_put(publish->log->store->catalogue, &publish->change);
}

void checkpoint_written(struct store_log *log, enum err err)
{
    if (err != ERR_OK) {
        finish(log, err);
        return;
    }
    struct log_publish *publish = log->publish;
    publish->change.key = checkpoint_key(&log->key, publish->key);
    publish->change.value = text_slice(&publish->value);
    publish->change.done = publish_put;
    publish->core = core_id(log->home->core);
    publish->message.run = publish_run;
    log->checkpoint_state = LOG_CP_PUBLISH;
    log->home->job_count++;
    core_send(log->home->core, 0, &publish->message);
}
