// Tests of the assignors: even, sticky, in order, and only to those who read the topic.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_assignor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TOPICS_MAX  8
#define MEMBERS_MAX 12

struct bench {
    struct assignor assignor;
    struct assignor_topic topics[TOPICS_MAX];
    struct assignor_member members[MEMBERS_MAX];
    uint32_t subscribed[MEMBERS_MAX][TOPICS_MAX];
    char names[MEMBERS_MAX][8];
    struct group_parts parts[MEMBERS_MAX];
    uint64_t seed;
};

static size_t pick(struct bench *bench, size_t count)
{
    bench->seed = bench->seed * 6364136223846793005 + 1442695040888963407;
    return (size_t)(bench->seed >> 33) % count;
}

static void bench_init(struct bench *bench, enum assignor_kind kind, size_t topics, size_t members)
{
    *bench = (struct bench){.seed = topics * 100 + members};
    bench->assignor = (struct assignor){.kind = kind,
                                        .topics = bench->topics,
                                        .topic_count = topics,
                                        .members = bench->members,
                                        .member_count = members};
    for (size_t t = 0; t < topics; t++)
        bench->topics[t].id.bytes[0] = (uint8_t)(t + 1);
    for (size_t m = 0; m < MEMBERS_MAX; m++) {
        snprintf(bench->names[m], sizeof(bench->names[m]), "m%02zu", m);
        bench->members[m].sort = slice_text(bench->names[m]);
        bench->members[m].topics = bench->subscribed[m];
        bench->members[m].before = &bench->parts[m];
    }
}

static void subscribe(struct bench *bench, size_t member, unsigned bits)
{
    struct assignor_member *to = &bench->members[member];
    to->topic_count = 0;
    for (uint32_t t = 0; t < bench->assignor.topic_count; t++)
        if (bits >> t & 1)
            bench->subscribed[member][to->topic_count++] = t;
}

/* New parts, which are what was before in the next run; how many have moved among those who stay.
 */
static size_t run(struct bench *bench)
{
    struct group_parts parts[MEMBERS_MAX];
    size_t moved = 0;
    assert_int_equal(broker_group_assignor_run(&bench->assignor), ERR_OK);
    assert_int_equal(broker_group_assignor_parts(&bench->assignor, NULL, parts), ERR_OK);
    free(bench->assignor.owners);
    for (size_t m = 0; m < bench->assignor.member_count; m++) {
        for (size_t i = 0; i < bench->parts[m].count; i++)
            moved += !broker_group_parts_has(&parts[m], &bench->parts[m].items[i]);
        broker_group_parts_free(NULL, &bench->parts[m], bench->parts[m].count);
        bench->parts[m] = parts[m];
    }
    return moved;
}

static void bench_deinit(struct bench *bench)
{
    for (size_t m = 0; m < MEMBERS_MAX; m++)
        broker_group_parts_free(NULL, &bench->parts[m], bench->parts[m].count);
}

static bool reads(const struct bench *bench, size_t member, size_t topic)
{
    for (size_t i = 0; i < bench->members[member].topic_count; i++)
        if (bench->subscribed[member][i] == topic)
            return true;
    return false;
}

/* Every partition once, with somebody who reads its topic, if anybody does. */
static void all_is_given(const struct bench *bench)
{
    for (size_t t = 0; t < bench->assignor.topic_count; t++) {
        size_t readers = 0;
        for (size_t m = 0; m < bench->assignor.member_count; m++)
            readers += reads(bench, m, t);
        for (uint32_t p = 0; p < bench->topics[t].partition_count; p++) {
            struct group_part part = {.topic = bench->topics[t].id, .index = (int32_t)p};
            size_t owners = 0;
            for (size_t m = 0; m < bench->assignor.member_count; m++) {
                bool has = broker_group_parts_has(&bench->parts[m], &part);
                assert_true(!has || reads(bench, m, t));
                owners += has;
            }
            assert_int_equal(owners, readers > 0);
        }
    }
}

static void counts(const struct bench *bench, size_t *out_least, size_t *out_most)
{
    *out_least = SIZE_MAX;
    *out_most = 0;
    for (size_t m = 0; m < bench->assignor.member_count; m++) {
        *out_least = MIN(*out_least, bench->parts[m].count);
        *out_most = MAX(*out_most, bench->parts[m].count);
    }
}

