// Fuzzes the loading of the catalogue: any bytes as snapshot and changes.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "os/fake.h"
#include "store/catalogue_state.h"
#include "store/fuzz_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
        fuzz_repair(bytes, split, 0);
        fuzz_repair(bytes + split, size - 2 - split, 0);
    }
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    CHECK(os->ops->mkdir(os, "/c") == 0);
    const char *first = mode & 2 ? "/c/changes-0000000000000001" : "/c/snapshot-0000000000000002";
    fuzz_file_write(os, first, slice_make(bytes, split));
    fuzz_file_write(os, "/c/changes-0000000000000002", slice_make(bytes + split, size - 2 - split));
    load(os);
    os_fake_free(fake);
    free(bytes);
    return 0;
}
