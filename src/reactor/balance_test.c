// Tests of placement: the decision, and connections that move under load without losing a byte.
// SPDX-License-Identifier: Apache-2.0
#include "reactor/balance.h"

#include "reactor/conn_fixture.h"

static const struct balance_options defaults = {700, 350, 500, 5000};

static void decide(const unsigned *busy, unsigned count, const unsigned *expected)
{
    unsigned to[8];
    balance_decide(busy, count, &defaults, to);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(to[i], expected[i]);
}

static void cores_fill_one_after_another(void **state)
{
    decide((unsigned[]){1000}, 1, (unsigned[]){0});
    decide((unsigned[]){600, 0, 0}, 3, (unsigned[]){0, 1, 1});
    decide((unsigned[]){900, 0, 0}, 3, (unsigned[]){1, 1, 2});
    decide((unsigned[]){900, 600, 0}, 3, (unsigned[]){2, 1, 2});
    decide((unsigned[]){400, 900, 0}, 3, (unsigned[]){0, 2, 2});
    decide((unsigned[]){100, 900, 0}, 3, (unsigned[]){0, 0, 2});
    decide((unsigned[]){1000, 450, 600}, 3, (unsigned[]){1, 1, 2}); /* none has room: the least */
    decide((unsigned[]){1000, 600, 600}, 3, (unsigned[]){0, 1, 2}); /* nothing to gain */
    decide((unsigned[]){1000, 1000, 0, 0}, 4, (unsigned[]){2, 1, 2, 3}); /* one giver a taker */
}

static void calm_cores_give_back(void **state)
{
    decide((unsigned[]){200, 100}, 2, (unsigned[]){0, 0});
    decide((unsigned[]){200, 200}, 2, (unsigned[]){0, 1});
    decide((unsigned[]){300, 200, 100}, 3, (unsigned[]){0, 1, 1});
}

/* --- Real threads: the server runs beside the test, which is the client. --- */

struct hop {
    struct core_timer timer;
    struct core_task task;
    struct core_message message;
    unsigned moves;
};

static struct hop hops[3];
static _Atomic unsigned hop_misses;

/* Sends whatever can go to a core by chance, a thousand times a second. */
static void hop_run(struct core *core, struct core_timer *timer)
{
    struct hop *hop = CONTAINER_OF(timer, struct hop, timer);
    unsigned count = reactor_core_count(core_reactor(core));
    list_for_each_safe (node, following, &core->conns.all) {
        struct conn *conn = LIST_ENTRY(node, struct conn, node);
        unsigned to = (unsigned)(core_random(core) % count);
        if (to == core_id(core))
            continue;
        if (conn_move(conn, to))
            hop->moves++;
        else
            conn->wish = to + 1; /* after its next flush */
    }
    core_timer_set(core, timer, core_now_ns(core) + 1000000);
}

static void hop_start(struct core *core, struct core_task *task)
{
    hop_run(core, &CONTAINER_OF(task, struct hop, task)->timer);
}

static void hop_on_open(struct conn *conn, void *arg)
{
    conn_set_state(conn, arg);
}

static void hop_on_close(struct conn *conn, enum conn_close_reason reason)
{
}

static void hop_on_move(struct conn *conn, struct core *from)
{
    if (conn_core(conn) == from)
        atomic_fetch_add(&hop_misses, 1);
}

static struct conn_taken hop_on_input(struct conn *conn, struct buf_range range)
{
    if (range.size < 4)
        return (struct conn_taken){0, 4};
    size_t size = 4 + (size_t)be32_get(range.buf->data + range.offset);
    if (range.size < size)
        return (struct conn_taken){0, size};
    range.size = (uint32_t)size;
    buf_ref(range.buf);
    (void)conn_write_buf(conn, range);
    return (struct conn_taken){size, 0};
}

static void server_main(void *arg)
{
    reactor_run(arg);
}

