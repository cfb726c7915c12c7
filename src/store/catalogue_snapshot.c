// Makes the catalogue's snapshots in the background, slice by slice.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "store/catalogue_state.h"

static void slice_submit(struct catalogue *catalogue);

/* --- on the helper --- */

struct old_files {
    struct catalogue *catalogue;
    uint64_t number; /* smaller ones go */
    char **paths;
    size_t count;
};

static void old_file_found(void *arg, const char *name, bool is_directory)
{
    struct old_files *old = arg;
    static const char *const kinds[] = {"snapshot", "changes"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        uint64_t number = catalogue_number(name, kinds[i]);
        if (number == 0 || number >= old->number)
            continue;
        char **grown = realloc(old->paths, (old->count + 1) * sizeof(*grown));
        if (!grown)
            return; /* it goes the next time */
        old->paths = grown;
        grown[old->count] = catalogue_path(old->catalogue->dir, kinds[i], number);
        old->count += grown[old->count] != NULL;
    }
}

static void old_files_remove(struct catalogue *catalogue, uint64_t number)
{
    struct os *os = catalogue->os;
    struct old_files old = {.catalogue = catalogue, .number = number};
    (void)os->ops->list(os, catalogue->dir, old_file_found, &old);
    for (size_t i = 0; i < old.count; i++) {
        (void)os->ops->unlink(os, old.paths[i]);
        free(old.paths[i]);
    }
    free(old.paths);
}

static char *temporary_path(const struct catalogue *catalogue)
{
    size_t size = strlen(catalogue->dir) + 16;
    char *path = malloc(size);
    if (path)
        (void)snprintf(path, size, "%s/snapshot.tmp", catalogue->dir);
    return path;
}

static enum err snap_open(struct catalogue_snap *snap, struct os *os, const char *path)
{
    uint8_t bytes[JOURNAL_HEAD_SIZE];
    struct journal_head head = snap->head;
    snap->fd = os->ops->open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE);
    if (snap->fd < 0)
        return err_from_errno(-snap->fd);
    head.magic = JOURNAL_MAGIC_SNAPSHOT;
    head.crc = 0;
    head.body_size = snap->sequence_first;
    head.entry_count = JOURNAL_FORMAT_VERSION;
    journal_head_put(bytes, &head);
    journal_writer_init(&snap->writer, os, snap->fd, 0);
    journal_writer_add(&snap->writer, slice_make(bytes, sizeof(bytes)));
    journal_writer_pad(&snap->writer, sizeof(bytes));
    snap->offset = JOURNAL_GROUP_BLOCK;
    return journal_writer_flush(&snap->writer);
}

static enum err group_write(struct catalogue_snap *snap, struct os *os, struct slice body)
{
    uint8_t bytes[JOURNAL_HEAD_SIZE];
    snap->head.crc = crc32c(0, body.data, body.size);
    snap->head.body_size = body.size;
    journal_head_put(bytes, &snap->head);
    journal_writer_init(&snap->writer, os, snap->fd, snap->offset);
    journal_writer_add(&snap->writer, slice_make(bytes, sizeof(bytes)));
    journal_writer_add(&snap->writer, body);
    journal_writer_pad(&snap->writer, sizeof(bytes) + body.size);
    snap->offset += journal_group_size(body.size);
    snap->head.durable = snap->head.sequence++;
    return journal_writer_flush(&snap->writer);
}

static enum err snap_publish(struct catalogue *catalogue, const char *temporary)
{
    struct catalogue_snap *snap = &catalogue->snap;
    struct os *os = catalogue->os;
    uint8_t total[8];
    le64_put(total, snap->entry_count);
    snap->head.entry_count = 0;
    enum err err = group_write(snap, os, slice_make(total, sizeof(total)));
    if (err == ERR_OK && os->ops->fsync(os, snap->fd) < 0)
        err = ERR_IO;
    if (err != ERR_OK)
        return err;
    char *path = catalogue_path(catalogue->dir, "snapshot", snap->number);
    if (!path)
        return ERR_NO_MEMORY;
    int error = os->ops->rename(os, temporary, path);
    free(path);
    if (error < 0)
        return err_from_errno(-error);
    snap->is_sync_failed = os->ops->fsync(os, catalogue->dir_fd) < 0;
    if (snap->is_sync_failed)
        return ERR_OFFLINE;
    old_files_remove(catalogue, snap->number_before);
    return ERR_OK;
}

static void slice_run(struct core_work *work)
{
    struct catalogue_snap *snap = CONTAINER_OF(work, struct catalogue_snap, work);
    struct catalogue *catalogue = CONTAINER_OF(snap, struct catalogue, snap);
    struct os *os = catalogue->os;
    char *path = temporary_path(catalogue);
    enum err err = path ? ERR_OK : ERR_NO_MEMORY;
    if (err == ERR_OK && snap->fd < 0)
        err = snap_open(snap, os, path);
    if (err == ERR_OK && snap->body.size > 0)
        err = group_write(snap, os, text_slice(&snap->body));
    if (err == ERR_OK && snap->is_last)
        err = snap_publish(catalogue, path);
    if (snap->fd >= 0 && (err != ERR_OK || snap->is_last)) {
        os->ops->close(os, snap->fd);
        snap->fd = -1;
        if (err != ERR_OK && !snap->is_sync_failed)
            (void)os->ops->unlink(os, path);
    }
    free(path);
    snap->err = err;
}

