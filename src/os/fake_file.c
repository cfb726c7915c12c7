// Open files of the fake disk: read, write, sync, truncate, reserve, lock.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "os/fake_state.h"

#define WRITE_SIZE_MAX 0x7ffff000U /* as Linux does */

/* Finds an open file, then passes the gate. */
static int file_enter(struct os_fake *fake, int fd, enum os_fake_kind kind,
                      struct os_fake_node **out_node, const struct os_fake_fault **out_fault)
{
    struct os_fake_fd *file = os_fake_fd_get(fake, fd, OS_FAKE_FD_FILE);
    if (!file)
        return -EBADF;
    unsigned needed = 0;
    if (kind == OS_FAKE_READ)
        needed = OS_OPEN_READ;
    if (kind == OS_FAKE_WRITE || kind == OS_FAKE_TRUNCATE || kind == OS_FAKE_RESERVE)
        needed = OS_OPEN_WRITE;
    if ((file->flags & needed) != needed)
        return kind == OS_FAKE_TRUNCATE ? -EINVAL : -EBADF;
    if (file->node->is_directory && needed)
        return -EISDIR;
    *out_node = file->node;
    return os_fake_gate_enter(fake, (struct os_fake_gate){.kind = kind, .node = file->node},
                              out_fault);
}

/* Bytes that a read of this size may give; a bad range gives its error. */
static ssize_t read_size(const struct os_fake_node *node, uint64_t offset, size_t size)
{
    if (offset > INT64_MAX)
        return -EINVAL;
    if (offset >= node->pages.size)
        return 0;
    uint64_t able = MIN(MIN(size, WRITE_SIZE_MAX), node->pages.size - offset);
    for (size_t i = 0; i < node->bad_range_count; i++) {
        const struct os_fake_bad_range *bad = &node->bad_ranges[i];
        if (offset < bad->offset + bad->size && bad->offset < offset + able)
            return -bad->error;
    }
    return (ssize_t)able;
}

ssize_t os_fake_file_pread(struct os *os, int fd, void *data, size_t size, uint64_t offset)
{
    struct os_fake_node *node;
    int result = file_enter(os_fake_of(os), fd, OS_FAKE_READ, &node, NULL);
    if (result < 0)
        return result;
    ssize_t able = read_size(node, offset, size);
    if (able <= 0)
        return able;
    os_fake_pages_read(&node->pages, OS_FAKE_CACHED, offset, (struct iovec){data, (size_t)able});
    os_fake_pages_warm(&node->pages, offset, (uint64_t)able);
    return able;
}

ssize_t os_fake_file_pread_cached(struct os *os, int fd, void *data, size_t size, uint64_t offset)
{
    struct os_fake_node *node;
    int result = file_enter(os_fake_of(os), fd, OS_FAKE_READ, &node, NULL);
    if (result < 0)
        return result;
    ssize_t able = read_size(node, offset, size);
    if (able <= 0)
        return able;
    uint64_t warm = os_fake_pages_warm_size(&node->pages, offset, (uint64_t)able);
    if (warm == 0)
        return -EAGAIN;
    os_fake_pages_read(&node->pages, OS_FAKE_CACHED, offset, (struct iovec){data, (size_t)warm});
    return (ssize_t)warm;
}

void os_fake_file_prefetch(struct os *os, int fd, uint64_t offset, uint64_t size)
{
    struct os_fake_node *node;
    if (file_enter(os_fake_of(os), fd, OS_FAKE_READ, &node, NULL) < 0)
        return;
    ssize_t able = read_size(node, offset, MIN(size, WRITE_SIZE_MAX));
    if (able > 0)
        os_fake_pages_warm(&node->pages, offset, (uint64_t)able);
}

/* How much of a write there is room for. */
static ssize_t write_room(struct os_fake *fake, const struct os_fake_node *node, uint64_t offset,
                          size_t size)
{
    if (offset >= OS_FAKE_FILE_SIZE_MAX)
        return -EFBIG;
    uint64_t able = MIN(MIN(size, WRITE_SIZE_MAX), OS_FAKE_FILE_SIZE_MAX - offset);
    uint64_t room = os_fake_pages_room(&node->pages, offset, able, os_fake_file_free_count(fake));
    return room == 0 && size > 0 ? -ENOSPC : (ssize_t)room;
}

static size_t parts_size(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    return size;
}

/* May a write past the page cache be done like this? */
static bool is_aligned(const struct iovec *parts, int count, uint64_t offset)
{
    uint64_t all = offset;
    for (int i = 0; i < count; i++)
        all |= (uintptr_t)parts[i].iov_base | parts[i].iov_len;
    return all % OS_UNCACHED_BLOCK_SIZE == 0;
}

