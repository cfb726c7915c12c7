// Tests of connections over loopback: input, output, pausing, closing.
// SPDX-License-Identifier: Apache-2.0
#include "reactor/conn_fixture.h"

#include <sys/epoll.h>

static uint64_t bytes_in(const struct app *app)
{
    return metric_get(&core_metrics(app->core)->bytes_in);
}

static void echo_at_every_split(void **state)
{
    struct app *app = app_new(NULL, 1);
    static const char text[] = "\0\0\0\5hello\0\0\0\0\0\0\0\3abc\0\0\0\1x";
    const uint8_t *data = (const uint8_t *)text;
    const size_t size = sizeof(text) - 1;
    int fd = client_connect(app);
    for (unsigned mode = APP_ECHO_COPY; mode <= APP_ECHO_RANGE; mode++) {
        app->mode = mode;
        for (size_t split = 1; split < size; split++) {
            char back[sizeof(text)];
            uint64_t before = bytes_in(app);
            client_send(app, fd, slice_make(data, split));
            PUMP_UNTIL(app, bytes_in(app) == before + split);
            client_send(app, fd, slice_make(data + split, size - split));
            assert_int_equal(client_recv(app, fd, back, size), size);
            assert_memory_equal(back, text, size);
            assert_null(app->conn->in); /* idle: holds nothing */
        }
    }
    close(fd);
    PUMP_UNTIL(app, app->closed == 1);
    assert_int_equal(app->reason, CONN_CLOSED_BY_PEER);
    app_free(app);
}

static void big_frames_arrive_in_one_piece(void **state)
{
    static const uint32_t sizes[] = {70000, 3000000, 65532, 65536, 1 << 20, 5, 8000000, 4093};
    struct app *app = app_new(NULL, 1);
    app->mode = APP_ECHO_RANGE;
    int fd = client_connect(app);
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        size_t size = 4 + (size_t)sizes[i];
        uint8_t *frame = frame_new(sizes[i], i);
        uint8_t *back = malloc(size);
        unsigned calls = app->calls;
        client_send(app, fd, slice_make(frame, size));
        assert_int_equal(client_recv(app, fd, back, size), size);
        assert_memory_equal(frame, back, size);
        assert_in_range(app->calls - calls, 1, 3); /* not once a packet */
        free(frame);
        free(back);
    }
    close(fd);
    app_free(app);
}

static size_t asked_for(struct app *app, int fd, uint32_t payload_size)
{
    size_t size = 4 + (size_t)payload_size;
    uint8_t *frame = frame_new(payload_size, payload_size);
    uint8_t *back = malloc(size);
    app->asked = 0;
    client_send(app, fd, slice_make(frame, size));
    assert_int_equal(client_recv(app, fd, back, size), size);
    assert_memory_equal(frame, back, size);
    free(frame);
    free(back);
    return app->asked;
}

/* Straight into a buffer of its own, without a first part that would be copied there. */
static void a_frame_is_expected_to_be_as_large_as_the_last(void **state)
{
    struct app *app = app_new(NULL, 1);
    int fd = client_connect(app);
    size_t idle = budget_used(&app->budget);
    assert_in_range(asked_for(app, fd, 70000), 1, CONN_BUFFER_SIZE);
    assert_int_equal(asked_for(app, fd, 70000), 70004);
    assert_int_equal(asked_for(app, fd, 70000), 70004);
    assert_int_equal(asked_for(app, fd, 90000), 70004);
    assert_int_equal(asked_for(app, fd, 90000), 90004);
    assert_int_equal(asked_for(app, fd, 80000), 90004);
    (void)asked_for(app, fd, 80000);
    assert_int_equal(asked_for(app, fd, 100), 80004);
    assert_in_range(asked_for(app, fd, 100), 1, CONN_BUFFER_SIZE);
    (void)asked_for(app, fd, 3000000); /* more than is expected of anybody */
    assert_in_range(asked_for(app, fd, 100), 1, CONN_BUFFER_SIZE);
    PUMP_UNTIL(app, budget_used(&app->budget) <= idle + (5 << 20)); /* what a pool keeps, or less */
    close(fd);
    app_free(app);
}