static void recv_exactly(int fd, uint8_t *out, size_t size)
{
    while (size > 0) {
        ssize_t got = recv(fd, out, size, 0);
        assert_true(got > 0);
        out += got;
        size -= (size_t)got;
    }
}

static uint64_t sum_moves(struct app *app)
{
    uint64_t moves = 0;
    for (unsigned i = 0; i < reactor_core_count(app->reactor); i++)
        moves += metric_get(&core_metrics(reactor_core(app->reactor, i))->moved_in);
    return moves;
}

/* In two parts, so that connections also move with the beginning of a frame. */
static void exchange(const int *fds, unsigned count, uint32_t round)
{
    uint32_t size = round % 50 == 0 ? 150000 : 1 + round * 7919 % 5000;
    uint8_t *frame = frame_new(size, round);
    uint8_t *back = malloc(size + 4);
    uint32_t cut = round % (size + 4);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(send(fds[i], frame, cut, 0), cut);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(send(fds[i], frame + cut, size + 4 - cut, 0), size + 4 - cut);
    for (unsigned i = 0; i < count; i++) {
        recv_exactly(fds[i], back, size + 4);
        assert_memory_equal(frame, back, size + 4);
    }
    free(frame);
    free(back);
}

static void hop_server_start(struct app *app, uint64_t *out_thread)
{
    app->conn_ops = (struct conn_ops){.on_open = hop_on_open,
                                      .on_input = hop_on_input,
                                      .on_close = hop_on_close,
                                      .can_move = app_can_move,
                                      .on_move = hop_on_move};
    for (unsigned i = 0; i < COUNT_OF(hops); i++) {
        memset(&hops[i], 0, sizeof(hops[i]));
        core_timer_init(&hops[i].timer, hop_run);
        core_task_init(&hops[i].task, hop_start);
        core_task_post(reactor_core(app->reactor, i), &hops[i].task);
    }
    assert_int_equal(
        app->ops.thread_start(&app->os, "server", server_main, app->reactor, out_thread), 0);
}

static void moving_keeps_every_byte_in_order(void **state)
{
    struct app *app = app_new(NULL, 3);
    uint64_t thread;
    int fds[4];
    hop_server_start(app, &thread);
    for (unsigned i = 0; i < COUNT_OF(fds); i++)
        fds[i] = client_connect_from(app, 1);
    uint32_t round = 0;
    for (; round < 500 || sum_moves(app) < 200; round++) {
        assert_true(round < 200000);
        exchange(fds, COUNT_OF(fds), round);
    }
    for (unsigned i = 0; i < COUNT_OF(fds); i++)
        close(fds[i]);
    reactor_stop(app->reactor);
    app->ops.thread_join(&app->os, thread);
    assert_int_equal(atomic_load(&hop_misses), 0);
    app_free(app);
}

struct stopper {
    struct core_message message;
    struct reactor *reactor;
    unsigned left; /* connections when all were said to be closed */
};

static void stopper_done(void *arg)
{
    struct stopper *stopper = arg;
    stopper->left = (unsigned)stopper->reactor->conns.count;
    reactor_stop(stopper->reactor);
}

static void stopper_run(struct core *core, struct core_message *message)
{
    struct stopper *stopper = CONTAINER_OF(message, struct stopper, message);
    conn_shutdown_all(stopper->reactor, 60000, stopper_done, stopper);
}

