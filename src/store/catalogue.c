// The catalogue: a map in memory, made durable by groups of changes and now and then a snapshot.
// SPDX-License-Identifier: Apache-2.0
//
// Format. <dir>/changes-<n> and <dir>/snapshot-<n>, n as 16 hex digits; heads and groups are those
// of journal_group.h, entries are in catalogue_state.h. Groups of changes carry one sequence
// through all files and starts. Each start writes to a file of its own, from its first change on.
// snapshot-<n> holds what changes-<m>, m < n, amount to; its head's body_size is the sequence of
// the first group of changes-<n>. Its groups count from 1; the last has no entries, and a body of 8
// bytes: how many entries the others have.
//
// Rules.
// 1. One group of changes is in flight; so a gap in the sequence is damage, its end may be torn.
// 2. A snapshot begins when changes go to a new file. It may hold what is newer, because the
// changes
//    in that file are applied on top of it again: all values are absolute. It is written aside,
//    synced and renamed; the snapshot before and its changes stay until the next one is there.
// 3. A value is seen when it is durable, never before.
// 4. Room for the next changes is reserved ahead of need, so that a full disk does not stop them at
//    once; when it does, the change fails and nothing else.
// 5. A failed sync of changes or names ends the catalogue until a restart.
#include "store/catalogue.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "store/catalogue_state.h"

static void commit_task_run(struct core *core, struct core_task *task);

char *catalogue_path(const char *dir, const char *kind, uint64_t number)
{
    size_t size = strlen(dir) + strlen(kind) + 20;
    char *path = malloc(size);
    if (path)
        (void)snprintf(path, size, "%s/%s-%016llx", dir, kind, (unsigned long long)number);
    return path;
}

uint64_t catalogue_number(const char *name, const char *kind)
{
    size_t size = strlen(kind);
    uint64_t number = 0;
    if (strlen(name) != size + 17 || memcmp(name, kind, size) != 0 || name[size] != '-')
        return 0;
    for (const char *at = name + size + 1; *at; at++) {
        bool is_digit = *at >= '0' && *at <= '9';
        if (!is_digit && !(*at >= 'a' && *at <= 'f'))
            return 0;
        number = number << 4 | (uint64_t)(is_digit ? *at - '0' : *at - 'a' + 10);
    }
    return number < UINT64_MAX / 2 ? number : 0;
}

/* --- the map --- */

struct catalogue_item *catalogue_item_new(struct slice key, struct slice value)
{
    CHECK(key.size > 0 && key.size <= CATALOGUE_BYTES_MAX && value.size <= CATALOGUE_BYTES_MAX);
    size_t size = CATALOGUE_ENTRY_HEAD_SIZE + key.size + value.size;
    struct catalogue_item *item = malloc(sizeof(*item) + size);
    if (!item)
        return NULL;
    list_init(&item->node);
    item->generation = 0;
    item->key_size = (uint32_t)key.size;
    item->value_size = value.data ? (uint32_t)value.size : CATALOGUE_VALUE_DELETED;
    le32_put(item->bytes, item->key_size);
    le32_put(item->bytes + 4, item->value_size);
    memcpy(item->bytes + CATALOGUE_ENTRY_HEAD_SIZE, key.data, key.size);
    if (value.size > 0)
        memcpy(item->bytes + CATALOGUE_ENTRY_HEAD_SIZE + key.size, value.data, value.size);
    return item;
}

static void item_drop(struct catalogue *catalogue, struct catalogue_item *item)
{
    if (catalogue->snap.cursor == &item->node)
        catalogue->snap.cursor = item->node.next;
    list_remove(&item->node);
    free(item);
}

enum err catalogue_apply(struct catalogue *catalogue, struct catalogue_item *take_item)
{
    void *old = NULL;
    bool is_deleted = take_item->value_size == CATALOGUE_VALUE_DELETED;
    if (is_deleted) {
        old = map_remove(&catalogue->map, catalogue_item_key(take_item));
        free(take_item);
    } else if (!map_put(&catalogue->map, catalogue_item_key(take_item), take_item, &old)) {
        free(take_item);
        return ERR_NO_MEMORY;
    } else {
        list_push_back(&catalogue->items, &take_item->node);
    }
    if (old)
        item_drop(catalogue, old);
    return ERR_OK;
}

void catalogue_clear(struct catalogue *catalogue)
{
    struct list *node;
    while ((node = list_pop_front(&catalogue->items)))
        free(LIST_ENTRY(node, struct catalogue_item, node));
    map_deinit(&catalogue->map);
}

