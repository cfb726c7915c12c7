// Fuzzes the replay: any bytes as two pieces of a journal, with right checksums or not.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "os/fake.h"
#include "store/journal_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err found_entry(void *arg, const struct journal_found *found)
{
    uint64_t *sum = arg;
    CHECK(found->type > 0 && found->type < JOURNAL_TYPE_COUNT);
    for (size_t i = 0; i < found->body.size; i++)
        *sum += found->body.data[i];
    return ERR_OK;
}

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
        if (le32_get(head) == JOURNAL_MAGIC_GROUP && body_size <= room)
            le32_put(head + 4, crc32c(0, head + JOURNAL_HEAD_SIZE, (size_t)body_size));
        le32_put(head + 60, crc32c(0, head, 60));
    }
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
    CHECK(os->ops->mkdir(os, "/j") == 0);
    file_write(os, "/j/0000000000000001.jnl", slice_make(bytes, split));
    file_write(os, "/j/0000000000000003.jnl", slice_make(bytes + split, size - 2 - split));
    uint64_t sum = 0;
    struct journal_replay_result result;
    CHECK(journal_replay(&(struct journal_folder){os, NULL, "/j"}, found_entry, &sum, &result) ==
          ERR_OK);
    CHECK(result.piece_next == 4);
    os_fake_free(fake);
    free(bytes);
    return 0;
}
