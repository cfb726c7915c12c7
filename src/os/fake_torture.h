// For tests in which the n-th allocation fails, unless the fake disk asks, which cannot do without.
// SPDX-License-Identifier: Apache-2.0
//
// The linker's --wrap of malloc, calloc, realloc and strdup sends them here.
#pragma once

#include "os/fake.h"

/* Allocations that still succeed; below zero: all. The wrappers have no other way to know. */
static long allocations_left = -1;
static bool is_one_alone; /* that fails; else all behind it too */
static const struct os_ops *fake_ops;

static inline bool allocation_fails(void)
{
    if (allocations_left != 0) {
        allocations_left -= allocations_left > 0;
        return false;
    }
    if (is_one_alone)
        allocations_left = -1;
    return true;
}

#define WRAP(name, params, ...)                                                                    \
    void *__real_##name params;                                                                    \
    void *__wrap_##name params;                                                                    \
    void *__wrap_##name params                                                                     \
    {                                                                                              \
        return allocation_fails() ? NULL : __real_##name(__VA_ARGS__);                             \
    }

WRAP(malloc, (size_t size), size)
WRAP(calloc, (size_t count, size_t size), count, size)
WRAP(realloc, (void *old, size_t size), old, size)

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return allocation_fails() ? NULL : __real_strdup(text);
}

/* --- the fake disk has all the memory it wants --- */

#define SHIELD(type, name, params, ...)                                                            \
    static inline type shield_##name params                                                        \
    {                                                                                              \
        long left = allocations_left;                                                              \
        allocations_left = -1;                                                                     \
        type result = fake_ops->name(__VA_ARGS__);                                                 \
        allocations_left = left;                                                                   \
        return result;                                                                             \
    }

SHIELD(int, open, (struct os * os, const char *path, unsigned flags), os, path, flags)
SHIELD(ssize_t, pread, (struct os * os, int fd, void *data, size_t size, uint64_t offset), os, fd,
       data, size, offset)
SHIELD(ssize_t, pread_cached, (struct os * os, int fd, void *data, size_t size, uint64_t offset),
       os, fd, data, size, offset)
SHIELD(ssize_t, pwritev,
       (struct os * os, int fd, const struct iovec *parts, int count, uint64_t offset), os, fd,
       parts, count, offset)
SHIELD(int, fdatasync, (struct os * os, int fd), os, fd)
SHIELD(int, fsync, (struct os * os, int fd), os, fd)
SHIELD(int, syncfs, (struct os * os, int fd), os, fd)
SHIELD(int, truncate, (struct os * os, int fd, uint64_t size), os, fd, size)
SHIELD(int, reserve, (struct os * os, int fd, uint64_t offset, uint64_t size), os, fd, offset, size)
SHIELD(int, unlink, (struct os * os, const char *path), os, path)
SHIELD(int, rename, (struct os * os, const char *from, const char *to), os, from, to)
SHIELD(int, mkdir, (struct os * os, const char *path), os, path)
SHIELD(int, list, (struct os * os, const char *path, os_list_fn fn, void *arg), os, path, fn, arg)

/* out lives as long as os. */
static inline void shield(struct os *os, struct os_ops *out)
{
    fake_ops = os->ops;
    *out = *os->ops;
    out->open = shield_open;
    out->pread = shield_pread;
    out->pread_cached = shield_pread_cached;
    out->pwritev = shield_pwritev;
    out->fdatasync = shield_fdatasync;
    out->fsync = shield_fsync;
    out->syncfs = shield_syncfs;
    out->truncate = shield_truncate;
    out->reserve = shield_reserve;
    out->unlink = shield_unlink;
    out->rename = shield_rename;
    out->mkdir = shield_mkdir;
    out->list = shield_list;
    os->ops = out;
}