static void without_memory_a_large_frame_is_not_expected(void **state)
{
    struct app *app = app_new(NULL, 1);
    uint8_t *frame = frame_new(1000000, 9);
    app->mode = APP_KEEP;
    int fd = client_connect(app);
    client_send(app, fd, slice_make(frame, 1000004));
    PUMP_UNTIL(app, app->frames == 1);
    struct buf *spare = buf_pool_get(app->core->buffers, 1000004); /* what the pool kept */
    size_t taken = app->budget.size_max - budget_used(&app->budget) - 200000;
    assert_true(budget_charge(&app->budget, taken));
    be32_put(frame, 100);
    client_send(app, fd, slice_make(frame, 104));
    PUMP_UNTIL(app, app->frames == 2);
    assert_int_equal(metric_get(&core_metrics(app->core)->starved), 0);
    budget_release(&app->budget, taken);
    buf_unref(spare);
    free(frame);
    close(fd);
    app_free(app);
}

static void announced_sizes_take_no_memory(void **state)
{
    struct app *app = app_new(NULL, 1);
    uint8_t head[100004];
    int fd = client_connect(app);
    memset(head, 7, sizeof(head));
    be32_put(head, 100000000);
    client_send(app, fd, slice_make(head, sizeof(head)));
    PUMP_UNTIL(app, bytes_in(app) == sizeof(head));
    assert_true(budget_used(&app->budget) < 3 * CONN_AHEAD_MAX);
    close(fd);
    app_free(app);
}

static void referenced_input_is_never_overwritten(void **state)
{
    struct app *app = app_new(NULL, 1);
    app->mode = APP_KEEP;
    int fds[3];
    for (unsigned i = 0; i < 3; i++)
        fds[i] = client_connect(app);
    for (unsigned i = 0; i < 1500; i++) {
        uint32_t payload = i % 97 == 0 ? 100000 : i * 7919 % 3000;
        uint8_t *frame = frame_new(payload, i);
        size_t cut = i % 3 ? (payload + 4) / 2 : 3; /* arrives in two parts */
        client_send(app, fds[i % 3], slice_make(frame, cut));
        client_send(app, fds[i % 3], slice_make(frame + cut, payload + 4 - cut));
        free(frame);
    }
    uint8_t *burst = malloc(1500 * 3004);
    for (unsigned i = 0; i < 1500; i++) { /* frames that lie across the ends of buffers */
        uint8_t *frame = frame_new(3000, i);
        memcpy(burst + i * 3004, frame, 3004);
        free(frame);
    }
    client_send(app, fds[0], slice_make(burst, 1500 * 3004));
    free(burst);
    PUMP_UNTIL(app, app->frames == 3000);
    for (unsigned i = 0; i < app->kept_count; i++)
        assert_true(app_hash(buf_range_slice(app->kept[i])) == app->kept_hash[i]);
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
    app_free(app);
}

static void small_frames_share_one_buffer(void **state)
{
    struct app *app = app_new(NULL, 1);
    uint8_t *frame = frame_new(100, 1), back[104];
    int fds[50];
    for (unsigned i = 0; i < COUNT_OF(fds); i++)
        fds[i] = client_connect(app);
    size_t idle = budget_used(&app->budget);
    assert_true(idle <= COUNT_OF(fds) * 1024);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < COUNT_OF(fds); i++) {
            client_send(app, fds[i], slice_make(frame, 104));
            assert_int_equal(client_recv(app, fds[i], back, 104), 104);
        }
    }
    assert_true(budget_used(&app->budget) <= idle + 3 * CONN_BUFFER_SIZE);
    for (unsigned i = 0; i < COUNT_OF(fds); i++) /* beginnings are put aside */
        client_send(app, fds[i], slice_make(frame, 50));
    core_run_once(app->core, 0);
    assert_true(budget_used(&app->budget) <=
                idle + 3 * CONN_BUFFER_SIZE + COUNT_OF(fds) * CONN_STASH_BUFFER_SIZE);
    for (unsigned i = 0; i < COUNT_OF(fds); i++) {
        client_send(app, fds[i], slice_make(frame + 50, 54));
        assert_int_equal(client_recv(app, fds[i], back, 104), 104);
        assert_memory_equal(frame, back, 104);
        close(fds[i]);
    }
    free(frame);
    app_free(app);
}

/* Two stretches that follow each other, one that does not, and bytes of its own in between. */
static void write_shared(struct app *app, struct conn *conn, struct buf_range frame)
{
    struct buf *text = buf_new(64);
    memcpy(text->data, "onetwofour", 10);
    assert_true(conn_write_shared(conn, (struct buf_range){text, 0, 3}));
    assert_true(conn_write_shared(conn, (struct buf_range){text, 3, 3}));
    assert_int_equal(atomic_load(&text->refs), 2); /* joined: one reference for both */
    assert_true(conn_write(conn, SLICE_LITERAL("three")));
    assert_true(conn_write_shared(conn, (struct buf_range){text, 6, 4}));
    assert_true(conn_write_shared(conn, (struct buf_range){text, 0, 3}));
    assert_int_equal(atomic_load(&text->refs), 4);
    assert_int_equal(conn_output_size(conn), 18);
    app->kept[app->kept_count] = (struct buf_range){text, 0, 0};
    app->kept_hash[app->kept_count++] = 0;
}

