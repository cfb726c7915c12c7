// Logs that leave: to another core, or for ever.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/log.h"

struct log_removal {
    struct core_work work;
    struct core_message message;
    struct catalogue_change change;
    struct store_log *log;
    struct store *store;
    struct log_core *home;
    enum err err;
    uint8_t key[CHECKPOINT_KEY_SIZE];
    char **paths;
    size_t path_count;
    char dir[LOG_PATH_SIZE];
};

static void memory_drop(struct store_log *log)
{
    uint64_t before = log->tail.cached_bytes;
    while (tail_drop_front(log))
        ;
    tail_cache_account(log, before);
    segment_close_all(log);
}

static void detached(struct store_log *log)
{
    store_done_fn done = log->quiet_done;
    enum err err = log->err;
    if (err == ERR_OK && log->piece_count > 0)
        err = ERR_BUSY; /* no checkpoint was possible */
    log->quiet_done = NULL;
    if (err == ERR_OK) {
        memory_drop(log);
        list_remove(&log->dirty_node);
        list_remove(&log->finished_node);
        log->is_dirty = log->is_finished = false;
        list_remove(&log->live_node);
        list_remove(&log->all_node);
        log_turn_remove(log);
        scrub_forget(log);
        log->home = NULL;
    } else {
        log->is_moving = false;
    }
    done(log->quiet_arg, err);
}

void store_log_detach(struct store_log *log, store_done_fn done, void *arg)
{
    CHECK(!log->quiet_done);
    log->is_moving = true;
    log->quiet_done = done;
    log->quiet_arg = arg;
    compact_cancel(log);
    checkpoint_queue(log);
    log_mark_finished(log);
}

void store_log_attach(struct store_log *log, struct core *core)
{
    CHECK(!log->home);
    log->is_moving = false;
    log->home = log_core_of(log->store, core);
    list_push_back(&log->home->all, &log->all_node);
    log_turn_add(log);
}

/* Only replication truncates; there is none yet. */
void store_log_truncate(struct store_log *log, int64_t offset, store_done_fn done, void *arg)
{
    done(arg, offset >= log->end ? ERR_OK : ERR_UNSUPPORTED);
}

/* --- deletion --- */

static void removal_found(void *arg, const char *name, bool is_directory)
{
    struct log_removal *removal = arg;
    size_t size = strlen(removal->dir) + strlen(name) + 2;
    char *path = malloc(size);
    char **grown = realloc(removal->paths, (removal->path_count + 1) * sizeof(char *));
    if (grown)
        removal->paths = grown;
    if (!path || !grown || is_directory) {
        free(path);
        return;
    }
    (void)snprintf(path, size, "%s/%s", removal->dir, name);
    removal->paths[removal->path_count++] = path;
}

static void removal_run(struct core_work *work)
{
    struct log_removal *removal = CONTAINER_OF(work, struct log_removal, work);
    struct os *os = removal->store->os;
    int error = os->ops->list(os, removal->dir, removal_found, removal);
    if (error == -ENOENT)
        return;
    for (size_t i = 0; i < removal->path_count; i++) {
        int gone = os->ops->unlink(os, removal->paths[i]);
        error = error < 0 ? error : gone;
    }
    if (error == 0)
        error = os->ops->rmdir(os, removal->dir);
    /* what stays is removed at the next start: nobody claims it */
    if (error < 0)
        log_warn(removal->store->logger, "store", "cannot remove dir=%s", removal->dir);
}

static void removal_free(struct log_removal *removal)
{
    for (size_t i = 0; i < removal->path_count; i++)
        free(removal->paths[i]);
    free(removal->paths);
    free(removal);
}

static void removal_done(struct core *core, struct core_work *work)
{
    struct log_removal *removal = CONTAINER_OF(work, struct log_removal, work);
    struct store_log *log = removal->log;
    removal->home->job_count--;
    if (log) {
        store_done_fn done = log->quiet_done;
        void *arg = log->quiet_arg;
        log_pieces_release(log, UINT64_MAX);
        log_destroy(log);
        done(arg, removal->err);
    }
    core_task_post(core, &removal->home->finish_task);
    removal_free(removal);
}

static void removal_back(struct core *core, struct core_message *message)
{
    struct log_removal *removal = CONTAINER_OF(message, struct log_removal, message);
    struct store_log *log = removal->log;
    if (removal->err != ERR_OK) { /* it is still in the catalogue: nothing is removed */
        store_done_fn done = log->quiet_done;
        removal->home->job_count--;
        log->quiet_done = NULL;
        log->is_deleted = false;
        done(log->quiet_arg, removal->err);
        removal_free(removal);
        return;
    }
    removal->work.run = removal_run;
    removal->work.done = removal_done;
    core_work_submit(core, CORE_LANE_BULK, &removal->work);
}

static void removal_put(struct catalogue_change *change, enum err err)
{
    struct log_removal *removal = CONTAINER_OF(change, struct log_removal, change);
    removal->err = err;
    removal->message.run = removal_back;
    core_send(removal->store->cores[0].core, core_id(removal->home->core), &removal->message);
}

static void removal_start(struct core *core, struct core_message *message)
{
    struct log_removal *removal = CONTAINER_OF(message, struct log_removal, message);
    catalogue_put(removal->store->catalogue, &removal->change);
}

static struct log_removal *removal_new(struct store *store, struct log_core *home,
                                       const struct store_log_key *key)
{
    struct log_removal *removal = calloc(1, sizeof(*removal));
    if (!removal)
        return NULL;
    removal->store = store;
    removal->home = home;
    (void)snprintf(removal->dir, sizeof(removal->dir), "%s/logs/%s", store->dir,
                   log_name(key).text);
    removal->change.key = checkpoint_key(key, removal->key);
    removal->change.value = SLICE_NULL;
    removal->change.done = removal_put;
    removal->message.run = removal_start;
    return removal;
}

static void delete_quiet(struct store_log *log)
{
    struct log_removal *removal = removal_new(log->store, log->home, &log->key);
    if (!removal) {
        store_done_fn done = log->quiet_done;
        log->quiet_done = NULL;
        log->is_deleted = false;
        done(log->quiet_arg, ERR_NO_MEMORY);
        return;
    }
    removal->log = log;
    log->is_removing = true;
    log->home->job_count++;
    core_send(log->home->core, 0, &removal->message);
}

void store_log_delete(struct store_log *take_log, store_done_fn done, void *arg)
{
    CHECK(!take_log->quiet_done);
    take_log->is_deleted = true;
    take_log->quiet_done = done;
    take_log->quiet_arg = arg;
    compact_cancel(take_log);
    read_fail_all(take_log, ERR_CANCELLED);
    log_mark_finished(take_log);
}

void log_move_check(struct store_log *log)
{
    if (!log->quiet_done || log->is_removing || !log_is_quiet(log))
        return;
    if (log->is_deleted)
        delete_quiet(log);
    else
        detached(log);
}

void log_move_unclaimed(struct store *store, const char *name)
{
    struct store_log_key key = {0};
    struct log_removal *removal = removal_new(store, &store->cores[0], &key);
    if (!removal)
        return;
    (void)snprintf(removal->dir, sizeof(removal->dir), "%s/logs/%s", store->dir, name);
    store->cores[0].job_count++;
    removal->work.run = removal_run;
    removal->work.done = removal_done;
    core_work_submit(store->cores[0].core, CORE_LANE_BULK, &removal->work);
}