static struct slice item_value(const struct catalogue_item *item)
{
    return slice_make(item->bytes + CATALOGUE_ENTRY_HEAD_SIZE + item->key_size, item->value_size);
}

struct slice catalogue_get(const struct catalogue *catalogue, struct slice key)
{
    const struct catalogue_item *item = map_get(&catalogue->map, key);
    return item ? item_value(item) : SLICE_NULL;
}

void catalogue_each(const struct catalogue *catalogue, catalogue_each_fn fn, void *arg)
{
    list_for_each (node, &catalogue->items) {
        const struct catalogue_item *item = LIST_ENTRY(node, struct catalogue_item, node);
        fn(arg, catalogue_item_key(item), item_value(item));
    }
}

/* --- life --- */

static void commit_done(struct core *core, struct core_work *work);

/* The folder itself must survive what it holds. */
static enum err dir_open(struct catalogue *catalogue)
{
    struct os *os = catalogue->os;
    int error = os->ops->mkdir(os, catalogue->dir);
    if (error < 0)
        return err_from_errno(-error);
    char *parent = strdup(catalogue->dir);
    if (!parent)
        return ERR_NO_MEMORY;
    char *slash = strrchr(parent, '/');
    CHECK(slash);
    slash[slash == parent] = 0;
    int fd = os->ops->open(os, parent, OS_OPEN_READ | OS_OPEN_DIRECTORY);
    free(parent);
    if (fd < 0)
        return err_from_errno(-fd);
    error = os->ops->fsync(os, fd);
    os->ops->close(os, fd);
    if (error < 0)
        return err_from_errno(-error);
    catalogue->dir_fd = os->ops->open(os, catalogue->dir, OS_OPEN_READ | OS_OPEN_DIRECTORY);
    return catalogue->dir_fd < 0 ? err_from_errno(-catalogue->dir_fd) : ERR_OK;
}

enum err catalogue_open(struct core *core, const char *dir, struct catalogue **out,
                        struct diag *diag)
{
    struct catalogue *catalogue = calloc(1, sizeof(*catalogue));
    if (!catalogue)
        return ERR_NO_MEMORY;
    catalogue->core = core;
    catalogue->os = core_os(core);
    catalogue->dir_fd = catalogue->file.fd = catalogue->snap.fd = -1;
    while (catalogue->run == 0)
        catalogue->os->ops->random(catalogue->os, &catalogue->run, sizeof(catalogue->run));
    map_init(&catalogue->map, core_random(core));
    list_init(&catalogue->items);
    list_init(&catalogue->queue);
    list_init(&catalogue->commit.changes);
    text_init(&catalogue->snap.body);
    core_task_init(&catalogue->task, commit_task_run);
    core_timer_init(&catalogue->retry, catalogue_snap_timer);
    catalogue->dir = strdup(dir);
    enum err err = catalogue->dir ? dir_open(catalogue) : ERR_NO_MEMORY;
    if (err != ERR_OK)
        diag_set(diag, "catalogue %s: %s", dir, err_text(err));
    else
        err = catalogue_load(catalogue, diag);
    if (err != ERR_OK) {
        catalogue_free(catalogue);
        return err;
    }
    *out = catalogue;
    return ERR_OK;
}

static void changes_forget(struct list *changes)
{
    list_for_each (node, changes)
        free(LIST_ENTRY(node, struct catalogue_change, node)->item);
}

void catalogue_free(struct catalogue *catalogue)
{
    struct os *os = catalogue->os;
    catalogue_clear(catalogue);
    text_deinit(&catalogue->snap.body);
    int fds[] = {catalogue->file.fd, catalogue->snap.fd, catalogue->dir_fd};
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        if (fds[i] >= 0)
            os->ops->close(os, fds[i]);
    }
    free(catalogue->dir);
    free(catalogue);
}

void catalogue_close(struct catalogue *catalogue)
{
    core_task_cancel(&catalogue->task);
    core_timer_cancel(catalogue->core, &catalogue->retry);
    catalogue->is_closed = true;
    changes_forget(&catalogue->queue);
    list_init(&catalogue->queue);
    if (!catalogue->in_flight && !catalogue->snap.in_flight)
        catalogue_free(catalogue);
}

void catalogue_fail(struct catalogue *catalogue)
{
    if (catalogue->is_offline)
        return;
    catalogue->is_offline = true;
    log_error(core_logger(catalogue->core), "store",
              "catalogue offline until a restart: a write or sync failed dir=%s", catalogue->dir);
    core_task_post_end(catalogue->core, &catalogue->task, 0);
}

/* --- changes --- */

