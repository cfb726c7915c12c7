// Deleted offsets: one CRoaring bitmap for each range of 2^31 offsets, sorted by range.
// SPDX-License-Identifier: Apache-2.0
#include "store/holes.h"

#include <stdlib.h>

#include <roaring/roaring.h>

#include "base/endian.h"
#include "base/text.h"

#define HOLES_RANGE_BITS 31
/* Encoded range: number u64, size u32, portable bitmap; little-endian. */
#define HOLES_RANGE_HEAD_SIZE 12

struct holes_range {
    int64_t number; /* offset >> HOLES_RANGE_BITS */
    roaring_bitmap_t *bits;
};

static int64_t holes_range_of(int64_t offset)
{
    return offset >> HOLES_RANGE_BITS;
}

static uint32_t holes_bit_of(int64_t offset)
{
    return (uint32_t)(offset & ((INT64_C(1) << HOLES_RANGE_BITS) - 1));
}

void holes_init(struct holes *holes)
{
    *holes = (struct holes){0};
}

void holes_deinit(struct holes *holes)
{
    for (uint32_t i = 0; i < holes->count; i++)
        roaring_bitmap_free(holes->ranges[i].bits);
    free(holes->ranges);
    holes_init(holes);
}

/* Index of the first range whose number is >= number. */
static uint32_t holes_lower(const struct holes *holes, int64_t number)
{
    uint32_t at = 0;
    while (at < holes->count && holes->ranges[at].number < number)
        at++;
    return at;
}

static enum err holes_insert(struct holes *holes, uint32_t at, int64_t number,
                             roaring_bitmap_t *take_bits)
{
    if (holes->count == holes->capacity) {
        uint32_t capacity = holes->capacity ? holes->capacity * 2 : 2;
        struct holes_range *grown =
            realloc(holes->ranges, (size_t)capacity * sizeof(*holes->ranges));
        if (!grown) {
            roaring_bitmap_free(take_bits);
            return ERR_NO_MEMORY;
        }
        holes->ranges = grown;
        holes->capacity = capacity;
    }
    memmove(holes->ranges + at + 1, holes->ranges + at,
            (size_t)(holes->count - at) * sizeof(*holes->ranges));
    holes->ranges[at] = (struct holes_range){.number = number, .bits = take_bits};
    holes->count++;
    return ERR_OK;
}

enum err holes_add(struct holes *holes, int64_t offset)
{
    if (offset < 0)
        return ERR_INVALID;
    int64_t number = holes_range_of(offset);
    uint32_t at = holes_lower(holes, number);
    if (at == holes->count || holes->ranges[at].number != number) {
        roaring_bitmap_t *bits = roaring_bitmap_create();
        if (!bits)
            return ERR_NO_MEMORY;
        enum err err = holes_insert(holes, at, number, bits);
        if (err)
            return err;
    }
    roaring_bitmap_add(holes->ranges[at].bits, holes_bit_of(offset));
    return ERR_OK;
}

bool holes_has(const struct holes *holes, int64_t offset)
{
    uint32_t at = holes_lower(holes, holes_range_of(offset));
    return at < holes->count && holes->ranges[at].number == holes_range_of(offset) &&
           roaring_bitmap_contains(holes->ranges[at].bits, holes_bit_of(offset));
}

uint64_t holes_count(const struct holes *holes, int64_t first, int64_t next)
{
    uint64_t count = 0;
    if (first >= next)
        return 0;
    int64_t last_range = holes_range_of(next - 1);
    for (uint32_t at = holes_lower(holes, holes_range_of(first));
         at < holes->count && holes->ranges[at].number <= last_range; at++) {
        int64_t base = holes->ranges[at].number << HOLES_RANGE_BITS;
        uint64_t from = (uint64_t)(MAX(first, base) - base);
        uint64_t to = (uint64_t)(MIN(next - base, INT64_C(1) << HOLES_RANGE_BITS));
        uint64_t below =
            from ? roaring_bitmap_rank(holes->ranges[at].bits, (uint32_t)(from - 1)) : 0;
        count += roaring_bitmap_rank(holes->ranges[at].bits, (uint32_t)(to - 1)) - below;
    }
    return count;
}

bool holes_any(const struct holes *holes, int64_t first, int64_t next)
{
    return holes->count && holes_count(holes, first, next) > 0;
}

static void holes_drop(struct holes *holes, uint32_t at)
{
    roaring_bitmap_free(holes->ranges[at].bits);
    memmove(holes->ranges + at, holes->ranges + at + 1,
            (size_t)(holes->count - at - 1) * sizeof(*holes->ranges));
    holes->count--;
}

