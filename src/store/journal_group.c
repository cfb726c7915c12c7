// Groups in block-aligned files: heads, the gathering writer, the scan that gets past damage.
// SPDX-License-Identifier: Apache-2.0
#include "store/journal_group.h"

#include <errno.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/endian.h"

#define SCAN_BUFFER_SIZE (1u << 20)

enum {
    AT_MAGIC = 0,
    AT_CRC = 4,
    AT_NUMBER = 8,
    AT_RUN = 16,
    AT_SEQUENCE = 24,
    AT_DURABLE = 32,
    AT_BODY_SIZE = 40,
    AT_ENTRY_COUNT = 48,
    AT_CORE = 52,
    AT_ZERO = 56,
    AT_HEAD_CRC = 60,
};
_Static_assert(AT_HEAD_CRC + sizeof(uint32_t) == JOURNAL_HEAD_SIZE, "layout of a head");
_Static_assert(JOURNAL_GROUP_BLOCK % JOURNAL_HEAD_SIZE == 0, "a head lies in one block");
_Static_assert(SCAN_BUFFER_SIZE % JOURNAL_GROUP_BLOCK == 0, "the buffer holds whole blocks");

static const uint8_t zeros[JOURNAL_GROUP_BLOCK];

void journal_head_put(uint8_t out[JOURNAL_HEAD_SIZE], const struct journal_head *head)
{
    le32_put(out + AT_MAGIC, head->magic);
    le32_put(out + AT_CRC, head->crc);
    le64_put(out + AT_NUMBER, head->number);
    le64_put(out + AT_RUN, head->run);
    le64_put(out + AT_SEQUENCE, head->sequence);
    le64_put(out + AT_DURABLE, head->durable);
    le64_put(out + AT_BODY_SIZE, head->body_size);
    le32_put(out + AT_ENTRY_COUNT, head->entry_count);
    le32_put(out + AT_CORE, head->core);
    le32_put(out + AT_ZERO, 0);
    le32_put(out + AT_HEAD_CRC, crc32c(0, out, AT_HEAD_CRC));
}

bool journal_head_get(const uint8_t bytes[JOURNAL_HEAD_SIZE], uint32_t magic,
                      struct journal_head *out)
{
    if (le32_get(bytes + AT_MAGIC) != magic)
        return false;
    if (le32_get(bytes + AT_HEAD_CRC) != crc32c(0, bytes, AT_HEAD_CRC))
        return false;
    *out = (struct journal_head){
        .magic = magic,
        .crc = le32_get(bytes + AT_CRC),
        .number = le64_get(bytes + AT_NUMBER),
        .run = le64_get(bytes + AT_RUN),
        .sequence = le64_get(bytes + AT_SEQUENCE),
        .durable = le64_get(bytes + AT_DURABLE),
        .body_size = le64_get(bytes + AT_BODY_SIZE),
        .entry_count = le32_get(bytes + AT_ENTRY_COUNT),
        .core = le32_get(bytes + AT_CORE),
    };
    return true;
}

uint64_t journal_group_size(uint64_t body_size)
{
    const uint64_t mask = JOURNAL_GROUP_BLOCK - 1;
    return (JOURNAL_HEAD_SIZE + body_size + mask) & ~mask;
}

/* --- writing --- */

void journal_writer_init(struct journal_writer *writer, struct os *os, int fd, uint64_t offset)
{
    writer->os = os;
    writer->fd = fd;
    writer->offset = offset;
    writer->err = ERR_OK;
    writer->is_uncached = false;
    writer->count = 0;
}

void journal_writer_uncached(struct journal_writer *writer, int fd_uncached, struct buf *buffer)
{
    writer->is_uncached = true;
    writer->uncached = (struct uncached){
        .os = writer->os, .fd = writer->fd, .fd_uncached = fd_uncached, .buffer = buffer};
    uncached_begin(&writer->uncached, writer->offset);
}

static enum err error_of(enum err err)
{
    return err == ERR_OK || err == ERR_DISK_FULL ? err : ERR_OFFLINE;
}

/* The parts without their first size bytes; returns how many are left. */
static int parts_drop(struct iovec *parts, int count, size_t size)
{
    int first = 0;
    while (first < count && size >= parts[first].iov_len)
        size -= parts[first++].iov_len;
    if (first < count) {
        parts[first].iov_base = (uint8_t *)parts[first].iov_base + size;
        parts[first].iov_len -= size;
    }
    memmove(parts, parts + first, (size_t)(count - first) * sizeof(*parts));
    return count - first;
}