static void shared_output_is_joined_and_counted(void **state)
{
    struct app *app = app_new(NULL, 1);
    uint8_t *frame = frame_new(4, 1), back[18];
    int fd = client_connect(app);
    app->mode = APP_CUSTOM;
    app->custom = write_shared;
    client_send(app, fd, slice_make(frame, 8));
    assert_int_equal(client_recv(app, fd, back, 18), 18);
    assert_memory_equal(back, "onetwothreefourone", 18);
    assert_int_equal(atomic_load(&app->kept[0].buf->refs), 1);
    close(fd);
    free(frame);
    app_free(app);
}

static void fill_output(struct app *app, struct conn *conn, struct buf_range frame)
{
    uint8_t block[1000];
    for (unsigned i = 0; !conn_output_full(conn) && i < 100000; i++) {
        memset(block, (int)(app->calls + i), sizeof(block));
        assert_true(conn_write(conn, slice_make(block, sizeof(block))));
    }
    assert_true(conn_output_full(conn));
}

static void full_output_presses_back_and_drains(void **state)
{
    struct app *app = app_new(&(struct conn_limits){.output_size_max = 8 << 20}, 1);
    static uint8_t sink[1 << 16];
    app->mode = APP_CUSTOM;
    app->custom = fill_output;
    int fd = client_connect(app);
    uint8_t *frame = frame_new(1, 0);
    client_send(app, fd, slice_make(frame, 5));
    PUMP_UNTIL(app, app->frames == 1);
    for (unsigned i = 0; i < 50; i++) /* into the kernel's buffers, a share a turn */
        core_run_once(app->core, 0);
    assert_true(conn_output_size(app->conn) > 0);
    assert_true(app->conn->is_blocked);
    assert_int_equal(app->drains, 0);
    size_t expected = 8389000, got = 0; /* the first multiple of 1000 above 8 MiB */
    while (got < expected) {
        size_t part = client_recv(app, fd, sink, MIN(sizeof(sink), expected - got));
        assert_true(part > 0);
        for (size_t i = 0; i < part; i++)
            assert_int_equal(sink[i], (uint8_t)(1 + (got + i) / 1000));
        got += part;
    }
    PUMP_UNTIL(app, app->drains == 1);
    assert_int_equal(conn_output_size(app->conn), 0);
    assert_false(conn_output_full(app->conn));
    free(frame);
    close(fd);
    app_free(app);
}

struct test_file {
    struct conn_file file;
    unsigned closed;
};

static void test_file_close(struct conn_file *file)
{
    close(file->fd);
    CONTAINER_OF(file, struct test_file, file)->closed++;
}

#define TEST_FILE_SIZE 3000000
static struct test_file the_file;

static void send_file(struct app *app, struct conn *conn, struct buf_range frame)
{
    for (unsigned i = 0; i < 3; i++) {
        assert_true(conn_write(conn, SLICE_LITERAL("head")));
        atomic_fetch_add(&the_file.file.refs, 1);
        assert_true(conn_write_file(conn, &the_file.file, 100, TEST_FILE_SIZE - 100));
        assert_true(conn_write(conn, SLICE_LITERAL("tail")));
    }
}

static void files_go_out_between_bytes(void **state)
{
    struct app *app = app_new(NULL, 1);
    char path[] = "/tmp/leat-conn-test-XXXXXX";
    uint8_t *content = frame_new(TEST_FILE_SIZE - 4, 7);
    size_t part = 8 + TEST_FILE_SIZE - 100;
    uint8_t *back = malloc(part);
    the_file = (struct test_file){{1, mkstemp(path), test_file_close}, 0};
    assert_true(the_file.file.fd >= 0);
    unlink(path);
    assert_int_equal(write(the_file.file.fd, content, TEST_FILE_SIZE), TEST_FILE_SIZE);
    app->mode = APP_CUSTOM;
    app->custom = send_file;
    int fd = client_connect(app);
    client_send(app, fd, slice_make("\0\0\0", 4));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(client_recv(app, fd, back, part), part);
        assert_memory_equal(back, "head", 4);
        assert_memory_equal(back + 4, content + 100, TEST_FILE_SIZE - 100);
        assert_memory_equal(back + part - 4, "tail", 4);
    }
    assert_int_equal(atomic_load(&the_file.file.refs), 1);
    /* A file that is shorter than promised ends the connection: nothing can be made up. */
    assert_int_equal(ftruncate(the_file.file.fd, 1000), 0);
    client_send(app, fd, slice_make("\0\0\0", 4));
    assert_int_equal(client_recv(app, fd, back, part), 4 + 900);
    PUMP_UNTIL(app, app->closed == 1);
    assert_int_equal(app->reason, CONN_CLOSED_ERROR);
    assert_int_equal(atomic_load(&the_file.file.refs), 1);
    close(the_file.file.fd);
    free(content);
    free(back);
    close(fd);
    app_free(app);
}

