// The defaults of a NATS server, and who its users are.
// SPDX-License-Identifier: Apache-2.0
#include "nats/config.h"

#include <stdlib.h>

struct nats_config *nats_config_new(void)
{
    struct nats_config *config = malloc(sizeof(*config));
    if (!config)
        return NULL;
    *config = (struct nats_config){
        .refs = 1,
        .view_prefix = SLICE_LITERAL("kafka"),
        .control_line_size_max = 4096,
        .payload_size_max = (size_t)1 << 20,
        .pending_size_max = (size_t)64 << 20,
        .connections_max = 65536,
        .closed_clients_max = 10000,
        .ping_max = 2,
        .ping_interval_ms = 120000,
        .write_deadline_ms = 10000,
        .auth_timeout_ms = 2000,
        .lame_duck_ms = 120000,
        .lame_duck_grace_ms = 10000,
    };
    arena_init(&config->arena, NATS_CONFIG_TREE_SIZE_MAX);
    return config;
}

void nats_config_unref(struct nats_config *config)
{
    if (!config || atomic_fetch_sub(&config->refs, 1) > 1)
        return;
    arena_deinit(&config->arena);
    free(config);
}

bool nats_config_needs_login(const struct nats_config *config)
{
    return config->user_count > 0 || config->token.data;
}

const struct nats_user *nats_config_user(const struct nats_config *config, struct slice name)
{
    for (size_t i = 0; i < config->user_count; i++)
        if (slice_equal(config->users[i].name, name))
            return &config->users[i];
    return NULL;
}