ssize_t os_fake_file_pwritev(struct os *os, int fd, const struct iovec *parts, int count,
                             uint64_t offset)
{
    struct os_fake *fake = os_fake_of(os);
    struct os_fake_node *node;
    const struct os_fake_fault *fault;
    int result = file_enter(fake, fd, OS_FAKE_WRITE, &node, &fault);
    if (result < 0)
        return result;
    if (os_fake_fd_get(fake, fd, OS_FAKE_FD_FILE)->flags & OS_OPEN_UNCACHED &&
        !is_aligned(parts, count, offset))
        return -EINVAL;
    size_t size = parts_size(parts, count);
    if (fault)
        size = MIN(size, fault->short_bytes);
    ssize_t room = write_room(fake, node, offset, size);
    if (room <= 0)
        return room;
    result = os_fake_gate_change(fake);
    if (result < 0)
        return result;
    size_t left = (size_t)room;
    for (int i = 0; left > 0; i++) {
        size_t now = MIN(left, parts[i].iov_len);
        os_fake_pages_write(&node->pages, offset, slice_make(parts[i].iov_base, now));
        offset += now;
        left -= now;
    }
    node->modified_ms = os->ops->wall_ms(os);
    return os_fake_gate_leave(fake, room);
}

/* Enters a sync; a fault may make the file forget what it did not write. */
static int sync_enter(struct os_fake *fake, int fd, struct os_fake_node **out_node)
{
    const struct os_fake_fault *fault = NULL;
    int result = file_enter(fake, fd, OS_FAKE_SYNC, out_node, &fault);
    if (result < 0 && fault && fault->forget)
        os_fake_pages_forget(&(*out_node)->pages);
    return result < 0 ? result : os_fake_gate_change(fake);
}

int os_fake_file_fdatasync(struct os *os, int fd)
{
    struct os_fake *fake = os_fake_of(os);
    struct os_fake_node *node;
    int result = sync_enter(fake, fd, &node);
    if (result < 0)
        return result;
    if (node->is_directory)
        os_fake_names_sync(&fake->disk, node);
    else
        os_fake_pages_sync(&node->pages);
    return (int)os_fake_gate_leave(fake, 0);
}

int os_fake_file_fsync(struct os *os, int fd)
{
    return os_fake_file_fdatasync(os, fd);
}

int os_fake_file_syncfs(struct os *os, int fd)
{
    struct os_fake *fake = os_fake_of(os);
    struct os_fake_node *node;
    int result = sync_enter(fake, fd, &node);
    if (result < 0)
        return result;
    os_fake_names_sync_all(&fake->disk);
    for (size_t i = 0; i < fake->disk.node_count; i++)
        os_fake_pages_sync(&fake->disk.nodes[i]->pages);
    return (int)os_fake_gate_leave(fake, 0);
}

int os_fake_file_truncate(struct os *os, int fd, uint64_t size)
{
    struct os_fake *fake = os_fake_of(os);
    struct os_fake_node *node;
    int result = file_enter(fake, fd, OS_FAKE_TRUNCATE, &node, NULL);
    if (result == 0 && size > OS_FAKE_FILE_SIZE_MAX)
        result = -EFBIG;
    if (result == 0)
        result = os_fake_gate_change(fake);
    if (result < 0)
        return result;
    os_fake_pages_truncate(&node->pages, size);
    node->modified_ms = os->ops->wall_ms(os);
    return (int)os_fake_gate_leave(fake, 0);
}

int os_fake_file_reserve(struct os *os, int fd, uint64_t offset, uint64_t size)
{
    struct os_fake *fake = os_fake_of(os);
    struct os_fake_node *node;
    int result = file_enter(fake, fd, OS_FAKE_RESERVE, &node, NULL);
    if (result < 0)
        return result;
    if (size == 0)
        return -EINVAL;
    if (offset > OS_FAKE_FILE_SIZE_MAX || size > OS_FAKE_FILE_SIZE_MAX - offset)
        return -EFBIG;
    uint64_t free_count = os_fake_file_free_count(fake);
    if (os_fake_pages_room(&node->pages, offset, size, free_count) < size)
        return -ENOSPC;
    result = os_fake_gate_change(fake);
    if (result < 0)
        return result;
    os_fake_pages_reserve(&node->pages, offset, size);
    return (int)os_fake_gate_leave(fake, 0);
}

int os_fake_file_fstat(struct os *os, int fd, struct os_stat *out)
{
    struct os_fake_node *node;
    int result = file_enter(os_fake_of(os), fd, OS_FAKE_STAT, &node, NULL);
    if (result == 0)
        *out = (struct os_stat){.size_bytes = node->pages.size,
                                .modified_ms = node->modified_ms,
                                .is_directory = node->is_directory,
                                .is_private = true};
    return result;
}

int os_fake_file_lock(struct os *os, int fd)
{
    struct os_fake_node *node;
    int result = file_enter(os_fake_of(os), fd, OS_FAKE_LOCK, &node, NULL);
    if (result < 0)
        return result;
    if (node->lock_fd >= 0 && node->lock_fd != fd)
        return -EWOULDBLOCK;
    node->lock_fd = fd;
    return 0;
}

/* Removed files keep their space while a descriptor is open. */
uint64_t os_fake_file_free_count(const struct os_fake *fake)
{
    if (fake->capacity_count == UINT64_MAX)
        return UINT64_MAX;
    uint64_t used = 0;
    for (size_t i = 0; i < fake->disk.node_count; i++) {
        const struct os_fake_node *node = fake->disk.nodes[i];
        if (node->places[OS_FAKE_CACHED].parent || node->fd_count > 0)
            used += node->pages.charged_count;
    }
    return used < fake->capacity_count ? fake->capacity_count - used : 0;
}
