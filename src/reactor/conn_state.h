// What connections and listeners are made of; for the files of this room only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "reactor/core_state.h"

#define CONN_BUFFER_SIZE       65536u         /* of shared input and output buffers */
#define CONN_BUFFER_REST_MIN   16384u         /* less room than this: take a fresh one */
#define CONN_STASH_SIZE        2048u          /* a partial frame up to this is put aside */
#define CONN_STASH_BUFFER_SIZE 4096u          /* into a buffer of this size */
#define CONN_BLOCKED_BUFFER    16384u         /* copied output of a blocked connection */
#define CONN_SCATTERED_MIN     8u             /* pieces queued: copied output gets its own buffer */
#define CONN_INPUT_TURN_MAX    (256u * 1024)  /* bytes read from one connection in one turn */
#define CONN_INPUT_CORE_MAX    (4096u * 1024) /* from all: above it one buffer each */
#define CONN_OUTPUT_TURN_MAX   (1024u * 1024) /* bytes sent to one connection in one turn */
#define CONN_AHEAD_MAX         (2048u * 1024) /* room made for bytes that are only announced */
#define CONN_WANTED_MAX        (1024u << 20)  /* handlers bound their frames below this */
#define CONN_PARTS_MAX         64             /* of one sendv */
#define CONN_COPY_MAX          512u           /* a range up to this is copied, not referenced */
#define CONN_COPY_BLOCKED_MAX  4096u          /* the same while the peer does not read */
#define CONN_CHUNK_SEGMENTS    15
#define CONN_CHUNKS_KEEP       64
#define CONN_LINGER_MS         5000u /* for the last output after conn_close */
#define CONN_DISCARD_MAX       4     /* buffers thrown away before closing */
#define CONN_STARVED_RETRY_NS  10000000ull
#define CONN_STARVED_BATCH     64
#define CONN_STARVED_MAX_NS    60000000000ull /* then it gives back what it holds */
#define CONN_NS_PER_MS         1000000ull
#define LISTENER_ACCEPT_MAX    64           /* in one turn */
#define LISTENER_PAUSE_NS      100000000ull /* after running out of descriptors */
#define LISTENER_BACKLOG       4096

enum conn_phase {
    CONN_OPEN,
    CONN_CLOSING, /* sends what is queued, reads no more */
    CONN_CLOSED,  /* on_close is about to be called */
    CONN_GONE,    /* on_close was called; on its way home */
};

/* A stretch of output: a range of buf, or of file. */
struct conn_segment {
    struct buf *buf;
    struct conn_file *file;
    uint64_t offset;
    size_t size;
};

struct conn_chunk {
    struct conn_chunk *next;
    unsigned first;
    unsigned end;
    struct conn_segment segments[CONN_CHUNK_SEGMENTS];
};

/* Connections from one address. Core 0. */
struct listener_ip {
    uint8_t address[16];
    size_t count;
};

struct listener {
    struct core_watch watch;
    struct core *core;
    struct listener_options options;
    struct sockaddr_storage address; /* with the port that was picked */
    struct list node;
    struct core_timer pause_timer;
    struct map ips;
    size_t count;
    int spare_fd;
    bool is_closed;
};

struct conn {
    struct core_watch watch;
    struct core *core;
    struct listener *listener;
    const struct conn_ops *ops;
    void *state;
    struct list node;       /* of core->conns.all */
    struct list flush_node; /* of core->conns.flush or .flush_later */
    struct list starved_node;
    struct core_task task; /* input after a resume; the end */
    struct core_timer timer;
    struct core_message message; /* while moving, and home to core 0 */
    struct core *moved_from;
    struct listener_ip *ip; /* core 0 */

    enum conn_phase phase;
    enum conn_close_reason reason;
    unsigned paused;
    unsigned held;
    uint32_t events;  /* in the poll set */
    bool is_parked;   /* readable while paused: not asked for until resumed */
    bool is_starved;  /* no memory to read into */
    bool is_blocked;  /* the kernel takes no more output now */
    bool is_drained;  /* on_shutdown was called */
    bool was_full;    /* on_drain is due */
    unsigned wish;    /* core to move to plus one; 0: none */
    unsigned bound;   /* the same while its room makes it ready */
    uint32_t traffic; /* input events since placement looked last */

    struct buf *in; /* NULL: nothing buffered */
    uint32_t in_start;
    uint32_t in_end;
    uint32_t wanted;
    uint32_t ahead; /* size of the last frame, when the next one is likely as large; 0: small */

    struct conn_chunk *out_first;
    struct conn_chunk *out_last;
    size_t out_size;
    struct core_fill out_own; /* while blocked or scattered */
    uint64_t sent_turn;
    size_t sent_in_turn;

    uint64_t active_ns;  /* last byte in either direction */
    uint64_t frame_ns;   /* first byte of the incomplete frame; 0: none */
    uint64_t output_ns;  /* last progress of blocked output */
    uint64_t linger_ns;  /* when a closing connection is cut */
    uint64_t starved_ns; /* since when; 0: it is not */
    struct sockaddr_storage local;
    struct sockaddr_storage peer;
};
_Static_assert(sizeof(struct conn) <= 1024, "an idle connection is small");

/* conn.c */
void conn_open(struct listener *listener, int fd, const struct sockaddr_storage *peer,
               struct listener_ip *ip);
void conn_close_with(struct conn *conn, enum conn_close_reason reason);
/* Asks the poll set for what the connection can use now. */
void conn_update_events(struct conn *conn);
/* Makes sure that the timer fires no later than the next deadline. */
void conn_arm_timer(struct conn *conn);
/* Takes it into this core: lists, poll set. False: the connection is closing. */
bool conn_attach(struct conn *conn, struct core *core);
void conn_detach(struct conn *conn);

/* conn_input.c */
void conn_input_read(struct conn *conn);
/* Hands buffered bytes to the handler until it has enough. */
void conn_input_process(struct conn *conn);
void conn_input_free(struct conn *conn);
void conn_input_starved_run(struct core *core, struct core_timer *timer);
void conn_input_discard(struct conn *conn);

/* conn_output.c */
void conn_output_queue_flush(struct conn *conn);
void conn_output_flush_run(struct core *core, struct core_task *task);
void conn_output_free(struct conn *conn);

/* conn_move.c */
/* False: it cannot move just now. */
bool conn_move(struct conn *conn, unsigned to);
bool conn_can_move(const struct conn *conn);
/* The wish is forgotten, unless the connection is bound for where it goes. */
void conn_follow_wish(struct conn *conn);

/* listener.c, on core 0 */
void listener_forget(struct listener *listener, struct listener_ip *ip);
/* After the last connection is gone. */
void listener_free(struct listener *listener);