/* Peers come, send part of a frame and go, while connections move; then all are told to end. */
static void closing_and_draining_while_moving(void **state)
{
    struct app *app = app_new(&(struct conn_limits){.connections_per_ip_max = 1000}, 3);
    uint64_t thread;
    int fds[8] = {0};
    hop_server_start(app, &thread);
    for (unsigned i = 0; i < 2000 || sum_moves(app) < 100; i++) {
        int *fd = &fds[i * 7919 % COUNT_OF(fds)];
        assert_true(i < 200000);
        if (*fd > 0)
            close(*fd);
        *fd = client_connect_from(app, 1);
        assert_int_equal(send(*fd, "\0\0\0\3abc\0\0", 9, 0), 9);
        if (i % 3 == 0)
            recv_exactly(*fd, (uint8_t[7]){0}, 7);
    }
    struct stopper stopper = {{NULL, stopper_run}, app->reactor, 1};
    core_send_from_outside(app->core, &stopper.message);
    app->ops.thread_join(&app->os, thread);
    assert_int_equal(stopper.left, 0);
    assert_int_equal(app->listener->ips.count, 0);
    for (unsigned i = 0; i < COUNT_OF(fds); i++)
        close(fds[i]);
    app_free(app);
}

/* A core that works all the time hands half of it over; when it is calm, all comes back. */
static void burn(struct app *app, struct conn *conn, struct buf_range frame)
{
    struct core *core = conn_core(conn);
    uint64_t from_ns = core_os(core)->ops->mono_ns(core_os(core));
    while (core_os(core)->ops->mono_ns(core_os(core)) - from_ns < 2000000)
        ;
    (void)conn_write(conn, buf_range_slice(frame));
}

static int came_back[2]; /* a pipe: one byte a connection that comes back to core 0 */

static void burn_on_move(struct conn *conn, struct core *from)
{
    if (core_id(conn_core(conn)) == 0 && write(came_back[1], "x", 1) != 1)
        abort();
}

static struct conn_taken burn_on_input(struct conn *conn, struct buf_range range)
{
    burn(NULL, conn, range);
    return (struct conn_taken){range.size, 0};
}

static uint64_t connections_of(struct app *app, unsigned core)
{
    return metric_get(&core_metrics(reactor_core(app->reactor, core))->connections);
}

static void ping_all(const int *fds, unsigned count)
{
    uint8_t back[4];
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(send(fds[i], "ping", 4, 0), 4);
    for (unsigned i = 0; i < count; i++)
        recv_exactly(fds[i], back, 4);
}

static void busy_cores_hand_over_and_take_back(void **state)
{
    struct app *app = app_new(NULL, 2);
    uint64_t thread;
    int fds[4];
    app->conn_ops = (struct conn_ops){.on_open = hop_on_open,
                                      .on_input = burn_on_input,
                                      .on_close = hop_on_close,
                                      .can_move = app_can_move,
                                      .on_move = burn_on_move};
    assert_int_equal(pipe(came_back), 0);
    balance_start(app->reactor, &(struct balance_options){500, 400, 100, 100});
    assert_int_equal(app->ops.thread_start(&app->os, "server", server_main, app->reactor, &thread),
                     0);
    for (unsigned i = 0; i < COUNT_OF(fds); i++)
        fds[i] = client_connect_from(app, 1);
    unsigned rounds = 0;
    for (; connections_of(app, 1) == 0; rounds++) {
        assert_true(rounds < 5000);
        ping_all(fds, COUNT_OF(fds));
    }
    assert_true(connections_of(app, 0) > 0);
    ping_all(fds, COUNT_OF(fds));
    uint8_t byte;
    while (connections_of(app, 0) < COUNT_OF(fds))
        assert_int_equal(read(came_back[0], &byte, 1), 1);
    assert_int_equal(connections_of(app, 0), COUNT_OF(fds));
    ping_all(fds, COUNT_OF(fds));
    for (unsigned i = 0; i < COUNT_OF(fds); i++)
        close(fds[i]);
    close(came_back[0]);
    reactor_stop(app->reactor);
    app->ops.thread_join(&app->os, thread);
    close(came_back[1]);
    app_free(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cores_fill_one_after_another),
        cmocka_unit_test(calm_cores_give_back),
        cmocka_unit_test(moving_keeps_every_byte_in_order),
        cmocka_unit_test(closing_and_draining_while_moving),
        cmocka_unit_test(busy_cores_hand_over_and_take_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
