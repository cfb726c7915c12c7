// A first-in first-out queue from the cores to the helper threads that may block.
// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdlib.h>

#include "os/os.h"

struct os_queue {
    pthread_mutex_t mutex;
    pthread_cond_t has_work;
    struct os_work *first;
    struct os_work *last;
    bool is_closed;
};

struct os_queue *os_queue_new(struct os *os)
{
    struct os_queue *queue = calloc(1, sizeof(*queue));
    if (!queue)
        return NULL;
    CHECK(pthread_mutex_init(&queue->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&queue->has_work, NULL) == 0);
    return queue;
}

void os_queue_free(struct os_queue *queue)
{
    if (!queue)
        return;
    CHECK(!queue->first);
    CHECK(pthread_cond_destroy(&queue->has_work) == 0);
    CHECK(pthread_mutex_destroy(&queue->mutex) == 0);
    free(queue);
}

void os_queue_push(struct os_queue *queue, struct os_work *work)
{
    work->next = NULL;
    CHECK(pthread_mutex_lock(&queue->mutex) == 0);
    CHECK(!queue->is_closed);
    if (queue->last)
        queue->last->next = work;
    else
        queue->first = work;
    queue->last = work;
    CHECK(pthread_mutex_unlock(&queue->mutex) == 0);
    /* not while holding what the woken one needs first */
    CHECK(pthread_cond_signal(&queue->has_work) == 0);
}

struct os_work *os_queue_pop(struct os_queue *queue)
{
    CHECK(pthread_mutex_lock(&queue->mutex) == 0);
    while (!queue->first && !queue->is_closed)
        CHECK(pthread_cond_wait(&queue->has_work, &queue->mutex) == 0);
    struct os_work *work = queue->first;
    if (work) {
        queue->first = work->next;
        if (!queue->first)
            queue->last = NULL;
        work->next = NULL;
    }
    CHECK(pthread_mutex_unlock(&queue->mutex) == 0);
    return work;
}

void os_queue_close(struct os_queue *queue)
{
    CHECK(pthread_mutex_lock(&queue->mutex) == 0);
    queue->is_closed = true;
    CHECK(pthread_cond_broadcast(&queue->has_work) == 0);
    CHECK(pthread_mutex_unlock(&queue->mutex) == 0);
}
