// Reading ahead: who reads a segment piece by piece shall not wait for the disk at each of them.
// SPDX-License-Identifier: Apache-2.0
//
// The kernel reads ahead by itself, but only while somebody reads, and a little. Between two pieces
// a reader sends what it has and waits to be asked for more: the disk's time. It is a hint, no
// more: without memory for it nothing is lost.
#include <stdlib.h>

#include "store/read.h"
#include "store/read_span.h"

#define READ_AHEAD_MIN (256u << 10) /* for less the kernel reads ahead enough */

struct read_ahead {
    struct core_work work;
    struct log_core *home;
    struct segment_file *file; /* one reference */
    uint32_t position;
    uint32_t size;
};

static void ahead_run(struct core_work *work)
{
    struct read_ahead *ahead = CONTAINER_OF(work, struct read_ahead, work);
    struct os *os = ahead->file->os;
    os->ops->prefetch(os, ahead->file->file.fd, ahead->position, ahead->size);
}

static void ahead_done(struct core *core, struct core_work *work)
{
    struct read_ahead *ahead = CONTAINER_OF(work, struct read_ahead, work);
    segment_file_unref(ahead->file);
    ahead->home->job_count--;
    free(ahead);
}

void read_ahead(struct log_core *home, struct segment_file *file, uint32_t position, uint32_t size)
{
    struct os *os = file->os;
    if (size < READ_AHEAD_MIN || read_span_is_cached(os, file->file.fd, position + size - 1, 1))
        return;
    struct read_ahead *ahead = malloc(sizeof(*ahead));
    if (!ahead)
        return;
    atomic_fetch_add(&file->file.refs, 1);
    *ahead = (struct read_ahead){
        .work = {.run = ahead_run, .done = ahead_done}, home, file, position, size};
    home->job_count++;
    core_work_submit(home->core, CORE_LANE_BULK, &ahead->work);
}
