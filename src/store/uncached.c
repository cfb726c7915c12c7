// Large writes past the page cache: whole blocks from an aligned buffer, the edges through it.
// SPDX-License-Identifier: Apache-2.0
//
// New pages of a cache that nobody reads cost more than all else about a write: memory to be found,
// a copy into it, a look at each page when it goes to the disk. Bytes that readers get from memory
// are copied into one buffer instead, again and again the same, and the disk takes them from there.
// The first and the last block of a run, when not whole, go through the page cache: their
// neighbours are in it already, or come later. The kernel keeps both ways coherent, page by page.
#include "store/uncached.h"

#include <errno.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "store/tail_write.h"

#define COPY_SIZE_MIN 512

typedef uint64_t lane __attribute__((vector_size(16), aligned(1), may_alias));
struct lanes {
    lane lane[4];
};

#if defined(__SSE2__)
/* to: a multiple of their size */
static void lanes_put(uint8_t *to, const struct lanes *from)
{
    for (size_t i = 0; i < COUNT_OF(from->lane); i++)
        _mm_stream_si128((__m128i *)(void *)to + i, (__m128i)from->lane[i]);
}

static void lanes_end(void)
{
    _mm_sfence();
}
#else
static void lanes_put(uint8_t *to, const struct lanes *from)
{
    *(struct lanes *)to = *from;
}

static void lanes_end(void)
{
}
#endif

int uncached_open(struct os *os, const char *path)
{
    int fd = os->ops->open(os, path, OS_OPEN_WRITE | OS_OPEN_UNCACHED);
    return fd >= 0 ? fd : UNCACHED_FD_REFUSED;
}

void uncached_begin(struct uncached *self, uint64_t offset)
{
    DCHECK(self->buffer->capacity % OS_UNCACHED_BLOCK_SIZE == 0);
    self->begin = self->end = (uint32_t)(offset % OS_UNCACHED_BLOCK_SIZE);
    self->block = offset - self->begin;
}

/* The buffer's bytes up to there, through the page cache. */
static enum err write_cached(struct uncached *self, uint32_t to)
{
    struct iovec part = {self->buffer->data + self->begin, to - self->begin};
    enum err err = tail_write_all(self->os, self->fd, &part, 1, self->block + self->begin);
    self->begin = to;
    return err;
}

/* The same for whole blocks, past it. */
static enum err write_uncached(struct uncached *self, uint32_t to)
{
    while (self->begin < to) {
        struct iovec part = {self->buffer->data + self->begin, to - self->begin};
        ssize_t done = self->os->ops->pwritev(self->os, self->fd_uncached, &part, 1,
                                              self->block + self->begin);
        if (done == -EINTR)
            continue;
        if (done < 0 && done != -EINVAL)
            return err_from_errno((int)-done);
        self->begin += done > 0 ? (uint32_t)done : 0;
        /* other sizes are asked for here, or it was short: the other way does it or tells why not
         */
        if (done <= 0 || self->begin % OS_UNCACHED_BLOCK_SIZE != 0)
            return write_cached(self, to);
    }
    return ERR_OK;
}

static enum err flush(struct uncached *self)
{
    const uint32_t mask = OS_UNCACHED_BLOCK_SIZE - 1;
    lanes_end();
    uint32_t first = MIN((self->begin + mask) & ~mask, self->end);
    enum err err = first > self->begin ? write_cached(self, first) : ERR_OK;
    uint32_t last = MAX(self->end & ~mask, first);
    if (err == ERR_OK && last > first)
        err = write_uncached(self, last);
    if (err == ERR_OK && self->end > last)
        err = write_cached(self, self->end);
    return err;
}

/* The C library copies much with one instruction, which on some processors takes ten times as long
 * when the two places differ by a few bytes modulo a page. This does not. Whole lines of the buffer
 * go past the processor's caches, too: nobody but the disk reads them. */
static void copy(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size < COPY_SIZE_MIN) {
        memcpy(to, from, size);
        return;
    }
    size_t first = MIN(size, -(uintptr_t)to & (sizeof(struct lanes) - 1));
    memcpy(to, from, first);
    to += first;
    from += first;
    size -= first;
    for (; size >= sizeof(struct lanes); size -= sizeof(struct lanes)) {
        lanes_put(to, (const struct lanes *)from);
        to += sizeof(struct lanes);
        from += sizeof(struct lanes);
    }
    memcpy(to, from, size);
}

enum err uncached_add(struct uncached *self, struct slice bytes)
{
    const uint32_t capacity = self->buffer->capacity;
    while (bytes.size > 0) {
        uint32_t size = (uint32_t)MIN(bytes.size, capacity - self->end);
        copy(self->buffer->data + self->end, bytes.data, size);
        self->end += size;
        bytes = slice_make(bytes.data + size, bytes.size - size);
        if (self->end < capacity)
            continue;
        enum err err = flush(self);
        if (err != ERR_OK)
            return err;
        uncached_begin(self, self->block + capacity);
    }
    return ERR_OK;
}

enum err uncached_end(struct uncached *self)
{
    return flush(self);
}
