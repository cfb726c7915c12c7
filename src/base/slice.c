// Comparing borrowed ranges of bytes.
// SPDX-License-Identifier: Apache-2.0
#include "base/slice.h"

int slice_compare(struct slice a, struct slice b)
{
    size_t size = MIN(a.size, b.size);
    int order = size == 0 ? 0 : memcmp(a.data, b.data, size);
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}
