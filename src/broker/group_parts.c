// Sorted sets of topic partitions and of names, and their memory, which is charged.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_parts.h"

#include <stdlib.h>

static void *take(struct budget *budget, size_t size)
{
    if (budget && !budget_charge(budget, size))
        return NULL;
    void *memory = malloc(size > 0 ? size : 1);
    if (!memory && budget)
        budget_release(budget, size);
    return memory;
}

static void give(struct budget *budget, void *memory, size_t size)
{
    if (memory && budget)
        budget_release(budget, size);
    free(memory);
}

int broker_group_parts_compare(const struct group_part *a, const struct group_part *b)
{
    int order = memcmp(a->topic.bytes, b->topic.bytes, sizeof(a->topic.bytes));
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

static int part_order(const void *a, const void *b)
{
    return broker_group_parts_compare(a, b);
}

bool broker_group_parts_has(const struct group_parts *parts, const struct group_part *part)
{
    return parts->count > 0 && bsearch(part, parts->items, parts->count, sizeof(*part), part_order);
}

bool broker_group_parts_equal(const struct group_parts *a, const struct group_parts *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->items, b->items, a->count * sizeof(*a->items)) == 0);
}

bool broker_group_parts_meet(const struct group_parts *a, const struct group_parts *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (broker_group_parts_has(b, &a->items[i]))
            return true;
    return false;
}

bool broker_group_parts_within(const struct group_parts *a, const struct group_parts *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (!broker_group_parts_has(b, &a->items[i]))
            return false;
    return true;
}

enum err broker_group_parts_room(struct budget *budget, size_t room, struct group_parts *out)
{
    size_t size;
    *out = (struct group_parts){NULL, 0};
    if (room == 0)
        return ERR_OK;
    if (__builtin_mul_overflow(room, sizeof(*out->items), &size))
        return ERR_NO_MEMORY;
    out->items = take(budget, size);
    return out->items ? ERR_OK : ERR_NO_MEMORY;
}

void broker_group_parts_sort(struct group_parts *parts)
{
    if (parts->count < 2)
        return;
    qsort(parts->items, parts->count, sizeof(*parts->items), part_order);
    size_t kept = 1;
    for (size_t i = 1; i < parts->count; i++)
        if (broker_group_parts_compare(&parts->items[kept - 1], &parts->items[i]) != 0)
            parts->items[kept++] = parts->items[i];
    parts->count = kept;
}

enum err broker_group_parts_set(struct budget *budget, struct group_parts *own,
                                const struct group_parts *from)
{
    struct group_parts copy;
    enum err err = broker_group_parts_room(budget, from->count, &copy);
    if (err)
        return err;
    if (from->count > 0)
        memcpy(copy.items, from->items, from->count * sizeof(*copy.items));
    copy.count = from->count;
    broker_group_parts_free(budget, own, own->count);
    *own = copy;
    return ERR_OK;
}

void broker_group_parts_free(struct budget *budget, struct group_parts *own, size_t room)
{
    give(budget, own->items, room * sizeof(*own->items));
    *own = (struct group_parts){NULL, 0};
}

/* --- names --- */

static int name_order(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

enum err broker_group_parts_names(struct budget *budget, struct group_names *own,
                                  const struct slice *names, size_t count)
{
    size_t size = count * sizeof(*names);
    for (size_t i = 0; i < count; i++)
        size += names[i].size;
    struct group_names copy = {.items = take(budget, size), .size = size};
    if (!copy.items)
        return ERR_NO_MEMORY;
    uint8_t *at = (uint8_t *)(copy.items + count);
    for (size_t i = 0; i < count; i++) {
        if (names[i].size > 0)
            memcpy(at, names[i].data, names[i].size);
        copy.items[i] = slice_make(at, names[i].size);
        at += names[i].size;
    }
    if (count > 1)
        qsort(copy.items, count, sizeof(*copy.items), name_order);
    for (size_t i = 0; i < count; i++)
        if (copy.count == 0 || !slice_equal(copy.items[copy.count - 1], copy.items[i]))
            copy.items[copy.count++] = copy.items[i];
    broker_group_parts_names_free(budget, own);
    *own = copy;
    return ERR_OK;
}

void broker_group_parts_names_free(struct budget *budget, struct group_names *own)
{
    give(budget, own->items, own->size);
    *own = (struct group_names){NULL, 0, 0};
}

bool broker_group_parts_names_equal(const struct group_names *a, const struct group_names *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!slice_equal(a->items[i], b->items[i]))
            return false;
    return true;
}

bool broker_group_parts_names_have(const struct group_names *names, struct slice name)
{
    return names->count > 0 && bsearch(&name, names->items, names->count, sizeof(name), name_order);
}

/* --- texts --- */

enum err broker_group_parts_text(struct budget *budget, struct slice *own, struct slice bytes)
{
    uint8_t *copy = NULL;
    if (bytes.data) {
        copy = take(budget, bytes.size);
        if (!copy)
            return ERR_NO_MEMORY;
        if (bytes.size > 0)
            memcpy(copy, bytes.data, bytes.size);
    }
    broker_group_parts_text_free(budget, own);
    *own = slice_make(copy, bytes.size);
    return ERR_OK;
}

void broker_group_parts_text_free(struct budget *budget, struct slice *own)
{
    give(budget, (void *)(uintptr_t)own->data, own->size);
    *own = SLICE_NULL;
}
