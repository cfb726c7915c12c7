// Segments of a log: which there are, their files and the limit on open descriptors.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/log.h"

/* Index of the first segment whose base is > base. */
static uint32_t upper(const struct store_log *log, int64_t base)
{
    uint32_t low = 0, high = log->segment_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (log->segments[middle]->base <= base)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct segment *segment_at(const struct store_log *log, int64_t offset)
{
    if (log->segment_count == 0)
        return NULL;
    uint32_t at = upper(log, offset);
    return log->segments[at ? at - 1 : 0];
}

struct segment *segment_find(const struct store_log *log, int64_t base)
{
    struct segment *segment = segment_at(log, base);
    return segment && segment->base == base ? segment : NULL;
}

struct segment *segment_add(struct store_log *log, int64_t base)
{
    if (log->segment_count == log->segment_capacity) {
        uint32_t capacity = log->segment_capacity ? log->segment_capacity * 2 : 1;
        struct segment **grown = realloc(log->segments, capacity * sizeof(struct segment *));
        if (!grown)
            return NULL;
        log->segments = grown;
        log->segment_capacity = capacity;
    }
    struct segment *segment = calloc(1, sizeof(*segment));
    if (!segment)
        return NULL;
    budget_charge_always(log_budget(log), sizeof(*segment));
    segment->base = base;
    index_init(&segment->index);
    list_init(&segment->open_node);
    uint32_t at = upper(log, base);
    memmove(log->segments + at + 1, log->segments + at,
            (log->segment_count - at) * sizeof(struct segment *));
    log->segments[at] = segment;
    log->segment_count++;
    return segment;
}

enum err segment_place(struct store_log *log)
{
    const struct log_place *place = &log->place;
    if (place->segment_base < 0 || segment_find(log, place->segment_base))
        return ERR_OK;
    struct segment *segment = segment_add(log, place->segment_base);
    if (!segment)
        return ERR_NO_MEMORY;
    segment->size = segment->index_from = place->size;
    segment->first_ms = place->first_ms;
    segment->is_named = place->size > 0; /* an empty one has no file yet */
    return ERR_OK;
}

static void file_drop(struct log_core *home, struct segment *segment)
{
    list_remove(&segment->open_node);
    home->open_count -= segment->file->uncached_fd >= 0 ? 2 : 1;
    segment_file_unref(segment->file);
    segment->file = NULL;
}

static void segment_close(struct store_log *log, struct segment *segment)
{
    if (segment->file)
        file_drop(log->home, segment);
}

void segment_remove(struct store_log *log, struct segment *segment)
{
    uint32_t at = upper(log, segment->base) - 1;
    CHECK(log->segments[at] == segment);
    segment_close(log, segment);
    index_deinit(&segment->index);
    budget_release(log_budget(log), sizeof(*segment));
    free(segment);
    log->segment_count--;
    memmove(log->segments + at, log->segments + at + 1,
            (log->segment_count - at) * sizeof(struct segment *));
    if (log->segment_count > 0)
        return;
    free(log->segments);
    log->segments = NULL;
    log->segment_capacity = 0;
}

void segment_path(const struct store_log *log, int64_t base, const char *suffix, char *out)
{
    log_dir_path(log, out);
    size_t size = strlen(out);
    (void)snprintf(out + size, LOG_PATH_SIZE - size, "/%020lld%s", (long long)base, suffix);
}

static void file_close(struct conn_file *file)
{
    struct segment_file *self = CONTAINER_OF(file, struct segment_file, file);
    self->os->ops->close(self->os, file->fd);
    if (self->uncached_fd >= 0)
        self->os->ops->close(self->os, self->uncached_fd);
    free(self);
}

struct segment_file *segment_file_new(struct os *os, int fd)
{
    struct segment_file *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->os = os;
    self->uncached_fd = UNCACHED_FD_NONE;
    self->file.fd = fd;
    self->file.close = file_close;
    atomic_init(&self->file.refs, 1);
    return self;
}

void segment_file_unref(struct segment_file *file)
{
    if (file && atomic_fetch_sub(&file->file.refs, 1) == 1)
        file->file.close(&file->file);
}

/* As many as there are too many, but for this one. */
static void oldest_close(struct log_core *home, const struct segment *spared)
{
    while (home->open_count > home->open_max && home->open_lru.next != &spared->open_node)
        file_drop(home, LIST_ENTRY(home->open_lru.next, struct segment, open_node));
}

void segment_file_set(struct store_log *log, struct segment *segment,
                      struct segment_file *take_file)
{
    struct log_core *home = log->home;
    if (segment->file) {
        segment_file_unref(take_file);
        segment_touch(log, segment);
        return;
    }
    segment->file = take_file;
    list_push_back(&home->open_lru, &segment->open_node);
    home->open_count++;
    oldest_close(home, segment);
}

void segment_uncached_set(struct store_log *log, struct segment *segment, int take_fd)
{
    struct log_core *home = log->home;
    struct segment_file *file = segment->file;
    if (!file || file->uncached_fd >= 0) {
        if (take_fd >= 0)
            log->store->os->ops->close(log->store->os, take_fd);
        return;
    }
    file->uncached_fd = take_fd;
    if (take_fd < 0)
        return;
    home->open_count++;
    segment_touch(log, segment);
    oldest_close(home, segment);
}

void segment_file_replace(struct store_log *log, struct segment *segment,
                          struct segment_file *take_file)
{
    segment_close(log, segment);
    segment_file_set(log, segment, take_file);
}

void segment_touch(struct store_log *log, struct segment *segment)
{
    if (!segment->file)
        return;
    list_remove(&segment->open_node);
    list_push_back(&log->home->open_lru, &segment->open_node);
}

void segment_close_all(struct store_log *log)
{
    for (uint32_t i = 0; i < log->segment_count; i++)
        segment_close(log, log->segments[i]);
}

struct segment_space segment_reserve(const struct store_log *log, struct segment *segment,
                                     uint32_t position, uint32_t end)
{
    if (end <= segment->reserved || end < LOG_RESERVE_SIZE_MIN)
        return (struct segment_space){0, 0};
    uint32_t from = MAX(segment->reserved, position);
    uint32_t limit = MAX(log->config->segment_size_bytes, end);
    /* as much again as there is: many small logs do not take the disk */
    uint64_t target = (uint64_t)end + MIN(end, LOG_RESERVE_SIZE_MAX);
    segment->reserved = (uint32_t)MIN(target, limit);
    return (struct segment_space){from, segment->reserved - from};
}

int segment_open_path(struct os *os, const char *dir, const char *path, bool create)
{
    unsigned flags = OS_OPEN_READ | OS_OPEN_WRITE;
    int fd = os->ops->open(os, path, flags);
    if (fd != -ENOENT || !create)
        return fd;
    fd = os->ops->open(os, path, flags | OS_OPEN_CREATE);
    if (fd != -ENOENT)
        return fd;
    int error = os->ops->mkdir(os, dir);
    return error < 0 ? error : os->ops->open(os, path, flags | OS_OPEN_CREATE);
}
