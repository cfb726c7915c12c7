// Large writes past the page cache: whole blocks from an aligned buffer, the edges through it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include "base/buf.h"
#include "os/os.h"

#define UNCACHED_BUFFER_SIZE (1u << 20)   /* what is written at a time */
#define UNCACHED_CALM_SIZE   (256u << 10) /* the same where somebody waits for the disk */
#define UNCACHED_SIZE_MIN    (64u << 10)  /* less is written through the page cache */

enum {
    UNCACHED_FD_NONE = -1,    /* not opened so far */
    UNCACHED_FD_REFUSED = -2, /* the file system cannot */
};

/* One run of bytes after the other; on a helper. Neither descriptors nor the buffer are its own. */
struct uncached {
    struct os *os;
    int fd;
    int fd_uncached;     /* of the same file */
    struct buf *buffer;  /* whole blocks: as much is written at a time */
    uint64_t block;      /* offset of the buffer's first byte, a whole block's */
    uint32_t begin, end; /* what the buffer holds */
};

/* UNCACHED_FD_REFUSED when the file system cannot. */
NODISCARD int uncached_open(struct os *os, const char *path);
/* The next bytes go to offset. */
void uncached_begin(struct uncached *self, uint64_t offset);
/* An error ends the run; it may have been written in part. */
NODISCARD enum err uncached_add(struct uncached *self, struct slice bytes);
/* What is still in the buffer. */
NODISCARD enum err uncached_end(struct uncached *self);
