// LEB128 and zigzag, reading and writing.
// SPDX-License-Identifier: Apache-2.0
#include "base/varint.h"

static size_t get(const uint8_t *data, size_t size, unsigned bits, uint64_t *out)
{
    uint64_t value = 0;
    unsigned shift = 0;
    for (size_t i = 0; i < size && shift < bits; i++, shift += 7) {
        uint64_t part = data[i] & 0x7f;
        if (bits - shift < 7 && part >> (bits - shift) != 0)
            return 0;
        value |= part << shift;
        if (data[i] < 0x80) {
            *out = value;
            return i + 1;
        }
    }
    return 0;
}

static uint32_t zigzag_u32(int32_t value)
{
    return ((uint32_t)value << 1) ^ (value < 0 ? UINT32_MAX : 0);
}

static uint64_t zigzag_u64(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

size_t varint_u32_get(const uint8_t *data, size_t size, uint32_t *out)
{
    uint64_t value;
    size_t used = get(data, size, 32, &value);
    if (used != 0)
        *out = (uint32_t)value;
    return used;
}

size_t varint_u64_get(const uint8_t *data, size_t size, uint64_t *out)
{
    return get(data, size, 64, out);
}

size_t varint_i32_get(const uint8_t *data, size_t size, int32_t *out)
{
    uint64_t value;
    size_t used = get(data, size, 32, &value);
    if (used != 0)
        *out = (int32_t)((uint32_t)(value >> 1) ^ (value & 1 ? UINT32_MAX : 0));
    return used;
}

size_t varint_i64_get(const uint8_t *data, size_t size, int64_t *out)
{
    uint64_t value;
    size_t used = get(data, size, 64, &value);
    if (used != 0)
        *out = (int64_t)((value >> 1) ^ (value & 1 ? UINT64_MAX : 0));
    return used;
}

size_t varint_u32_put(uint8_t *data, uint32_t value)
{
    return varint_u64_put(data, value);
}

size_t varint_u64_put(uint8_t *data, uint64_t value)
{
    size_t size = 0;
    while (value >= 0x80) {
        data[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    data[size++] = (uint8_t)value;
    return size;
}

size_t varint_i32_put(uint8_t *data, int32_t value)
{
    return varint_u64_put(data, zigzag_u32(value));
}

size_t varint_i64_put(uint8_t *data, int64_t value)
{
    return varint_u64_put(data, zigzag_u64(value));
}

size_t varint_u32_size(uint32_t value)
{
    return varint_u64_size(value);
}

size_t varint_u64_size(uint64_t value)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

size_t varint_i32_size(int32_t value)
{
    return varint_u64_size(zigzag_u32(value));
}

size_t varint_i64_size(int64_t value)
{
    return varint_u64_size(zigzag_u64(value));
}
