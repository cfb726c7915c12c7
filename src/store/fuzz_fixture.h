// What the fuzz targets of files made of groups share: the file, and checksums made right.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/crc32c.h"
#include "base/endian.h"
#include "os/os.h"
#include "store/journal_state.h"

static inline void fuzz_file_write(struct os *os, const char *path, struct slice bytes)
{
    int fd = os->ops->open(os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE);
    struct iovec part = {(void *)(uintptr_t)bytes.data, bytes.size};
    CHECK(fd >= 0);
    if (bytes.size > 0)
        CHECK(os->ops->pwritev(os, fd, &part, 1, 0) == (ssize_t)bytes.size);
    os->ops->close(os, fd);
}

/* What a fuzzer cannot guess: heads get their checksums, and those of the bodies they name; the
 * latter only where the magic is this one (0: any). */
static inline void fuzz_repair(uint8_t *bytes, size_t size, uint32_t magic)
{
    for (size_t at = 0; at + JOURNAL_HEAD_SIZE <= size; at += JOURNAL_GROUP_BLOCK) {
        uint8_t *head = bytes + at;
        uint64_t room = size - at - JOURNAL_HEAD_SIZE;
        uint64_t body_size = le64_get(head + 40);
        if ((magic == 0 || le32_get(head) == magic) && body_size <= room)
            le32_put(head + 4, crc32c(0, head + JOURNAL_HEAD_SIZE, (size_t)body_size));
        le32_put(head + 60, crc32c(0, head, 60));
    }
}
