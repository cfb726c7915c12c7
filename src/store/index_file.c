// Writes, continues and reads the index files of a segment.
// SPDX-License-Identifier: Apache-2.0
#include "store/index_file.h"

#include <stdio.h>

#include "base/endian.h"
#include "store/tail_write.h"

static const char OFFSETS[] = ".index";
static const char TIMES[] = ".timeindex";

static void path_make(const char *path, const char *suffix, char out[LOG_PATH_SIZE])
{
    (void)snprintf(out, LOG_PATH_SIZE, "%.*s%s", (int)(strlen(path) - strlen(".log")), path,
                   suffix);
}

static int file_open(struct os *os, const char *path, const char *suffix, unsigned flags)
{
    char name[LOG_PATH_SIZE];
    path_make(path, suffix, name);
    return os->ops->open(os, name, flags);
}

static void drop(struct os *os, const char *path)
{
    char name[LOG_PATH_SIZE];
    path_make(path, OFFSETS, name);
    (void)os->ops->unlink(os, name);
    path_make(path, TIMES, name);
    (void)os->ops->unlink(os, name);
}

static bool put(struct os *os, int fd, struct slice bytes, uint64_t offset)
{
    struct iovec part = {(void *)(uintptr_t)bytes.data, bytes.size};
    return tail_write_all(os, fd, &part, 1, offset) == ERR_OK;
}

static bool replace(struct os *os, const char *path, const char *suffix, struct slice bytes)
{
    int fd = file_open(os, path, suffix, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE);
    if (fd < 0)
        return false;
    bool ok = put(os, fd, bytes, 0);
    os->ops->close(os, fd);
    return ok;
}

/* Entries of offsets without their times would hide records from those who look for a time: times
 * are always written first. */
bool index_file_replace(struct os *os, const char *path, const struct index_file_entries *entries)
{
    bool ok = replace(os, path, TIMES, text_slice(&entries->times)) &&
              replace(os, path, OFFSETS, text_slice(&entries->offsets));
    if (!ok)
        drop(os, path);
    return ok;
}

/* --- to continue --- */

/* A file of entries, those that follow are to be written at size. */
struct growing {
    struct os *os;
    int fd;
    size_t entry_size;
    uint64_t size;
    uint8_t last[INDEX_TIME_ENTRY_SIZE]; /* entry; zeros when there is none */
};

static bool grow_open(struct growing *out, struct os *os, const char *path, const char *suffix,
                      size_t entry_size)
{
    struct os_stat stat;
    *out = (struct growing){.os = os, .entry_size = entry_size};
    out->fd = file_open(os, path, suffix, OS_OPEN_READ | OS_OPEN_WRITE);
    if (out->fd < 0 || os->ops->fstat(os, out->fd, &stat) != 0)
        return false;
    out->size = stat.size_bytes;
    return true;
}

static void grow_close(struct growing *file)
{
    if (file->fd >= 0)
        file->os->ops->close(file->os, file->fd);
}

static bool entry_read(const struct growing *file, uint64_t number, uint8_t *out)
{
    ssize_t size = (ssize_t)file->entry_size;
    return file->os->ops->pread(file->os, file->fd, out, file->entry_size,
                                number * file->entry_size) == size;
}

/* Leaves those whose number of 4 bytes at that place is below; they rise. */
static bool grow_cut(struct growing *file, unsigned place, uint32_t below)
{
    uint64_t low = 0, high = file->size / file->entry_size;
    uint8_t entry[INDEX_TIME_ENTRY_SIZE];
    uint64_t middle = high > 0 ? high - 1 : 0; /* most likely all of them */
    for (; low < high; middle = low + (high - low) / 2) {
        if (!entry_read(file, middle, entry))
            return false;
        if (be32_get(entry + place) < below)
            low = middle + 1;
        else
            high = middle;
    }
    uint64_t size = low * file->entry_size;
    bool ok = size == file->size || file->os->ops->truncate(file->os, file->fd, size) == 0;
    file->size = size;
    return ok && (low == 0 || entry_read(file, low - 1, file->last));
}

/* Those that say something new: timestamps rise. */
static struct slice times_after(struct slice times, const struct growing *file)
{
    while (file->size > 0 && times.size > 0 &&
           (int64_t)be64_get(times.data) <= (int64_t)be64_get(file->last))
        times = slice_make(times.data + INDEX_TIME_ENTRY_SIZE, times.size - INDEX_TIME_ENTRY_SIZE);
    return times;
}

/* A crash may have come between the files' last entries and the checkpoint that they were for:
 * those are taken back, they come again. */
static bool append(struct growing *offsets, struct growing *times,
                   const struct index_file_entries *entries, uint32_t below)
{
    if (!grow_cut(offsets, 4, below))
        return false;
    uint32_t delta_end = offsets->size > 0 ? be32_get(offsets->last) + 1 : 0;
    const uint8_t *first = text_slice(&entries->offsets).data;
    if (delta_end > be32_get(first) || !grow_cut(times, 8, delta_end))
        return false;
    struct slice new_times = times_after(text_slice(&entries->times), times);
    return put(times->os, times->fd, new_times, times->size) &&
           put(offsets->os, offsets->fd, text_slice(&entries->offsets), offsets->size);
}

bool index_file_append(struct os *os, const char *path, const struct index_file_entries *entries,
                       uint32_t below)
{
    struct growing offsets;
    struct growing times;
    bool has_offsets = grow_open(&offsets, os, path, OFFSETS, INDEX_OFFSET_ENTRY_SIZE);
    bool has_times = grow_open(&times, os, path, TIMES, INDEX_TIME_ENTRY_SIZE);
    bool ok = has_offsets && has_times && append(&offsets, &times, entries, below);
    grow_close(&offsets);
    grow_close(&times);
    if (!ok)
        drop(os, path);
    return ok;
}

/* --- to read --- */

static bool file_read(struct os *os, const char *path, const char *suffix, struct text *out)
{
    struct os_stat stat;
    int fd = file_open(os, path, suffix, OS_OPEN_READ);
    if (fd < 0)
        return false;
    bool ok = os->ops->fstat(os, fd, &stat) == 0 && stat.size_bytes <= INDEX_FILE_SIZE_MAX;
    uint8_t part[4096];
    while (ok && out->size < stat.size_bytes) {
        ssize_t got = os->ops->pread(os, fd, part, sizeof(part), out->size);
        ok = got > 0;
        if (ok)
            text_add(out, slice_make(part, (size_t)got));
    }
    os->ops->close(os, fd);
    return ok && !out->failed;
}

enum err index_file_load(struct os *os, const char *path, uint32_t size, struct index *out)
{
    struct text offsets;
    struct text times;
    text_init(&offsets);
    text_init(&times);
    enum err err = ERR_CORRUPT;
    if (file_read(os, path, OFFSETS, &offsets) && file_read(os, path, TIMES, &times) &&
        offsets.size > 0)
        err = index_decode(out, size, text_slice(&offsets), text_slice(&times));
    text_deinit(&offsets);
    text_deinit(&times);
    return err;
}
