// Connections with subscriptions that change cores.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nats/conn.h"

enum nats_move_limit {
    NATS_MOVE_SUBS_MAX = 4096,         /* a connection with more of them stays where it is */
    NATS_MOVE_OUTPUT_SIZE_MAX = 65536, /* likewise with more output, as its peer reads slowly */
    NATS_MOVE_PARK_SIZE = 256,         /* what a parked message is charged for */
};

/* From one core a move gets a word on both sides: everything before it goes to the giver. */
struct nats_move_word {
    struct core_message message;
    struct nats_move *move;
    bool has_come;
};

/* A core that has switched for a move keeps it in mind until the giver says that it has settled: so
 * long the giver's announcements count the connection. */
struct nats_move_switched {
    struct list node; /* of that core's switched */
    struct core_message settled;
    struct nats_move *move;
};

/* The move of one connection. The giver's part is the giver's until it sends the connection or a
 * message; subs and words are read by every core until its words are sent. */
struct nats_move {
    struct core_message message;
    uint32_t giver; /* cores */
    uint32_t taker;
    uint32_t core_count;
    uint32_t sub_count;
    struct nats_sub **subs;          /* stand-ins at the taker; theirs is the shell as connection */
    struct nats_move_word *to_giver; /* by core */
    struct nats_move_word *to_taker;
    struct nats_move_switched *switched;
    _Atomic uint32_t refs; /* the taker's, and one of each core */

    struct list leaving;     /* of the giver's leavings */
    struct nats_conn *conn;  /* the giver's, then the taker's; NULL: it is gone, or not here yet */
    struct core_task task;   /* the giver's: tries to leave */
    uint32_t giver_missing;  /* words */
    bool is_prepared;        /* the taker has stand-ins */
    bool is_settled;         /* nothing more comes to the giver */
    struct nats_conn ghost;  /* the giver's: never open */
    struct nats_sub *ghosts; /* members of groups that ended before it settled: they still count */

    struct nats_conn shell; /* the taker's: never open */
    struct list node;       /* of arrivals */
    struct list parked;
    size_t parked_size;
    uint32_t taker_missing; /* words */
    bool has_ended;         /* the connection has arrived, or will not come */
    bool is_over;           /* more was parked than may wait */
    bool is_starved;        /* and that for lack of memory */
};

/* What becomes of a message for a connection that moves. */
enum nats_move_fate {
    NATS_MOVE_DELIVER,
    NATS_MOVE_PARKED, /* the taker keeps it until the connection is there */
    NATS_MOVE_PASS,   /* it is for the other core to deliver */
};
/* is_last: a queue group's message that no other member took. */
enum nats_move_fate nats_move_meet(struct nats_core *home, const struct nats_sub *sub,
                                   struct nats_message *message, bool is_last);

/* Placement wishes it: the op of the connection. */
void nats_move_wished(struct conn *conn, unsigned to);
/* May leave now, as far as its subscriptions are concerned. */
bool nats_move_is_ready(const struct nats_conn *conn);
/* It leaves its core. */
void nats_move_leave(struct nats_conn *conn);
/* Something that it waited for has come: tries again soon. */
void nats_move_try(struct nats_conn *conn);
/* The connection is on its new core: it takes over from the stand-ins and gets what was parked. */
void nats_move_land(struct nats_conn *conn);
/* The connection is gone. */
void nats_move_forget(struct nats_conn *conn);
/* An announcement came that says so: messages from this core go to the taker from now on. */
void nats_move_switch(struct nats_core *home, struct nats_move *move);
/* So many of the members that the core announced under the filter are the taker's now. */
uint32_t nats_move_count(const struct nats_core *home, uint32_t from, struct slice subject,
                         struct slice queue);
/* True: the subscription has ended, but counts as a member until the giver settles, which frees it.
 */
bool nats_move_keep_ghost(struct nats_sub *sub);
/* After the reactor has stopped. */
void nats_move_close(struct nats_core *home);
