// Tests of a core's loop: tasks, timers, messages, work.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include <cmocka.h>

#include "os/fake.h"
#include "reactor/core_state.h"

/* The posix table with a clock that the test moves. */
struct fake_os {
    struct os os;
    struct os_ops ops;
    uint64_t now_ns;
    int64_t timeout_ns; /* of the last wait */
};

static uint64_t fake_mono_ns(struct os *os)
{
    return CONTAINER_OF(os, struct fake_os, os)->now_ns;
}

static int fake_poll_wait(struct os *os, int poll_fd, struct os_event *out, int count,
                          int64_t timeout_ns)
{
    struct fake_os *fake = CONTAINER_OF(os, struct fake_os, os);
    fake->timeout_ns = timeout_ns;
    if (timeout_ns > 0)
        fake->now_ns += (uint64_t)timeout_ns;
    return os_posix()->ops->poll_wait(os_posix(), poll_fd, out, count, 0);
}

struct fixture {
    struct fake_os fake;
    struct budget budget;
    struct reactor *reactor;
    struct core *core;
    char log[64];
};

static struct fixture *fixture_new(unsigned core_count, unsigned helper_count, bool is_fake)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->fake.ops = *os_posix()->ops;
    f->fake.ops.mono_ns = fake_mono_ns;
    f->fake.ops.poll_wait = fake_poll_wait;
    f->fake.os.ops = &f->fake.ops;
    f->fake.now_ns = 1000000000;
    budget_init(&f->budget, 64 << 20);
    struct reactor_options options = {
        .os = is_fake ? &f->fake.os : os_posix(),
        .budget = &f->budget,
        .core_count = core_count,
        .helper_count = helper_count,
        .buffers_keep_bytes = 1 << 20,
    };
    assert_int_equal(reactor_open(&options, &f->reactor), ERR_OK);
    f->core = reactor_core(f->reactor, 0);
    return f;
}

static void fixture_free(struct fixture *f)
{
    reactor_close(f->reactor);
    assert_int_equal(budget_used(&f->budget), 0);
    free(f);
}

struct mark_task {
    struct core_task task;
    struct core_timer timer;
    struct core_message message;
    struct core_work work;
    struct fixture *f;
    char letter;
    struct mark_task *then; /* posted when this one runs */
    unsigned then_phase;
};

static void mark(struct mark_task *m)
{
    size_t size = strlen(m->f->log);
    assert_true(size + 1 < sizeof(m->f->log));
    m->f->log[size] = m->letter;
}

static void mark_task_run(struct core *core, struct core_task *task)
{
    struct mark_task *m = CONTAINER_OF(task, struct mark_task, task);
    mark(m);
    if (m->then && m->then_phase < 2)
        core_task_post_end(core, &m->then->task, m->then_phase);
    else if (m->then)
        core_task_post(core, &m->then->task);
}

static void mark_timer_run(struct core *core, struct core_timer *timer)
{
    struct mark_task *m = CONTAINER_OF(timer, struct mark_task, timer);
    mark(m);
    if (m->then)
        core_timer_set(core, &m->then->timer, 0);
}

static void mark_message_run(struct core *core, struct core_message *message)
{
    mark(CONTAINER_OF(message, struct mark_task, message));
}

static void mark_work_run(struct core_work *work)
{
    struct mark_task *m = CONTAINER_OF(work, struct mark_task, work);
    if (m->f->reactor->options.helper_count == 0)
        mark(m);
}

static void mark_work_done(struct core *core, struct core_work *work)
{
    struct mark_task *m = CONTAINER_OF(work, struct mark_task, work);
    m->letter = (char)(m->letter - 'a' + 'A');
    mark(m);
}

static void marks_init(struct fixture *f, struct mark_task *marks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        memset(&marks[i], 0, sizeof(marks[i]));
        core_task_init(&marks[i].task, mark_task_run);
        core_timer_init(&marks[i].timer, mark_timer_run);
        marks[i].message.run = mark_message_run;
        marks[i].work.run = mark_work_run;
        marks[i].work.done = mark_work_done;
        marks[i].f = f;
        marks[i].letter = (char)('a' + i);
        marks[i].then_phase = 2;
    }
}

