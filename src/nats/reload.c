// A new configuration reaches every core and every connection.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "nats/conn.h"

struct change {
    struct core_message message;
    struct nats_config *config;
    uint64_t excess; /* connections of this core that are too many from now on */
};

/* The user that a connection which came in under the old configuration is under the new one. False:
 * it would not be let in as it was. Passwords are not checked again, only whether they changed. */
static bool still_welcome(const struct nats_conn *conn, const struct nats_config *config,
                          const struct nats_user **out)
{
    const struct nats_config *old = conn->config;
    *out = NULL;
    if (!nats_config_needs_login(config))
        return true;
    if (config->token.data)
        return old->token.data && slice_equal(old->token, config->token);
    if (!conn->user)
        return false;
    *out = nats_config_user(config, conn->user->name);
    if (conn->user == old->no_auth_user && conn->connect.user.size == 0)
        return *out && *out == config->no_auth_user;
    return *out && slice_equal((*out)->password, conn->user->password);
}

static void conn_change(struct nats_conn *conn, struct nats_config *config)
{
    struct nats_config *old = conn->config;
    const struct nats_user *user;
    bool was_silent = !conn->is_connected;
    bool is_welcome = was_silent || still_welcome(conn, config, &user);
    conn->config = nats_config_ref(config);
    if (was_silent) {
        nats_conn_set_limits(conn);
        if (nats_conn_is_open(conn) && !conn->login)
            nats_ping_start(conn);
    } else if (is_welcome) {
        nats_connect_use(conn, user);
        nats_subs_recheck(conn);
    } else {
        conn->user = NULL;
        nats_replies_free(conn);
        nats_conn_fail(conn, NATS_ERROR_AUTHORIZATION);
    }
    nats_config_unref(old);
}

/* The newest first; those that have to go anyway count. */
static void excess_close(struct nats_core *home, uint64_t excess)
{
    list_for_each (node, &home->conns)
        if (excess > 0 && !nats_conn_is_open(LIST_ENTRY(node, struct nats_conn, node)))
            excess--;
    struct list *node = home->conns.prev;
    while (excess > 0 && node != &home->conns) {
        struct nats_conn *conn = LIST_ENTRY(node, struct nats_conn, node);
        node = node->prev;
        if (!nats_conn_is_open(conn))
            continue;
        nats_conn_fail(conn, NATS_ERROR_MAX_CONNECTIONS);
        excess--;
    }
}

static void change_arrives(struct core *core, struct core_message *message)
{
    struct change *change = CONTAINER_OF(message, struct change, message);
    struct nats_core *home = nats_state_of(core);
    nats_config_unref(home->config);
    home->config = change->config;
    home->config_serial++;
    list_for_each_safe (node, following, &home->conns)
        nats_reload_catch_up(LIST_ENTRY(node, struct nats_conn, node));
    excess_close(home, change->excess);
    free(change);
}

/* All cores get the same changes in the same order; one that moved may have met this one already.
 */
void nats_reload_catch_up(struct nats_conn *conn)
{
    const struct nats_core *home = conn->home;
    if (conn->config_serial >= home->config_serial)
        return;
    conn->config_serial = home->config_serial;
    conn_change(conn, home->config);
}

/* Takes as many of them from what is too many as the core has connections. */
static uint64_t share_of(const struct nats_core *core, uint64_t *excess)
{
    uint64_t share = MIN(metric_get(&core->counters.here), *excess);
    *excess -= share;
    return share;
}

enum err nats_reload(struct nats *nats, struct nats_config *config)
{
    uint64_t count = nats_conn_count(nats);
    uint64_t limit = config->connections_max;
    uint64_t excess = limit > 0 && count > limit ? count - limit : 0;
    struct change **changes = calloc(nats->core_count, sizeof(*changes));
    bool is_ready = changes != NULL;
    for (unsigned i = 0; is_ready && i < nats->core_count; i++)
        is_ready = (changes[i] = malloc(sizeof(**changes))) != NULL;
    for (unsigned i = 0; changes && i < nats->core_count; i++) {
        if (!is_ready) {
            free(changes[i]);
            continue;
        }
        *changes[i] = (struct change){.message.run = change_arrives,
                                      .config = nats_config_ref(config),
                                      .excess = share_of(&nats->cores[i], &excess)};
        core_send(nats->cores[0].core, i, &changes[i]->message);
    }
    free(changes);
    return is_ready ? ERR_OK : ERR_NO_MEMORY;
}
