// Tests of listeners and limits: timeouts, refusals, descriptors running out, shutdown.
// SPDX-License-Identifier: Apache-2.0
#include "reactor/conn_fixture.h"

static void ignore_frame(struct app *app, struct conn *conn, struct buf_range frame)
{
}

static void idle_connections_are_closed(void **state)
{
    struct app *app = app_new(&(struct conn_limits){.idle_timeout_ms = 20}, 1);
    int fd = client_connect(app);
    uint64_t from_ns = core_now_ns(app->core);
    conn_hold(app->conn); /* a request is outstanding */
    PUMP_UNTIL(app, core_now_ns(app->core) > from_ns + 70000000);
    assert_int_equal(app->closed, 0);
    conn_release(app->conn);
    uint64_t released_ns = core_now_ns(app->core);
    PUMP_UNTIL(app, app->closed == 1);
    assert_int_equal(app->reason, CONN_CLOSED_IDLE);
    assert_true(core_now_ns(app->core) >= released_ns + 20000000);
    assert_int_equal(metric_get(&core_metrics(app->core)->closed[CONN_CLOSED_IDLE]), 1);
    assert_int_equal(metric_get(&core_metrics(app->core)->connections), 0);
    close(fd);
    app_free(app);
}

static void traffic_keeps_a_connection(void **state)
{
    struct app *app = app_new(&(struct conn_limits){.idle_timeout_ms = 40}, 1);
    int fd = client_connect(app);
    uint64_t from_ns = core_now_ns(app->core);
    uint8_t back[4];
    while (core_now_ns(app->core) < from_ns + 120000000) {
        client_send(app, fd, slice_make("\0\0\0", 4));
        assert_int_equal(client_recv(app, fd, back, 4), 4);
        pump(app);
    }
    assert_int_equal(app->closed, 0);
    close(fd);
    app_free(app);
}

static void slow_frames_are_cut(void **state)
{
    struct conn_limits limits = {.idle_timeout_ms = 60000, .frame_timeout_ms = 30};
    struct app *app = app_new(&limits, 1);
    app->mode = APP_CUSTOM;
    app->custom = ignore_frame;
    int fd = client_connect(app);
    client_send(app, fd, slice_make("\0\0\0\2ab\0\0", 8));
    PUMP_UNTIL(app, app->frames == 1);
    uint64_t from_ns = core_now_ns(app->core);
    client_send(app, fd, slice_make("\0", 1)); /* a byte now and then does not help */
    PUMP_UNTIL(app, app->closed == 1);
    assert_int_equal(app->reason, CONN_CLOSED_SLOW);
    assert_true(core_now_ns(app->core) - from_ns < 5000000000);
    close(fd);
    /* While we do not read, the clock stands. */
    app->mode = APP_PAUSE;
    fd = client_connect(app);
    client_send(app, fd, slice_make("\0\0\0\2ab\0\0", 8));
    PUMP_UNTIL(app, app->frames == 2);
    from_ns = core_now_ns(app->core);
    PUMP_UNTIL(app, core_now_ns(app->core) > from_ns + 80000000);
    assert_int_equal(app->closed, 1);
    app->mode = APP_CUSTOM;
    conn_resume(app->conn);
    core_run_once(app->core, 0);
    conn_pause(app->conn); /* in the middle of a frame */
    from_ns = core_now_ns(app->core);
    PUMP_UNTIL(app, core_now_ns(app->core) > from_ns + 80000000);
    assert_int_equal(app->closed, 1);
    conn_resume(app->conn);
    PUMP_UNTIL(app, app->closed == 2);
    assert_int_equal(app->reason, CONN_CLOSED_SLOW);
    close(fd);
    app_free(app);
}

static void progress_extends_a_frame(void **state)
{
    struct conn_limits limits = {.frame_timeout_ms = 20, .frame_rate_min = 1000000};
    struct app *app = app_new(&limits, 1);
    uint8_t *frame = frame_new(1000000, 1);
    int fd = client_connect(app);
    client_send(app, fd, slice_make(frame, 500000)); /* pays for half a second */
    uint64_t from_ns = core_now_ns(app->core);
    PUMP_UNTIL(app, app->closed == 1);
    assert_true(core_now_ns(app->core) - from_ns > 300000000);
    assert_int_equal(app->reason, CONN_CLOSED_SLOW);
    close(fd);
    free(frame);
    app_free(app);
}

static void write_much(struct app *app, struct conn *conn, struct buf_range frame)
{
    static uint8_t block[1 << 20];
    for (unsigned i = 0; i < 16; i++)
        assert_true(conn_write(conn, slice_make(block, sizeof(block))));
}

static void peers_that_do_not_read_are_cut(void **state)
{
    struct conn_limits limits = {.output_timeout_ms = 50};
    struct app *app = app_new(&limits, 1);
    app->mode = APP_CUSTOM;
    app->custom = write_much;
    int fd = client_connect(app);
    client_send(app, fd, slice_make("\0\0\0", 4));
    PUMP_UNTIL(app, app->closed == 1);
    assert_int_equal(app->reason, CONN_CLOSED_SLOW);
    close(fd);
    app_free(app);
}

static void expect_refused(struct app *app, int fd)
{
    uint8_t byte;
    assert_int_equal(client_recv(app, fd, &byte, 1), 0);
    close(fd);
}