void catalogue_put(struct catalogue *catalogue, struct catalogue_change *change)
{
    CHECK(!catalogue->is_closed);
    change->item = catalogue_item_new(change->key, change->value);
    change->result = change->item ? ERR_OK : ERR_NO_MEMORY;
    list_push_back(&catalogue->queue, &change->node);
    core_task_post_end(catalogue->core, &catalogue->task, 0);
}

static void group_take(struct catalogue *catalogue)
{
    struct catalogue_commit *commit = &catalogue->commit;
    commit->count = 0;
    commit->body_size = 0;
    for (size_t i = 0; i < CATALOGUE_GROUP_COUNT_MAX && !list_empty(&catalogue->queue); i++) {
        struct list *node = catalogue->queue.next;
        struct catalogue_change *change = LIST_ENTRY(node, struct catalogue_change, node);
        size_t size = change->item ? catalogue_item_size(change->item) : 0;
        if (commit->body_size > 0 && commit->body_size + size > CATALOGUE_GROUP_BODY_MAX)
            return;
        list_remove(node);
        list_push_back(&commit->changes, node);
        commit->body_size += size;
        commit->count += change->item != NULL;
    }
}

static void file_close(struct os *os, struct catalogue_file *file)
{
    if (file->fd >= 0)
        os->ops->close(os, file->fd);
    file->fd = -1;
}

/* On the helper. */
static enum err group_write(struct catalogue_commit *commit, struct os *os)
{
    struct journal_writer *writer = &commit->writer;
    struct catalogue_file *file = &commit->file;
    uint8_t file_head[JOURNAL_HEAD_SIZE];
    uint8_t group_head[JOURNAL_HEAD_SIZE];
    uint64_t end = file->used + JOURNAL_GROUP_BLOCK + journal_group_size(commit->body_size) +
                   CATALOGUE_RESERVE_BYTES;
    if (end > file->reserved &&
        os->ops->reserve(os, file->fd, file->used, end + CATALOGUE_RESERVE_BYTES - file->used) == 0)
        file->reserved = end + CATALOGUE_RESERVE_BYTES; /* else there is what was reserved before */
    commit->head.number = file->number;
    journal_writer_init(writer, os, file->fd, file->used);
    if (file->used == 0) {
        struct journal_head head = commit->head;
        head.magic = JOURNAL_MAGIC_CHANGES;
        head.crc = 0;
        head.body_size = 0;
        head.entry_count = JOURNAL_FORMAT_VERSION;
        journal_head_put(file_head, &head);
        journal_writer_add(writer, slice_make(file_head, sizeof(file_head)));
        journal_writer_pad(writer, sizeof(file_head));
    }
    journal_head_put(group_head, &commit->head);
    journal_writer_add(writer, slice_make(group_head, sizeof(group_head)));
    list_for_each (node, &commit->changes) {
        const struct catalogue_item *item = LIST_ENTRY(node, struct catalogue_change, node)->item;
        if (item)
            journal_writer_add(writer, slice_make(item->bytes, catalogue_item_size(item)));
    }
    journal_writer_pad(writer, sizeof(group_head) + commit->body_size);
    enum err err = journal_writer_flush(writer);
    if (err == ERR_OK && os->ops->fdatasync(os, file->fd) < 0)
        err = ERR_OFFLINE;
    return err;
}

/* The group as the first of a new file. ERR_DISK_FULL and all but ERR_OFFLINE: the file is gone
 * again. */
static enum err new_file_write(struct catalogue_commit *commit, struct os *os)
{
    struct catalogue *catalogue = CONTAINER_OF(commit, struct catalogue, commit);
    char *path = catalogue_path(catalogue->dir, "changes", commit->number_new);
    if (!path)
        return ERR_NO_MEMORY;
    struct catalogue_file old = commit->file;
    int fd = os->ops->open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE);
    enum err err = fd < 0 ? err_from_errno(-fd) : ERR_OK;
    if (err == ERR_OK) {
        commit->file = (struct catalogue_file){.fd = fd, .number = commit->number_new};
        err = group_write(commit, os);
        if (err == ERR_OK && os->ops->fsync(os, catalogue->dir_fd) < 0)
            err = ERR_OFFLINE;
        if (err == ERR_OK) {
            file_close(os, &old);
        } else {
            file_close(os, &commit->file);
            commit->file = old;
            if (err != ERR_OFFLINE)
                (void)os->ops->unlink(os, path);
        }
    }
    free(path);
    return err;
}

