// A rewritten segment takes the place of one or more: all of it or nothing, whatever ends it.
// SPDX-License-Identifier: Apache-2.0
//
// The names, in the log's folder:
//   <base>.cleaned       being written; worth nothing
//   <base>-<end>.swap    whole and durable; takes the place of all segments from base up to end
//   <base>.log           a segment
// The steps, each durable before the next: the output's bytes; .cleaned becomes .swap (from here on
// there is no way back); the segments behind the first, and all their indexes, are removed; .swap
// becomes the first segment. A crash before .swap leaves the old, one after it has the swap ended
// when the log is opened next. Nothing reads the log's segments meanwhile, and no journal entry
// that is still alive speaks of them.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/compact.h"
#include "store/index_file.h"

#define NAME_DIGITS 20

static int dir_sync(struct os *os, const char *dir)
{
    int fd = os->ops->open(os, dir, OS_OPEN_READ | OS_OPEN_DIRECTORY);
    if (fd < 0)
        return fd;
    int error = os->ops->fsync(os, fd);
    os->ops->close(os, fd);
    return error;
}

static void base_path(const char *dir, int64_t base, const char *suffix, char out[LOG_PATH_SIZE])
{
    (void)snprintf(out, LOG_PATH_SIZE, "%s/%020lld%s", dir, (long long)base, suffix);
}

static void swap_path(const char *dir, int64_t base, int64_t end, char out[LOG_PATH_SIZE])
{
    (void)snprintf(out, LOG_PATH_SIZE, "%s/%020lld-%020lld.swap", dir, (long long)base,
                   (long long)end);
}

static int unlink_if(struct os *os, const char *dir, int64_t base, const char *suffix)
{
    char path[LOG_PATH_SIZE];
    base_path(dir, base, suffix, path);
    int error = os->ops->unlink(os, path);
    return error == -ENOENT ? 0 : error;
}

struct swap {
    struct os *os;
    const char *dir;
    int64_t base;
    int64_t end;
};

/* What follows the point of no return; bases: of all segments from swap->base up to swap->end that
 * are there. */
static int swap_end(const struct swap *swap, const int64_t *bases, uint32_t count)
{
    struct os *os = swap->os;
    char from[LOG_PATH_SIZE];
    char to[LOG_PATH_SIZE];
    int error = 0;
    for (uint32_t i = 0; i < count && error == 0; i++) {
        error = unlink_if(os, swap->dir, bases[i], ".index");
        if (error == 0)
            error = unlink_if(os, swap->dir, bases[i], ".timeindex");
        if (error == 0 && bases[i] != swap->base)
            error = unlink_if(os, swap->dir, bases[i], ".log");
    }
    if (error == 0)
        error = dir_sync(os, swap->dir);
    swap_path(swap->dir, swap->base, swap->end, from);
    base_path(swap->dir, swap->base, ".log", to);
    if (error == 0)
        error = os->ops->rename(os, from, to);
    return error == 0 ? dir_sync(os, swap->dir) : error;
}

static void indexes_put(const struct swap *swap, struct index *index)
{
    struct index_file_entries entries;
    char path[LOG_PATH_SIZE];
    base_path(swap->dir, swap->base, ".log", path);
    text_init(&entries.offsets);
    text_init(&entries.times);
    if (index->count > 0 && index_encode(index, 0, &entries.offsets, &entries.times) == ERR_OK &&
        index_file_replace(swap->os, path, &entries))
        index->saved = index->count;
    text_deinit(&entries.offsets);
    text_deinit(&entries.times);
}

enum err compact_swap_run(struct compact_output *output, const int64_t *bases, uint32_t count,
                          bool *out_is_begun)
{
    struct os *os = output->os;
    struct swap swap = {os, output->dir, output->base, output->offset_end};
    char from[LOG_PATH_SIZE];
    char to[LOG_PATH_SIZE];
    base_path(swap.dir, swap.base, ".cleaned", from);
    swap_path(swap.dir, swap.base, swap.end, to);
    *out_is_begun = false;
    int error = os->ops->rename(os, from, to);
    if (error < 0)
        return err_from_errno(-error);
    *out_is_begun = true;
    error = dir_sync(os, swap.dir);
    if (error == 0)
        error = swap_end(&swap, bases, count);
    if (error < 0)
        return err_from_errno(-error);
    indexes_put(&swap, &output->index);
    return ERR_OK;
}

