// The bytes of one file of the fake disk: pages, un-synced sectors, sync, and loss of power.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "os/fake_pages.h"

enum {
    PAGE_SIZE = OS_FAKE_BLOCK_SIZE,
    SECTOR_SIZE = OS_FAKE_SECTOR_SIZE,
    SECTOR_COUNT = PAGE_SIZE / SECTOR_SIZE,
    CHUNK_PAGES = 64,
};

struct page {
    unsigned refs;
    uint8_t data[PAGE_SIZE];
};

/* No page means zeros. Sectors that are neither dirty nor lost are equal in both views. */
struct slot {
    struct page *views[OS_FAKE_VIEW_COUNT];
    uint32_t epoch; /* when it was last in the cache */
    uint8_t dirty;  /* a bit a sector: not synced */
    uint8_t lost;   /* a bit a sector: differs, and no sync will write it */
    bool is_charged : 1;
    bool is_charged_durable : 1;
    bool is_touched : 1; /* is in the list of touched pages */
};

struct os_fake_chunk {
    unsigned refs;
    struct slot slots[CHUNK_PAGES];
};

static const uint8_t zeros[PAGE_SIZE];

static struct page *page_ref(struct page *page)
{
    if (page)
        page->refs++;
    return page;
}

static void page_unref(struct page *page)
{
    if (page && --page->refs == 0)
        free(page);
}

static struct page *page_new(const uint8_t *data)
{
    struct page *page = malloc(sizeof(*page));
    CHECK(page);
    page->refs = 1;
    memcpy(page->data, data, PAGE_SIZE);
    return page;
}

static const uint8_t *page_data(const struct page *page)
{
    return page ? page->data : zeros;
}

static void chunk_unref(struct os_fake_chunk *chunk)
{
    if (!chunk || --chunk->refs > 0)
        return;
    for (size_t i = 0; i < CHUNK_PAGES; i++) {
        page_unref(chunk->slots[i].views[OS_FAKE_CACHED]);
        page_unref(chunk->slots[i].views[OS_FAKE_DURABLE]);
    }
    free(chunk);
}

static const struct slot *slot_get(const struct os_fake_pages *pages, uint64_t number)
{
    size_t at = number / CHUNK_PAGES;
    if (at >= pages->chunk_count || !pages->chunks[at])
        return NULL;
    return &pages->chunks[at]->slots[number % CHUNK_PAGES];
}

static struct os_fake_chunk *chunk_copy(const struct os_fake_chunk *from)
{
    struct os_fake_chunk *chunk = malloc(sizeof(*chunk));
    CHECK(chunk);
    *chunk = *from;
    chunk->refs = 1;
    for (size_t i = 0; i < CHUNK_PAGES; i++) {
        page_ref(chunk->slots[i].views[OS_FAKE_CACHED]);
        page_ref(chunk->slots[i].views[OS_FAKE_DURABLE]);
    }
    return chunk;
}

/* The slot to change, in a chunk that nobody shares. */
static struct slot *slot_edit(struct os_fake_pages *pages, uint64_t number)
{
    size_t at = number / CHUNK_PAGES;
    if (at >= pages->chunk_count) {
        size_t count = MAX(at + 1, pages->chunk_count * 2);
        pages->chunks = realloc(pages->chunks, count * sizeof(*pages->chunks));
        CHECK(pages->chunks);
        memset(pages->chunks + pages->chunk_count, 0,
               (count - pages->chunk_count) * sizeof(*pages->chunks));
        pages->chunk_count = count;
    }
    struct os_fake_chunk *chunk = pages->chunks[at];
    if (!chunk) {
        chunk = calloc(1, sizeof(*chunk));
        CHECK(chunk);
        chunk->refs = 1;
    } else if (chunk->refs > 1) {
        chunk = chunk_copy(chunk);
        chunk_unref(pages->chunks[at]);
    }
    pages->chunks[at] = chunk;
    return &chunk->slots[number % CHUNK_PAGES];
}

/* Puts the bytes in place of a view's page; a page of zeros is none. */
static void slot_set(struct slot *slot, enum os_fake_view view, const uint8_t *data)
{
    page_unref(slot->views[view]);
    slot->views[view] = memcmp(data, zeros, PAGE_SIZE) == 0 ? NULL : page_new(data);
}

static void slot_share(struct slot *slot, enum os_fake_view to, enum os_fake_view from)
{
    struct page *page = page_ref(slot->views[from]);
    page_unref(slot->views[to]);
    slot->views[to] = page;
}

