// What a core is made of; for the files of this room only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/map.h"
#include "base/ring.h"
#include "reactor/conn.h"

#define CORE_EVENTS_MAX     256  /* fetched in one turn */
#define CORE_PIPE_SIZE      1024 /* messages in the ring of a pair of cores */
#define CORE_PIPE_BATCH     1024 /* drained of one ring in one turn */
#define CORE_LOAD_BUCKETS   9    /* eight full ones and the one that fills */
#define CORE_LOAD_BUCKET_NS 125000000ull
#define CORE_LOAD_WINDOW_NS ((CORE_LOAD_BUCKETS - 1) * CORE_LOAD_BUCKET_NS)

/* Messages from one core to another. Made by the sender at its first message. */
struct core_pipe {
    struct ring ring;
    _Atomic bool over; /* the sender has messages that did not fit */
};

struct core_queue {
    struct core_message *first;
    struct core_message *last;
};

/* The sender's end of a pipe. */
struct core_out {
    struct core_pipe *pipe;
    bool by_inbox; /* no memory for a pipe: the inbox takes them, for ever, to keep the order */
    bool is_dirty; /* in dirty_ids */
    struct core_queue over;
};

struct core_slot_entry {
    struct core_watch *watch; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

/* How much of the last second was spent working: buckets of 125 ms. */
struct core_load {
    uint64_t busy_ns[CORE_LOAD_BUCKETS];
    uint64_t bucket_end_ns;
    unsigned bucket;
    _Atomic unsigned permille;
    _Atomic uint64_t asleep_since_ns; /* 0: awake */
};

/* A buffer that is filled from the front and handed out in ranges. */
struct core_fill {
    struct buf *buf;
    uint32_t used;
};

/* The part of a core that connections use (conn*.c). */
struct core_conns {
    struct list all;
    struct list flush;       /* output to send in this turn's end */
    struct list flush_later; /* over their budget of this turn */
    struct core_task flush_task;
    struct list starved; /* wait for memory to read into */
    struct core_timer starved_timer;
    struct core_fill input;  /* for connections that have nothing buffered */
    struct core_fill output; /* copied output of connections that are not blocked */
    uint64_t input_turn;
    size_t input_in_turn;
    struct conn_chunk *chunks_free;
    unsigned chunks_free_count;
    struct core_message drain_message;
    struct core_message abort_message;
};

struct core {
    struct reactor *reactor;
    struct os *os;
    struct buf_pool *buffers;
    unsigned id;
    int poll_fd;
    struct core_watch waker; /* eventfd */
    uint64_t now_ns;
    int64_t wall_ms;
    uint64_t turn;
    uint64_t random[2];

    struct list tasks;
    struct list tasks_end[2];
    struct heap timers;
    bool timers_running;

    struct core_slot_entry *slots;
    uint32_t slot_count;
    uint32_t slot_free; /* UINT32_MAX: none */
    struct os_event events[CORE_EVENTS_MAX];

    struct core_out *out; /* by receiver */
    unsigned *dirty_ids;  /* receivers to look after before sleeping */
    unsigned dirty_count;
    unsigned over_count; /* receivers with an overflow list */
    struct core_queue self;

    struct core_queue inline_work; /* helper_count == 0 */
    struct os_queue *sync_queue;
    uint64_t sync_thread;
    bool sync_failed;

    void *slot_state[CORE_SLOT_COUNT];
    struct core_conns conns;
    struct core_load load;
    struct core_metrics metrics;
    uint64_t thread_id;
    bool thread_started;

    /* Written by other threads. */
    _Alignas(64) _Atomic(struct core_pipe *) *in; /* by sender */
    _Atomic bool sleeping;
    _Atomic(struct core_message *) inbox; /* newest first */
};

enum reactor_bulk { REACTOR_BULK_NONE, REACTOR_BULK_STARTING, REACTOR_BULK_ON, REACTOR_BULK_OFF };

/* Counts and drains all connections; core 0, but for the flags. */
struct reactor_conns {
    size_t count;
    struct list listeners;
    _Atomic bool draining;
    _Atomic bool aborting;
    struct core_timer timer;
    struct core_task done_task;
    void (*done)(void *arg);
    void *done_arg;
};

struct balance;

struct reactor {
    struct reactor_options options;
    struct core **cores;
    bool is_open;
    _Atomic bool stopping;
    _Atomic bool over; /* the loops have ended: work runs inline */
    struct os_queue *bulk_queue;
    uint64_t *bulk_threads;
    unsigned bulk_count;
    _Atomic int bulk_state;
    struct reactor_conns conns;
    struct balance *balance; /* balance.c */
};

/* core.c */
NODISCARD enum err core_init(struct core *core, struct reactor *reactor, unsigned id);
void core_deinit(struct core *core);
void core_loop(struct core *core);
/* After the loops ended: runs what is queued for this core; false when there was nothing. */
bool core_settle(struct core *core);

/* core_message.c */
void core_message_drain(struct core *core);
/* Something has arrived. */
bool core_message_waiting(const struct core *core);
/* A reason not to sleep: something has arrived, room for what waits here, or the end. */
bool core_message_pending(const struct core *core);
/* Pushes what waited, then wakes the receivers of this turn's messages that sleep. */
void core_message_notify(struct core *core);
void core_message_wake(struct core *core);
void core_message_send_self(struct core *core, struct core_message *message);

/* core_watch.c */
void core_watch_dispatch(struct core *core, int count);

/* core_work.c */
void core_work_run_inline(struct core *core);
/* Waits for all helpers and ends them. */
void core_work_stop(struct reactor *reactor);

/* conn.c */
void conn_core_init(struct core *core);
void conn_core_deinit(struct core *core);
/* At the start of a turn: output that waited for this turn's budget. */
void conn_core_turn(struct core *core);
/* conn_move.c */
void conn_abort_all(struct core *core);
/* listener.c */
void listener_free_all(struct reactor *reactor);
/* balance.c */
void balance_free(struct balance *balance);
