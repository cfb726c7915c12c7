// The store as a whole: opening a data folder, facts, full disks, draining, closing.
// SPDX-License-Identifier: Apache-2.0
//
// The data folder holds `lock`, `catalogue/`, `journal/` and `logs/<topic>-<partition>/`.
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/endian.h"
#include "base/text.h"
#include "store/compact.h"
#include "store/read_span.h"

/* --- a full disk --- */

struct space_work {
    struct core_work work;
    struct store *store;
    bool is_full;
    bool in_flight;
};

static void space_run(struct core_work *work)
{
    struct space_work *space = CONTAINER_OF(work, struct space_work, work);
    struct store *store = space->store;
    struct os_space found;
    int error = store->os->ops->space(store->os, store->dir, &found);
    /* what only the journal holds so far needs room in the segments */
    uint64_t needed = store->options.free_space_min_bytes;
    for (unsigned i = 0; i < store->core_count; i++)
        needed += atomic_load_explicit(&store->cores[i].unwritten_bytes, memory_order_relaxed);
    if (error == 0)
        space->is_full = found.free_bytes < needed;
}

static void space_done(struct core *core, struct core_work *work)
{
    struct space_work *space = CONTAINER_OF(work, struct space_work, work);
    struct store *store = space->store;
    space->in_flight = false;
    if (space->is_full != atomic_load(&store->is_full))
        log_warn(store->logger, "store", "%s",
                 space->is_full ? "the disk is full: appends are refused"
                                : "there is space again: appends are taken");
    atomic_store(&store->is_full, space->is_full);
    store_rest_check(&store->cores[0]);
}

static void space_tick(struct core *core, struct core_timer *timer)
{
    struct store *store = CONTAINER_OF(timer, struct store, space_timer);
    core_timer_set(core, timer, core_now_ns(core) + LOG_SPACE_CHECK_NS);
    if (store->space->in_flight || store->is_closing)
        return;
    store->space->in_flight = true;
    store->space->work.run = space_run;
    store->space->work.done = space_done;
    core_work_submit(core, CORE_LANE_BULK, &store->space->work);
}

void store_commit_times(const struct store *store, struct histogram *into)
{
    for (unsigned i = 0; i < store->core_count; i++)
        histogram_merge(into, journal_commit_times(store->cores[i].journal));
}

bool store_lacks_space(const struct store *store)
{
    bool lacks = store_is_full(store);
    for (unsigned i = 0; i < store->core_count; i++)
        lacks |= journal_is_full(store->cores[i].journal);
    return lacks;
}

bool store_is_full(const struct store *store)
{
    return atomic_load_explicit(&((struct store *)store)->is_full, memory_order_relaxed);
}

/* --- opening --- */

/* All that the journal holds goes to the segments in the end, so that its pieces can go. */
static void checkpoint_live(struct log_core *home)
{
    list_for_each_safe (node, following, &home->live)
        checkpoint_queue(LIST_ENTRY(node, struct store_log, live_node));
}

static void on_pressure(void *arg, struct journal_piece *oldest)
{
    struct log_core *home = arg;
    home->is_pressed = true;
    checkpoint_live(home);
    checkpoint_pump(home);
}

static void idle_tick(struct core *core, struct core_timer *timer)
{
    struct log_core *home = CONTAINER_OF(timer, struct log_core, idle);
    core_timer_set(core, timer, core_now_ns(core) + LOG_IDLE_CHECKPOINT_NS);
    checkpoint_live(home);
}

static void retry_tick(struct core *core, struct core_timer *timer)
{
    struct log_core *home = CONTAINER_OF(timer, struct log_core, retry);
    core_task_post_end(core, &home->flush_task, 0);
}

