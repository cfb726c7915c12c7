// Reading segments on a helper thread: walking, checking, finding the way past damage.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/log.h"

/* A view of a segment file that moves. */
struct read_window {
    struct os *os;
    int fd;
    uint8_t *data;
    uint32_t capacity;
    uint64_t at;
    uint32_t size;
};

/* What is known of a segment, for the walk. */
struct read_scope {
    int64_t base;
    uint32_t limit;          /* bytes that may be read */
    int64_t offset_end;      /* the offset that follows the last batch below limit */
    struct epochs epochs;    /* a copy */
    uint32_t index_interval; /* bytes */
};

struct read_step {
    uint32_t position;
    int64_t expected; /* base offset of the batch at position; -1: not known */
};

/* Bytes [position, position + size) in memory; short at the end of the file. Negative errno. */
ssize_t read_file_get(struct read_window *window, uint64_t position, uint32_t size,
                      const uint8_t **out);
/* The header at the step's position, plausible and at the offset that is expected: OK. CORRUPT.
 * NOT_FOUND: the limit is reached. Others: the file cannot be read. The batch is not looked at. */
NODISCARD enum err read_file_header(struct read_window *window, const struct read_scope *scope,
                                    const struct read_step *step, struct batch_header *out);
/* Is the whole batch right: checksum, epoch? */
bool read_file_check(const struct read_scope *scope, struct slice batch);
/* Nothing fits at step: is the batch before it, whose length led there, the damaged one? Then step
 * goes back to it. */
void read_file_blame(struct read_window *window, const struct read_scope *scope,
                     const struct read_step *before, struct read_step *step);
/* From a damaged place to the next batch that is certainly good; moves step there. NOT_FOUND: there
 * is none below the limit; step is at the limit then. */
NODISCARD enum err read_file_resync(struct read_window *window, const struct read_scope *scope,
                                    struct read_step *step);
/* The index of [0, to): from its files when they fit, else by a walk. */
NODISCARD enum err read_file_index(struct read_window *window, const struct read_scope *scope,
                                   const char *path, uint32_t to, struct index *out);
