// CONNECT: what the client says of itself, and whether it may come in.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "nats/conn.h"
#include "security/password.h"

/* A hashed password on its way through a helper thread. */
struct nats_login {
    struct core_work work;
    struct nats_conn *conn; /* NULL: it is gone */
    struct nats_config *config;
    const struct nats_user *user;
    struct slice stored; /* in config */
    struct slice given;  /* in text */
    bool is_right;
    uint8_t text[];
};

void nats_connect_use(struct nats_conn *conn, const struct nats_user *user)
{
    conn->user = user;
    conn->is_connected = true;
    nats_conn_set_limits(conn);
    nats_replies_start(conn);
}

static void connect_accept(struct nats_conn *conn, const struct nats_user *user)
{
    if (conn->connect.account.size > 0 || conn->connect.new_account) {
        nats_conn_fail(conn, NATS_ERROR_AUTHORIZATION);
        return;
    }
    nats_connect_use(conn, user);
    if (conn->connect.protocol < 0 || conn->connect.protocol > 1) {
        nats_conn_fail(conn, NATS_ERROR_CLIENT_PROTOCOL);
        return;
    }
    if (conn->connect.no_responders && !conn->headers) {
        nats_conn_fail(conn, NATS_ERROR_NO_RESPONDERS_HEADERS);
        return;
    }
    if (conn->connect.verbose)
        nats_conn_send(conn, "+OK\r\n");
    nats_ping_start(conn);
}

static void connect_refuse(struct nats_conn *conn)
{
    log_info(conn->home->nats->options.logger, "nats", "authentication failed cid=%llu user=%.*s",
             (unsigned long long)conn->id, (int)MIN(conn->connect.user.size, (size_t)256),
             (const char *)conn->connect.user.data);
    nats_conn_fail(conn, NATS_ERROR_AUTHORIZATION);
}

/* --- hashed passwords ------------------------------------------------------------------------- */

static void login_run(struct core_work *work)
{
    struct nats_login *login = CONTAINER_OF(work, struct nats_login, work);
    login->is_right = security_password_check(login->stored, login->given);
}

static void login_done(struct core *core, struct core_work *work)
{
    struct nats_login *login = CONTAINER_OF(work, struct nats_login, work);
    struct nats_conn *conn = login->conn;
    if (conn) {
        conn->login = NULL;
        conn_release(conn->conn);
        if (conn->config != login->config)
            nats_connect_login(conn); /* who may come in has changed meanwhile */
        else if (login->is_right)
            connect_accept(conn, login->user);
        else
            connect_refuse(conn);
        if (!conn->login)
            nats_conn_go_on(conn, NATS_WAIT_LOGIN);
    }
    explicit_bzero(login->text, login->given.size);
    nats_config_unref(login->config);
    free(login);
}

static void login_start(struct nats_conn *conn, const struct nats_user *user, struct slice stored,
                        struct slice given)
{
    struct nats_login *login = malloc(sizeof(*login) + given.size);
    if (!login) {
        nats_conn_end(conn, NATS_REASON_OUT_OF_MEMORY);
        return;
    }
    *login = (struct nats_login){
        .work = {.run = login_run, .done = login_done},
        .conn = conn,
        .config = nats_config_ref(conn->config),
        .user = user,
        .stored = stored,
        .given = slice_make(login->text, given.size),
    };
    if (given.size > 0)
        memcpy(login->text, given.data, given.size);
    conn->login = login;
    conn_hold(conn->conn);
    nats_conn_wait(conn, NATS_WAIT_LOGIN);
    core_work_submit(conn->home->core, CORE_LANE_BULK, &login->work);
}

void nats_connect_forget(struct nats_conn *conn)
{
    if (conn->login)
        conn->login->conn = NULL;
    conn->login = NULL;
}

/* --- who may come in -------------------------------------------------------------------------- */

static void check_password(struct nats_conn *conn, const struct nats_user *user,
                           struct slice stored, struct slice given)
{
    if (security_password_is_hash(stored))
        login_start(conn, user, stored, given);
    else if (security_password_check(stored, given))
        connect_accept(conn, user);
    else
        connect_refuse(conn);
}

void nats_connect_login(struct nats_conn *conn)
{
    const struct nats_config *config = conn->config;
    const struct wire_nats_connect *connect = &conn->connect;
    bool is_silent =
        connect->user.size == 0 && connect->pass.size == 0 && connect->auth_token.size == 0;
    if (!nats_config_needs_login(config)) {
        connect_accept(conn, NULL);
        return;
    }
    if (is_silent && config->no_auth_user) {
        connect_accept(conn, config->no_auth_user);
        return;
    }
    const struct nats_user *user = nats_config_user(config, connect->user);
    if (user)
        check_password(conn, user, user->password, connect->pass);
    else if (config->token.data)
        check_password(conn, NULL, config->token, connect->auth_token);
    else
        connect_refuse(conn);
}

bool nats_connect_without(struct nats_conn *conn)
{
    if (!conn->config->no_auth_user)
        return false;
    nats_connect_use(conn, conn->config->no_auth_user);
    nats_ping_start(conn);
    return true;
}

/* --- what it says of itself ------------------------------------------------------------------- */

/* Moves the strings that are needed later into memory of the connection. */
static bool keep_texts(struct nats_conn *conn, struct wire_nats_connect *connect)
{
    struct slice *const kept[] = {
        &connect->name, &connect->lang, &connect->version,
        &connect->user, &connect->pass, &connect->auth_token,
    };
    size_t size = 1;
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        size += kept[i]->size;
    char *text = malloc(size);
    if (!text)
        return false;
    char *at = text;
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        if (!kept[i]->data)
            continue;
        if (kept[i]->size > 0)
            memcpy(at, kept[i]->data, kept[i]->size);
        *kept[i] = slice_make(at, kept[i]->size);
        at += kept[i]->size;
    }
    connect->nkey = connect->jwt = connect->sig = connect->proxy_sig = SLICE_NULL;
    connect->remote_account = SLICE_NULL;
    if (connect->account.data) /* that it is there is all that counts */
        connect->account = connect->account.size > 0 ? SLICE_LITERAL("?") : SLICE_NULL;
    free(conn->text);
    conn->text = text;
    conn->connect = *connect;
    return true;
}

void nats_connect_handle(struct nats_conn *conn, struct slice json)
{
    struct arena arena;
    struct wire_nats_connect connect = conn->connect;
    core_timer_cancel(conn->home->core, &conn->timer);
    arena_init(&arena, 0);
    enum err err = wire_nats_json_connect_decode(json, &arena, &connect);
    bool is_kept = !err && keep_texts(conn, &connect);
    arena_deinit(&arena);
    if (err == ERR_INVALID) {
        nats_conn_fail(conn, NATS_ERROR_PARSE);
        return;
    }
    if (!is_kept) {
        nats_conn_end(conn, NATS_REASON_OUT_OF_MEMORY);
        return;
    }
    if (conn->is_connected)
        nats_subs_remove_all(conn);
    nats_connect_login(conn);
}
