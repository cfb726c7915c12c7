// One group commit on a helper thread: direct data and its syncs, then the group and its sync.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "store/journal_state.h"

/* Never twice: after a failure the kernel may call lost pages clean. */
static enum err sync_once(int result)
{
    return result < 0 ? ERR_OFFLINE : ERR_OK;
}

static bool is_known(const int *fds, unsigned count, int fd)
{
    for (unsigned i = 0; i < count; i++) {
        if (fds[i] == fd)
            return true;
    }
    return false;
}

/* Appends that go on where the one before ended share one call. */
static enum err direct_write(struct journal_commit *commit, struct os *os)
{
    struct journal_writer *writer = &commit->writer;
    uint64_t end = 0;
    journal_writer_init(writer, os, -1, 0);
    list_for_each (node, &commit->entries) {
        struct journal_entry *entry = LIST_ENTRY(node, struct journal_entry, node);
        const struct journal_direct *direct = entry->direct;
        if (!direct || entry->result != ERR_OK)
            continue;
        if (direct->fd != writer->fd || direct->offset != end) {
            enum err err = journal_writer_flush(writer);
            if (err != ERR_OK)
                return err;
            journal_writer_init(writer, os, direct->fd, direct->offset);
            if (commit->buffer && direct->uncached_fd >= 0)
                journal_writer_uncached(writer, direct->uncached_fd, commit->buffer);
            end = direct->offset;
        }
        if (direct->reserve_size > 0) /* when it fails the write tells */
            (void)os->ops->reserve(os, direct->fd, direct->reserve_offset, direct->reserve_size);
        for (unsigned i = 0; i < direct->part_count; i++) {
            journal_writer_add(writer, direct->parts[i]);
            end += direct->parts[i].size;
        }
    }
    return journal_writer_flush(writer);
}

static enum err direct_sync(struct journal_commit *commit, struct os *os, bool dirs)
{
    unsigned count = 0;
    list_for_each (node, &commit->entries) {
        struct journal_entry *entry = LIST_ENTRY(node, struct journal_entry, node);
        if (!entry->direct || entry->result != ERR_OK)
            continue;
        int fd = dirs ? entry->direct->dir_fd : entry->direct->fd;
        if (fd < 0 || is_known(commit->fds, count, fd))
            continue;
        commit->fds[count++] = fd;
        enum err err = sync_once(dirs ? os->ops->fsync(os, fd) : os->ops->fdatasync(os, fd));
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err piece_open(struct journal_commit *commit, struct os *os)
{
    struct journal_piece *piece = commit->piece;
    if (piece->file.fd >= 0)
        return ERR_OK;
    int fd = os->ops->open(os, piece->path,
                           OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE);
    if (fd < 0)
        return err_from_errno(-fd);
    piece->file.fd = fd;
    return ERR_OK;
}

static void group_begin(struct journal_commit *commit, struct os *os)
{
    struct journal_piece *piece = commit->piece;
    journal_writer_init(&commit->writer, os, piece->file.fd, piece->used);
    /* smaller ones take less time and less work through it */
    if (!commit->buffer || commit->body_size < JOURNAL_UNCACHED_SIZE_MIN)
        return;
    if (piece->uncached_fd == UNCACHED_FD_NONE)
        piece->uncached_fd = uncached_open(os, piece->path);
    if (piece->uncached_fd >= 0)
        journal_writer_uncached(&commit->writer, piece->uncached_fd, commit->buffer);
}

static uint32_t body_crc(struct journal_commit *commit)
{
    uint32_t crc = 0;
    list_for_each (node, &commit->entries) {
        struct journal_entry *entry = LIST_ENTRY(node, struct journal_entry, node);
        if (entry->result != ERR_OK)
            continue;
        crc = journal_entry_seal(entry, &commit->head, crc);
    }
    return crc;
}

static enum err group_write(struct journal_commit *commit, struct os *os)
{
    struct journal_piece *piece = commit->piece;
    struct journal_writer *writer = &commit->writer;
    uint8_t file_head[JOURNAL_HEAD_SIZE];
    uint8_t group_head[JOURNAL_HEAD_SIZE];
    struct journal_head head = commit->head;
    group_begin(commit, os);
    if (piece->used == 0) {
        head.magic = JOURNAL_MAGIC_PIECE;
        head.body_size = commit->number_before;
        head.entry_count = JOURNAL_FORMAT_VERSION;
        journal_head_put(file_head, &head);
        journal_writer_add(writer, slice_make(file_head, sizeof(file_head)));
        journal_writer_pad(writer, sizeof(file_head));
    }
    commit->head.crc = body_crc(commit);
    journal_head_put(group_head, &commit->head);
    journal_writer_add(writer, slice_make(group_head, sizeof(group_head)));
    list_for_each (node, &commit->entries) {
        struct journal_entry *entry = LIST_ENTRY(node, struct journal_entry, node);
        if (entry->result != ERR_OK)
            continue;
        journal_writer_add(writer, slice_make(entry->head, sizeof(entry->head)));
        for (size_t i = 0; i < COUNT_OF(entry->parts); i++)
            journal_writer_add(writer, entry->parts[i]);
    }
    journal_writer_pad(writer, sizeof(group_head) + commit->body_size);
    return journal_writer_flush(writer);
}

void journal_commit_run(struct core_work *work)
{
    struct journal_commit *commit = CONTAINER_OF(work, struct journal_commit, work);
    struct os *os = core_os(work->core);
    enum err err = direct_write(commit, os);
    if (err == ERR_OK)
        err = direct_sync(commit, os, false);
    if (err == ERR_OK)
        err = direct_sync(commit, os, true);
    bool is_new = commit->piece->file.fd < 0;
    if (err == ERR_OK)
        err = piece_open(commit, os);
    if (err == ERR_OK)
        err = group_write(commit, os);
    if (err == ERR_OK)
        err = sync_once(os->ops->fdatasync(os, commit->piece->file.fd));
    /* while the piece has no group, its name may not have been synced by an attempt before */
    if (err == ERR_OK && (is_new || (commit->piece->used == 0 && commit->piece->written == 0)))
        err = sync_once(os->ops->fsync(os, commit->dir_fd));
    commit->err = err;
}
