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

/* One life: open, work with a cut at an operation, crash, replay. */
static void live(struct fixture *f, struct os_fake_random *random, uint64_t cut, bool is_after)
{
    if (cut > 0)
        os_fake_cut_power(f->fake, os_fake_operation_count(f->fake) + cut, is_after);
    if (fixture_open(f) == ERR_OK)
        work(f, random, 14);
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

static uint64_t lives(uint64_t seed, uint64_t cut, bool is_after)
{
    struct os_fake_random random = {seed * 1000003};
    struct fixture *f = fixture_new(seed);
    uint64_t before = os_fake_operation_count(f->fake);
    live(f, &random, cut, is_after);
    uint64_t count = os_fake_operation_count(f->fake) - before;
    /* the second life has the pieces of the first beside its own */
    random.state ^= cut * 7919 + is_after;
    live(f, &random, 1 + os_fake_random_below(&random, 60), os_fake_random_below(&random, 2));
    live(f, &random, 1 + os_fake_random_below(&random, 60), os_fake_random_below(&random, 2));
    fixture_free(f);
    return count;
}

static void every_operation(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        uint64_t count = lives(seed, 0, false);
        assert_true(count > 20);
        for (uint64_t cut = 1; cut <= count; cut++) {
            lives(seed, cut, false);
            lives(seed, cut, true);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
