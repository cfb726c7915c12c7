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

/* --- who joins while a group forgets --- */

struct meeting {
    struct share_start_call set;
    struct share_start part;
    struct share_forget forget;
    struct share_forget_topic topic;
    struct share_beat beat;
    sem_t over;
};

static void meeting_set(struct broker_call *call)
{
    sem_post(&CONTAINER_OF(call, struct meeting, set.call)->over);
}

static void meeting_forgot(struct broker_call *call)
{
    sem_post(&CONTAINER_OF(call, struct meeting, forget.call)->over);
}

static void meeting_beat(struct broker_call *call)
{
    sem_post(&CONTAINER_OF(call, struct meeting, beat.call)->over);
}

static void meeting_set_fn(struct core *core, void *arg)
{
    struct meeting *m = arg;
    m->part = (struct share_start){.topic_id = broker_topic_find(core, SLICE_LITERAL("orders"))->id,
                                   .start = 0};
    m->topic.id = m->part.topic_id;
    m->set = (struct share_start_call){.call.done = meeting_set,
                                       .group_id = SLICE_LITERAL("g"),
                                       .parts = &m->part,
                                       .part_count = 1};
    broker_share_starts_set(core, &m->set);
}

static void meeting_join_fn(struct core *core, void *arg)
{
    static const struct slice topics[] = {SLICE_LITERAL("orders")};
    struct meeting *m = arg;
    m->beat = (struct share_beat){.call.done = meeting_beat,
                                  .group_id = SLICE_LITERAL("g"),
                                  .member_id = SLICE_LITERAL("m"),
                                  .client_id = SLICE_LITERAL("c"),
                                  .client_host = SLICE_LITERAL("/127.0.0.1"),
                                  .has_topics = true,
                                  .topics = topics,
                                  .topic_count = 1};
    arena_init(&m->beat.arena, 1 << 20);
    broker_share_beat(core, &m->beat);
}

static void meeting_fn(struct core *core, void *arg)
{
    struct meeting *m = arg;
    m->forget = (struct share_forget){.call.done = meeting_forgot,
                                      .group_id = SLICE_LITERAL("g"),
                                      .topics = &m->topic,
                                      .topic_count = 1};
    broker_share_forget(core, &m->forget);
    meeting_join_fn(core, m);
}

static void meeting_wait(struct meeting *m, unsigned count)
{
    for (; count > 0; count--)
        while (sem_wait(&m->over) != 0) {
        }
}

/* Else its state would be gone, and the answer an error. */
static void nobody_joins_while_a_group_forgets(void **state)
{
    struct fixture *f = fixture_new(1);
    struct meeting m;
    sem_init(&m.over, 0, 0);
    assert_int_equal(fixture_create(f, 0, "orders", 1), ERR_OK);
    fixture_on(f, 0, meeting_set_fn, &m);
    meeting_wait(&m, 1);
    assert_int_equal(m.set.call.err, ERR_OK);
    fixture_on(f, 0, meeting_fn, &m);
    meeting_wait(&m, 2);
    arena_deinit(&m.beat.arena);
    assert_int_equal(m.forget.call.err, ERR_OK);
    assert_true(m.topic.was_there);
    assert_int_equal(m.beat.call.err, ERR_LOADING);
    fixture_on(f, 0, meeting_join_fn, &m);
    meeting_wait(&m, 1);
    arena_deinit(&m.beat.arena);
    assert_int_equal(m.beat.call.err, ERR_OK);
    sem_destroy(&m.over);
    fixture_free(f);
}

/* --- a write that fails while there is no memory --- */

struct squeeze {
    struct fixture *f;
    struct uuid topic_id;
    struct share_wait wait;
    size_t taken;
    enum err err;
    int64_t start;
    bool is_ready;
    sem_t over;
};

static struct share_cursor *squeeze_cursor(struct core *core, const struct squeeze *s)
{
    struct share_group *group =
        broker_share_coordinator_group(broker_of(core)->shares, SLICE_LITERAL("g"), false);
    assert_non_null(group);
    struct share_cursor *cursor = broker_share_cursor_find(group, &s->topic_id, 0);
    assert_non_null(cursor);
    return cursor;
}

static void squeeze_written(struct share_wait *wait, enum err err)
{
    struct squeeze *s = wait->arg;
    s->err = err;
    sem_post(&s->over);
}

static void squeeze_fn(struct core *core, void *arg)
{
    struct squeeze *s = arg;
    struct share_cursor *cursor = squeeze_cursor(core, s);
    const struct cursor_run done = {.first = 12, .next = 20, .state = CURSOR_DONE};
    struct codec_output value;
    codec_output_init(&value, 4096);
    cursor->cursor.start = cursor->cursor.end = 10;
    assert_int_equal(broker_cursor_restore(&cursor->cursor, &done), ERR_OK);
    assert_int_equal(broker_share_record_value(&value, cursor, 1), ERR_OK);
    assert_int_equal(broker_share_cursor_restore(cursor, slice_make(value.data, value.size)),
                     ERR_OK);
    codec_output_deinit(&value);
    broker_share_cursor_reset(cursor, 30); /* needs less than what is durable */
    s->taken = (256 << 20) - budget_used(&s->f->budget);
    budget_charge_always(&s->f->budget, s->taken);
    s->wait = (struct share_wait){.done = squeeze_written, .arg = s};
    broker_share_cursor_write(cursor, &s->wait);
}

static void squeeze_look_fn(struct core *core, void *arg)
{
    struct squeeze *s = arg;
    const struct share_cursor *cursor = squeeze_cursor(core, s);
    s->is_ready = cursor->is_ready;
    s->start = cursor->cursor.start;
}

/* The state is not begun anew: what is durable counts as soon as there is memory for it. */
static void a_failed_write_without_memory_forgets_nothing(void **state)
{
    struct fixture *f = fixture_new(1);
    struct meeting m;
    struct squeeze s = {.f = f};
    sem_init(&m.over, 0, 0);
    sem_init(&s.over, 0, 0);
    assert_int_equal(fixture_create(f, 0, "orders", 1), ERR_OK);
    fixture_on(f, 0, meeting_set_fn, &m);
    meeting_wait(&m, 1);
    s.topic_id = m.part.topic_id;
    atomic_store(&f->store.is_failing, true);
    fixture_on(f, 0, squeeze_fn, &s);
    while (sem_wait(&s.over) != 0) {
    }
    assert_int_not_equal(s.err, ERR_OK);
    fixture_on(f, 0, squeeze_look_fn, &s);
    assert_false(s.is_ready);
    budget_release(&f->budget, s.taken);
    atomic_store(&f->store.is_failing, false);
    fixture_on(f, 0, squeeze_look_fn, &s);
    assert_true(s.is_ready);
    assert_int_equal(s.start, 10);
    sem_destroy(&m.over);
    sem_destroy(&s.over);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_nowhere_makes_no_group),
        cmocka_unit_test(nobody_joins_while_a_group_forgets),
        cmocka_unit_test(a_failed_write_without_memory_forgets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
