// Tests of the order of changes: who waits for a name gets it in turn, and is served twice at most.
// SPDX-License-Identifier: Apache-2.0
#include "broker/owner.h"

#include "broker/broker_fixture.h"

#define CHANGES 2000

struct change {
    struct broker_call call;
    struct changes *all;
    size_t index;
};

struct changes {
    struct change items[CHANGES];
    struct change *holder;
    size_t served;
    size_t begun; /* in turn */
    size_t done;
};

static void change_done(struct broker_call *call)
{
    struct change *change = CONTAINER_OF(call, struct change, call);
    assert_int_equal(call->err, ERR_OK);
    assert_int_equal(change->index, change->all->done);
    change->all->done++;
}

/* Every third ends at once, like one that is refused. */
static void change_serve(struct core *core, struct broker_call *call)
{
    struct change *change = CONTAINER_OF(call, struct change, call);
    change->all->served++;
    assert_true(broker_owner_begin(core, call));
    if (broker_owner_lock(core, slice_text("name"), call) == ERR_AGAIN)
        return;
    assert_int_equal(change->index, change->all->begun);
    change->all->begun++;
    if (change->index % 3 == 2) {
        broker_owner_unlock(core, slice_text("name"));
        broker_owner_end(core, call, ERR_OK);
        return;
    }
    change->all->holder = change;
}

static void begin_all(struct core *core, void *arg)
{
    struct changes *all = arg;
    for (size_t i = 0; i < CHANGES; i++) {
        all->items[i] = (struct change){.call.done = change_done, .all = all, .index = i};
        broker_call_to_owner(core, &all->items[i].call, change_serve);
    }
}

static void end_one(struct core *core, void *arg)
{
    struct changes *all = arg;
    struct change *holder = all->holder;
    all->holder = NULL;
    if (!holder)
        return;
    broker_owner_end(core, &holder->call, ERR_OK);
    broker_owner_unlock(core, slice_text("name"));
}

static void waiting_calls_get_their_turn_without_waking_all(void **state)
{
    struct fixture *f = fixture_new(1);
    struct changes *all = calloc(1, sizeof(*all));
    assert_non_null(all);
    fixture_on(f, 0, begin_all, all);
    assert_int_equal(all->begun, 1);
    for (size_t i = 0; i < CHANGES; i++)
        fixture_on(f, 0, end_one, all);
    fixture_free(f);
    assert_int_equal(all->begun, CHANGES);
    assert_int_equal(all->done, CHANGES);
    assert_true(all->served <= 2 * (size_t)CHANGES);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_calls_get_their_turn_without_waking_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