static enum err dir_make(struct store *store, const char *name, int *out_fd)
{
    char path[LOG_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/%s", store->dir, name);
    int error = store->os->ops->mkdir(store->os, path);
    if (error < 0)
        return err_from_errno(-error);
    if (out_fd)
        *out_fd = store->os->ops->open(store->os, path, OS_OPEN_READ | OS_OPEN_DIRECTORY);
    return ERR_OK;
}

static int dir_sync(struct os *os, const char *path)
{
    int fd = os->ops->open(os, path, OS_OPEN_READ | OS_OPEN_DIRECTORY);
    int error = fd < 0 ? fd : os->ops->fsync(os, fd);
    if (fd >= 0)
        os->ops->close(os, fd);
    return error;
}

/* The name of the data folder itself; a parent that may not be opened has been there before. */
static int parent_sync(struct store *store)
{
    char path[LOG_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s", store->dir);
    char *last = strrchr(path, '/');
    if (!last)
        return 0;
    last[last == path] = '\0';
    int error = dir_sync(store->os, path);
    return error == -EACCES ? 0 : error;
}

static enum err folder_open(struct store *store, struct diag *diag)
{
    struct os *os = store->os;
    char path[LOG_PATH_SIZE];
    int error = os->ops->mkdir(os, store->dir);
    (void)snprintf(path, sizeof(path), "%s/lock", store->dir);
    store->lock_fd = error < 0 ? error : os->ops->open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE);
    if (store->lock_fd < 0) {
        diag_set(diag, "cannot use the data folder %s: %s", store->dir,
                 store->lock_fd == -ENOTDIR ? "a folder is expected, and there is a file"
                                            : err_text(err_from_errno(-store->lock_fd)));
        return err_from_errno(-store->lock_fd);
    }
    if (os->ops->lock(os, store->lock_fd) < 0) {
        diag_set(diag, "another process uses the data folder %s", store->dir);
        return ERR_BUSY;
    }
    enum err err = dir_make(store, "catalogue", NULL);
    if (err == ERR_OK)
        err = dir_make(store, "journal", NULL);
    if (err == ERR_OK)
        err = dir_make(store, "logs", NULL);
    error = dir_sync(os, store->dir);
    if (error >= 0)
        error = parent_sync(store);
    if (err == ERR_OK && error < 0)
        err = err_from_errno(-error);
    if (err != ERR_OK)
        diag_set(diag, "cannot make folders in %s: %s", store->dir, err_text(err));
    return err;
}

static void home_init(struct store *store, unsigned id)
{
    struct log_core *home = &store->cores[id];
    home->store = store;
    home->core = reactor_core(store->options.reactor, id);
    list_init(&home->all);
    list_init(&home->dirty);
    list_init(&home->finished);
    list_init(&home->gathers);
    list_init(&home->live);
    list_init(&home->cache);
    list_init(&home->entries_free);
    list_init(&home->open_lru);
    list_init(&home->checkpoints);
    list_init(&home->group.waiting);
    list_init(&home->group.syncing);
    home->group.dir_fd = -1;
    core_task_init(&home->flush_task, log_flush_task);
    core_task_init(&home->finish_task, log_finish_task);
    log_turn_init(home);
    core_timer_init(&home->retry, retry_tick);
    core_timer_init(&home->idle, idle_tick);
    home->cached_bytes_max = store->options.cache_size_max_bytes / store->core_count;
    home->unwritten_bytes_max = LOG_WAITING_SHARE * home->cached_bytes_max;
    home->open_max = MAX(8, store->options.open_files_max / store->core_count);
    buf_pool_pressure_set(core_buffers(home->core), tail_cache_pressure, home);
}

static enum err journals_open(struct store *store, const struct journal_replay_result *replay)
{
    char path[LOG_PATH_SIZE], logs[LOG_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/journal", store->dir);
    (void)snprintf(logs, sizeof(logs), "%s/logs", store->dir);
    for (unsigned i = 0; i < store->core_count; i++) {
        struct log_core *home = &store->cores[i];
        struct journal_options options = {
            .core = home->core,
            .dir = path,
            .piece_bytes = store->options.journal_piece_bytes,
            .size_max_bytes = store->options.journal_size_max_bytes,
            .free_space_min_bytes = store->options.free_space_min_bytes,
            .piece_first = replay->piece_next,
            .on_pressure = on_pressure,
            .arg = home,
        };
        enum err err = journal_open(&options, &home->journal);
        if (err != ERR_OK)
            return err;
        home->group.dir_fd =
            store->os->ops->open(store->os, logs, OS_OPEN_READ | OS_OPEN_DIRECTORY);
        if (home->group.dir_fd < 0)
            return err_from_errno(-home->group.dir_fd);
        core_timer_set(home->core, &home->idle, core_now_ns(home->core) + LOG_IDLE_CHECKPOINT_NS);
        compact_start(home);
        scrub_start(home);
    }
    return ERR_OK;
}

static struct store *store_make(const struct store_options *options)
{
    struct store *store = calloc(1, sizeof(*store));
    if (!store)
        return NULL;
    store->options = *options;
    store->os = options->os;
    store->logger = options->logger;
    store->lock_fd = -1;
    store->core_count = reactor_core_count(options->reactor);
    list_init(&store->damages);
    store->os->ops->random(store->os, &store->seed, sizeof(store->seed));
    map_init(&store->found, store->seed);
    map_init(&store->claimed, store->seed);
    store->dir = strdup(options->data_dir);
    store->cores = calloc(store->core_count, sizeof(*store->cores));
    store->space = calloc(1, sizeof(*store->space));
    for (unsigned i = 0; store->cores && i < store->core_count; i++)
        home_init(store, i);
    return store;
}

static void store_free(struct store *store)
{
    size_t position = 0;
    struct store_log *log;
    while ((log = map_next(&store->found, &position)))
        log_destroy(log);
    for (unsigned i = 0; store->cores && i < store->core_count; i++) {
        struct log_core *home = &store->cores[i];
        list_for_each_safe (node, following, &home->all)
            log_destroy(LIST_ENTRY(node, struct store_log, all_node));
        core_timer_cancel(home->core, &home->retry);
        core_timer_cancel(home->core, &home->idle);
        scrub_stop(home);
        core_timer_cancel(home->core, &home->compact_timer);
        core_timer_cancel(home->core, &home->turn_timer);
        core_task_cancel(&home->flush_task);
        core_task_cancel(&home->finish_task);
        log_entries_free(home);
        buf_unref(home->arena);
        read_span_free(home->spans);
        buf_pool_pressure_set(core_buffers(home->core), NULL, NULL);
        if (home->journal)
            journal_close(home->journal);
        if (home->group.dir_fd >= 0)
            store->os->ops->close(store->os, home->group.dir_fd);
    }
    if (store->cores)
        core_timer_cancel(store->cores[0].core, &store->space_timer);
    if (store->catalogue)
        catalogue_close(store->catalogue);
    list_for_each_safe (node, following, &store->damages)
        free(LIST_ENTRY(node, struct store_damage, node));
    if (store->lock_fd >= 0)
        store->os->ops->close(store->os, store->lock_fd);
    map_deinit(&store->found);
    map_deinit(&store->claimed);
    free(store->space);
    free(store->cores);
    free(store->dir);
    free(store);
}

static enum err store_fill(struct store *store, struct diag *diag)
{
    char path[LOG_PATH_SIZE];
    struct journal_replay_result replay;
    core_timer_init(&store->space_timer, space_tick);
    store->space->store = store;
    enum err err = folder_open(store, diag);
    if (err != ERR_OK)
        return err;
    (void)snprintf(path, sizeof(path), "%s/catalogue", store->dir);
    err = catalogue_open(store->cores[0].core, path, &store->catalogue, diag);
    if (err != ERR_OK)
        return err;
    err = recover_replay(store, &replay);
    if (err == ERR_OK)
        err = journals_open(store, &replay);
    if (err != ERR_OK) {
        diag_set(diag, "cannot replay the journals in %s: %s", store->dir, err_text(err));
        return err;
    }
    core_timer_set(store->cores[0].core, &store->space_timer, 0);
    /* Quiet when all is well: the first line that a start prints says where the server listens. */
    enum log_level level = replay.damage_count > 0 ? LOG_WARN : LOG_DEBUG;
    LOG_AT(store->logger, level, "store", "open dir=%s entries=%llu damaged=%llu", store->dir,
           (unsigned long long)replay.entry_count, (unsigned long long)replay.damage_count);
    return ERR_OK;
}

enum err store_open(const struct store_options *options, struct store **out, struct diag *diag)
{
    if (strlen(options->data_dir) > LOG_PATH_SIZE - 256) {
        diag_set(diag, "the path of the data folder is too long");
        return ERR_TOO_LARGE;
    }
    struct store *store = store_make(options);
    if (!store)
        return ERR_NO_MEMORY;
    enum err err =
        store->dir && store->cores && store->space ? store_fill(store, diag) : ERR_NO_MEMORY;
    if (err == ERR_OK)
        *out = store;
    else
        store_free(store);
    return err;
}

/* --- damage --- */

static void damage_tell(const struct store_damage *damage)
{
    log_error(damage->store->logger, "store", "damaged log=%s offsets=%lld..%lld",
              log_name(&damage->key).text, (long long)damage->first, (long long)damage->next);
}

/* What the journals lack of a log that was deleted is no damage: told once it is known whose the
 * logs are. */
static void damage_keep(struct store *store, struct store_damage *take_damage)
{
    list_for_each (node, &store->damages) {
        const struct store_damage *known = LIST_ENTRY(node, struct store_damage, node);
        if (memcmp(&known->key, &take_damage->key, sizeof(known->key)) == 0 &&
            known->first <= take_damage->first && known->next >= take_damage->next) {
            free(take_damage);
            return;
        }
    }
    if (store->is_claimed)
        damage_tell(take_damage);
    list_push_back(&store->damages, &take_damage->node);
}

static void damages_claimed(struct store *store)
{
    list_for_each_safe (node, following, &store->damages) {
        struct store_damage *damage = LIST_ENTRY(node, struct store_damage, node);
        if (map_get(&store->claimed, slice_make(&damage->key, sizeof(damage->key)))) {
            damage_tell(damage);
            continue;
        }
        list_remove(&damage->node);
        free(damage);
    }
}

static void damage_message(struct core *core, struct core_message *message)
{
    struct store_damage *damage = CONTAINER_OF(message, struct store_damage, message);
    damage_keep(damage->store, damage);
}

void store_damage_add(struct store *store, struct core *core, const struct store_log_key *key,
                      int64_t first, int64_t next)
{
    struct store_damage *damage = calloc(1, sizeof(*damage));
    if (!damage)
        return;
    damage->store = store;
    damage->key = *key;
    damage->first = first;
    damage->next = next;
    damage->message.run = damage_message;
    list_init(&damage->node);
    if (!core || core_id(core) == 0)
        damage_keep(store, damage);
    else
        core_send(core, 0, &damage->message);
}

void store_damage_each(struct store *store, store_damage_fn fn, void *arg)
{
    list_for_each (node, &store->damages) {
        const struct store_damage *damage = LIST_ENTRY(node, struct store_damage, node);
        fn(arg, damage->key, damage->first, damage->next);
    }
}

/* --- what nobody claimed --- */

struct unclaimed {
    struct store *store;
    struct map names; /* of claimed folders */
};

static void folder_found(void *arg, const char *name, bool is_directory)
{
    struct unclaimed *unclaimed = arg;
    struct store_log_key key = {0};
    int64_t partition;
    bool is_ours = is_directory && strlen(name) > UUID_TEXT_SIZE + 1 &&
                   uuid_from_text(slice_make(name, UUID_TEXT_SIZE), &key.topic) &&
                   text_parse_i64(slice_text(name + UUID_TEXT_SIZE + 1), &partition) &&
                   partition >= 0 && partition <= UINT32_MAX;
    if (!is_ours)
        return;
    key.partition = (uint32_t)partition;
    if (!map_get(&unclaimed->store->claimed, slice_make(&key, sizeof(key))))
        log_move_unclaimed(unclaimed->store, name);
}

struct forgotten {
    struct catalogue_change change;
    uint8_t key[CHECKPOINT_KEY_SIZE];
};

static void forgotten_done(struct catalogue_change *change, enum err err)
{
    free(CONTAINER_OF(change, struct forgotten, change));
}

struct forgotten_list {
    struct store *store;
    struct text keys;
};

static void checkpoint_found(void *arg, struct slice key, struct slice value)
{
    struct forgotten_list *list = arg;
    struct store_log_key name = {0};
    if (key.size != CHECKPOINT_KEY_SIZE || key.data[0] != 'c')
        return;
    memcpy(name.topic.bytes, key.data + 1, sizeof(name.topic.bytes));
    name.partition = le32_get(key.data + 17);
    if (!map_get(&list->store->claimed, slice_make(&name, sizeof(name))))
        text_add(&list->keys, key);
}

static void checkpoints_forget(struct store *store)
{
    struct forgotten_list list = {.store = store};
    text_init(&list.keys);
    catalogue_each(store->catalogue, checkpoint_found, &list);
    for (size_t at = 0; at < list.keys.size; at += CHECKPOINT_KEY_SIZE) {
        struct forgotten *forgotten = calloc(1, sizeof(*forgotten));
        if (!forgotten)
            break; /* again at the next start */
        memcpy(forgotten->key, list.keys.data + at, CHECKPOINT_KEY_SIZE);
        forgotten->change.key = slice_make(forgotten->key, CHECKPOINT_KEY_SIZE);
        forgotten->change.done = forgotten_done;
        catalogue_put(store->catalogue, &forgotten->change);
    }
    text_deinit(&list.keys);
}

void store_logs_claimed(struct store *store)
{
    struct unclaimed unclaimed = {.store = store};
    char path[LOG_PATH_SIZE];
    size_t position = 0;
    struct store_log *log;
    CHECK(!store->is_claimed);
    while ((log = map_next(&store->found, &position))) {
        log_pieces_release(log, UINT64_MAX); /* it was deleted */
        log_destroy(log);
    }
    map_deinit(&store->found);
    map_init(&store->found, 0);
    (void)snprintf(path, sizeof(path), "%s/logs", store->dir);
    (void)store->os->ops->list(store->os, path, folder_found, &unclaimed);
    checkpoints_forget(store);
    damages_claimed(store);
    store->is_claimed = true;
    map_deinit(&store->claimed);
    map_init(&store->claimed, 0);
    for (unsigned i = 0; i < store->core_count; i++)
        checkpoint_live(&store->cores[i]);
}

/* --- facts --- */

struct fact {
    struct catalogue_change change;
    store_done_fn done;
    void *arg;
    uint8_t bytes[];
};

static void fact_done(struct catalogue_change *change, enum err err)
{
    struct fact *fact = CONTAINER_OF(change, struct fact, change);
    if (fact->done)
        fact->done(fact->arg, err);
    free(fact);
}

void store_fact_put(struct store *store, struct slice key, struct slice value, store_done_fn done,
                    void *arg)
{
    struct fact *fact = malloc(sizeof(*fact) + 1 + key.size + value.size);
    if (!fact) {
        if (done)
            done(arg, ERR_NO_MEMORY);
        return;
    }
    *fact = (struct fact){.done = done, .arg = arg};
    fact->bytes[0] = 'f';
    memcpy(fact->bytes + 1, key.data, key.size);
    if (value.size > 0)
        memcpy(fact->bytes + 1 + key.size, value.data, value.size);
    fact->change.key = slice_make(fact->bytes, 1 + key.size);
    if (value.data)
        fact->change.value = slice_make(fact->bytes + 1 + key.size, value.size);
    fact->change.done = fact_done;
    catalogue_put(store->catalogue, &fact->change);
}

struct fact_each {
    store_fact_fn fn;
    void *arg;
};

static void fact_found(void *arg, struct slice key, struct slice value)
{
    const struct fact_each *each = arg;
    if (key.size > 0 && key.data[0] == 'f')
        each->fn(each->arg, slice_make(key.data + 1, key.size - 1), value);
}

void store_fact_each(struct store *store, store_fact_fn fn, void *arg)
{
    struct fact_each each = {fn, arg};
    catalogue_each(store->catalogue, fact_found, &each);
}

void store_gather(struct store *store, struct core *core, struct store_gather *gather)
{
    struct log_core *home = &store->cores[core_id(core)];
    list_push_back(&home->gathers, &gather->node);
    core_task_post_end(core, &home->flush_task, 0);
}

/* --- rest --- */

static bool is_at_rest(const struct log_core *home)
{
    return home->job_count == 0 && journal_pending(home->journal) == 0;
}

static void drained(struct core *core, struct core_message *message)
{
    struct log_core *home = CONTAINER_OF(message, struct log_core, drain_message);
    struct store *store = home->store;
    store->drain_pending--;
    if (store->drain_pending == 0)
        store->drain_done(store->drain_arg);
}

/* With very many logs not all checkpoints are made: the next start finds the rest in the journal,
 * sooner than they could be made. */
static void drain_check(struct log_core *home)
{
    checkpoint_pump(home);
    if (!home->is_draining || home->is_drained || !is_at_rest(home) || home->checkpoint_count > 0 ||
        !list_empty(&home->checkpoints) || home->queue_bytes > 0)
        return;
    bool is_more = false;
    list_for_each_safe (node, following, &home->live) {
        struct store_log *log = LIST_ENTRY(node, struct store_log, live_node);
        if (log->err != ERR_OK || checkpoint_is_late(home))
            continue;
        checkpoint_queue(log);
        is_more = true;
    }
    if (is_more)
        return;
    home->is_drained = true;
    home->drain_message.run = drained;
    core_send(home->core, 0, &home->drain_message);
}

static void drain_start(struct core *core, struct core_message *message)
{
    struct log_core *home = CONTAINER_OF(message, struct log_core, drain_message);
    home->is_draining = true;
    home->drain_until_ns = core_now_ns(core) + LOG_DRAIN_NS;
    if (home->compact)
        compact_cancel(home->compact->log);
    core_task_post(core, &home->finish_task);
}

void store_drain(struct store *store, void (*done)(void *arg), void *arg)
{
    store->is_draining = true;
    store->drain_done = done;
    store->drain_arg = arg;
    store->drain_pending = store->core_count;
    for (unsigned i = 0; i < store->core_count; i++) {
        store->cores[i].drain_message.run = drain_start;
        core_send(store->cores[0].core, i, &store->cores[i].drain_message);
    }
}

static bool is_all_at_rest(const struct store *store)
{
    for (unsigned i = 0; i < store->core_count; i++) {
        if (!is_at_rest(&store->cores[i]))
            return false;
    }
    return !store->space->in_flight;
}

void store_rest_check(struct log_core *home)
{
    struct store *store = home->store;
    if (store->is_closing && is_all_at_rest(store))
        store_free(store);
    else
        drain_check(home);
}

void store_close(struct store *store)
{
    store->is_closing = true;
    if (is_all_at_rest(store))
        store_free(store);
}
