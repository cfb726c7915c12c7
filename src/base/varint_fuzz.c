// Fuzz target of the variable-length integers: what is read is written again and compared.
// SPDX-License-Identifier: Apache-2.0
#include "base/varint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_u64(const uint8_t *data, size_t size)
{
    uint8_t out[VARINT_U64_SIZE_MAX];
    uint64_t wide = 0;
    int64_t wide_signed = 0;
    size_t used = varint_u64_get(data, size, &wide);
    CHECK(used <= size && used <= VARINT_U64_SIZE_MAX);
    CHECK(varint_i64_get(data, size, &wide_signed) == used);
    if (used == 0)
        return;
    uint64_t again = 0;
    size_t written = varint_u64_put(out, wide);
    CHECK(written <= used && written == varint_u64_size(wide));
    CHECK(varint_u64_get(out, written, &again) == written && again == wide);
    CHECK(varint_i64_put(out, wide_signed) == written);
    CHECK(varint_u64_get(out, written, &again) == written && again == wide);
}

static void check_u32(const uint8_t *data, size_t size)
{
    uint8_t out[VARINT_U32_SIZE_MAX];
    uint32_t narrow = 0;
    int32_t narrow_signed = 0;
    uint64_t wide = 0;
    size_t used = varint_u32_get(data, size, &narrow);
    CHECK(used <= size && used <= VARINT_U32_SIZE_MAX);
    CHECK(varint_i32_get(data, size, &narrow_signed) == used);
    if (used == 0)
        return;
    CHECK(varint_u64_get(data, size, &wide) == used && wide == narrow);
    CHECK(varint_u32_put(out, narrow) == varint_u32_size(narrow));
    CHECK(varint_i32_put(out, narrow_signed) == varint_i32_size(narrow_signed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_u64(data, size);
    check_u32(data, size);
    return 0;
}
