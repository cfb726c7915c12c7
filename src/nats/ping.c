// Deadlines of a connection: to log in, then pings, and what their answers tell.
// SPDX-License-Identifier: Apache-2.0
#include "nats/conn.h"

#define NS_PER_MS 1000000ull

static void set_timer(struct nats_conn *conn, uint64_t after_ms)
{
    struct core *core = conn->home->core;
    core_timer_set(core, &conn->timer, core_now_ns(core) + after_ms * NS_PER_MS);
}

void nats_ping_start(struct nats_conn *conn)
{
    const struct nats_config *config = conn->config;
    if (conn->limits.connect_first) {
        set_timer(conn, config->auth_timeout_ms);
        return;
    }
    uint64_t first_ms = MIN(config->ping_interval_ms, (unsigned)NATS_FIRST_PING_MS);
    /* Not all at the same time after a restart. */
    set_timer(conn, first_ms + core_random(conn->home->core) % (first_ms / 5 + 1));
}

void nats_ping_pong(struct nats_conn *conn)
{
    conn->pings_out = 0;
    if (conn->ping_ns == 0)
        return;
    conn->rtt_at_ns = core_now_ns(conn->home->core);
    conn->rtt_ns = MAX(conn->rtt_at_ns - conn->ping_ns, (uint64_t)1);
    conn->ping_ns = 0;
}

static void ping(struct nats_conn *conn)
{
    const struct nats_config *config = conn->config;
    uint64_t now_ns = core_now_ns(conn->home->core);
    bool wants_rtt = conn->rtt_ns == 0 || now_ns - conn->rtt_at_ns > NATS_RTT_MS * NS_PER_MS;
    bool is_quiet = now_ns - conn->input_ns >= config->ping_interval_ms * NS_PER_MS;
    if (wants_rtt || is_quiet) {
        if (conn->pings_out + 1 > config->ping_max) {
            nats_conn_fail(conn, NATS_ERROR_STALE);
            return;
        }
        conn->pings_out++;
        conn->ping_ns = now_ns;
        nats_conn_send(conn, "PING\r\n");
    }
    set_timer(conn, config->ping_interval_ms);
}

void nats_ping_run(struct core *core, struct core_timer *timer)
{
    struct nats_conn *conn = CONTAINER_OF(timer, struct nats_conn, timer);
    if (!nats_conn_is_open(conn))
        return;
    if (conn->limits.connect_first)
        nats_conn_fail(conn, NATS_ERROR_AUTHENTICATION_TIMEOUT);
    else
        ping(conn);
}