static void holes_clear_bits(struct holes *holes, int64_t number, uint64_t from, uint64_t to)
{
    uint32_t at = holes_lower(holes, number);
    if (at == holes->count || holes->ranges[at].number != number)
        return;
    roaring_bitmap_remove_range(holes->ranges[at].bits, from, to);
    if (roaring_bitmap_is_empty(holes->ranges[at].bits))
        holes_drop(holes, at);
}

void holes_truncate_start(struct holes *holes, int64_t offset)
{
    while (holes->count && holes->ranges[0].number < holes_range_of(offset))
        holes_drop(holes, 0);
    holes_clear_bits(holes, holes_range_of(offset), 0, holes_bit_of(offset));
}

void holes_truncate_end(struct holes *holes, int64_t offset)
{
    while (holes->count && holes->ranges[holes->count - 1].number > holes_range_of(offset))
        holes_drop(holes, holes->count - 1);
    holes_clear_bits(holes, holes_range_of(offset), holes_bit_of(offset),
                     UINT64_C(1) << HOLES_RANGE_BITS);
}

enum err holes_copy(const struct holes *from, struct holes *to)
{
    CHECK(to->count == 0);
    for (uint32_t i = 0; i < from->count; i++) {
        roaring_bitmap_t *bits = roaring_bitmap_copy(from->ranges[i].bits);
        if (!bits)
            return ERR_NO_MEMORY;
        enum err err = holes_insert(to, i, from->ranges[i].number, bits);
        if (err)
            return err;
    }
    return ERR_OK;
}

enum err holes_remove(struct holes *holes, const struct holes *gone, int64_t first, int64_t next)
{
    for (uint32_t i = 0; i < gone->count; i++) {
        int64_t base = gone->ranges[i].number << HOLES_RANGE_BITS;
        int64_t from = MAX(first - base, 0);
        int64_t to = MIN(next - base, INT64_C(1) << HOLES_RANGE_BITS);
        uint32_t at = holes_lower(holes, gone->ranges[i].number);
        if (from >= to || at == holes->count || holes->ranges[at].number != gone->ranges[i].number)
            continue;
        roaring_bitmap_t *bits = roaring_bitmap_copy(gone->ranges[i].bits);
        if (!bits)
            return ERR_NO_MEMORY;
        roaring_bitmap_remove_range(bits, 0, (uint64_t)from);
        roaring_bitmap_remove_range(bits, (uint64_t)to, UINT64_C(1) << HOLES_RANGE_BITS);
        roaring_bitmap_andnot_inplace(holes->ranges[at].bits, bits);
        roaring_bitmap_free(bits);
        if (roaring_bitmap_is_empty(holes->ranges[at].bits))
            holes_drop(holes, at);
    }
    return ERR_OK;
}

enum err holes_encode(const struct holes *holes, struct text *out)
{
    for (uint32_t i = 0; i < holes->count; i++) {
        size_t size = roaring_bitmap_portable_size_in_bytes(holes->ranges[i].bits);
        char *bytes = malloc(HOLES_RANGE_HEAD_SIZE + size);
        if (!bytes)
            return ERR_NO_MEMORY;
        le64_put(bytes, (uint64_t)holes->ranges[i].number);
        le32_put(bytes + 8, (uint32_t)size);
        roaring_bitmap_portable_serialize(holes->ranges[i].bits, bytes + HOLES_RANGE_HEAD_SIZE);
        text_add(out, slice_make(bytes, HOLES_RANGE_HEAD_SIZE + size));
        free(bytes);
    }
    return out->failed ? ERR_NO_MEMORY : ERR_OK;
}

enum err holes_decode(struct holes *holes, struct slice bytes)
{
    int64_t last = -1;
    while (bytes.size) {
        if (bytes.size < HOLES_RANGE_HEAD_SIZE)
            return ERR_CORRUPT;
        int64_t number = (int64_t)le64_get(bytes.data);
        uint32_t size = le32_get(bytes.data + 8);
        if (number <= last || number > INT64_MAX >> HOLES_RANGE_BITS ||
            size > bytes.size - HOLES_RANGE_HEAD_SIZE)
            return ERR_CORRUPT;
        roaring_bitmap_t *bits = roaring_bitmap_portable_deserialize_safe(
            (const char *)bytes.data + HOLES_RANGE_HEAD_SIZE, size);
        if (!bits)
            return ERR_CORRUPT;
        enum err err = holes_insert(holes, holes->count, number, bits);
        if (err)
            return err;
        last = number;
        size_t used = HOLES_RANGE_HEAD_SIZE + (size_t)size;
        bytes = slice_make(bytes.data + used, bytes.size - used);
    }
    return ERR_OK;
}
