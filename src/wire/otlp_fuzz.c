// Fuzz target: pushed metrics that are read point into the input.
// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct slice all, struct slice part)
{
    CHECK(part.size == 0 ||
          (part.data >= all.data && part.data + part.size <= all.data + all.size));
}

static void look(void *arg, const struct wire_otlp_point *point)
{
    const struct slice *all = arg;
    CHECK(point->attribute_count <= WIRE_OTLP_ATTRIBUTES_MAX);
    inside(*all, point->metric);
    for (unsigned i = 0; i < point->attribute_count; i++) {
        inside(*all, point->attributes[i].name);
        inside(*all, point->attributes[i].value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_make(data, size);
    enum err err = wire_otlp_read(all, look, &all);
    CHECK(!err || err == ERR_CORRUPT || err == ERR_TOO_LARGE);
    return 0;
}