static void tasks_run_in_phases(void **state)
{
    struct fixture *f = fixture_new(1, 0, true);
    struct mark_task m[6];
    marks_init(f, m, 6);
    core_task_post_end(f->core, &m[3].task, 1);
    core_task_post_end(f->core, &m[2].task, 0);
    core_task_post(f->core, &m[1].task);
    core_task_post(f->core, &m[0].task);
    core_task_post(f->core, &m[1].task); /* again: no effect */
    m[0].then = &m[4];                   /* next turn */
    m[2].then = &m[5];                   /* same phase */
    m[2].then_phase = 0;
    core_run_once(f->core, -1);
    assert_int_equal(f->fake.timeout_ns, 0);
    assert_string_equal(f->log, "bacfd");
    core_run_once(f->core, -1);
    assert_string_equal(f->log, "bacfde");
    core_task_post(f->core, &m[0].task);
    core_task_cancel(&m[0].task);
    core_run_once(f->core, 5);
    assert_int_equal(f->fake.timeout_ns, 5);
    assert_string_equal(f->log, "bacfde");
    fixture_free(f);
}

static void timers_fire_in_order(void **state)
{
    struct fixture *f = fixture_new(1, 0, true);
    struct mark_task m[5];
    uint64_t now = core_now_ns(f->core);
    marks_init(f, m, 5);
    core_timer_set(f->core, &m[0].timer, now + 300);
    core_timer_set(f->core, &m[1].timer, now + 100);
    core_timer_set(f->core, &m[2].timer, now + 200);
    core_timer_set(f->core, &m[3].timer, now + 150);
    core_timer_set(f->core, &m[1].timer, now + 250); /* moved */
    core_timer_cancel(f->core, &m[3].timer);
    assert_false(core_timer_is_set(&m[3].timer));
    assert_true(core_timer_is_set(&m[0].timer));
    m[2].then = &m[2]; /* sets itself into the past: next turn, not for ever in this one */
    core_run_once(f->core, -1);
    assert_int_equal(f->fake.timeout_ns, 200);
    assert_string_equal(f->log, "c");
    m[2].then = NULL;
    core_run_once(f->core, -1);
    assert_string_equal(f->log, "cc");
    core_run_once(f->core, -1);
    core_run_once(f->core, -1);
    assert_string_equal(f->log, "ccba");
    assert_int_equal(core_now_ns(f->core), now + 300);
    core_timer_set(f->core, &m[4].timer, 1);
    core_run_once(f->core, -1);
    assert_int_equal(f->fake.timeout_ns, 0);
    assert_string_equal(f->log, "ccbae");
    fixture_free(f);
}

static void work_runs_inline_at_the_next_turn(void **state)
{
    struct fixture *f = fixture_new(1, 0, true);
    struct mark_task m[3];
    marks_init(f, m, 3);
    core_work_submit(f->core, CORE_LANE_BULK, &m[0].work);
    core_work_submit(f->core, CORE_LANE_SYNC, &m[1].work);
    core_send(f->core, 0, &m[2].message);
    assert_string_equal(f->log, "");
    core_run_once(f->core, -1);
    assert_int_equal(f->fake.timeout_ns, 0);
    assert_string_equal(f->log, "abcAB");
    fixture_free(f);
}

static void load_follows_the_work(void **state)
{
    struct fixture *f = fixture_new(1, 0, true);
    for (int i = 0; i < 2000; i++) {
        f->fake.now_ns += 700000; /* the turn's work */
        core_run_once(f->core, 300000);
    }
    assert_in_range(core_busy_permille(f->core), 690, 710);
    f->fake.now_ns += 2000000000; /* one long turn */
    core_run_once(f->core, 0);
    assert_int_equal(core_busy_permille(f->core), 1000);
    core_run_once(f->core, 2000000000);
    assert_int_equal(core_busy_permille(f->core), 0);
    fixture_free(f);
}

struct file_work {
    struct core_work work;
    struct core_timer timer;
    int fd;
    int result;
    unsigned done;
    uint64_t fired_ns;
};

static void file_work_run(struct core_work *work)
{
    struct file_work *w = CONTAINER_OF(work, struct file_work, work);
    struct os *os = core_os(work->core);
    struct iovec part = {"bytes", 5};
    w->result = (int)os->ops->pwritev(os, w->fd, &part, 1, 0);
    if (w->result == 5)
        w->result = os->ops->fdatasync(os, w->fd);
}

static void file_work_done(struct core *core, struct core_work *work)
{
    struct file_work *w = CONTAINER_OF(work, struct file_work, work);
    w->done++;
    core_timer_set(core, &w->timer, core_now_ns(core) + 5000000000);
}

static void file_timer_run(struct core *core, struct core_timer *timer)
{
    CONTAINER_OF(timer, struct file_work, timer)->fired_ns = core_now_ns(core);
}

