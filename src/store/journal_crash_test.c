// Cuts the power at every disk operation of a journal and looks at what two lives later is there.
// SPDX-License-Identifier: Apache-2.0
#include "store/journal_fixture.h"

#include <stdio.h>

/* Appends, waits, checkpoints by the seed, until the rounds are over or the journal is offline. */
static void work(struct fixture *f, struct os_fake_random *random, unsigned rounds)
{
    for (unsigned round = 0; round < rounds && !journal_is_offline(f->journal); round++) {
        unsigned count = (unsigned)os_fake_random_below(random, 4);
        for (unsigned i = 0; i < count; i++) {
            unsigned log = (unsigned)os_fake_random_below(random, FIXTURE_LOG_COUNT);
            size_t size = os_fake_random_below(random, 6000);
            if (os_fake_random_below(random, 12) == 0)
                size *= 9;
            (void)fixture_add(f, log, size, size < 100, NULL);
        }
        fixture_turns(f, 1 + (unsigned)os_fake_random_below(random, 4));
        if (os_fake_random_below(random, 2))
            os_fake_writeback(f->fake, 30);
        unsigned log = (unsigned)os_fake_random_below(random, FIXTURE_LOG_COUNT);
        uint64_t to = f->checkpoint[log];
        while (to < f->lsn_next[log] && f->entries[log][to]->state == FIXTURE_ACKED)
            to++;
        uint64_t behind = os_fake_random_below(random, 6);
        if (to > f->checkpoint[log] + behind)
            fixture_checkpoint(f, log, to - behind);
    }
    fixture_turns(f, 20);
}

struct cut {
    uint64_t at; /* operation; 0: none */
    bool is_after;
};

static struct cut cut_random(struct os_fake_random *random, uint64_t limit)
{
    return (struct cut){1 + os_fake_random_below(random, limit), os_fake_random_below(random, 2)};
}

/* One life: open, work with a cut at an operation, crash, replay. */
static void live(struct fixture *f, struct os_fake_random *random, unsigned rounds, struct cut cut)
{
    if (cut.at > 0)
        os_fake_cut_power(f->fake, os_fake_operation_count(f->fake) + cut.at, cut.is_after);
    if (fixture_open(f) == ERR_OK)
        work(f, random, rounds);
    assert_true(!f->journal || journal_pending(f->journal) == 0);
    /* at the latest now: letting go of old pieces must not delete them */
    if (!os_fake_power_is_off(f->fake))
        os_fake_cut_power(f->fake, os_fake_operation_count(f->fake) + 1, false);
    fixture_close(f);
    struct os_fake_crash_policy policy = OS_FAKE_CRASH_RANDOM;
    policy.names_in_order = os_fake_random_below(random, 2);
    switch (os_fake_random_below(random, 5)) {
    case 0:
        policy = OS_FAKE_CRASH_LOSE_ALL;
        break;
    case 1:
        policy = OS_FAKE_CRASH_KEEP_ALL;
        break;
    default:
        break;
    }
    os_fake_crash(f->fake, os_fake_random_next(random), policy);
    fixture_core_open(f);
    assert_int_equal(fixture_replay(f), ERR_OK);
    assert_int_equal(f->result.damage_count, 0);
    fixture_check_acked(f);
}

/* The second and third have the pieces of those before beside their own. */
static uint64_t lives(uint64_t seed, unsigned rounds, struct cut cut)
{
    struct os_fake_random random = {seed * 1000003};
    struct fixture *f = fixture_new(seed);
    uint64_t before = os_fake_operation_count(f->fake);
    live(f, &random, rounds, cut);
    uint64_t count = os_fake_operation_count(f->fake) - before;
    random.state ^= cut.at * 7919 + cut.is_after;
    live(f, &random, 14, cut_random(&random, 60));
    live(f, &random, 14, cut_random(&random, 60));
    fixture_free(f);
    return count;
}

/* One thread: ThreadSanitizer has little to find here and is slow. */
#ifdef __SANITIZE_THREAD__
#define SEED_COUNT 1
#define CUT_STEP   5
#else
#define SEED_COUNT 16
#define CUT_STEP   1
#endif

static void every_operation(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        uint64_t count = lives(seed, 14, (struct cut){0, false});
        assert_true(count > 20);
        for (uint64_t at = 1; at <= count; at += CUT_STEP) {
            lives(seed, 14, (struct cut){at, false});
            lives(seed, 14, (struct cut){at, true});
        }
    }
}

/* Long enough for pieces to be recycled many times. */
static void long_lives(void **state)
{
    (void)state;
    for (uint64_t seed = 101; seed <= 104; seed++) {
        uint64_t count = lives(seed, 150, (struct cut){0, false});
        assert_true(count > 300);
        for (uint64_t at = 100; at <= count; at += UINT64_C(3) * CUT_STEP)
            lives(seed, 150, (struct cut){at, at & 1});
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation),
        cmocka_unit_test(long_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