enum err journal_writer_flush(struct journal_writer *writer)
{
    if (writer->is_uncached && writer->err == ERR_OK)
        writer->err = error_of(uncached_end(&writer->uncached));
    writer->is_uncached = false;
    while (writer->count > 0 && writer->err == ERR_OK) {
        ssize_t size = writer->os->ops->pwritev(writer->os, writer->fd, writer->parts,
                                                writer->count, writer->offset);
        if (size == -EINTR)
            continue;
        if (size > 0) {
            writer->offset += (uint64_t)size;
            writer->count = parts_drop(writer->parts, writer->count, (size_t)size);
        } else {
            writer->err = size < 0 ? error_of(err_from_errno((int)-size)) : ERR_OFFLINE;
        }
    }
    writer->count = 0;
    return writer->err;
}

void journal_writer_add(struct journal_writer *writer, struct slice bytes)
{
    if (bytes.size == 0)
        return;
    if (writer->is_uncached) {
        if (writer->err == ERR_OK)
            writer->err = error_of(uncached_add(&writer->uncached, bytes));
        return;
    }
    if (writer->count == (int)COUNT_OF(writer->parts) &&
        journal_writer_flush(writer) != ERR_OK) /* remembered in err */
        return;
    writer->parts[writer->count].iov_base = (void *)(uintptr_t)bytes.data;
    writer->parts[writer->count++].iov_len = bytes.size;
}

void journal_writer_pad(struct journal_writer *writer, uint64_t size)
{
    size_t over = size % JOURNAL_GROUP_BLOCK;
    if (over > 0)
        journal_writer_add(writer, slice_make(zeros, JOURNAL_GROUP_BLOCK - over));
}

/* --- reading --- */

/* Fills with what the medium gives, block by block where it refuses; zeros for the rest. */
static void read_range(struct journal_scan *scan, uint8_t *out, size_t size, uint64_t offset)
{
    const struct os_ops *ops = scan->os->ops;
    size_t limit = size;
    while (size > 0) {
        ssize_t got = ops->pread(scan->os, scan->fd, out, MIN(size, limit), offset);
        if (got == -EINTR)
            continue;
        if (got < 0 && limit > JOURNAL_GROUP_BLOCK) {
            limit = JOURNAL_GROUP_BLOCK;
            continue;
        }
        size_t step = got > 0 ? (size_t)got : MIN(size, (size_t)JOURNAL_GROUP_BLOCK);
        if (got <= 0)
            memset(out, 0, step);
        out += step;
        offset += step;
        size -= step;
    }
}

/* The bytes [offset, offset + size), which lie in the file; NULL: out of memory. */
static const uint8_t *view(struct journal_scan *scan, uint64_t offset, size_t size)
{
    if (offset >= scan->buffer_at && offset + size <= scan->buffer_at + scan->buffer_size)
        return scan->buffer + (offset - scan->buffer_at);
    size_t wanted = MAX(size, (size_t)SCAN_BUFFER_SIZE);
    if (wanted > scan->buffer_capacity) {
        uint8_t *grown = malloc(wanted);
        if (!grown)
            return NULL;
        free(scan->buffer);
        scan->buffer = grown;
        scan->buffer_capacity = wanted;
    }
    scan->buffer_at = offset;
    scan->buffer_size = (size_t)MIN((uint64_t)wanted, scan->file_size - offset);
    read_range(scan, scan->buffer, scan->buffer_size, offset);
    return scan->buffer;
}

enum err journal_scan_start(struct journal_scan *scan, int fd, uint64_t number,
                            const uint32_t magics[2])
{
    struct os_stat stat;
    int error = scan->os->ops->fstat(scan->os, fd, &stat);
    if (error < 0)
        return err_from_errno(-error);
    scan->fd = fd;
    scan->file_size = stat.size_bytes;
    scan->number = number;
    scan->magic = magics[1];
    scan->buffer_at = 0;
    scan->buffer_size = 0;
    scan->position = JOURNAL_GROUP_BLOCK;
    scan->expected = 0;
    scan->run = 0;
    scan->mark = 0;
    scan->has_head = false;
    if (stat.size_bytes < JOURNAL_HEAD_SIZE)
        return ERR_OK;
    const uint8_t *bytes = view(scan, 0, JOURNAL_HEAD_SIZE);
    if (!bytes)
        return ERR_NO_MEMORY;
    struct journal_head head;
    if (!journal_head_get(bytes, magics[0], &head) || head.number != number || head.run == 0 ||
        head.sequence == 0 || head.entry_count != JOURNAL_FORMAT_VERSION)
        return ERR_OK;
    scan->has_head = true;
    scan->head = head;
    scan->run = head.run;
    scan->expected = head.sequence;
    scan->mark = head.durable;
    return ERR_OK;
}