/* The whole of a core on the simulated os: virtual time, virtual disk, work inline. */
static void a_core_runs_on_the_fake_os(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    struct budget budget;
    struct reactor *reactor;
    budget_init(&budget, 1 << 20);
    struct reactor_options options = {.os = os, .budget = &budget, .core_count = 1};
    assert_int_equal(reactor_open(&options, &reactor), ERR_OK);
    struct core *core = reactor_core(reactor, 0);
    struct file_work w = {.work = {.run = file_work_run, .done = file_work_done}};
    core_timer_init(&w.timer, file_timer_run);
    w.fd = os->ops->open(os, "/file", OS_OPEN_WRITE | OS_OPEN_CREATE);
    assert_true(w.fd >= 0);
    core_work_submit(core, CORE_LANE_SYNC, &w.work);
    core_run_once(core, 0);
    assert_int_equal(w.result, 0);
    assert_int_equal(w.done, 1);
    uint64_t from_ns = core_now_ns(core);
    core_run_once(core, -1); /* the wait moves the clock */
    assert_int_equal(w.fired_ns, from_ns + 5000000000);
    core_work_submit(core, CORE_LANE_SYNC, &w.work);
    reactor_abandon(reactor); /* as if killed: nobody is called back */
    assert_int_equal(w.done, 1);
    os_fake_free(fake);
}

struct watched {
    struct core_watch watch;
    struct watched *victim;
    struct watched *heir; /* takes the victim's slot */
    unsigned runs;
};

static void watched_run(struct core *core, struct core_watch *watch, uint32_t events)
{
    struct watched *w = CONTAINER_OF(watch, struct watched, watch);
    w->runs++;
    assert_true(events & EPOLLIN);
    if (w->victim && w->victim->watch.fd >= 0) {
        uint32_t slot = w->victim->watch.slot;
        core_watch_remove(core, &w->victim->watch);
        w->victim->watch.fd = -1;
        assert_int_equal(core_watch_add(core, &w->heir->watch, EPOLLIN), ERR_OK);
        assert_int_equal(w->heir->watch.slot, slot);
    }
}

static void stale_events_find_nobody(void **state)
{
    struct fixture *f = fixture_new(1, 0, true);
    struct os *os = os_posix();
    struct watched w[3];
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = os->ops->event_create(os);
        w[i] = (struct watched){{watched_run, fds[i], 0}, i < 2 ? &w[1 - i] : NULL, &w[2], 0};
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(core_watch_add(f->core, &w[i].watch, EPOLLIN), ERR_OK);
        os->ops->event_signal(os, fds[i]);
    }
    core_run_once(f->core, 0); /* both are ready; whoever is first removes the other */
    assert_int_equal(w[0].runs + w[1].runs, 1);
    assert_int_equal(w[2].runs, 0);
    for (int i = 0; i < 3; i++) {
        if (w[i].watch.fd >= 0)
            core_watch_remove(f->core, &w[i].watch);
        os->ops->close(os, fds[i]);
    }
    fixture_free(f);
}

/* --- Real threads --- */
struct traffic {
    struct fixture *f;
    struct core_task task;
    unsigned id;
    uint32_t sent;
    uint32_t goal; /* messages to each other core */
    uint32_t next[4];
    uint32_t received;
    _Atomic unsigned *left;
};

struct numbered {
    struct core_message message;
    struct traffic *all;
    unsigned from;
    uint32_t number;
};

static void numbered_run(struct core *core, struct core_message *message)
{
    struct numbered *n = CONTAINER_OF(message, struct numbered, message);
    struct traffic *t = &n->all[core_id(core)];
    if (n->number != t->next[n->from])
        abort(); /* not a test thread */
    t->next[n->from]++;
    t->received++;
    if (t->received == t->goal * (reactor_core_count(core_reactor(core)) - 1) &&
        atomic_fetch_sub(t->left, 1) == 1)
        reactor_stop(core_reactor(core));
    free(n);
}

static void traffic_run(struct core *core, struct core_task *task)
{
    struct traffic *t = CONTAINER_OF(task, struct traffic, task);
    unsigned batch = 1 + (unsigned)(core_random(core) % 3000); /* often more than a ring takes */
    for (; batch > 0 && t->sent < t->goal; batch--, t->sent++) {
        for (unsigned to = 0; to < reactor_core_count(core_reactor(core)); to++) {
            if (to == core_id(core))
                continue;
            struct numbered *n = malloc(sizeof(*n));
            *n = (struct numbered){{NULL, numbered_run}, t - t->id, t->id, t->sent};
            core_send(core, to, &n->message);
        }
    }
    if (t->sent < t->goal)
        core_task_post(core, task);
}

