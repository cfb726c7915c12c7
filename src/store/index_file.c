// Writes, continues and reads the index files of a segment.
// SPDX-License-Identifier: Apache-2.0
#include "store/index_file.h"

#include <errno.h>
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

struct growing {
    int fd;
    uint64_t size;
    uint8_t last[INDEX_TIME_ENTRY_SIZE]; /* entry; zeros when there is none */
};

static bool grow_open(struct os *os, const char *path, const char *suffix, size_t entry_size,
                      struct growing *out)
{
    struct os_stat stat;
    *out = (struct growing){.fd = file_open(os, path, suffix, OS_OPEN_READ | OS_OPEN_WRITE)};
    if (out->fd < 0 || os->ops->fstat(os, out->fd, &stat) != 0)
        return false;
    out->size = stat.size_bytes;
    if (out->size == 0)
        return true;
    return out->size % entry_size == 0 &&
           os->ops->pread(os, out->fd, out->last, entry_size, out->size - entry_size) ==
               (ssize_t)entry_size;
}

/* Those that say something new: timestamps rise. */
static struct slice times_after(struct slice times, const struct growing *file)
{
    while (file->size > 0 && times.size > 0 &&
           (int64_t)be64_get(times.data) <= (int64_t)be64_get(file->last))
        times = slice_make(times.data + INDEX_TIME_ENTRY_SIZE, times.size - INDEX_TIME_ENTRY_SIZE);
    return times;
}

static bool append(struct os *os, const struct growing *offsets, const struct growing *times,
                   const struct index_file_entries *entries)
{
    struct slice new_times = times_after(text_slice(&entries->times), times);
    return put(os, times->fd, new_times, times->size) &&
           put(os, offsets->fd, text_slice(&entries->offsets), offsets->size);
}

bool index_file_append(struct os *os, const char *path, const struct index_file_entries *entries,
                       uint32_t below)
{
    struct growing offsets;
    struct growing times;
    bool ok = grow_open(os, path, OFFSETS, INDEX_OFFSET_ENTRY_SIZE, &offsets);
    if (offsets.fd == -ENOENT)
        return false;
    bool has_times = grow_open(os, path, TIMES, INDEX_TIME_ENTRY_SIZE, &times);
    const uint8_t *first = text_slice(&entries->offsets).data;
    ok = ok && has_times && be32_get(offsets.last + 4) < below &&
         (int32_t)be32_get(offsets.last) < (int32_t)be32_get(first) &&
         append(os, &offsets, &times, entries);
    if (offsets.fd >= 0)
        os->ops->close(os, offsets.fd);
    if (times.fd >= 0)
        os->ops->close(os, times.fd);
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