static void limits_refuse_connections(void **state)
{
    struct conn_limits limits = {.connections_max = 3, .connections_per_ip_max = 2};
    struct app *app = app_new(&limits, 1);
    const struct core_metrics *metrics = core_metrics(app->core);
    int a = client_connect(app), b = client_connect(app);
    expect_refused(app, client_connect_from(app, 1));
    assert_int_equal(metric_get(&metrics->refused_ip), 1);
    int c = client_connect_from(app, 2);
    PUMP_UNTIL(app, app->opened == 3);
    expect_refused(app, client_connect_from(app, 3));
    assert_int_equal(metric_get(&metrics->refused_limit), 1);
    close(a);
    PUMP_UNTIL(app, app->closed == 1);
    a = client_connect(app); /* both counts have gone down */
    assert_int_equal(app->opened, 4);
    expect_refused(app, client_connect_from(app, 4));
    close(a);
    close(b);
    close(c);
    PUMP_UNTIL(app, app->closed == 4);
    assert_int_equal(app->listener->ips.count, 0);
    app_free(app);
}

static void out_of_descriptors_is_survived(void **state)
{
    struct app *app = app_new(NULL, 1);
    uint8_t byte;
    app->accept_failures = 1;
    int fd = client_connect_from(app, 1); /* accepted on the reserve, and closed */
    assert_int_equal(client_recv(app, fd, &byte, 1), 0);
    assert_int_equal(app->opened, 0);
    assert_int_equal(metric_get(&core_metrics(app->core)->refused_files), 1);
    close(fd);
    uint64_t from_ns = core_now_ns(app->core);
    fd = client_connect(app); /* after the pause */
    assert_true(core_now_ns(app->core) - from_ns > LISTENER_PAUSE_NS / 2);
    close(fd);
    app_free(app);
}

static void who_comes_early_waits_for_a_held_listener(void **state)
{
    struct app *app = app_new(NULL, 1);
    assert_int_equal(listener_hold(app->listener), ERR_OK);
    int fd = client_connect_from(app, 1);
    for (unsigned i = 0; i < 10; i++)
        pump(app);
    assert_int_equal(app->opened, 0);
    assert_int_equal(listener_release(app->listener), ERR_OK);
    PUMP_UNTIL(app, app->opened == 1);
    close(fd);
    app_free(app);
}

static void addresses_in_use_are_told(void **state)
{
    struct app *app = app_new(NULL, 1);
    struct listener_options options = {.address_size = sizeof(struct sockaddr_in),
                                       .ops = &app->conn_ops};
    struct listener *second;
    struct diag diag;
    listener_address(app->listener, &options.address);
    assert_int_not_equal(listener_open(app->core, &options, &second, &diag), ERR_OK);
    assert_string_equal(diag.text, "the address is in use already");
    listener_close(app->listener);
    assert_int_equal(listener_open(app->core, &options, &app->listener, &diag), ERR_OK);
    app_free(app);
}

static void finish_soon(struct conn *conn)
{
    struct app *app = conn_state(conn);
    app->drains++;
    (void)conn_write(conn, SLICE_LITERAL("bye"));
    if (app->mode != APP_CUSTOM)
        conn_close(conn);
}

static void count_done(void *arg)
{
    ++*(unsigned *)arg;
}

static void shutdown_drains_every_connection(void **state)
{
    struct app *app = app_new(NULL, 1);
    app->conn_ops.on_shutdown = finish_soon;
    char bye[4] = "";
    unsigned done = 0;
    int a = client_connect(app), b = client_connect(app);
    conn_shutdown_all(app->reactor, 60000, count_done, &done);
    PUMP_UNTIL(app, done == 1);
    assert_int_equal(app->closed, 2);
    assert_int_equal(client_recv(app, a, bye, 4), 3);
    assert_string_equal(bye, "bye");
    expect_refused(app, client_connect_from(app, 1));
    assert_int_equal(metric_get(&core_metrics(app->core)->refused_drain), 1);
    close(a);
    close(b);
    app_free(app);
}

static void shutdown_ends_in_time(void **state)
{
    struct app *app = app_new(NULL, 1);
    app->conn_ops.on_shutdown = finish_soon;
    app->mode = APP_CUSTOM; /* does not finish */
    unsigned done = 0;
    int fd = client_connect(app);
    conn_shutdown_all(app->reactor, 20, count_done, &done);
    PUMP_UNTIL(app, done == 1);
    assert_int_equal(app->drains, 1);
    assert_int_equal(app->closed, 1);
    assert_int_equal(app->reason, CONN_CLOSED_SHUTDOWN);
    close(fd);
    app_free(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_connections_are_closed),
        cmocka_unit_test(traffic_keeps_a_connection),
        cmocka_unit_test(slow_frames_are_cut),
        cmocka_unit_test(progress_extends_a_frame),
        cmocka_unit_test(peers_that_do_not_read_are_cut),
        cmocka_unit_test(limits_refuse_connections),
        cmocka_unit_test(out_of_descriptors_is_survived),
        cmocka_unit_test(who_comes_early_waits_for_a_held_listener),
        cmocka_unit_test(addresses_in_use_are_told),
        cmocka_unit_test(shutdown_drains_every_connection),
        cmocka_unit_test(shutdown_ends_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