/* A page of a view that may be written to. */
static uint8_t *slot_data(struct slot *slot, enum os_fake_view view)
{
    struct page *page = slot->views[view];
    if (!page || page->refs > 1) {
        slot->views[view] = page_new(page_data(page));
        page_unref(page);
    }
    return slot->views[view]->data;
}

static void slot_charge(struct os_fake_pages *pages, struct slot *slot, bool is_charged)
{
    if (slot->is_charged && !is_charged)
        pages->charged_count--;
    if (!slot->is_charged && is_charged)
        pages->charged_count++;
    slot->is_charged = is_charged;
}

static void touch(struct os_fake_pages *pages, struct slot *slot, uint64_t number)
{
    if (slot->is_touched)
        return;
    slot->is_touched = true;
    if (pages->touched_count == pages->touched_capacity) {
        pages->touched_capacity = MAX(16, pages->touched_capacity * 2);
        pages->touched = realloc(pages->touched, pages->touched_capacity * sizeof(*pages->touched));
        CHECK(pages->touched);
    }
    pages->touched[pages->touched_count++] = (uint32_t)number;
}

static void size_set(struct os_fake_pages *pages, uint64_t size)
{
    pages->size = size;
    pages->size_low = MIN(pages->size_low, size);
    pages->size_high = MAX(pages->size_high, size);
}

static void size_settle(struct os_fake_pages *pages, uint64_t size)
{
    pages->size = pages->size_durable = pages->size_low = pages->size_high = size;
}

void os_fake_pages_init(struct os_fake_pages *pages)
{
    *pages = (struct os_fake_pages){.epoch = 1};
}

void os_fake_pages_deinit(struct os_fake_pages *pages)
{
    for (size_t i = 0; i < pages->chunk_count; i++)
        chunk_unref(pages->chunks[i]);
    free(pages->chunks);
    free(pages->touched);
    *pages = (struct os_fake_pages){0};
}

void os_fake_pages_copy(struct os_fake_pages *to, const struct os_fake_pages *from)
{
    *to = *from;
    to->chunks = NULL;
    to->touched = NULL;
    to->touched_capacity = from->touched_count;
    if (from->chunk_count > 0) {
        to->chunks = malloc(from->chunk_count * sizeof(*to->chunks));
        CHECK(to->chunks);
    }
    for (size_t i = 0; i < from->chunk_count; i++) {
        to->chunks[i] = from->chunks[i];
        if (to->chunks[i])
            to->chunks[i]->refs++;
    }
    if (from->touched_count > 0) {
        to->touched = malloc(from->touched_count * sizeof(*to->touched));
        CHECK(to->touched);
        memcpy(to->touched, from->touched, from->touched_count * sizeof(*to->touched));
    }
}

uint64_t os_fake_pages_room(const struct os_fake_pages *pages, uint64_t offset, uint64_t size,
                            uint64_t free_count)
{
    uint64_t done = 0;
    while (done < size) {
        uint64_t number = (offset + done) / PAGE_SIZE;
        const struct slot *slot = slot_get(pages, number);
        if (!slot || !slot->is_charged) {
            if (free_count == 0)
                break;
            free_count--;
        }
        done = (number + 1) * PAGE_SIZE - offset;
    }
    return MIN(done, size);
}

static uint8_t sector_mask(uint64_t from, uint64_t to)
{
    unsigned first = (unsigned)(from / SECTOR_SIZE);
    unsigned after = (unsigned)((to + SECTOR_SIZE - 1) / SECTOR_SIZE);
    return (uint8_t)((1U << after) - (1U << first));
}

static void mark_dirty(struct os_fake_pages *pages, struct slot *slot, uint64_t number,
                       uint8_t mask)
{
    slot->dirty |= mask;
    slot->lost &= (uint8_t)~mask;
    touch(pages, slot, number);
}

void os_fake_pages_write(struct os_fake_pages *pages, uint64_t offset, struct slice bytes)
{
    CHECK(offset + bytes.size <= OS_FAKE_FILE_SIZE_MAX);
    for (size_t done = 0; done < bytes.size;) {
        uint64_t number = (offset + done) / PAGE_SIZE;
        size_t from = (offset + done) % PAGE_SIZE;
        size_t size = MIN(bytes.size - done, PAGE_SIZE - from);
        struct slot *slot = slot_edit(pages, number);
        if (size == PAGE_SIZE)
            slot_set(slot, OS_FAKE_CACHED, bytes.data + done);
        else
            memcpy(slot_data(slot, OS_FAKE_CACHED) + from, bytes.data + done, size);
        mark_dirty(pages, slot, number, sector_mask(from, from + size));
        slot->epoch = pages->epoch;
        slot_charge(pages, slot, true);
        done += size;
    }
    if (bytes.size > 0)
        size_set(pages, MAX(pages->size, offset + bytes.size));
}

