// Every reason of leat group why, and that the first one wins.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cli/why.h"

struct bench {
    struct arena arena;
    struct cli_why_member members[2];
    struct cli_why_partition partitions[2];
    struct cli_why_facts facts;
};

/* Two members with a partition each, both at the end of their logs. */
static struct bench *bench_of(void **state)
{
    struct bench *b = *state;
    arena_reset(&b->arena);
    b->members[0] = (struct cli_why_member){.id = SLICE_LITERAL("m-1"),
                                            .client = SLICE_LITERAL("worker"),
                                            .host = SLICE_LITERAL("/10.0.0.7"),
                                            .partition_count = 1};
    b->members[1] = b->members[0];
    b->members[1].id = SLICE_LITERAL("m-2");
    for (int i = 0; i < 2; i++)
        b->partitions[i] = (struct cli_why_partition){.topic = SLICE_LITERAL("orders"),
                                                      .partition = i,
                                                      .exists = true,
                                                      .leader = 1,
                                                      .member = i,
                                                      .subscribed = true,
                                                      .committed = 10,
                                                      .committed_later = -2,
                                                      .start = 0,
                                                      .end = 10,
                                                      .stable = 10,
                                                      .open_producer = -1,
                                                      .open_last_ms = -1};
    b->facts = (struct cli_why_facts){.group = SLICE_LITERAL("billing"),
                                      .state = CLI_WHY_STABLE,
                                      .members = b->members,
                                      .member_count = 2,
                                      .partitions = b->partitions,
                                      .partition_count = 2,
                                      .now_ms = 100000};
    return b;
}

static struct cli_why_answer decide(struct bench *b, enum cli_why_reason reason, const char *part)
{
    struct cli_why_answer answer;
    assert_int_equal(cli_why_decide(&b->facts, &b->arena, &answer), ERR_OK);
    assert_string_equal(cli_why_name(answer.reason), cli_why_name(reason));
    assert_non_null(answer.what);
    if (!strstr(answer.what, part))
        fail_msg("'%s' is not in: %s", part, answer.what);
    /* Who is stuck is told what to do; who is not has nothing to do. */
    assert_int_equal(answer.stuck, answer.fix != NULL);
    return answer;
}

static void test_group_states(void **state)
{
    struct bench *b = bench_of(state);
    b->facts.state = CLI_WHY_MISSING;
    decide(b, CLI_WHY_NO_GROUP, "no such group");
    b->facts.state = CLI_WHY_LOADING;
    decide(b, CLI_WHY_COORDINATOR, "not ready");
    b->facts.state = CLI_WHY_FOREIGN;
    decide(b, CLI_WHY_NOT_CONSUMERS, "no consumers");
    b->facts.state = CLI_WHY_JOINING;
    decide(b, CLI_WHY_REBALANCING, "worker at /10.0.0.7");
    b->facts.state = CLI_WHY_SYNCING;
    decide(b, CLI_WHY_REBALANCING, "leader");
    b->facts.modern = true;
    decide(b, CLI_WHY_REBALANCING, "taken over");
}

static void test_no_members(void **state)
{
    struct bench *b = bench_of(state);
    b->facts.state = CLI_WHY_EMPTY;
    b->facts.member_count = 0;
    b->partitions[0].member = b->partitions[1].member = -1;
    b->partitions[1].end = 13;
    struct cli_why_answer answer = decide(b, CLI_WHY_NO_MEMBERS, "3 records wait");
    assert_int_equal(answer.lag, 3);
    b->partitions[1].end = 11;
    decide(b, CLI_WHY_NO_MEMBERS, "1 record waits");
}

static void test_caught_up(void **state)
{
    struct bench *b = bench_of(state);
    struct cli_why_answer answer = decide(b, CLI_WHY_CAUGHT_UP, "Nothing is wrong");
    assert_false(answer.stuck);
    b->facts.partition_count = 0;
    decide(b, CLI_WHY_NOTHING_READ, "none has a partition");
}

static void test_topics_and_leaders(void **state)
{
    struct bench *b = bench_of(state);
    b->partitions[1].leader = -1;
    b->partitions[1].end = b->partitions[1].start = b->partitions[1].stable = -1;
    struct cli_why_answer answer = decide(b, CLI_WHY_OFFLINE, "orders partition 1");
    assert_ptr_equal(answer.partition, &b->partitions[1]);
    b->partitions[0].exists = false;
    decide(b, CLI_WHY_NO_TOPIC, "does not exist");
    b->partitions[0].subscribed = false;
    decide(b, CLI_WHY_OFFLINE, "orders partition 1");
}

