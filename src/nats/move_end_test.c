// Tests of connections that end while they are on their way to another core.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "nats/move.h"
#include "nats/nats_fixture.h"
#include "reactor/balance.h"

enum { GIVER, TAKER, THIRD, CORE_COUNT };

static void three_cores(struct peer *p)
{
    p->core_count = CORE_COUNT;
}

static void turn_on(struct peer *p, unsigned core, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        core_run_once(reactor_core(p->reactor, core), 0);
}

static int member_dial(struct peer *p, const char *subscriptions)
{
    int fd = peer_dial(p);
    peer_send_to(p, fd, "CONNECT {\"verbose\":false}\r\n");
    peer_send_to(p, fd, subscriptions);
    peer_send_to(p, fd, "PING\r\n");
    peer_expect_of(p, fd, "PONG");
    return fd;
}

static struct nats_conn *newest(struct peer *p)
{
    return LIST_ENTRY(p->nats->cores[GIVER].conns.prev, struct nats_conn, node);
}

/* The taker and the giver have switched, the third core has not heard of it. */
static void begin(struct peer *p, struct nats_conn *conn)
{
    nats_move_wished(conn->conn, TAKER);
    assert_non_null(conn->move);
    turn_on(p, TAKER, 2);
    turn_on(p, GIVER, 2);
    assert_true(conn->move->is_prepared);
    assert_int_equal(conn->move->giver_missing, 1);
}

/* The first client is on the taker's core. */
static struct peer *begin_with_publisher(void)
{
    struct peer *p = peer_new(three_cores);
    assert_int_equal(balance_hand_over(p->core, TAKER, true), 1);
    PEER_UNTIL(p, !list_empty(&p->nats->cores[TAKER].conns));
    peer_send(p, "CONNECT {\"verbose\":false}\r\nPING\r\n");
    peer_expect(p, "PONG");
    return p;
}

static void a_member_that_ends_on_its_way_is_counted_once(void **state)
{
    struct peer *p = begin_with_publisher();
    p->other_fd = member_dial(p, "SUB g q 1\r\n");
    int fd = member_dial(p, "SUB g q 1\r\n");
    struct nats_conn *conn = newest(p);
    begin(p, conn);
    nats_conn_cut(conn, NATS_REASON_SLOW_CONSUMER_DEADLINE);
    turn_on(p, GIVER, 4);
    turn_on(p, TAKER, 2);
    for (unsigned i = 0; i < 20; i++)
        peer_turn(p);
    assert_true(list_empty(&p->nats->cores[TAKER].arrivals));
    for (unsigned i = 0; i < 8; i++) {
        peer_send(p, "PUB g 1\r\nx\r\n");
        peer_expect_of(p, p->other_fd, "MSG g 1 1");
        peer_expect_of(p, p->other_fd, "x");
    }
    close(fd);
    peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_that_ends_on_its_way_is_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
