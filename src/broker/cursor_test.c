// The durable reader with acknowledgement, against a table of single offsets.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/cursor.h"

#define OFFSETS 400
#define STEPS   4000
#define SEEDS   24
#define OWNERS  3
#define WINDOW  60
#define COUNTS  4

struct place {
    enum cursor_state state;
    int16_t count;
    uint64_t owner;
    int64_t deadline_ms;
};

struct model {
    struct budget budget;
    struct cursor cursor;
    struct place places[OFFSETS];
    int64_t start;
    int64_t end;
    int64_t now_ms;
    uint64_t seed;
};

static int64_t pick(struct model *model, int64_t below)
{
    model->seed = model->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return below <= 0 ? 0 : (int64_t)((model->seed >> 33) % (uint64_t)below);
}

static const struct cursor_limits limits = {.window_max = WINDOW, .count_max = COUNTS};

static void model_front(struct model *model)
{
    while (model->start < model->end && (model->places[model->start].state == CURSOR_DONE ||
                                         model->places[model->start].state == CURSOR_DEAD))
        model->start++;
}

static void model_unlock(struct place *place)
{
    place->state = place->count >= COUNTS ? CURSOR_DEAD : CURSOR_FREE;
}

/* The runs say of every offset what the table says, and are as few as they can be. */
static void model_check(const struct model *model)
{
    const struct cursor *cursor = &model->cursor;
    int64_t at = cursor->start;
    assert_int_equal(cursor->start, model->start);
    assert_int_equal(cursor->end, model->end);
    assert_true(cursor->end - cursor->start <= WINDOW + 40);
    for (size_t i = 0; i < cursor->run_count; i++) {
        const struct cursor_run *run = &cursor->runs[i];
        assert_int_equal(run->first, at);
        assert_true(run->next > run->first);
        for (; at < run->next; at++) {
            assert_int_equal(run->state, model->places[at].state);
            if (run->state == CURSOR_FREE || run->state == CURSOR_LOCKED)
                assert_int_equal(run->count, model->places[at].count);
            if (run->state == CURSOR_LOCKED)
                assert_int_equal(run->owner, model->places[at].owner);
        }
    }
    assert_int_equal(at, cursor->end);
}

static void locked(void *arg, const struct cursor_run *run)
{
    *(int64_t *)arg += run->next - run->first;
}

static void step_lock(struct model *model)
{
    int64_t told = 0;
    int64_t first = broker_cursor_wanted(&model->cursor, model->start);
    if (first < 0)
        return;
    int64_t wanted = first;
    first += pick(model, 4) == 0 ? pick(model, 5) : 0;
    if (first == wanted)
        first = MAX(first - pick(model, 8), (int64_t)0); /* the batch that has it */
    int64_t next = MIN(MAX(first, wanted) + 1 + pick(model, 20), (int64_t)OFFSETS);
    struct cursor_lock lock = {.owner = 1 + (uint64_t)pick(model, OWNERS),
                               .deadline_ms = model->now_ms + 1 + pick(model, 50),
                               .first = first,
                               .next = next,
                               .count_max = 1 + pick(model, 12),
                               .locked = locked,
                               .arg = &told};
    if (first >= next)
        return;
    assert_int_equal(broker_cursor_lock(&model->cursor, &lock), ERR_OK);
    for (; model->end < first; model->end++)
        model->places[model->end].state = CURSOR_FREE;
    first = MAX(first, model->start);
    int64_t room = MIN(MIN(next, model->start + WINDOW), MAX(first, model->end) + lock.count_max);
    model->end = MAX(model->end, room);
    int64_t left = lock.count_max;
    for (int64_t i = first; i < MIN(next, model->end) && left > 0; i++) {
        struct place *place = &model->places[i];
        if (place->state != CURSOR_FREE)
            continue;
        *place = (struct place){CURSOR_LOCKED, (int16_t)(place->count + 1), lock.owner,
                                lock.deadline_ms};
        left--;
    }
    assert_int_equal(lock.count, lock.count_max - left);
    assert_int_equal(told, lock.count);
    if (first <= wanted)
        assert_true(lock.count > 0); /* what was wanted can be had */
}

static void step_acknowledge(struct model *model)
{
    int64_t first = model->start + pick(model, WINDOW);
    int64_t next = first + 1 + pick(model, 6);
    uint64_t owner = 1 + (uint64_t)pick(model, OWNERS);
    enum cursor_verb verb = (enum cursor_verb)pick(model, CURSOR_RENEW + 1);
    bool holds = next <= model->end;
    for (int64_t i = first; i < next && holds; i++)
        holds = model->places[i].state == CURSOR_LOCKED && model->places[i].owner == owner;
    assert_int_equal(broker_cursor_holds(&model->cursor, owner, first, next), holds);
    if (!holds)
        return;
    int64_t deadline_ms = model->now_ms + 30;
    assert_int_equal(broker_cursor_acknowledge(&model->cursor, first, next, verb, deadline_ms),
                     ERR_OK);
    for (int64_t i = first; i < next; i++) {
        struct place *place = &model->places[i];
        if (verb == CURSOR_RENEW)
            place->deadline_ms = deadline_ms;
        else if (verb == CURSOR_RELEASE)
            model_unlock(place);
        else
            place->state = verb == CURSOR_ACCEPT ? CURSOR_DONE : CURSOR_DEAD;
    }
}

