// The bytes of one file of the fake disk, as the process sees them and as the medium has them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "os/fake.h"
#include "os/fake_random.h"

enum os_fake_view { OS_FAKE_CACHED, OS_FAKE_DURABLE, OS_FAKE_VIEW_COUNT };

#define OS_FAKE_FILE_SIZE_MAX (1ULL << 40)

struct os_fake_chunk;

/* Pages of 4096 bytes hang in chunks; both are shared by copies and copied when written. Bytes at
 * or beyond size read as zeros in the cached view. */
struct os_fake_pages {
    struct os_fake_chunk **chunks;
    size_t chunk_count;
    uint64_t size;
    uint64_t size_durable;
    uint64_t size_low; /* smallest and greatest since the last sync */
    uint64_t size_high;
    uint32_t *touched; /* numbers of the pages where the views may differ */
    size_t touched_count;
    size_t touched_capacity;
    uint64_t charged_count; /* pages that use space */
    uint32_t epoch;         /* pages of an older epoch are not in the cache */
};

void os_fake_pages_init(struct os_fake_pages *pages);
void os_fake_pages_deinit(struct os_fake_pages *pages);
/* to is not initialised before. */
void os_fake_pages_copy(struct os_fake_pages *to, const struct os_fake_pages *from);

/* How many bytes from offset on can be stored with this many free pages. */
uint64_t os_fake_pages_room(const struct os_fake_pages *pages, uint64_t offset, uint64_t size,
                            uint64_t free_count);
void os_fake_pages_write(struct os_fake_pages *pages, uint64_t offset, struct slice bytes);
void os_fake_pages_reserve(struct os_fake_pages *pages, uint64_t offset, uint64_t size);
void os_fake_pages_truncate(struct os_fake_pages *pages, uint64_t size);
/* Zeros beyond the end. */
void os_fake_pages_read(const struct os_fake_pages *pages, enum os_fake_view view, uint64_t offset,
                        struct iovec out);
/* How many of the bytes from offset on are in the cache without a gap. */
uint64_t os_fake_pages_warm_size(const struct os_fake_pages *pages, uint64_t offset, uint64_t size);
void os_fake_pages_warm(struct os_fake_pages *pages, uint64_t offset, uint64_t size);

void os_fake_pages_sync(struct os_fake_pages *pages);
/* After a failed sync: un-synced sectors count as clean. */
void os_fake_pages_forget(struct os_fake_pages *pages);
void os_fake_pages_drop_cache(struct os_fake_pages *pages);
void os_fake_pages_writeback(struct os_fake_pages *pages, struct os_fake_random *random,
                             unsigned percent);
void os_fake_pages_crash(struct os_fake_pages *pages, struct os_fake_random *random,
                         struct os_fake_crash_policy policy);
void os_fake_pages_flip(struct os_fake_pages *pages, uint64_t offset, unsigned bit);