static void commit_run(struct core_work *work)
{
    struct catalogue_commit *commit = CONTAINER_OF(work, struct catalogue_commit, work);
    struct os *os = core_os(work->core);
    uint32_t crc = 0;
    list_for_each (node, &commit->changes) {
        const struct catalogue_item *item = LIST_ENTRY(node, struct catalogue_change, node)->item;
        if (item)
            crc = crc32c(crc, item->bytes, catalogue_item_size(item));
    }
    commit->head.crc = crc;
    commit->err = ERR_OK;
    if (commit->is_new_wanted) {
        commit->err = new_file_write(commit, os);
        if (commit->err == ERR_OK || commit->err == ERR_OFFLINE || commit->file.fd < 0)
            return;
    }
    commit->err = group_write(commit, os);
}

static void commit_submit(struct catalogue *catalogue)
{
    struct catalogue_commit *commit = &catalogue->commit;
    commit->is_new_wanted =
        catalogue->file.fd < 0 || catalogue->snap.state == CATALOGUE_SNAP_WANTED;
    commit->number_new = catalogue->number_next;
    if (commit->is_new_wanted)
        catalogue->number_next++;
    commit->file = catalogue->file;
    commit->head = (struct journal_head){
        .magic = JOURNAL_MAGIC_CHANGE,
        .run = catalogue->run,
        .sequence = catalogue->sequence_next,
        .durable = catalogue->sequence_next - 1,
        .body_size = commit->body_size,
        .entry_count = (uint32_t)commit->count,
    };
    commit->work.run = commit_run;
    commit->work.done = commit_done;
    catalogue->in_flight = true;
    core_work_submit(catalogue->core, CORE_LANE_SYNC, &commit->work);
}

static void change_finish(struct catalogue *catalogue, struct catalogue_change *change,
                          enum err err)
{
    struct catalogue_item *item = change->item;
    change->item = NULL;
    if (change->result == ERR_OK)
        change->result = err;
    if (item && change->result == ERR_OK) {
        item->generation = catalogue->file.number;
        if (catalogue_apply(catalogue, item) != ERR_OK) {
            /* on disk, but not here: only a restart brings both together */
            change->result = ERR_OFFLINE;
            catalogue_fail(catalogue);
        }
    } else {
        free(item);
    }
    change->done(change, change->result);
}

static void group_finish(struct catalogue *catalogue, enum err err)
{
    struct list changes;
    list_init(&changes);
    list_splice_back(&changes, &catalogue->commit.changes);
    struct list *node;
    while ((node = list_pop_front(&changes)))
        change_finish(catalogue, LIST_ENTRY(node, struct catalogue_change, node), err);
    if (!list_empty(&catalogue->queue))
        core_task_post_end(catalogue->core, &catalogue->task, 0);
}

static void commit_task_run(struct core *core, struct core_task *task)
{
    struct catalogue *catalogue = CONTAINER_OF(task, struct catalogue, task);
    if (catalogue->in_flight || list_empty(&catalogue->queue))
        return;
    if (catalogue->is_offline) {
        list_splice_back(&catalogue->commit.changes, &catalogue->queue);
        group_finish(catalogue, ERR_OFFLINE);
        return;
    }
    group_take(catalogue);
    if (catalogue->commit.count > 0)
        commit_submit(catalogue);
    else
        group_finish(catalogue, ERR_OK); /* each has its own error */
}

static void commit_done(struct core *core, struct core_work *work)
{
    struct catalogue_commit *commit = CONTAINER_OF(work, struct catalogue_commit, work);
    struct catalogue *catalogue = CONTAINER_OF(commit, struct catalogue, commit);
    bool is_new = commit->err == ERR_OK && commit->file.number != catalogue->file.number;
    catalogue->in_flight = false;
    catalogue->file = commit->file;
    if (catalogue->is_closed) {
        changes_forget(&commit->changes);
        list_init(&commit->changes);
        if (!catalogue->snap.in_flight)
            catalogue_free(catalogue);
        return;
    }
    if (commit->err == ERR_OK) {
        uint64_t size = journal_group_size(commit->body_size) + (is_new ? JOURNAL_GROUP_BLOCK : 0);
        catalogue->file.used += size;
        catalogue->sequence_next++;
        /* before the changes are applied: a snapshot that begins now is without them */
        catalogue_snap_tend(catalogue, is_new);
        catalogue->changes_bytes += size;
        catalogue->changes_count += is_new;
    } else if (commit->err == ERR_OFFLINE) {
        catalogue_fail(catalogue);
    }
    group_finish(catalogue, catalogue->is_offline ? ERR_OFFLINE : commit->err);
}
