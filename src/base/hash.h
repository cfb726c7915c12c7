// Hashes: murmur2 as Kafka partitions keys, Java's string hash, SipHash-2-4 for hash tables.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"

/* The variant and seed of Kafka's default partitioner; partition = (result & 0x7fffffff) % count.
 */
uint32_t hash_murmur2(struct slice bytes);
/* Java's String.hashCode of the UTF-8 text (UTF-16 units); Kafka places groups with it. */
int32_t hash_java_string(struct slice text);
/* The same without its sign, 0 for INT32_MIN: what Kafka divides by a count of partitions. */
uint32_t hash_java_magnitude(struct slice text);
uint64_t hash_siphash(const uint64_t key[2], struct slice bytes);