void os_fake_pages_reserve(struct os_fake_pages *pages, uint64_t offset, uint64_t size)
{
    uint64_t after = (offset + size + PAGE_SIZE - 1) / PAGE_SIZE;
    for (uint64_t number = offset / PAGE_SIZE; number < after; number++) {
        struct slot *slot = slot_edit(pages, number);
        if (slot->is_charged)
            continue;
        slot_charge(pages, slot, true);
        slot->epoch = pages->epoch;
        touch(pages, slot, number);
    }
}

/* Zeros in a view from this byte on; the caller marks what it means. */
static void view_cut(struct slot *slot, enum os_fake_view view, size_t from)
{
    if (!slot->views[view])
        return;
    if (from == 0) {
        page_unref(slot->views[view]);
        slot->views[view] = NULL;
    } else {
        memset(slot_data(slot, view) + from, 0, PAGE_SIZE - from);
    }
}

void os_fake_pages_truncate(struct os_fake_pages *pages, uint64_t size)
{
    CHECK(size <= OS_FAKE_FILE_SIZE_MAX);
    if (size > pages->size) { /* of the same size: the last page is written again, as by ext4 */
        size_set(pages, size);
        return;
    }
    for (uint64_t number = size / PAGE_SIZE; number < pages->chunk_count * CHUNK_PAGES;) {
        const struct slot *found = slot_get(pages, number);
        if (!found) {
            number = (number / CHUNK_PAGES + 1) * CHUNK_PAGES;
            continue;
        }
        size_t from = number == size / PAGE_SIZE ? size % PAGE_SIZE : 0;
        bool is_freed = from == 0 && found->is_charged;
        if (is_freed || found->views[OS_FAKE_CACHED] || found->views[OS_FAKE_DURABLE]) {
            struct slot *slot = slot_edit(pages, number);
            view_cut(slot, OS_FAKE_CACHED, from);
            mark_dirty(pages, slot, number, sector_mask(from, PAGE_SIZE));
            if (is_freed)
                slot_charge(pages, slot, false);
        }
        number++;
    }
    size_set(pages, size);
}

void os_fake_pages_read(const struct os_fake_pages *pages, enum os_fake_view view, uint64_t offset,
                        struct iovec out)
{
    for (size_t done = 0; done < out.iov_len;) {
        const struct slot *slot = slot_get(pages, (offset + done) / PAGE_SIZE);
        size_t from = (offset + done) % PAGE_SIZE;
        size_t size = MIN(out.iov_len - done, PAGE_SIZE - from);
        memcpy((uint8_t *)out.iov_base + done, page_data(slot ? slot->views[view] : NULL) + from,
               size);
        done += size;
    }
}

uint64_t os_fake_pages_warm_size(const struct os_fake_pages *pages, uint64_t offset, uint64_t size)
{
    uint64_t done = 0;
    while (done < size) {
        uint64_t number = (offset + done) / PAGE_SIZE;
        const struct slot *slot = slot_get(pages, number);
        if (slot && slot->is_charged && slot->dirty == 0 && slot->epoch != pages->epoch)
            break;
        done = (number + 1) * PAGE_SIZE - offset;
    }
    return MIN(done, size);
}

void os_fake_pages_warm(struct os_fake_pages *pages, uint64_t offset, uint64_t size)
{
    uint64_t after = (offset + size + PAGE_SIZE - 1) / PAGE_SIZE;
    for (uint64_t number = offset / PAGE_SIZE; number < after; number++) {
        const struct slot *slot = slot_get(pages, number);
        if (slot && slot->is_charged && slot->epoch != pages->epoch)
            slot_edit(pages, number)->epoch = pages->epoch;
    }
}

