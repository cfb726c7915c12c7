// Short words for tests on the fake os: every step is checked.
// SPDX-License-Identifier: Apache-2.0
#pragma once

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>

#include "os/fake.h"

static inline int file_open(struct os *os, const char *path)
{
    int fd = os->ops->open(os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE);
    assert_true(fd >= 0);
    return fd;
}

static inline ssize_t file_try(struct os *os, int fd, uint64_t offset, struct slice bytes)
{
    struct iovec part = {(void *)(uintptr_t)bytes.data, bytes.size};
    return os->ops->pwritev(os, fd, &part, 1, offset);
}

/* size bytes of one letter */
static inline void file_fill(struct os *os, int fd, uint64_t offset, size_t size, char letter)
{
    char *data = test_malloc(size);
    memset(data, letter, size);
    assert_int_equal(file_try(os, fd, offset, slice_make(data, size)), (ssize_t)size);
    test_free(data);
}

static inline void directory_sync(struct os *os, const char *path)
{
    int fd = os->ops->open(os, path, OS_OPEN_READ | OS_OPEN_DIRECTORY);
    assert_true(fd >= 0);
    assert_int_equal(os->ops->fsync(os, fd), 0);
    assert_int_equal(os->ops->close(os, fd), 0);
}

/* A durable file of so many bytes of one letter; its open descriptor. */
static inline int file_durable(struct os *os, const char *path, size_t size, char letter)
{
    int fd = file_open(os, path);
    file_fill(os, fd, 0, size, letter);
    assert_int_equal(os->ops->fdatasync(os, fd), 0);
    directory_sync(os, "/");
    return fd;
}

static inline bool path_exists(struct os *os, const char *path)
{
    struct os_stat found;
    return os->ops->stat(os, path, &found) == 0;
}

/* What a sector holds: its letter when all bytes are equal (0 for zeros), else '?'. */
static inline char sector_letter(struct os_fake *fake, const char *path, uint64_t sector)
{
    char data[OS_FAKE_SECTOR_SIZE];
    ssize_t got =
        os_fake_peek(fake, path, false, sector * sizeof(data), (struct iovec){data, sizeof(data)});
    assert_true(got > 0);
    for (ssize_t i = 1; i < got; i++) {
        if (data[i] != data[0])
            return '?';
    }
    return data[0];
}