static void traffic_between(unsigned count, uint32_t goal)
{
    struct fixture *f = fixture_new(count, 0, false);
    struct traffic t[4];
    _Atomic unsigned left = count;
    memset(t, 0, sizeof(t));
    for (unsigned i = 0; i < count; i++) {
        t[i] = (struct traffic){.f = f, .id = i, .goal = goal, .left = &left};
        core_task_init(&t[i].task, traffic_run);
        core_task_post(reactor_core(f->reactor, i), &t[i].task);
    }
    reactor_run(f->reactor);
    uint64_t over = 0;
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(t[i].received, goal * (count - 1));
        over += metric_get(&core_metrics(reactor_core(f->reactor, i))->messages_over);
    }
    assert_true(over > 0);
    fixture_free(f);
}

static void messages_keep_order_between_cores(void **state)
{
    traffic_between(2, 250000);
    traffic_between(4, 50000);
}

/* Each message goes back at once, so that both cores sleep and wake all the time. */
struct bounce {
    struct core_message message;
    unsigned left;
};

static void bounce_run(struct core *core, struct core_message *message)
{
    struct bounce *b = CONTAINER_OF(message, struct bounce, message);
    if (b->left-- == 0)
        reactor_stop(core_reactor(core));
    else
        core_send(core, core_id(core) ^ 1, message);
}

static void no_wake_up_is_lost(void **state)
{
    struct fixture *f = fixture_new(2, 0, false);
    struct bounce b = {{NULL, bounce_run}, 20000};
    core_send(f->core, 1, &b.message);
    reactor_run(f->reactor);
    fixture_free(f);
}

struct many_works {
    struct core_work work[64];
    struct core_task task;
    unsigned submitted;
    unsigned done;
    unsigned goal;
    unsigned last_sync;
    _Atomic unsigned *left;
};

static void many_run(struct core_work *work)
{
}

static void many_done(struct core *core, struct core_work *work);

static void many_submit(struct core *core, struct many_works *m, struct core_work *work)
{
    *work = (struct core_work){.run = many_run, .done = many_done};
    m->submitted++;
    core_work_submit(core, m->submitted % 2 ? CORE_LANE_SYNC : CORE_LANE_BULK, work);
}

static void many_done(struct core *core, struct core_work *work)
{
    struct many_works *m = core_slot_get(core, CORE_SLOT_STORE);
    if (work->core != core)
        abort();
    m->done++;
    if (m->submitted < m->goal)
        many_submit(core, m, work);
    else if (m->done == m->goal && atomic_fetch_sub(m->left, 1) == 1)
        reactor_stop(core_reactor(core));
}

static void many_start(struct core *core, struct core_task *task)
{
    struct many_works *m = CONTAINER_OF(task, struct many_works, task);
    for (unsigned i = 0; i < COUNT_OF(m->work); i++)
        many_submit(core, m, &m->work[i]);
}

static void work_comes_back_from_helpers(void **state)
{
    struct fixture *f = fixture_new(2, 2, false);
    static struct many_works m[2];
    _Atomic unsigned left = 2;
    for (unsigned i = 0; i < 2; i++) {
        struct core *core = reactor_core(f->reactor, i);
        m[i].goal = 10000;
        m[i].left = &left;
        core_slot_set(core, CORE_SLOT_STORE, &m[i]);
        core_task_init(&m[i].task, many_start);
        core_task_post(core, &m[i].task);
    }
    reactor_run(f->reactor);
    assert_int_equal(m[0].done, 10000);
    assert_int_equal(m[1].done, 10000);
    fixture_free(f);
}

static void submit_and_stop(struct core *core, struct core_task *task)
{
    struct mark_task *m = CONTAINER_OF(task, struct mark_task, task);
    core_work_submit(core, CORE_LANE_BULK, &m->work);
    reactor_stop(core_reactor(core));
}

static void work_submitted_before_the_end_is_done(void **state)
{
    struct fixture *f = fixture_new(1, 1, false);
    struct mark_task m;
    marks_init(f, &m, 1);
    m.task.run = submit_and_stop;
    core_task_post(f->core, &m.task);
    reactor_run(f->reactor);
    assert_string_equal(f->log, "A");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_in_phases),
        cmocka_unit_test(timers_fire_in_order),
        cmocka_unit_test(work_runs_inline_at_the_next_turn),
        cmocka_unit_test(a_core_runs_on_the_fake_os),
        cmocka_unit_test(load_follows_the_work),
        cmocka_unit_test(stale_events_find_nobody),
        cmocka_unit_test(messages_keep_order_between_cores),
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(work_comes_back_from_helpers),
        cmocka_unit_test(work_submitted_before_the_end_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