static void test_out_of_range(void **state)
{
    struct bench *b = bench_of(state);
    b->partitions[0].start = 15;
    b->partitions[0].end = b->partitions[0].stable = 20;
    struct cli_why_answer answer = decide(b, CLI_WHY_BELOW_START, "the 5 records between");
    assert_non_null(strstr(answer.fix, "leat group seek billing orders -p 0 --to start"));
    b->partitions[0].committed_later = 20; /* it went on by itself meanwhile */
    decide(b, CLI_WHY_MOVING, "It moves");
    b->partitions[0].committed_later = -2;
    b->partitions[0].start = 0;
    b->partitions[0].end = b->partitions[0].stable = 4;
    decide(b, CLI_WHY_BEHIND_END, "behind the log's end 4");
}

static void test_assignment(void **state)
{
    struct bench *b = bench_of(state);
    b->partitions[1].member = -1;
    decide(b, CLI_WHY_CAUGHT_UP, "Nothing"); /* nothing waits there */
    b->partitions[1].end = b->partitions[1].stable = 12;
    decide(b, CLI_WHY_NOT_ASSIGNED, "2 records wait");
    b->partitions[1].subscribed = false;
    decide(b, CLI_WHY_NOT_SUBSCRIBED, "any more");
    b->partitions[0].end = b->partitions[0].stable = 12; /* what the members read comes first */
    decide(b, CLI_WHY_NOT_COMMITTING, "worker");
}

static void test_open_transaction(void **state)
{
    struct bench *b = bench_of(state);
    b->partitions[0].end = 30;
    decide(b, CLI_WHY_OPEN_TRANSACTION, "from offset 10 on");
    b->partitions[0].open_producer = 4711;
    b->partitions[0].open_offset = 10;
    b->partitions[0].open_last_ms = 40000;
    b->partitions[0].open_id = SLICE_LITERAL("payer");
    decide(b, CLI_WHY_OPEN_TRANSACTION, "producer 4711 (transactional id payer)");
    decide(b, CLI_WHY_OPEN_TRANSACTION, "1 min 0 s ago");
    b->partitions[0].committed = 7; /* first what can be read has to be read */
    decide(b, CLI_WHY_NOT_COMMITTING, "stays at 7");
    b->partitions[0].committed = -1; /* nothing committed yet, and nothing before it */
    b->partitions[0].start = 10;
    decide(b, CLI_WHY_OPEN_TRANSACTION, "from offset 10 on");
}

static void test_marks_are_no_records(void **state)
{
    struct bench *b = bench_of(state);
    b->partitions[0].end = b->partitions[0].stable = 12;
    decide(b, CLI_WHY_NOT_COMMITTING, "2 records wait");
    b->partitions[0].barren = true; /* the marks of transactions that ended */
    struct cli_why_answer answer = decide(b, CLI_WHY_CAUGHT_UP, "Nothing");
    assert_int_equal(answer.lag, 0);
    b->partitions[0].end = 20;
    decide(b, CLI_WHY_OPEN_TRANSACTION, "from offset 12 on");
}

static void test_slow_members(void **state)
{
    struct bench *b = bench_of(state);
    b->partitions[1].end = b->partitions[1].stable = 14;
    struct cli_why_answer answer = decide(b, CLI_WHY_NOT_COMMITTING, "stays at 10; 4 records wait");
    assert_ptr_equal(answer.member, &b->members[1]);
    b->facts.watched_ms = 3000;
    b->partitions[0].committed_later = 10;
    b->partitions[1].committed_later = 10;
    decide(b, CLI_WHY_NOT_COMMITTING, "Watched for 3 s");
    b->partitions[1].committed_later = 12;
    decide(b, CLI_WHY_MOVING, "2 records committed in 3 s");
    b->partitions[1].committed_later = b->partitions[1].committed = -1;
    decide(b, CLI_WHY_NEVER_COMMITTED, "never committed");
}

