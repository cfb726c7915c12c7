// Quotas of clients: rules for users, client ids and addresses, and what may still go by.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/broker.h"

/* What is limited; on disk by these numbers. */
enum broker_quota_key {
    BROKER_QUOTA_PRODUCE, /* bytes a second of requests that append */
    BROKER_QUOTA_FETCH,   /* bytes a second of records handed out */
    BROKER_QUOTA_REQUEST, /* percent of one core spent on requests */
    BROKER_QUOTA_CHANGE,  /* partitions made and deleted a second */
    BROKER_QUOTA_CONNECT, /* connections a second */
    BROKER_QUOTA_COUNT
};
/* Kafka's name of it, such as "producer_byte_rate". */
const char *broker_quota_name(enum broker_quota_key key);
NODISCARD bool broker_quota_find(struct slice name, enum broker_quota_key *out);

enum broker_quota_part {
    BROKER_QUOTA_USER,
    BROKER_QUOTA_CLIENT,
    BROKER_QUOTA_ADDRESS,
    BROKER_QUOTA_PART_COUNT
};
/* Kafka's name of it, such as "client-id". */
const char *broker_quota_part_name(enum broker_quota_part part);
NODISCARD bool broker_quota_part_find(struct slice name, enum broker_quota_part *out);

#define BROKER_QUOTA_NAME_SIZE_MAX 1024
#define BROKER_QUOTA_RULES_MAX     65536

/* Whom a rule is for: a user, a client id, both together, or an address. */
struct broker_quota_entity {
    bool has[BROKER_QUOTA_PART_COUNT];
    struct slice names[BROKER_QUOTA_PART_COUNT]; /* null: those without a rule of their own */
};

struct broker_quota_rule {
    struct broker_quota_entity entity;
    unsigned set; /* bit of each key that it limits */
    double limits[BROKER_QUOTA_COUNT];
};

struct broker_quota_op {
    enum broker_quota_key key;
    bool remove;
    double limit;
};
struct broker_quota_change {
    struct broker_quota_entity entity;
    const struct broker_quota_op *ops;
    size_t op_count;
};
/* ERR_INVALID with words: no such entity, a key that does not go with it, a limit that is none. */
NODISCARD enum err broker_quota_check(const struct broker_quota_change *change, struct diag *diag);

/* All changes or none in the view of every core; each must have passed broker_quota_check. Done
 * when they are durable and every core heeds them. ERR_LIMIT: too many rules. */
struct broker_quota_alter {
    struct broker_call call;
    const struct broker_quota_change *changes; /* valid until done */
    size_t change_count;
};
void broker_quota_alter(struct core *core, struct broker_quota_alter *alter);

/* The rules in force, in no order; start with 0. Valid for this turn. */
const struct broker_quota_rule *broker_quota_next(struct core *core, size_t *position);

/* --- What goes by. All of it on the core of the connection; times are core_now_ns's. --- */

/* Whether any rule limits this: one load where there are no rules. */
bool broker_quota_is_set(struct core *core, enum broker_quota_key key);

/* Whether there are rules at all. */
bool broker_quota_any(struct core *core);

struct quota_local;
/* What a connection keeps so that its rules are looked up once; zeroed at first. */
struct broker_quota_client {
    uint64_t generation; /* of the rules; 0: nothing is known */
    char *id;
    size_t id_size;
    struct {
        struct quota_local *local; /* NULL: no limit, or no memory for the meter */
        double limit;              /* 0: none */
    } shares[BROKER_QUOTA_COUNT];
};
/* Before the connection goes or leaves the core. */
void broker_quota_client_deinit(struct core *core, struct broker_quota_client *client);
/* Before each use: finds the rules for this user and client id. */
void broker_quota_client_set(struct core *core, struct broker_quota_client *client,
                             struct slice user, struct slice id);
/* Counts what went by, in bytes or nanoseconds; for how long the client must wait to be within its
 * limit again, in milliseconds. */
uint64_t broker_quota_client_add(struct core *core, struct broker_quota_client *client,
                                 enum broker_quota_key key, uint64_t amount);
/* Fetch: as add, but what goes over the limit is not counted, because it will not be sent. What
 * alone is more than a client may ever have is let through once nothing else went by lately. */
uint64_t broker_quota_client_try(struct core *core, struct broker_quota_client *client,
                                 enum broker_quota_key key, uint64_t amount, bool *out_refused);
/* The most that may go by at once. */
uint64_t broker_quota_client_burst(struct core *core, const struct broker_quota_client *client,
                                   enum broker_quota_key key);
/* Draws count changes from the client's bucket; strict: refused while it is overdrawn. */
uint64_t broker_quota_client_change(struct core *core, struct broker_quota_client *client,
                                    uint64_t count, bool strict, bool *out_refused);
/* One more connection of this address; not 0: it is one too many, and goes after so long. */
uint64_t broker_quota_connect(struct core *core, struct slice address);
