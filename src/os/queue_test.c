// Tests the queue to the helper threads: order, blocking, closing, many threads.
// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>

#include "os/os.h"

static void first_in_first_out(void **state)
{
    struct os_queue *queue = os_queue_new(os_posix());
    struct os_work works[3] = {0};
    for (size_t i = 0; i < 3; i++)
        os_queue_push(queue, &works[i]);
    assert_ptr_equal(os_queue_pop(queue), &works[0]);
    assert_ptr_equal(os_queue_pop(queue), &works[1]);
    os_queue_push(queue, &works[0]);
    os_queue_close(queue); /* what is in it still comes out */
    assert_ptr_equal(os_queue_pop(queue), &works[2]);
    assert_ptr_equal(os_queue_pop(queue), &works[0]);
    assert_null(os_queue_pop(queue));
    assert_null(os_queue_pop(queue));
    os_queue_free(queue);
    os_queue_free(NULL);
}

enum { HELPERS = 4, PUSHERS = 2, WORKS = 5000 };

struct item {
    struct os_work work;
    unsigned done; /* only the helper that has it writes it */
};

static void item_run(struct os_work *work)
{
    CONTAINER_OF(work, struct item, work)->done++;
}

static void helper(void *arg)
{
    struct os_work *work;
    while ((work = os_queue_pop(arg)))
        work->run(work);
}

struct pusher {
    struct os_queue *queue;
    struct item *items;
};

static void push_all(void *arg)
{
    struct pusher *pusher = arg;
    for (size_t i = 0; i < WORKS; i++) {
        pusher->items[i].work.run = item_run;
        os_queue_push(pusher->queue, &pusher->items[i].work);
    }
}

static void every_work_runs_once(void **state)
{
    struct os *os = os_posix();
    struct os_queue *queue = os_queue_new(os);
    struct item *items = calloc(PUSHERS * WORKS, sizeof(*items));
    assert_non_null(items);
    uint64_t helpers[HELPERS], pushers[PUSHERS];
    struct pusher args[PUSHERS];
    for (size_t i = 0; i < HELPERS; i++)
        assert_int_equal(os->ops->thread_start(os, "helper", helper, queue, &helpers[i]), 0);
    for (size_t i = 0; i < PUSHERS; i++) {
        args[i] = (struct pusher){queue, items + i * WORKS};
        assert_int_equal(os->ops->thread_start(os, "pusher", push_all, &args[i], &pushers[i]), 0);
    }
    for (size_t i = 0; i < PUSHERS; i++)
        os->ops->thread_join(os, pushers[i]);
    os_queue_close(queue);
    for (size_t i = 0; i < HELPERS; i++)
        os->ops->thread_join(os, helpers[i]);
    for (size_t i = 0; i < PUSHERS * WORKS; i++)
        assert_int_equal(items[i].done, 1);
    free(items);
    os_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_first_out),
        cmocka_unit_test(every_work_runs_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