static void paused_input_waits(void **state)
{
    struct app *app = app_new(NULL, 1);
    uint8_t *frame = frame_new(10, 1);
    app->mode = APP_PAUSE;
    int fd = client_connect(app);
    for (unsigned i = 0; i < 5; i++)
        client_send(app, fd, slice_make(frame, 14));
    for (unsigned i = 1; i <= 5; i++) {
        PUMP_UNTIL(app, app->frames == i);
        for (unsigned turn = 0; turn < 5; turn++)
            core_run_once(app->core, 0);
        assert_int_equal(app->frames, i);
        conn_pause(app->conn); /* counted */
        conn_resume(app->conn);
        core_run_once(app->core, 0);
        assert_int_equal(app->frames, i);
        conn_resume(app->conn);
    }
    conn_pause(app->conn);
    client_send(app, fd, slice_make(frame, 14));
    pump(app); /* readiness of a paused connection does not keep the core awake */
    assert_int_equal(app->conn->events & EPOLLIN, 0);
    assert_int_equal(app->frames, 5);
    conn_resume(app->conn);
    PUMP_UNTIL(app, app->frames == 6);
    conn_resume(app->conn);
    free(frame);
    close(fd);
    app_free(app);
}

static void write_and_close(struct app *app, struct conn *conn, struct buf_range frame)
{
    static uint8_t block[1 << 20];
    for (unsigned i = 0; i < 6; i++)
        assert_true(conn_write(conn, slice_make(block, sizeof(block))));
    unsigned closed = app->closed;
    conn_close(conn);
    assert_int_equal(app->closed, closed); /* later, never inside the call */
    assert_false(conn_write(conn, SLICE_LITERAL("more")));
}

static void write_and_abort(struct app *app, struct conn *conn, struct buf_range frame)
{
    assert_true(conn_write(conn, SLICE_LITERAL("never sent")));
    unsigned closed = app->closed;
    conn_abort(conn, CONN_CLOSED_SLOW);
    assert_int_equal(app->closed, closed);
}

static void close_sends_what_is_queued(void **state)
{
    struct app *app = app_new(NULL, 1);
    uint8_t *sink = malloc(7 << 20);
    app->mode = APP_CUSTOM;
    app->custom = write_and_close;
    int fd = client_connect(app);
    client_send(app, fd, slice_make("\0\0\0\0\0\0\0", 8)); /* the second is not looked at */
    assert_int_equal(client_recv(app, fd, sink, 7 << 20), 6 << 20);
    PUMP_UNTIL(app, app->closed == 1);
    assert_int_equal(app->reason, CONN_CLOSED_BY_US);
    assert_int_equal(app->frames, 1);
    close(fd);
    app->custom = write_and_abort;
    fd = client_connect(app);
    client_send(app, fd, slice_make("\0\0\0", 4));
    assert_int_equal(client_recv(app, fd, sink, 100), 0);
    PUMP_UNTIL(app, app->closed == 2);
    assert_int_equal(app->reason, CONN_CLOSED_SLOW);
    close(fd);
    free(sink);
    app_free(app);
}

/* A peer that has finished sending still gets its answers. */
static void half_closed_peers_get_their_answers(void **state)
{
    struct app *app = app_new(NULL, 1);
    uint8_t *frame = frame_new(2000000, 3);
    uint8_t *back = malloc(2000004);
    int fd = client_connect(app);
    client_send(app, fd, slice_make(frame, 2000004));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(client_recv(app, fd, back, 2000004), 2000004);
    assert_memory_equal(frame, back, 2000004);
    PUMP_UNTIL(app, app->closed == 1);
    assert_int_equal(app->reason, CONN_CLOSED_BY_PEER);
    close(fd);
    free(frame);
    free(back);
    app_free(app);
}