/* Copies the sectors of the mask from one view to the other. */
static void sectors_copy(struct slot *slot, enum os_fake_view to, enum os_fake_view from,
                         uint8_t mask)
{
    if (mask == 0 || slot->views[to] == slot->views[from])
        return;
    if ((slot->dirty | slot->lost) == mask) { /* all that differs */
        slot_share(slot, to, from);
        return;
    }
    const uint8_t *source = page_data(slot->views[from]);
    uint8_t *target = slot_data(slot, to);
    for (size_t i = 0; i < SECTOR_COUNT; i++) {
        if (mask >> i & 1)
            memcpy(target + i * SECTOR_SIZE, source + i * SECTOR_SIZE, SECTOR_SIZE);
    }
}

/* Drops pages from the list of touched ones where nothing differs any more. */
static void touched_sweep(struct os_fake_pages *pages)
{
    size_t kept = 0;
    for (size_t i = 0; i < pages->touched_count; i++) {
        uint32_t number = pages->touched[i];
        struct slot *slot = slot_edit(pages, number);
        slot->is_touched =
            slot->dirty || slot->lost || slot->is_charged != slot->is_charged_durable;
        if (slot->is_touched)
            pages->touched[kept++] = number;
    }
    pages->touched_count = kept;
}

void os_fake_pages_sync(struct os_fake_pages *pages)
{
    for (size_t i = 0; i < pages->touched_count; i++) {
        struct slot *slot = slot_edit(pages, pages->touched[i]);
        sectors_copy(slot, OS_FAKE_DURABLE, OS_FAKE_CACHED, slot->dirty);
        slot->dirty = 0;
        slot->is_charged_durable = slot->is_charged;
    }
    touched_sweep(pages);
    size_settle(pages, pages->size);
}

void os_fake_pages_forget(struct os_fake_pages *pages)
{
    for (size_t i = 0; i < pages->touched_count; i++) {
        struct slot *slot = slot_edit(pages, pages->touched[i]);
        slot->lost |= slot->dirty;
        slot->dirty = 0;
    }
}

void os_fake_pages_drop_cache(struct os_fake_pages *pages)
{
    for (size_t i = 0; i < pages->touched_count; i++) {
        struct slot *slot = slot_edit(pages, pages->touched[i]);
        sectors_copy(slot, OS_FAKE_CACHED, OS_FAKE_DURABLE, slot->lost);
        slot->lost = 0;
    }
    touched_sweep(pages);
    pages->epoch++;
}

void os_fake_pages_writeback(struct os_fake_pages *pages, struct os_fake_random *random,
                             unsigned percent)
{
    for (size_t i = 0; i < pages->touched_count; i++) {
        struct slot *slot = slot_edit(pages, pages->touched[i]);
        uint8_t mask = 0;
        for (unsigned bit = 0; bit < SECTOR_COUNT; bit++) {
            if (slot->dirty >> bit & 1 && os_fake_random_below(random, 100) < percent)
                mask |= (uint8_t)(1U << bit);
        }
        sectors_copy(slot, OS_FAKE_DURABLE, OS_FAKE_CACHED, mask);
        slot->dirty &= (uint8_t)~mask;
    }
    touched_sweep(pages);
    if (os_fake_random_below(random, 100) < percent)
        size_settle(pages, pages->size);
}

enum fate { FATE_KEEP, FATE_LOSE, FATE_GARBLE };

static enum fate fate_draw(struct os_fake_random *random, struct os_fake_crash_policy policy)
{
    uint64_t sum = (uint64_t)policy.keep + policy.lose + policy.garble;
    uint64_t drawn = os_fake_random_below(random, sum);
    if (drawn < policy.keep)
        return FATE_KEEP;
    return drawn < (uint64_t)policy.keep + policy.lose ? FATE_LOSE : FATE_GARBLE;
}

static void slot_crash(struct os_fake_pages *pages, uint64_t number, struct os_fake_random *random,
                       struct os_fake_crash_policy policy)
{
    struct slot *slot = slot_edit(pages, number);
    uint8_t image[PAGE_SIZE];
    memcpy(image, page_data(slot->views[OS_FAKE_DURABLE]), PAGE_SIZE);
    const uint8_t *cached = page_data(slot->views[OS_FAKE_CACHED]);
    for (size_t i = 0; i < SECTOR_COUNT; i++) {
        uint8_t *sector = image + i * SECTOR_SIZE;
        enum fate fate = slot->dirty >> i & 1 ? fate_draw(random, policy) : FATE_LOSE;
        if (fate == FATE_KEEP)
            memcpy(sector, cached + i * SECTOR_SIZE, SECTOR_SIZE);
        for (size_t at = 0; fate == FATE_GARBLE && at < SECTOR_SIZE; at += sizeof(uint64_t)) {
            uint64_t noise = os_fake_random_next(random);
            memcpy(sector + at, &noise, sizeof(noise));
        }
    }
    slot_set(slot, OS_FAKE_DURABLE, image);
    slot_share(slot, OS_FAKE_CACHED, OS_FAKE_DURABLE);
    slot->dirty = slot->lost = 0;
    bool is_charged = slot->is_charged_durable;
    if (slot->is_charged != slot->is_charged_durable && fate_draw(random, policy) == FATE_KEEP)
        is_charged = slot->is_charged;
    if (slot->views[OS_FAKE_DURABLE])
        is_charged = slot->is_charged || number * PAGE_SIZE < pages->size;
    slot_charge(pages, slot, is_charged);
    slot->is_charged_durable = slot->is_charged;
}

