// CRC-32C (Castagnoli), as record batches and our disk formats use it (RFC 3720 appendix B.4).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stddef.h>
#include <stdint.h>

/* crc is 0 or the result for the bytes before. Uses SSE4.2 (three streams) or ARMv8 when the
 * processor has it, else a table. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
/* The CRC of two ranges one behind the other, of their CRCs: without a look at the bytes. */
uint32_t crc32c_join(uint32_t crc, uint32_t crc_behind, size_t size_behind);
/* crc32c, the same on every processor and without special instructions; several times slower. */
uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t size);
