// What a NATS server was told to be: an unchanging snapshot that all cores share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "base/err.h"
#include "security/permissions.h"

enum nats_config_limit {
    NATS_CONFIG_TREE_SIZE_MAX = 64 << 20,
    NATS_CONFIG_PAYLOAD_MAX = 64 << 20, /* max_payload can be set as high as this */
    NATS_CONFIG_CONTROL_LINE_MAX = 1 << 20,
};

struct nats_user {
    struct slice name;
    struct slice password;                          /* plain or a bcrypt hash */
    const struct security_permissions *permissions; /* NULL: all is allowed */
};

/* Texts and arrays lie in its arena. */
struct nats_config {
    _Atomic uint32_t refs;
    struct arena arena;
    struct slice view_prefix; /* first token of topics as subjects; null: off; not reloaded */
    struct slice server_name; /* null: the server's id */

    size_t control_line_size_max;
    size_t payload_size_max;
    size_t pending_size_max;
    unsigned connections_max;         /* 0: no limit */
    unsigned subscriptions_max;       /* of one connection; 0: no limit */
    unsigned subscription_tokens_max; /* 0: no limit */
    unsigned closed_clients_max;      /* that /connz remembers */
    unsigned ping_max;
    unsigned ping_interval_ms;
    unsigned write_deadline_ms;
    unsigned auth_timeout_ms;
    unsigned lame_duck_ms;
    unsigned lame_duck_grace_ms;
    bool no_headers;
    bool no_stall; /* messages to slow consumers are dropped rather than their producers stalled */

    struct slice token; /* null: none */
    struct nats_user *users;
    size_t user_count;
    struct slice no_auth_name;
    const struct nats_user *no_auth_user; /* for who says nothing; NULL: none */
};

/* With the defaults of nats-server and one reference; NULL: out of memory. */
struct nats_config *nats_config_new(void);
static inline struct nats_config *nats_config_ref(struct nats_config *config)
{
    atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
    return config;
}
/* Any core. NULL is allowed. */
void nats_config_unref(struct nats_config *config);
/* Whether a client must say who it is. */
bool nats_config_needs_login(const struct nats_config *config);
const struct nats_user *nats_config_user(const struct nats_config *config, struct slice name);