static uint64_t size_draw(struct os_fake_pages *pages, struct os_fake_random *random,
                          struct os_fake_crash_policy policy)
{
    enum fate fate = fate_draw(random, policy);
    if (policy.keep > 0 && policy.lose > 0 && os_fake_random_below(random, 2) == 0)
        fate = FATE_GARBLE;
    if (fate == FATE_KEEP)
        return pages->size;
    if (fate == FATE_LOSE)
        return pages->size_durable;
    uint64_t range = pages->size_high - pages->size_low + 1;
    return pages->size_low + os_fake_random_below(random, range);
}

/* The policy for one file: as told, or leaning to one side, so that single lost or single kept
 * sectors among many occur too. */
static struct os_fake_crash_policy policy_lean(struct os_fake_random *random,
                                               struct os_fake_crash_policy policy)
{
    uint64_t drawn = os_fake_random_below(random, 4);
    if (drawn == 0 && policy.lose > 0)
        policy.keep *= 16;
    if (drawn == 1 && policy.keep > 0)
        policy.lose *= 16;
    return policy;
}

/* Both views end at the size; reserved space stays. */
static void cut_views(struct os_fake_pages *pages, uint64_t size)
{
    for (uint64_t number = size / PAGE_SIZE; number < pages->chunk_count * CHUNK_PAGES;) {
        const struct slot *found = slot_get(pages, number);
        if (!found) {
            number = (number / CHUNK_PAGES + 1) * CHUNK_PAGES;
            continue;
        }
        if (found->views[OS_FAKE_DURABLE]) {
            struct slot *slot = slot_edit(pages, number);
            view_cut(slot, OS_FAKE_DURABLE, number == size / PAGE_SIZE ? size % PAGE_SIZE : 0);
            slot_share(slot, OS_FAKE_CACHED, OS_FAKE_DURABLE);
        }
        number++;
    }
}

void os_fake_pages_crash(struct os_fake_pages *pages, struct os_fake_random *random,
                         struct os_fake_crash_policy policy)
{
    uint64_t size = pages->size;
    if (pages->size_low != pages->size_high)
        size = size_draw(pages, random, policy);
    pages->size = size;
    struct os_fake_crash_policy leaning = policy_lean(random, policy);
    bool is_ordered = policy.keep > 0 && policy.lose > 0 && os_fake_random_below(random, 4) == 0;
    size_t cut = (size_t)os_fake_random_below(random, pages->touched_count + 1);
    for (size_t i = 0; i < pages->touched_count; i++) {
        struct os_fake_crash_policy now = leaning;
        if (is_ordered && i != cut)
            now = i < cut ? OS_FAKE_CRASH_KEEP_ALL : OS_FAKE_CRASH_LOSE_ALL;
        slot_crash(pages, pages->touched[i], random, now);
    }
    touched_sweep(pages);
    CHECK(pages->touched_count == 0);
    cut_views(pages, size);
    size_settle(pages, size);
    pages->epoch++;
}

void os_fake_pages_flip(struct os_fake_pages *pages, uint64_t offset, unsigned bit)
{
    struct slot *slot = slot_edit(pages, offset / PAGE_SIZE);
    bool is_shared = slot->views[OS_FAKE_CACHED] == slot->views[OS_FAKE_DURABLE];
    slot_data(slot, OS_FAKE_CACHED)[offset % PAGE_SIZE] ^= (uint8_t)(1U << bit);
    if (is_shared)
        slot_share(slot, OS_FAKE_DURABLE, OS_FAKE_CACHED);
    else
        slot_data(slot, OS_FAKE_DURABLE)[offset % PAGE_SIZE] ^= (uint8_t)(1U << bit);
}
