// Fuzzes the reading of segments: any bytes as a segment with its index files.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "os/fake.h"
#include "store/fuzz_fixture.h"
#include "store/read_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the fuzzer cannot guess: each batch that the lengths lead to gets its checksum. */
static void repair(uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (size - at >= BATCH_HEADER_SIZE) {
        uint64_t batch = (uint64_t)be32_get(bytes + at + 8) + BATCH_PREFIX_SIZE;
        if (batch < BATCH_HEADER_SIZE || batch > size - at)
            return;
        be32_put(bytes + at + 17, crc32c(0, bytes + at + 21, (size_t)batch - 21));
        at += (size_t)batch;
    }
}

/* Every step gets on, and what counts as good is within the file. */
static void walk(struct read_window *window, const struct read_scope *scope)
{
    struct read_step step = {0, scope->base};
    struct read_step before = step;
    for (;;) {
        struct batch_header header;
        uint32_t position = step.position;
        enum err err = read_file_header(window, scope, &step, &header);
        if (err == ERR_NOT_FOUND)
            return;
        if (err == ERR_CORRUPT) {
            read_file_blame(window, scope, &before, &step);
            uint32_t blamed = step.position;
            err = read_file_resync(window, scope, &step);
            CHECK((err == ERR_OK || err == ERR_NOT_FOUND) && step.position > blamed);
            before = step;
            continue;
        }
        CHECK(err == ERR_OK && header.size <= scope->limit - position);
        const uint8_t *bytes;
        ssize_t got = read_file_get(window, position, header.size, &bytes);
        CHECK(got == (ssize_t)header.size);
        (void)read_file_check(scope, slice_make(bytes, header.size));
        before = step;
        step.position += header.size;
        step.expected = batch_last_offset(&header) + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8)
        return 0;
    size_t offsets_size = MIN((size_t)data[1] * 8, size - 8);
    size_t times_size = MIN((size_t)data[2] * 12, size - 8 - offsets_size);
    size_t log_size = size - 8 - offsets_size - times_size;
    uint8_t *bytes = malloc(log_size + 1);
    CHECK(bytes);
    memcpy(bytes, data + 8, log_size);
    if (data[0] & 1)
        repair(bytes, log_size);
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    fuzz_file_write(os, "/0.log", slice_make(bytes, log_size));
    fuzz_file_write(os, "/0.index", slice_make(data + 8 + log_size, offsets_size));
    fuzz_file_write(os, "/0.timeindex", slice_make(data + size - times_size, times_size));
    struct read_window window = {.os = os, .fd = os->ops->open(os, "/0.log", OS_OPEN_READ)};
    struct read_scope scope = {.limit = (uint32_t)log_size,
                               .offset_end = be16_get(data + 4),
                               .index_interval = be16_get(data + 6)};
    struct index index;
    index_init(&index);
    epochs_init(&scope.epochs);
    enum err err = read_file_index(&window, &scope, "/0.log", (uint32_t)log_size, &index);
    CHECK(err == ERR_OK);
    for (uint32_t i = 0; i < index.count; i++)
        CHECK(index.entries[i].position < log_size);
    walk(&window, &scope);
    index_deinit(&index);
    free(window.data);
    os->ops->close(os, window.fd);
    os_fake_free(fake);
    free(bytes);
    return 0;
}
