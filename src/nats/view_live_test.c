// Tests of many partitions: they take turns, and where memory is short that is told and made good.
// SPDX-License-Identifier: Apache-2.0
#include "nats/nats_fixture.h"
#include "nats/view_live.h"

#define PARTITIONS (2 * NATS_LIVE_STEPS_MAX + 500)

static size_t reader_count(const struct peer *p)
{
    return p->nats->cores[0].reader_count;
}

/* One turn makes, takes and ends no more readers than others can wait for. */
static void until_readers(struct peer *p, size_t count)
{
    for (unsigned turns = 0; reader_count(p) != count; turns++) {
        size_t before = reader_count(p), used = budget_used(&p->budget);
        assert_true(turns < PEER_TURNS_MAX);
        peer_turn(p);
        size_t after = reader_count(p), made = budget_used(&p->budget);
        assert_in_range(MAX(before, after) - MIN(before, after), 0, NATS_LIVE_STEPS_MAX);
        assert_in_range(made > used ? (made - used) / sizeof(struct nats_reader) : 0, 0,
                        NATS_LIVE_STEPS_MAX + NATS_LIVE_STEPS_MAX / 10);
    }
}

static void a_topic_that_becomes_bound_takes_turns(void **state)
{
    struct peer *p = peer_new(NULL);
    peer_create(p, "t", PARTITIONS, NULL);
    peer_create(p, "u", 1, NULL);
    peer_send(p, "CONNECT {\"verbose\":false}\r\nSUB x.1 1\r\nPING\r\n");
    peer_expect(p, "PONG");
    struct broker_setting_change change = {.name = SLICE_LITERAL("nats.subjects"),
                                           .value = SLICE_LITERAL("x.*")};
    struct broker_settings_alter alter = {.call.done = peer_done,
                                          .topic_id =
                                              broker_topic_find(p->core, SLICE_LITERAL("t"))->id,
                                          .changes = &change,
                                          .change_count = 1};
    broker_settings_alter(p->core, &alter);
    until_readers(p, PARTITIONS);
    PEER_UNTIL(p, !alter.call.done);
    assert_int_equal(alter.call.err, ERR_OK);
    peer_send(p, "UNSUB 1\r\nPING\r\n");
    until_readers(p, 0);
    peer_expect(p, "PONG");
    peer_free(p);
}

/* Takes all memory but so much. */
static size_t memory_take(struct peer *p, size_t but)
{
    size_t used = budget_used(&p->budget);
    assert_in_range(but, 0, p->budget.size_max - used);
    assert_true(budget_charge(&p->budget, p->budget.size_max - used - but));
    return p->budget.size_max - used - but;
}

static void who_cannot_be_served_for_lack_of_memory_hears_so(void **state)
{
    struct peer *p = peer_new(NULL);
    peer_create(p, "t", PARTITIONS, NULL);
    peer_send(p, "CONNECT {\"verbose\":false}\r\nPING\r\n");
    peer_expect(p, "PONG");
    size_t taken = memory_take(p, PARTITIONS * sizeof(struct nats_reader) / 2);
    peer_send(p, "SUB kafka.> 1\r\n");
    peer_expect(p, "-ERR 'Insufficient Memory for Subscription to \"kafka.>\"'");
    assert_true(peer_is_closed(p));
    assert_non_null(strstr(p->logged.data, "1 partitions cannot be watched for subscribers"));
    budget_release(&p->budget, taken);
    until_readers(p, 0);
    peer_redial(p);
    peer_send(p, "CONNECT {\"verbose\":false}\r\nSUB kafka.> 1\r\nPING\r\n");
    until_readers(p, PARTITIONS);
    peer_expect(p, "PONG");
    peer_free(p);
}

static void new_partitions_are_tried_again(void **state)
{
    struct peer *p = peer_new(NULL);
    peer_send(p, "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB kafka.> 1\r\nPING\r\n");
    peer_expect(p, "PONG");
    size_t taken = memory_take(p, 5 * sizeof(struct nats_reader) / 2);
    peer_create(p, "t", 5, NULL);
    PEER_UNTIL(p, p->logged.data && strstr(p->logged.data, "3 partitions cannot be watched"));
    budget_release(&p->budget, taken);
    until_readers(p, 5);
    peer_send(p, "PUB kafka.t 1\r\nx\r\n");
    const char *line = peer_line_of(p, p->fd);
    assert_true(line && strncmp(line, "HMSG kafka.t.", 13) == 0);
    assert_non_null(strstr(line, " 1 "));
    peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_that_becomes_bound_takes_turns),
        cmocka_unit_test(who_cannot_be_served_for_lack_of_memory_hears_so),
        cmocka_unit_test(new_partitions_are_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
