// Variable-length integers of the Kafka protocol: unsigned LEB128 and zigzag.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/check.h"

#define VARINT_U32_SIZE_MAX 5
#define VARINT_U64_SIZE_MAX 10

/* Bytes used, or 0 when the input ends too early or the number does not fit. */
size_t varint_u32_get(const uint8_t *data, size_t size, uint32_t *out);
size_t varint_u64_get(const uint8_t *data, size_t size, uint64_t *out);
size_t varint_i32_get(const uint8_t *data, size_t size, int32_t *out);
size_t varint_i64_get(const uint8_t *data, size_t size, int64_t *out);
/* Bytes written; the buffer has room for VARINT_*_SIZE_MAX. */
size_t varint_u32_put(uint8_t *data, uint32_t value);
size_t varint_u64_put(uint8_t *data, uint64_t value);
size_t varint_i32_put(uint8_t *data, int32_t value);
size_t varint_i64_put(uint8_t *data, int64_t value);
/* Bytes that _put would write. */
size_t varint_u32_size(uint32_t value);
size_t varint_u64_size(uint64_t value);
size_t varint_i32_size(int32_t value);
size_t varint_i64_size(int64_t value);