static void uniform_is_even_and_moves_little(void **state)
{
    for (size_t topics = 1; topics <= 4; topics++) {
        struct bench bench;
        size_t least;
        size_t most;
        size_t total = 0;
        bench_init(&bench, ASSIGNOR_UNIFORM, topics, 1);
        for (size_t t = 0; t < topics; t++)
            total += bench.topics[t].partition_count = (uint32_t)(3 + 5 * t);
        for (size_t members = 1; members <= MEMBERS_MAX; members++) {
            bench.assignor.member_count = members;
            for (size_t m = 0; m < members; m++)
                subscribe(&bench, m, 0xff);
            size_t moved = run(&bench);
            all_is_given(&bench);
            counts(&bench, &least, &most);
            assert_true(most - least <= 1);
            /* Only what the new member got. */
            assert_int_equal(moved, members > 1 ? bench.parts[members - 1].count : 0);
        }
        assert_int_equal(run(&bench), 0);
        /* The last goes: what it had is shared out, nothing else moves. */
        broker_group_parts_free(NULL, &bench.parts[MEMBERS_MAX - 1],
                                bench.parts[MEMBERS_MAX - 1].count);
        bench.assignor.member_count--;
        assert_int_equal(run(&bench), 0);
        all_is_given(&bench);
        counts(&bench, &least, &most);
        assert_true(most - least <= 1 && most >= total / MEMBERS_MAX);
        bench_deinit(&bench);
    }
}

/* Nobody has two more than someone who could take one of them. */
static void mixed_is_even(const struct bench *bench)
{
    for (size_t a = 0; a < bench->assignor.member_count; a++) {
        for (size_t i = 0; i < bench->parts[a].count; i++) {
            size_t topic = bench->parts[a].items[i].topic.bytes[0] - 1u;
            for (size_t b = 0; b < bench->assignor.member_count; b++)
                if (reads(bench, b, topic))
                    assert_true(bench->parts[a].count <= bench->parts[b].count + 1);
        }
    }
}

static void uniform_goes_with_any_subscriptions(void **state)
{
    for (size_t members = 2; members <= MEMBERS_MAX; members++) {
        struct bench bench;
        bench_init(&bench, ASSIGNOR_UNIFORM, 5, members);
        for (size_t round = 0; round < 20; round++) {
            for (size_t t = 0; t < 5; t++)
                bench.topics[t].partition_count = (uint32_t)pick(&bench, 9);
            for (size_t m = 0; m < members; m++)
                subscribe(&bench, m, (unsigned)pick(&bench, 32));
            run(&bench);
            all_is_given(&bench);
            mixed_is_even(&bench);
            assert_int_equal(run(&bench), 0);
        }
        bench_deinit(&bench);
    }
}

static void range_cuts_in_order(void **state)
{
    struct bench bench;
    bench_init(&bench, ASSIGNOR_RANGE, 2, 3);
    bench.topics[0].partition_count = 7;
    bench.topics[1].partition_count = 7;
    bench.members[0].sort = SLICE_LITERAL("z");
    for (size_t m = 0; m < 3; m++)
        subscribe(&bench, m, 3);
    run(&bench);
    all_is_given(&bench);
    static const int32_t first[3] = {5, 0, 3}; /* by name: 1, 2, 0 */
    static const size_t count[3] = {2, 3, 2};
    for (size_t m = 0; m < 3; m++) {
        assert_int_equal(bench.parts[m].count, 2 * count[m]);
        for (size_t i = 0; i < count[m]; i++) {
            assert_int_equal(bench.parts[m].items[i].index, first[m] + (int32_t)i);
            assert_int_equal(bench.parts[m].items[count[m] + i].index, first[m] + (int32_t)i);
        }
    }
    bench_deinit(&bench);
}

static void nothing_comes_of_nothing(void **state)
{
    struct bench bench;
    for (unsigned kind = 0; kind < 2; kind++) {
        bench_init(&bench, (enum assignor_kind)kind, 0, 2);
        run(&bench);
        assert_int_equal(bench.parts[0].count, 0);
        bench_init(&bench, (enum assignor_kind)kind, 2, 0);
        bench.topics[0].partition_count = 3;
        run(&bench);
        bench_init(&bench, (enum assignor_kind)kind, 1, 2);
        bench.topics[0].partition_count = 3;
        run(&bench); /* nobody reads it */
        assert_int_equal(bench.parts[0].count + bench.parts[1].count, 0);
        bench_deinit(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_is_even_and_moves_little),
        cmocka_unit_test(uniform_goes_with_any_subscriptions),
        cmocka_unit_test(range_cuts_in_order),
        cmocka_unit_test(nothing_comes_of_nothing),
    };
    return cmocka_run_group_tests_name("broker/group_assignor", tests, NULL, NULL);
}
