// A connection of the load generator, and whole frames over it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"

#define LINK_READ_SIZE (64 * 1024)

/* in: page-aligned, grows to the largest frame that is kept. */
struct link {
    int fd;
    uint8_t *in;
    size_t in_capacity;
    size_t in_start;
    size_t in_end;
    size_t skip_left; /* bytes of a frame that are not kept, still to come */
};

/* Connects to 127.0.0.1 with cubic and without delay; false when refused. */
bool link_open(struct link *link, uint16_t port, bool blocking);
void link_close(struct link *link);
/* Sends all of it, waiting if need be; false when the peer is gone. */
bool link_send(struct link *link, const void *bytes, size_t size);
/* Sends what goes at once; 0 when nothing does. Ends the program when the peer is gone. */
size_t link_send_some(struct link *link, const void *bytes, size_t size);
/* Reads what is there into in, at most size_max bytes. 1: something, 0: nothing, -1: gone. */
int link_read(struct link *link, size_t size_max);
/* The frame at in_start without its length, or null when it is not there yet; link_take drops it.
 * One larger than kept_max (0: no limit) comes as its first kept_max bytes or more, out_size (may
 * be NULL) tells its size; the rest is skipped by link_skip. */
struct slice link_frame(struct link *link, size_t kept_max, size_t *out_size);
void link_take(struct link *link);
/* Discards bytes without copying them; true when none are left. */
bool link_skip(struct link *link);
/* Sends a request and waits for its answer on a blocking link: what follows the correlation id;
 * null when the peer is gone or late. Valid until the next call. */
struct slice link_call(struct link *link, const void *request, size_t size);
