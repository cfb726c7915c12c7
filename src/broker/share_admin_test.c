// Tests of the administration of share groups: what is asked in vain leaves nothing behind.
// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_fixture.h"
#include "broker/share_state.h"

struct setting {
    struct share_start_call call;
    sem_t over;
};

static void is_set(struct broker_call *call)
{
    sem_post(&CONTAINER_OF(call, struct setting, call.call)->over);
}

static void set_fn(struct core *core, void *arg)
{
    struct setting *setting = arg;
    broker_share_starts_set(core, &setting->call);
}

static void look_fn(struct core *core, void *arg)
{
    *(bool *)arg = list_empty(&broker_of(core)->shares->groups);
}

static void a_start_nowhere_makes_no_group(void **state)
{
    struct fixture *f = fixture_new(2);
    struct share_start part = {.topic_id = {{7}}, .index = 0, .start = 3};
    struct setting setting = {.call = {.call.done = is_set,
                                       .group_id = SLICE_LITERAL("nobody"),
                                       .parts = &part,
                                       .part_count = 1}};
    sem_init(&setting.over, 0, 0);
    fixture_on(f, 1, set_fn, &setting);
    while (sem_wait(&setting.over) != 0) {
    }
    assert_int_equal(setting.call.call.err, ERR_OK);
    assert_int_equal(part.err, ERR_NOT_FOUND);
    bool is_empty = false;
    fixture_on(f, 0, look_fn, &is_empty);
    assert_true(is_empty);
    sem_destroy(&setting.over);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_nowhere_makes_no_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
