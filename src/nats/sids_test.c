// Tests of the table of sids: like a list of those that are there, whatever comes and goes.
// SPDX-License-Identifier: Apache-2.0
#include "nats/sids.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "nats/conn.h"

#define SIDS  3000
#define TURNS 60000

static struct nats_sub *sub_new(unsigned number)
{
    char sid[16];
    int size = snprintf(sid, sizeof(sid), "%u", number);
    struct nats_sub *sub = calloc(1, nats_conn_sub_size((size_t)size + 1));
    assert_non_null(sub);
    memcpy(sub->text, sid, (size_t)size);
    broker_interest_set(&sub->interest, slice_make(sub->text + size, 1), 0);
    return sub;
}

static struct nats_sub *find(const struct nats_sids *sids, unsigned number)
{
    char sid[16];
    int size = snprintf(sid, sizeof(sid), "%u", number);
    return nats_sids_get(sids, slice_make(sid, (size_t)size));
}

static void assert_same(const struct nats_sids *sids, struct nats_sub *const *there, size_t count)
{
    struct nats_sids_walk walk = {0};
    size_t seen = 0;
    assert_int_equal(sids->count, count);
    for (unsigned i = 0; i < SIDS; i++)
        assert_ptr_equal(find(sids, i), there[i]);
    while (nats_sids_next(sids, &walk))
        seen++;
    assert_int_equal(seen, count);
}

static void test_comes_and_goes(void **state)
{
    static struct nats_sub *there[SIDS];
    struct nats_sids sids;
    uint64_t random = 88172645463325252;
    size_t count = 0;
    nats_sids_init(&sids, 7);
    assert_same(&sids, there, 0);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        unsigned number = (unsigned)(random % SIDS);
        if (there[number]) {
            nats_sids_remove(&sids, there[number]);
            free(there[number]);
            there[number] = NULL;
            count--;
        } else {
            there[number] = sub_new(number);
            assert_true(nats_sids_put(&sids, there[number]));
            count++;
        }
        if (turn % 5000 == 0 || turn < 20)
            assert_same(&sids, there, count);
    }
    assert_same(&sids, there, count);
    /* a walk may remove what it was just given */
    struct nats_sids_walk walk = {0};
    struct nats_sub *sub;
    while ((sub = nats_sids_next(&sids, &walk)) != NULL) {
        nats_sids_remove(&sids, sub);
        free(sub);
        count--;
    }
    assert_int_equal(count, 0);
    assert_int_equal(sids.count, 0);
    nats_sids_deinit(&sids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_comes_and_goes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