static void without_memory_input_waits(void **state)
{
    struct app *app = app_new(NULL, 1);
    uint8_t *frame = frame_new(1000000, 9);
    uint8_t *back = malloc(1000004);
    app->mode = APP_ECHO_RANGE;
    int fd = client_connect(app);
    size_t taken = app->budget.size_max - budget_used(&app->budget) - 300000;
    assert_true(budget_charge(&app->budget, taken));
    client_send(app, fd, slice_make(frame, 200000));
    PUMP_UNTIL(app, metric_get(&core_metrics(app->core)->starved) >= 2);
    assert_int_equal(app->frames, 0);
    budget_release(&app->budget, taken);
    client_send(app, fd, slice_make(frame + 200000, 800004));
    assert_int_equal(client_recv(app, fd, back, 1000004), 1000004);
    assert_memory_equal(frame, back, 1000004);
    free(frame);
    free(back);
    close(fd);
    app_free(app);
}

static void count_only(struct app *app, struct conn *conn, struct buf_range frame)
{
    app->marked += frame.size > 4;
}

static void charge_rest(struct app *app)
{
    size_t rest = app->budget.size_max - budget_used(&app->budget);
    assert_true(budget_charge(&app->budget, rest));
    app->charged += rest;
}

static void write_without_memory(struct app *app, struct conn *conn, struct buf_range frame)
{
    static uint8_t block[200000];
    charge_rest(app);
    assert_false(conn_write(conn, slice_make(block, sizeof(block))));
    assert_int_equal(app->closed, 0);
}

static void without_memory_output_ends_the_connection(void **state)
{
    struct app *app = app_new(NULL, 1);
    uint8_t byte;
    app->mode = APP_CUSTOM;
    app->custom = write_without_memory;
    int fd = client_connect(app);
    client_send(app, fd, slice_make("\0\0\0", 4));
    PUMP_UNTIL(app, app->closed == 1);
    assert_int_equal(app->reason, CONN_CLOSED_MEMORY);
    close(fd);
    charge_rest(app); /* what the closed one gave back */
    fd = client_connect_from(app, 1);
    assert_int_equal(client_recv(app, fd, &byte, 1), 0);
    assert_int_equal(metric_get(&core_metrics(app->core)->refused_memory), 1);
    close(fd);
    budget_release(&app->budget, app->charged);
    app_free(app);
}

/* Four megabytes wait in the socket of one connection: the other is served in between. */
static void one_busy_connection_does_not_starve_the_others(void **state)
{
    struct app *app = app_new(NULL, 1);
    int busy = client_connect(app), quiet = client_connect(app);
    int size = 8 << 20, flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    uint8_t *block = calloc(1, 1 << 20); /* empty frames */
    app->mode = APP_CUSTOM;
    app->custom = count_only;
    assert_int_equal(setsockopt(busy, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    size_t sent = 0;
    for (ssize_t part; (part = send(busy, block, 1 << 20, flags)) > 0;)
        sent += (size_t)part;
    assert_true(sent > 1 << 20);
    assert_int_equal(send(quiet, "\0\0\0\1!", 5, flags), 5);
    app->marked = 0;
    uint64_t from = bytes_in(app);
    PUMP_UNTIL(app, app->marked == 1);
    assert_true(bytes_in(app) - from <= CONN_INPUT_TURN_MAX + CONN_BUFFER_SIZE + 5);
    PUMP_UNTIL(app, bytes_in(app) == from + sent + 5);
    free(block);
    close(busy);
    close(quiet);
    app_free(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_at_every_split),
        cmocka_unit_test(big_frames_arrive_in_one_piece),
        cmocka_unit_test(a_frame_is_expected_to_be_as_large_as_the_last),
        cmocka_unit_test(without_memory_a_large_frame_is_not_expected),
        cmocka_unit_test(announced_sizes_take_no_memory),
        cmocka_unit_test(referenced_input_is_never_overwritten),
        cmocka_unit_test(small_frames_share_one_buffer),
        cmocka_unit_test(full_output_presses_back_and_drains),
        cmocka_unit_test(shared_output_is_joined_and_counted),
        cmocka_unit_test(files_go_out_between_bytes),
        cmocka_unit_test(paused_input_waits),
        cmocka_unit_test(close_sends_what_is_queued),
        cmocka_unit_test(half_closed_peers_get_their_answers),
        cmocka_unit_test(without_memory_input_waits),
        cmocka_unit_test(without_memory_output_ends_the_connection),
        cmocka_unit_test(one_busy_connection_does_not_starve_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