static void test_the_first_reason_wins(void **state)
{
    struct bench *b = bench_of(state);
    b->partitions[0].end = 30;    /* a transaction is open */
    b->partitions[1].leader = -1; /* and a partition is offline */
    decide(b, CLI_WHY_OFFLINE, "offline");
    b->facts.state = CLI_WHY_JOINING;
    decide(b, CLI_WHY_REBALANCING, "join again");
    b->facts.state = CLI_WHY_EMPTY;
    b->facts.member_count = 0;
    decide(b, CLI_WHY_NO_MEMBERS, "no members");
}

static void test_many_members_are_not_all_named(void **state)
{
    struct bench *b = bench_of(state);
    struct cli_why_member many[9];
    for (size_t i = 0; i < COUNT_OF(many); i++)
        many[i] = b->members[0];
    b->facts.members = many;
    b->facts.member_count = COUNT_OF(many);
    b->facts.state = CLI_WHY_JOINING;
    decide(b, CLI_WHY_REBALANCING, "and 6 more");
}

/* The server tells 3 records that wait in the second partition. */
static struct bench *share_of(void **state)
{
    struct bench *b = bench_of(state);
    b->facts.share = true;
    for (int i = 0; i < 2; i++) {
        b->partitions[i].shared = true;
        b->partitions[i].told_lag = b->partitions[i].told_lag_later = i * 3;
    }
    b->partitions[1].end = b->partitions[1].stable = 20;
    return b;
}

static void test_share_groups(void **state)
{
    struct bench *b = share_of(state);
    struct cli_why_answer answer = decide(b, CLI_WHY_NOT_ACKNOWLEDGED, "3 records wait");
    assert_ptr_equal(answer.partition, &b->partitions[1]);
    assert_int_equal(answer.lag, 3);
    b->partitions[1].stable = 10; /* read_committed */
    b->partitions[1].open_producer = 4;
    decide(b, CLI_WHY_OPEN_TRANSACTION, "producer 4");
    b->partitions[1].committed_later = 10;
    b->partitions[1].told_lag_later = 7; /* more was written */
    decide(b, CLI_WHY_OPEN_TRANSACTION, "producer 4");
    b->partitions[1].told_lag_later = 2; /* one between was accepted */
    decide(b, CLI_WHY_MOVING, "1 partition went on");
    b->facts.member_count = 0;
    b->facts.state = CLI_WHY_EMPTY;
    answer = decide(b, CLI_WHY_NO_MEMBERS, "3 records wait");
    assert_non_null(strstr(answer.fix, "a share consumer"));
}

static void test_share_groups_that_read_nothing(void **state)
{
    struct bench *b = share_of(state);
    b->partitions[1].told_lag = 0;
    decide(b, CLI_WHY_CAUGHT_UP, "Nothing is wrong");
    b->partitions[0].committed = -1; /* not begun: nothing is known */
    b->partitions[0].told_lag = b->partitions[0].told_lag_later = -1;
    struct cli_why_answer answer = decide(b, CLI_WHY_NOTHING_READ, "from offset 0 to 10");
    assert_ptr_equal(answer.partition, &b->partitions[0]);
    assert_int_equal(answer.lag, 0);
    b->partitions[0].end = b->partitions[0].start; /* there is nothing to be read */
    decide(b, CLI_WHY_CAUGHT_UP, "Nothing is wrong");
    /* What retention took away is no trouble: the group goes to the start. */
    b->partitions[1].start = 15;
    decide(b, CLI_WHY_CAUGHT_UP, "Nothing is wrong");
    b->partitions[0].exists = false;
    decide(b, CLI_WHY_NO_TOPIC, "orders");
}

static int set_up(void **state)
{
    struct bench *b = test_calloc(1, sizeof(*b));
    arena_init(&b->arena, 0);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    arena_deinit(&b->arena);
    test_free(b);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_states),
        cmocka_unit_test(test_no_members),
        cmocka_unit_test(test_caught_up),
        cmocka_unit_test(test_topics_and_leaders),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_assignment),
        cmocka_unit_test(test_open_transaction),
        cmocka_unit_test(test_marks_are_no_records),
        cmocka_unit_test(test_slow_members),
        cmocka_unit_test(test_the_first_reason_wins),
        cmocka_unit_test(test_many_members_are_not_all_named),
        cmocka_unit_test(test_share_groups),
        cmocka_unit_test(test_share_groups_that_read_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
