// Fuzzes the replay: any bytes as two pieces of a journal, with right checksums or not.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "os/fake.h"
#include "store/fuzz_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err found_entry(void *arg, const struct journal_found *found)
{
    uint64_t *sum = arg;
    CHECK(found->type > 0 && found->type < JOURNAL_TYPE_COUNT);
    for (size_t i = 0; i < found->body.size; i++)
        *sum += found->body.data[i];
    return ERR_OK;
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
        /* heads alone: groups with wrong bodies */
        uint32_t magic = mode & 2 ? UINT32_MAX : (uint32_t)JOURNAL_MAGIC_GROUP;
        fuzz_repair(bytes, split, magic);
        fuzz_repair(bytes + split, size - 2 - split, magic);
    }
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    CHECK(os->ops->mkdir(os, "/j") == 0);
    fuzz_file_write(os, "/j/0000000000000001.jnl", slice_make(bytes, split));
    fuzz_file_write(os, "/j/0000000000000003.jnl", slice_make(bytes + split, size - 2 - split));
    uint64_t sum = 0;
    struct journal_replay_result result;
    CHECK(journal_replay(&(struct journal_folder){os, NULL, "/j"}, found_entry, &sum, &result) ==
          ERR_OK);
    CHECK(result.piece_next == 4);
    os_fake_free(fake);
    free(bytes);
    return 0;
}