/* A group's head that belongs here: of this file, this run, and not from before. */
static enum err head_at(struct journal_scan *scan, uint64_t position, struct journal_head *out,
                        bool *out_good)
{
    *out_good = false;
    if (scan->file_size < JOURNAL_HEAD_SIZE || position > scan->file_size - JOURNAL_HEAD_SIZE)
        return ERR_OK;
    const uint8_t *bytes = view(scan, position, JOURNAL_HEAD_SIZE);
    if (!bytes)
        return ERR_NO_MEMORY;
    if (!journal_head_get(bytes, scan->magic, out) || out->number != scan->number || out->run == 0)
        return ERR_OK;
    if (scan->run != 0 && out->run != scan->run)
        return ERR_OK;
    if (out->sequence == 0 || out->sequence >= UINT64_MAX / 2 || out->sequence < scan->expected ||
        out->durable >= out->sequence)
        return ERR_OK;
    *out_good = true;
    return ERR_OK;
}

/* The head at the position is good; the body may be damaged or cut off. */
static enum err take_group(struct journal_scan *scan, const struct journal_head *head,
                           struct journal_scan_step *out)
{
    uint64_t begin = scan->position;
    uint64_t room = scan->file_size - begin - JOURNAL_HEAD_SIZE;
    bool is_good = head->body_size <= room;
    scan->run = head->run;
    scan->expected = head->sequence + 1;
    scan->mark = MAX(scan->mark, head->durable);
    if (is_good) {
        const uint8_t *bytes = view(scan, begin, (size_t)(JOURNAL_HEAD_SIZE + head->body_size));
        if (!bytes)
            return ERR_NO_MEMORY;
        out->body = slice_make(bytes + JOURNAL_HEAD_SIZE, (size_t)head->body_size);
        is_good = crc32c(0, out->body.data, out->body.size) == head->crc;
        scan->position = begin + journal_group_size(head->body_size);
    } else {
        scan->position = begin + JOURNAL_GROUP_BLOCK;
    }
    out->kind = is_good ? JOURNAL_SCAN_GROUP : JOURNAL_SCAN_BAD;
    out->begin = begin;
    out->end = MIN(scan->position, scan->file_size);
    out->sequence = head->sequence;
    out->sequence_next = head->sequence + 1;
    out->head = *head;
    return ERR_OK;
}

static bool is_unreadable(struct journal_scan *scan, uint64_t position)
{
    uint8_t block[JOURNAL_HEAD_SIZE];
    if (position >= scan->file_size)
        return false;
    ssize_t got;
    do {
        got = scan->os->ops->pread(scan->os, scan->fd, block, sizeof(block), position);
    } while (got == -EINTR);
    return got < 0;
}

enum err journal_scan_next(struct journal_scan *scan, struct journal_scan_step *out)
{
    memset(out, 0, sizeof(*out));
    struct journal_head head;
    bool is_good = false;
    uint64_t found = scan->position;
    while (found < scan->file_size) {
        enum err err = head_at(scan, found, &head, &is_good);
        if (err != ERR_OK)
            return err;
        if (is_good)
            break;
        found += JOURNAL_GROUP_BLOCK;
    }
    bool is_gap = is_good && scan->expected != 0 && head.sequence > scan->expected;
    if (is_good && !is_gap && found == scan->position)
        return take_group(scan, &head, out);
    out->begin = scan->position;
    if (is_good) {
        /* without a head the first group found says that some came before it */
        out->kind = JOURNAL_SCAN_BAD;
        out->end = found;
        out->sequence = scan->expected ? scan->expected : head.sequence - 1;
        out->sequence_next = head.sequence;
        scan->position = found;
        scan->expected = head.sequence;
        scan->run = head.run;
        return ERR_OK;
    }
    out->kind = JOURNAL_SCAN_END;
    out->end = MAX(scan->file_size, scan->position);
    out->sequence = scan->expected;
    out->is_unreadable = is_unreadable(scan, scan->position);
    return ERR_OK;
}
