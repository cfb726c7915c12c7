// The memory of batches of __consumer_offsets: what was used last is used next.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_batch.h"

#include <stdlib.h>

#include "base/poison.h"

/* What is kept to be used again. */
#define BATCHES_KEEP   64
#define ROOMS_KEEP     4
#define ROOM_KEEP_SIZE ((size_t)64 << 10)
/* A buffer for small batches; larger ones get one of their own. */
#define BATCHES_SIZE (16u << 10)
#define CACHE_LINE   64u

static struct group_room *room_get(struct groups *groups)
{
    struct list *node = list_pop_front(&groups->rooms);
    struct group_room *room =
        node ? LIST_ENTRY(node, struct group_room, node) : malloc(sizeof(*room));
    if (!room)
        return NULL;
    if (node) {
        groups->room_count--;
        build_reset(&room->build);
        return room;
    }
    list_init(&room->node);
    build_init(&room->build, GROUP_BATCH_SIZE_MAX);
    codec_output_init(&room->key, GROUP_BATCH_SIZE_MAX);
    codec_output_init(&room->value, GROUP_BATCH_SIZE_MAX);
    return room;
}

static void room_free(struct group_room *room)
{
    build_deinit(&room->build);
    codec_output_deinit(&room->key);
    codec_output_deinit(&room->value);
    free(room);
}

static void room_put(struct groups *groups, struct group_room *take_room)
{
    if (groups->room_count >= ROOMS_KEEP || take_room->key.capacity > ROOM_KEEP_SIZE ||
        take_room->value.capacity > ROOM_KEEP_SIZE ||
        take_room->build.records.capacity > ROOM_KEEP_SIZE) {
        room_free(take_room);
        return;
    }
    list_push_front(&groups->rooms, &take_room->node);
    groups->room_count++;
}

/* All but the words for a person, which are half of it and not written yet. */
static void batch_clear(struct group_batch *batch)
{
    struct diag *words = &batch->append.call.diag;
    uint8_t *behind = (uint8_t *)(words + 1);
    memset(batch, 0, (size_t)((uint8_t *)words - (uint8_t *)batch));
    memset(behind, 0, (size_t)((uint8_t *)(batch + 1) - behind));
    words->text[0] = 0;
    list_init(&batch->node);
    list_init(&batch->writes);
}

struct group_batch *broker_group_batch_new(struct group_partition *partition)
{
    struct groups *groups = partition->groups;
    struct group_room *room = room_get(groups);
    struct list *node = room ? list_pop_front(&groups->batches_kept) : NULL;
    struct group_batch *batch = node ? LIST_ENTRY(node, struct group_batch, node) : NULL;
    if (batch) {
        UNPOISON(&batch->append, sizeof(batch->append));
        groups->batch_count--;
    } else if (room) {
        batch = malloc(sizeof(*batch));
    }
    if (!batch) {
        if (room)
            room_put(groups, room);
        return NULL;
    }
    batch_clear(batch);
    batch->partition = partition;
    batch->room = room;
    return batch;
}

void broker_group_batch_free(struct group_batch *take_batch)
{
    struct groups *groups = take_batch->partition->groups;
    if (take_batch->room)
        room_put(groups, take_batch->room);
    if (groups->batch_count >= BATCHES_KEEP) {
        free(take_batch);
        return;
    }
    list_push_front(&groups->batches_kept, &take_batch->node);
    groups->batch_count++;
    POISON(&take_batch->append, sizeof(take_batch->append));
}

void broker_group_batch_deinit(struct groups *groups)
{
    struct list *node;
    while ((node = list_pop_front(&groups->batches_kept)) != NULL) {
        struct group_batch *batch = LIST_ENTRY(node, struct group_batch, node);
        UNPOISON(&batch->append, sizeof(batch->append));
        free(batch);
    }
    while ((node = list_pop_front(&groups->rooms)) != NULL)
        room_free(LIST_ENTRY(node, struct group_room, node));
    groups->batch_count = groups->room_count = 0;
    buf_unref(groups->places);
    groups->places = NULL;
}

/* A place for a batch. Small ones lie in one buffer, one behind the other, each on cache lines of
 * its own: the log writes into their heads, on the partition's core. */
static bool place_get(struct groups *groups, size_t size, struct buf_range *out)
{
    struct buf_pool *pool = core_buffers(groups->core);
    if (size > BATCHES_SIZE / 4) {
        *out = (struct buf_range){.buf = buf_pool_get(pool, size), .size = (uint32_t)size};
        return out->buf != NULL;
    }
    if (groups->places && buf_is_exclusive(groups->places))
        groups->places_used = 0;
    if (!groups->places || groups->places->capacity - groups->places_used < size) {
        struct buf *fresh = buf_pool_get(pool, BATCHES_SIZE);
        if (!fresh)
            return false;
        buf_unref(groups->places);
        groups->places = fresh;
        groups->places_used = 0;
    }
    *out = (struct buf_range){buf_ref(groups->places), groups->places_used, (uint32_t)size};
    uint32_t end = groups->places_used + (uint32_t)size;
    groups->places_used = MIN((end + CACHE_LINE - 1) & ~(CACHE_LINE - 1), BATCHES_SIZE);
    return true;
}

/* The batch in a buffer that the log may keep. */
static enum err batch_make(struct group_batch *batch)
{
    struct codec_output *out = &batch->room->value;
    out->size = 0;
    enum err err = build_finish(&batch->room->build, out);
    if (err)
        return err;
    if (!place_get(batch->partition->groups, out->size, &batch->append.batch))
        return ERR_NO_MEMORY;
    memcpy(batch->append.batch.buf->data + batch->append.batch.offset, out->data, out->size);
    batch->append.internal = true;
    return ERR_OK;
}

void broker_group_batch_send(struct group_batch *batch, void (*done)(struct broker_call *call))
{
    struct groups *groups = batch->partition->groups;
    batch->append.call.done = done;
    enum err err = batch_make(batch);
    room_put(groups, batch->room);
    batch->room = NULL;
    if (err)
        broker_call_fail(groups->core, &batch->append.call, err);
    else
        broker_append(groups->core, groups->topic, (int32_t)batch->partition->index,
                      &batch->append);
}