/* --- after a crash --- */

static bool number_parse(const char *text, int64_t *out)
{
    int64_t number = 0;
    for (unsigned i = 0; i < NAME_DIGITS; i++) {
        if (text[i] < '0' || text[i] > '9' ||
            __builtin_mul_overflow(number, (int64_t)10, &number) ||
            __builtin_add_overflow(number, (int64_t)(text[i] - '0'), &number))
            return false;
    }
    *out = number;
    return true;
}

static bool is_swap(const char *name, int64_t *out_base, int64_t *out_end)
{
    return number_parse(name, out_base) && name[NAME_DIGITS] == '-' &&
           number_parse(name + NAME_DIGITS + 1, out_end) &&
           strcmp(name + 2 * NAME_DIGITS + 1, ".swap") == 0;
}

static bool is_named(const char *name, const char *suffix, int64_t *out_base)
{
    return number_parse(name, out_base) && strcmp(name + NAME_DIGITS, suffix) == 0;
}

bool compact_swap_is_remnant(const char *name)
{
    int64_t base, end;
    return is_swap(name, &base, &end) || is_named(name, ".cleaned", &base);
}

enum found_kind { FOUND_CLEANED, FOUND_SEGMENT, FOUND_SWAP };

struct found {
    enum found_kind kind;
    int64_t base;
    int64_t end;
};

struct folder {
    struct found *found;
    uint32_t count;
    uint32_t capacity;
    bool failed;
};

static void folder_found(void *arg, const char *name, bool is_directory)
{
    struct folder *folder = arg;
    struct found found = {0};
    if (is_directory || folder->failed)
        return;
    if (is_swap(name, &found.base, &found.end))
        found.kind = FOUND_SWAP;
    else if (is_named(name, ".cleaned", &found.base))
        found.kind = FOUND_CLEANED;
    else if (is_named(name, ".log", &found.base))
        found.kind = FOUND_SEGMENT;
    else
        return;
    if (folder->count == folder->capacity) {
        uint32_t capacity = folder->capacity ? folder->capacity * 2 : 16;
        struct found *grown = realloc(folder->found, capacity * sizeof(*grown));
        folder->failed = !grown;
        if (!grown)
            return;
        folder->found = grown;
        folder->capacity = capacity;
    }
    folder->found[folder->count++] = found;
}

/* The segments that the swap covers, and its own name: it may lack its segment already. */
static int swap_again(struct os *os, const char *dir, const struct folder *folder,
                      const struct found *at)
{
    struct swap swap = {os, dir, at->base, at->end};
    int64_t *bases = malloc((folder->count + 1) * sizeof(*bases));
    uint32_t count = 0;
    if (!bases)
        return -ENOMEM;
    bases[count++] = at->base;
    for (uint32_t i = 0; i < folder->count; i++) {
        const struct found *other = &folder->found[i];
        if (other->kind == FOUND_SEGMENT && other->base > at->base && other->base < at->end)
            bases[count++] = other->base;
    }
    int error = swap_end(&swap, bases, count);
    free(bases);
    return error;
}

enum err compact_swap_recover(struct os *os, const char *dir)
{
    struct folder folder = {0};
    int error = os->ops->list(os, dir, folder_found, &folder);
    if (error == 0 && folder.failed)
        error = -ENOMEM;
    for (uint32_t i = 0; i < folder.count && error == 0; i++) {
        if (folder.found[i].kind == FOUND_CLEANED)
            error = unlink_if(os, dir, folder.found[i].base, ".cleaned");
        else if (folder.found[i].kind == FOUND_SWAP)
            error = swap_again(os, dir, &folder, &folder.found[i]);
    }
    free(folder.found);
    return error < 0 ? err_from_errno(-error) : ERR_OK;
}
