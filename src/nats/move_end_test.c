// Tests of connections that end while they are on their way to another core.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "nats/move.h"
#include "nats/nats_fixture.h"
#include "nats/view.h"
#include "reactor/balance.h"

enum { GIVER, TAKER, THIRD, FOURTH, CORE_COUNT };

static void four_cores(struct peer *p)
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

/* The taker and the giver have switched, the other cores have not heard of it. */
static void begin(struct peer *p, struct nats_conn *conn)
{
    nats_move_wished(conn->conn, TAKER);
    assert_non_null(conn->move);
    turn_on(p, TAKER, 2);
    turn_on(p, GIVER, 2);
    assert_true(conn->move->is_prepared);
    assert_int_equal(conn->move->giver_missing, 2);
}

/* The first client is on the taker's core. */
static struct peer *begin_with_publisher(void)
{
    struct peer *p = peer_new(four_cores);
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

static void a_core_that_begins_to_listen_counts_those_who_end_on_their_way(void **state)
{
    struct peer *p = begin_with_publisher();
    struct slice subject = slice_text("g"), queue = slice_text("q");
    p->other_fd = member_dial(p, "SUB g q 1\r\n");
    int fd = member_dial(p, "SUB g q 1\r\n");
    struct nats_conn *conn = newest(p);
    int late = member_dial(p, "");
    struct conn *goes = newest(p)->conn;
    begin(p, conn);
    nats_conn_cut(conn, NATS_REASON_SLOW_CONSUMER_DEADLINE);
    turn_on(p, GIVER, 4);
    conn_bind(goes, THIRD);
    conn_go(goes);
    struct nats_core *third = &p->nats->cores[THIRD];
    for (unsigned i = 0; i < 8; i++) { /* the fourth core is silent: nothing settles */
        turn_on(p, GIVER, 1);
        turn_on(p, THIRD, 1);
        turn_on(p, TAKER, 1);
    }
    assert_false(list_empty(&third->conns));
    assert_int_equal(third->snapshots_missing, 1);
    assert_int_equal(
        broker_interest_remote_get(nats_view_interest(third, subject), GIVER, subject, queue), 1);
    for (unsigned i = 0; i < 20; i++)
        peer_turn(p);
    assert_int_equal(
        broker_interest_remote_get(nats_view_interest(third, subject), GIVER, subject, queue), 1);
    close(late);
    close(fd);
    peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_that_ends_on_its_way_is_counted_once),
        cmocka_unit_test(a_core_that_begins_to_listen_counts_those_who_end_on_their_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