static void step_time(struct model *model)
{
    int64_t due_ms = CURSOR_NEVER_MS;
    bool changed = false;
    model->now_ms += 1 + pick(model, 20);
    for (int64_t i = model->start; i < model->end; i++) {
        struct place *place = &model->places[i];
        if (place->state != CURSOR_LOCKED)
            continue;
        due_ms = MIN(due_ms, place->deadline_ms);
        if (place->deadline_ms > model->now_ms)
            continue;
        model_unlock(place);
        changed = true;
    }
    assert_int_equal(broker_cursor_deadline_ms(&model->cursor), due_ms);
    assert_int_equal(broker_cursor_expire(&model->cursor, model->now_ms), changed);
}

static void step_release(struct model *model)
{
    uint64_t owner = 1 + (uint64_t)pick(model, OWNERS);
    bool changed = false;
    for (int64_t i = model->start; i < model->end; i++) {
        struct place *place = &model->places[i];
        if (place->state != CURSOR_LOCKED || place->owner != owner)
            continue;
        place->count--;
        model_unlock(place);
        changed = true;
    }
    assert_int_equal(broker_cursor_release(&model->cursor, owner), changed);
}

static void step_gone(struct model *model)
{
    int64_t first = model->start + pick(model, WINDOW);
    int64_t next = MIN(first + 1 + pick(model, 10), (int64_t)OFFSETS);
    if (first > model->end || first >= next)
        return;
    if (pick(model, 2) == 0) {
        assert_int_equal(broker_cursor_kill(&model->cursor, first, next), ERR_OK);
        for (; model->end < next; model->end++)
            model->places[model->end].state = CURSOR_FREE;
        for (int64_t i = first; i < next; i++)
            if (model->places[i].state == CURSOR_FREE)
                model->places[i].state = CURSOR_DEAD;
        return;
    }
    first = model->start + pick(model, 5);
    assert_int_equal(broker_cursor_trim(&model->cursor, first), ERR_OK);
    model->start = MAX(model->start, first);
    model->end = MAX(model->end, first);
}

/* Written down and read back: locks are free, the rest is as it was. */
static void step_restart(struct model *model)
{
    struct cursor again;
    broker_cursor_init(&again, &model->budget, model->start, &limits);
    for (size_t i = model->cursor.run_count; i-- > 0;) {
        struct cursor_run run = model->cursor.runs[i];
        run.state = run.state == CURSOR_LOCKED ? CURSOR_FREE : run.state;
        assert_int_equal(broker_cursor_restore(&again, &run), ERR_OK);
    }
    broker_cursor_restored(&again);
    broker_cursor_deinit(&model->cursor);
    model->cursor = again;
    for (int64_t i = model->start; i < model->end; i++)
        if (model->places[i].state == CURSOR_LOCKED)
            model->places[i].state = CURSOR_FREE;
}

static void test_model(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct model model = {.seed = seed};
        budget_init(&model.budget, (size_t)1 << 20);
        broker_cursor_init(&model.cursor, &model.budget, 0, &limits);
        for (int step = 0; step < STEPS && model.end + 64 < OFFSETS; step++) {
            static void (*const steps[])(struct model *) = {
                step_lock, step_acknowledge, step_lock,    step_acknowledge,
                step_time, step_acknowledge, step_release, step_gone};
            if (pick(&model, 40) == 0)
                step_restart(&model);
            else
                steps[pick(&model, COUNT_OF(steps))](&model);
            model_front(&model);
            model_check(&model);
        }
        broker_cursor_deinit(&model.cursor);
        assert_int_equal(budget_used(&model.budget), 0);
    }
}

/* A record that is never accepted comes as often as allowed, then never again. */
static void test_poison(void **state)
{
    struct budget budget;
    struct cursor cursor;
    int64_t told = 0;
    budget_init(&budget, 1 << 16);
    broker_cursor_init(&cursor, &budget, 7, &limits);
    for (int i = 0; i < COUNTS; i++) {
        struct cursor_lock lock = {.owner = 1,
                                   .deadline_ms = i,
                                   .first = 7,
                                   .next = 8,
                                   .count_max = 5,
                                   .locked = locked,
                                   .arg = &told};
        assert_int_equal(broker_cursor_wanted(&cursor, 0), 7);
        assert_int_equal(broker_cursor_lock(&cursor, &lock), ERR_OK);
        assert_int_equal(broker_cursor_deadline_ms(&cursor), i);
        assert_true(broker_cursor_expire(&cursor, i));
    }
    assert_int_equal(told, COUNTS);
    assert_int_equal(cursor.start, 8);
    assert_int_equal(broker_cursor_wanted(&cursor, 0), 8);
    broker_cursor_deinit(&cursor);
}

/* What cannot be had for lack of memory changes nothing. */
static void test_no_memory(void **state)
{
    struct budget budget;
    struct cursor cursor;
    int64_t told = 0;
    budget_init(&budget, 8);
    broker_cursor_init(&cursor, &budget, 0, &limits);
    struct cursor_lock lock = {
        .first = 0, .next = 9, .count_max = 9, .locked = locked, .arg = &told};
    assert_int_equal(broker_cursor_lock(&cursor, &lock), ERR_NO_MEMORY);
    assert_int_equal(broker_cursor_kill(&cursor, 0, 5), ERR_NO_MEMORY);
    const struct cursor_run run = {.first = 2, .next = 4, .state = CURSOR_LOCKED};
    assert_int_equal(broker_cursor_restore(&cursor, &run), ERR_CORRUPT);
    assert_int_equal(cursor.end, 0);
    broker_cursor_deinit(&cursor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_poison),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
