// One event loop per core: tasks, timers, messages between cores, work for helper threads.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"
#include "os/os.h"

struct reactor; /* all cores and the helper threads */
struct core; /* one event loop and what lives on it; used by its own thread only, except where said
              */

struct reactor_options {
    struct os *os;
    struct logger *logger;
    struct budget *budget;
    unsigned core_count;   /* 1 is a complete system */
    unsigned helper_count; /* threads for blocking work; 0: work runs inline in core_run_once, for
                              tests and the simulator */
    size_t buffers_keep_bytes; /* free buffers a core keeps */
};

NODISCARD enum err reactor_open(const struct reactor_options *options, struct reactor **out);
/* After reactor_run has returned. Work that was submitted is finished and its done called;
 * connections are closed. NULL is allowed. */
void reactor_close(struct reactor *reactor);
/* Frees it as a killed process would, calling nobody back: for crash tests, without connections,
 * helpers and reactor_run. */
void reactor_abandon(struct reactor *reactor);
/* Starts the threads of cores 1.. and runs core 0 on the caller until reactor_stop. */
void reactor_run(struct reactor *reactor);
/* Any core, any number of times: every loop ends after the turn it is in. */
void reactor_stop(struct reactor *reactor);

unsigned reactor_core_count(const struct reactor *reactor);
struct core *reactor_core(struct reactor *reactor, unsigned id);
struct budget *reactor_budget(struct reactor *reactor);

/* One turn of core 0 without threads: waits at most timeout_ns for events. For tests on a fake os.
 */
void core_run_once(struct core *core, int64_t timeout_ns);

unsigned core_id(const struct core *core);
struct reactor *core_reactor(struct core *core);
struct os *core_os(struct core *core);
struct logger *core_logger(struct core *core);
struct buf_pool *core_buffers(struct core *core);
/* Clocks read once a turn. */
uint64_t core_now_ns(const struct core *core);
int64_t core_wall_ms(const struct core *core);
/* 64 random bits, from a generator seeded by the os. */
uint64_t core_random(struct core *core);

/* A room's own state on this core. */
enum core_slot {
    CORE_SLOT_STORE,
    CORE_SLOT_BROKER,
    CORE_SLOT_KAFKA,
    CORE_SLOT_NATS,
    CORE_SLOT_COUNT
};
void core_slot_set(struct core *core, enum core_slot slot, void *state);
void *core_slot_get(const struct core *core, enum core_slot slot);

/* --- Tasks: run once on this core. The node is the caller's and free again when run is called. ---
 */
struct core_task {
    struct list node;
    void (*run)(struct core *core, struct core_task *task);
};
void core_task_init(struct core_task *task, void (*run)(struct core *, struct core_task *));
/* Runs later in this turn or in the next, never inside this call; again before it ran: no effect.
 */
void core_task_post(struct core *core, struct core_task *task);
/* Runs after all events, messages and posted tasks of this turn (journal, then output flush): phase
 * 0 before 1. Posting to a phase inside a phase works while that phase has not ended. */
void core_task_post_end(struct core *core, struct core_task *task, unsigned phase);
void core_task_cancel(struct core_task *task);

/* --- Timers: one shot, millisecond-class precision, the node is the caller's. --- */
struct core_timer {
    struct heap_node node;
    void (*run)(struct core *core, struct core_timer *timer);
};
void core_timer_init(struct core_timer *timer, void (*run)(struct core *, struct core_timer *));
/* Sets or moves it; deadline on core_now_ns's clock, the past fires in the next turn. */
void core_timer_set(struct core *core, struct core_timer *timer, uint64_t deadline_ns);
void core_timer_cancel(struct core *core, struct core_timer *timer);
bool core_timer_is_set(const struct core_timer *timer);

/* --- Messages to another core (or itself): ordered for each pair of cores, never lost. --- */
struct core_message {
    struct core_message *next;
    void (*run)(struct core *core, struct core_message *message); /* on the receiver */
};
/* Never fails and never blocks: what does not fit into the ring waits in the sender's overflow
 * list, still in order. The message is the receiver's from now on. */
void core_send(struct core *from, unsigned to, struct core_message *message);

/* From any thread, helpers too: ordered for each sending thread, never lost, never blocks. */
void core_send_from_outside(struct core *to, struct core_message *message);

/* --- Descriptors: readiness of something that is no connection, such as signals. --- */
struct core_watch {
    /* events: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP; level-triggered. */
    void (*run)(struct core *core, struct core_watch *watch, uint32_t events);
    int fd;
    uint32_t slot; /* the core's own */
};
/* The node is the caller's until core_watch_remove; fd stays the caller's. ERR_NO_MEMORY, or what
 * the kernel said. */
NODISCARD enum err core_watch_add(struct core *core, struct core_watch *watch, uint32_t events);
NODISCARD enum err core_watch_set(struct core *core, struct core_watch *watch, uint32_t events);
/* Events already fetched for it find nobody. Before fd is closed. */
void core_watch_remove(struct core *core, struct core_watch *watch);

/* --- Blocking work: run on a helper thread, done comes back to this core. --- */
struct core_work {
    struct os_work work;
    struct core *core;
    struct core_message message;
    void (*run)(struct core_work *work); /* helper thread; touches only the work */
    void (*done)(struct core *core, struct core_work *work); /* on the submitting core */
};
enum core_lane {
    CORE_LANE_SYNC, /* journal commits: a thread of its own for each core */
    CORE_LANE_BULK, /* reads, checksums, compression: shared threads */
    CORE_LANE_COUNT
};
void core_work_submit(struct core *core, enum core_lane lane, struct core_work *work);

/* --- Counters of a core: any core may read. --- */
struct core_metrics {
    struct metric_counter turns;
    struct metric_counter sleeps;        /* turns that waited */
    struct metric_counter wakeups;       /* eventfd signals sent to sleeping cores */
    struct metric_counter messages;      /* delivered here */
    struct metric_counter messages_over; /* did not fit into the ring at once */
    struct metric_counter works;         /* submitted */
    struct metric_counter accepted;
    struct metric_counter refused_limit; /* connections_max */
    struct metric_counter refused_ip;    /* connections_per_ip_max */
    struct metric_counter refused_memory;
    struct metric_counter refused_files; /* out of descriptors */
    struct metric_counter refused_drain; /* the server stops */
    struct metric_counter closed[8];     /* by enum conn_close_reason */
    struct metric_counter bytes_in;
    struct metric_counter bytes_out;
    struct metric_counter starved;     /* times that input waited for memory */
    struct metric_counter moved_in;    /* connections that came from other cores */
    struct metric_counter moved_out;   /* and left for them */
    struct metric_counter connections; /* here now */
};
const struct core_metrics *core_metrics(const struct core *core);

/* --- Load: what placement decides by. Any core may read. --- */
/* Permille of the last second's turns spent working rather than waiting (smoothed). */
unsigned core_busy_permille(const struct core *core);