/* --- on the core --- */

/* Copies items that the snapshot is to hold until the slice is full. */
static void slice_fill(struct catalogue *catalogue)
{
    struct catalogue_snap *snap = &catalogue->snap;
    text_clear(&snap->body);
    snap->head.entry_count = 0;
    snap->is_last = false;
    while (snap->body.size < CATALOGUE_SLICE_BYTES) {
        struct catalogue_item *item = LIST_ENTRY(snap->cursor, struct catalogue_item, node);
        if (snap->cursor == &catalogue->items || item->generation >= snap->number) {
            snap->is_last = true;
            return;
        }
        text_add(&snap->body, slice_make(item->bytes, catalogue_item_size(item)));
        snap->head.entry_count++;
        snap->entry_count++;
        snap->cursor = snap->cursor->next;
    }
}

static void retry_later(struct catalogue *catalogue)
{
    core_timer_set(catalogue->core, &catalogue->retry,
                   core_now_ns(catalogue->core) + CATALOGUE_RETRY_NS);
}

static void snap_end(struct catalogue *catalogue, enum err err)
{
    struct catalogue_snap *snap = &catalogue->snap;
    snap->state = CATALOGUE_SNAP_NONE;
    snap->cursor = NULL;
    text_deinit(&snap->body);
    if (snap->is_sync_failed)
        catalogue_fail(catalogue);
    if (err != ERR_OK) {
        log_warn(core_logger(catalogue->core), "store",
                 "catalogue snapshot failed, will be tried again error=%s", err_name(err));
        retry_later(catalogue);
        return;
    }
    catalogue->snapshot_number = snap->number;
    catalogue->snapshot_bytes = snap->offset;
    catalogue->changes_bytes -= snap->changes_bytes;
    catalogue->changes_count -= snap->changes_count;
}

static void slice_done(struct core *core, struct core_work *work)
{
    struct catalogue_snap *snap = CONTAINER_OF(work, struct catalogue_snap, work);
    struct catalogue *catalogue = CONTAINER_OF(snap, struct catalogue, snap);
    snap->in_flight = false;
    if (catalogue->is_closed) {
        if (!catalogue->in_flight)
            catalogue_free(catalogue);
        return;
    }
    if (snap->err != ERR_OK || snap->is_last)
        snap_end(catalogue, snap->err);
    else
        slice_submit(catalogue);
}

static void slice_submit(struct catalogue *catalogue)
{
    struct catalogue_snap *snap = &catalogue->snap;
    slice_fill(catalogue);
    if (snap->body.failed) {
        snap->err = ERR_NO_MEMORY;
        snap->is_last = true;
        if (snap->fd >= 0)
            catalogue->os->ops->close(catalogue->os, snap->fd);
        snap->fd = -1;
        snap_end(catalogue, ERR_NO_MEMORY);
        return;
    }
    snap->work.run = slice_run;
    snap->work.done = slice_done;
    snap->in_flight = true;
    core_work_submit(catalogue->core, CORE_LANE_BULK, &snap->work);
}

static void snap_start(struct catalogue *catalogue)
{
    struct catalogue_snap *snap = &catalogue->snap;
    snap->state = CATALOGUE_SNAP_WRITING;
    snap->cursor = catalogue->items.next;
    snap->number = catalogue->file.number;
    snap->sequence_first = catalogue->sequence_next - 1;
    snap->number_before = catalogue->snapshot_number;
    snap->changes_bytes = catalogue->changes_bytes;
    snap->changes_count = catalogue->changes_count;
    snap->entry_count = 0;
    snap->is_sync_failed = false;
    snap->head = (struct journal_head){
        .magic = JOURNAL_MAGIC_SNAPPED,
        .number = snap->number,
        .run = catalogue->run,
        .sequence = 1,
        .durable = 0,
    };
    slice_submit(catalogue);
}

void catalogue_snap_tend(struct catalogue *catalogue, bool is_new)
{
    struct catalogue_snap *snap = &catalogue->snap;
    if (snap->state == CATALOGUE_SNAP_WANTED && is_new) {
        snap_start(catalogue);
        return;
    }
    if (snap->state == CATALOGUE_SNAP_WANTED) {
        /* no new file could be had */
        snap->state = CATALOGUE_SNAP_NONE;
        retry_later(catalogue);
    }
    uint64_t limit = MAX(catalogue->snapshot_bytes, (uint64_t)CATALOGUE_CHANGES_BYTES_MIN);
    bool is_due =
        catalogue->changes_bytes > limit || catalogue->changes_count > CATALOGUE_CHANGES_COUNT_MAX;
    if (is_due && snap->state == CATALOGUE_SNAP_NONE && !core_timer_is_set(&catalogue->retry) &&
        !catalogue->is_offline)
        snap->state = CATALOGUE_SNAP_WANTED;
}

void catalogue_snap_timer(struct core *core, struct core_timer *timer)
{
    /* that it is not set any more is all that counts: the next change begins a snapshot */
}
