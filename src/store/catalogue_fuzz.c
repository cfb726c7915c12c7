// Fuzzes the loading of the catalogue: any bytes as snapshot and changes.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "os/fake.h"
#include "store/catalogue_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void file_write(struct os *os, const char *path, struct slice bytes)
{
    int fd = os->ops->open(os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE);
    struct iovec part = {(void *)(uintptr_t)bytes.data, bytes.size};
    CHECK(fd >= 0);
    if (bytes.size > 0)
        CHECK(os->ops->pwritev(os, fd, &part, 1, 0) == (ssize_t)bytes.size);
    os->ops->close(os, fd);
}

/* What the fuzzer cannot guess: heads get their checksums, and those of the bodies they name. */
static void repair(uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + JOURNAL_HEAD_SIZE <= size; at += JOURNAL_GROUP_BLOCK) {
        uint8_t *head = bytes + at;
        uint64_t room = size - at - JOURNAL_HEAD_SIZE;
        uint64_t body_size = le64_get(head + 40);
        if (body_size <= room)
            le32_put(head + 4, crc32c(0, head + JOURNAL_HEAD_SIZE, (size_t)body_size));
        le32_put(head + 60, crc32c(0, head, 60));
    }
}

static void count_bytes(void *arg, struct slice key, struct slice value)
{
    uint64_t *sum = arg;
    for (size_t i = 0; i < key.size; i++)
        *sum += key.data[i];
    for (size_t i = 0; i < value.size; i++)
        *sum += value.data[i];
}

static void load(struct os *os)
{
    struct budget budget;
    budget_init(&budget, 1 << 20);
    struct reactor_options options = {.os = os, .budget = &budget, .core_count = 1};
    struct reactor *reactor;
    struct catalogue *catalogue;
    struct diag diag;
    uint64_t sum = 0;
    CHECK(reactor_open(&options, &reactor) == ERR_OK);
    enum err err = catalogue_open(reactor_core(reactor, 0), "/c", &catalogue, &diag);
    CHECK(err == ERR_OK || err == ERR_CORRUPT);
    if (err == ERR_OK) {
        catalogue_each(catalogue, count_bytes, &sum);
        catalogue_close(catalogue);
    }
    reactor_close(reactor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    uint8_t mode = data[0];
    size_t split = MIN((size_t)data[1] * 1024, size - 2);
    uint8_t *bytes = malloc(size);
    CHECK(bytes);
    memcpy(bytes, data + 2, size - 2);
    if (mode & 1) {
        repair(bytes, split);
        repair(bytes + split, size - 2 - split);
    }
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    CHECK(os->ops->mkdir(os, "/c") == 0);
    const char *first = mode & 2 ? "/c/changes-0000000000000001" : "/c/snapshot-0000000000000002";
    file_write(os, first, slice_make(bytes, split));
    file_write(os, "/c/changes-0000000000000002", slice_make(bytes + split, size - 2 - split));
    load(os);
    os_fake_free(fake);
    free(bytes);
    return 0;
}
