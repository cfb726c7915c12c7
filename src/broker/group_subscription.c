// The words of classic consumers: their subscriptions, assignments and lists of protocols.
// SPDX-License-Identifier: Apache-2.0
//
// Integers big-endian; a string is its length (i16) and bytes, bytes are their length (i32, -1:
// null) and data; an array is its count (i32) and its items.
//   subscription: version i16, topics []string, user data bytes; from version 1 on what it holds
//                 []{topic string, partitions []i32}; from 2 its generation i32; from 3 its rack
//                 string? (i16 -1: null)
//   assignment:   version i16, []{topic string, partitions []i32}, user data bytes
#include <stdlib.h>

#include "base/endian.h"
#include "base/varint.h"
#include "broker/group_consumer.h"

/* The newest version of these words that is known. */
#define WORDS_VERSION_MAX 3

struct words_in {
    struct slice rest;
    bool is_bad;
};

static const uint8_t *take(struct words_in *r, size_t size)
{
    if (r->is_bad || r->rest.size < size) {
        r->is_bad = true;
        return NULL;
    }
    const uint8_t *at = r->rest.data;
    r->rest = slice_make(at + size, r->rest.size - size);
    return at;
}

static int16_t take_i16(struct words_in *r)
{
    const uint8_t *at = take(r, 2);
    return at ? (int16_t)be16_get(at) : 0;
}

static int32_t take_i32(struct words_in *r)
{
    const uint8_t *at = take(r, 4);
    return at ? (int32_t)be32_get(at) : 0;
}

static struct slice take_string(struct words_in *r, bool nullable)
{
    int16_t size = take_i16(r);
    if (size < 0) {
        r->is_bad = r->is_bad || !nullable || size != -1;
        return SLICE_NULL;
    }
    const uint8_t *at = take(r, (size_t)size);
    return at ? slice_make(at, (size_t)size) : SLICE_NULL;
}

/* No more items than there are bytes for. */
static size_t take_count(struct words_in *r, size_t item_size_min)
{
    int32_t count = take_i32(r);
    if (count < 0 || (size_t)count > r->rest.size / item_size_min)
        r->is_bad = true;
    return r->is_bad ? 0 : (size_t)count;
}

static void take_bytes(struct words_in *r)
{
    int32_t size = take_i32(r);
    if (size > 0)
        take(r, (size_t)size);
}

/* Into out (NULL: only counted) those of topics that exist. */
static size_t walk_parts(struct consumer_env *env, struct words_in *r, struct group_parts *out)
{
    size_t total = 0;
    size_t topics = take_count(r, 6);
    for (size_t i = 0; i < topics && !r->is_bad; i++) {
        struct consumer_topic topic;
        struct slice name = take_string(r, false);
        bool known = !r->is_bad && out && env->topic_named(env, name, &topic);
        size_t count = take_count(r, 4);
        total += count;
        for (size_t j = 0; j < count && !r->is_bad; j++) {
            int32_t index = take_i32(r);
            if (known && index >= 0 && (uint32_t)index < topic.partition_count)
                out->items[out->count++] = (struct group_part){.topic = topic.id, .index = index};
        }
    }
    return total;
}

static enum err take_parts(struct consumer_env *env, struct words_in *r, struct group_parts *out,
                           size_t *out_room)
{
    struct words_in ahead = *r;
    *out = (struct group_parts){NULL, 0};
    *out_room = 0;
    size_t room = walk_parts(env, &ahead, NULL);
    if (ahead.is_bad)
        return ERR_CORRUPT;
    enum err err = broker_group_parts_room(env->budget, room, out);
    if (err)
        return err;
    *out_room = room;
    walk_parts(env, r, out);
    broker_group_parts_sort(out);
    return ERR_OK;
}

enum err broker_group_subscription_read(struct consumer_env *env, struct slice bytes,
                                        struct group_subscription *out)
{
    struct words_in r = {.rest = bytes};
    *out = (struct group_subscription){.version = take_i16(&r)};
    size_t count = take_count(&r, 2);
    if (r.is_bad || out->version < 0)
        return ERR_CORRUPT;
    out->topics = reallocarray(NULL, count + 1, sizeof(*out->topics));
    if (!out->topics)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        out->topics[out->topic_count++] = take_string(&r, false);
    take_bytes(&r);
    enum err err = ERR_OK;
    if (out->version >= 1 && !r.is_bad)
        err = take_parts(env, &r, &out->owned, &out->owned_room);
    if (out->version >= 2)
        take_i32(&r);
    if (out->version >= 3)
        out->rack = take_string(&r, true);
    if (!err && r.is_bad)
        err = ERR_CORRUPT;
    if (err)
        broker_group_subscription_free(env, out);
    return err;
}

void broker_group_subscription_free(struct consumer_env *env, struct group_subscription *words)
{
    free(words->topics);
    words->topics = NULL;
    words->topic_count = 0;
    broker_group_parts_free(env->budget, &words->owned, words->owned_room);
}

enum err broker_group_subscription_assignment_read(struct consumer_env *env, struct slice bytes,
                                                   struct group_parts *out, size_t *out_room)
{
    struct words_in r = {.rest = bytes};
    *out = (struct group_parts){NULL, 0};
    *out_room = 0;
    if (bytes.size == 0)
        return ERR_OK; /* a leader may assign nothing at all */
    int16_t version = take_i16(&r);
    return version < 0 ? ERR_CORRUPT : take_parts(env, &r, out, out_room);
}

/* --- writing: the first error sticks --- */

struct words_out {
    struct codec_output *out;
    enum err err;
};

static void put(struct words_out *w, const void *bytes, size_t size)
{
    if (!w->err && size > 0)
        w->err = codec_output_add(w->out, slice_make(bytes, size));
}

static void put_i16(struct words_out *w, int16_t value)
{
    uint8_t bytes[2];
    be16_put(bytes, (uint16_t)value);
    put(w, bytes, sizeof(bytes));
}

static void put_i32(struct words_out *w, int32_t value)
{
    uint8_t bytes[4];
    be32_put(bytes, (uint32_t)value);
    put(w, bytes, sizeof(bytes));
}

static size_t topic_end(const struct group_parts *parts, size_t first)
{
    size_t next = first + 1;
    while (next < parts->count && uuid_equal(&parts->items[next].topic, &parts->items[first].topic))
        next++;
    return next;
}

enum err broker_group_subscription_assignment_write(struct consumer_env *env, int16_t version,
                                                    const struct group_parts *parts,
                                                    struct codec_output *out)
{
    struct words_out w = {.out = out};
    struct consumer_topic topic;
    int32_t topics = 0;
    for (size_t i = 0; i < parts->count; i = topic_end(parts, i))
        topics += env->topic_with_id(env, &parts->items[i].topic, &topic);
    put_i16(&w, (int16_t)MIN(version, WORDS_VERSION_MAX));
    put_i32(&w, topics);
    for (size_t i = 0; i < parts->count;) {
        size_t end = topic_end(parts, i);
        if (env->topic_with_id(env, &parts->items[i].topic, &topic)) {
            put_i16(&w, (int16_t)topic.name.size);
            put(&w, topic.name.data, topic.name.size);
            put_i32(&w, (int32_t)(end - i));
            for (size_t j = i; j < end; j++)
                put_i32(&w, parts->items[j].index);
        }
        i = end;
    }
    put_i32(&w, -1);
    return w.err;
}

/* --- lists of protocols, flexible as the records that hold them --- */

static void put_varint(struct words_out *w, size_t value)
{
    uint8_t bytes[VARINT_U32_SIZE_MAX];
    if (!w->err && value > INT32_MAX)
        w->err = ERR_TOO_LARGE;
    put(w, bytes, varint_u32_put(bytes, (uint32_t)value));
}

enum err broker_group_subscription_protocols_write(const struct group_protocol *protocols,
                                                   size_t count, struct codec_output *out)
{
    struct words_out w = {.out = out};
    put_varint(&w, count + 1);
    for (size_t i = 0; i < count; i++) {
        put_varint(&w, protocols[i].name.size + 1);
        put(&w, protocols[i].name.data, protocols[i].name.size);
        put_varint(&w, protocols[i].metadata.size + 1);
        put(&w, protocols[i].metadata.data, protocols[i].metadata.size);
        put_varint(&w, 0);
    }
    return w.err;
}

static uint32_t take_varint(struct words_in *r)
{
    uint32_t value = 0;
    size_t used = r->is_bad ? 0 : varint_u32_get(r->rest.data, r->rest.size, &value);
    if (used == 0)
        r->is_bad = true;
    return take(r, used) ? value : 0;
}

static struct slice take_flexible(struct words_in *r)
{
    uint32_t size = take_varint(r);
    const uint8_t *at = size > 0 ? take(r, size - 1) : NULL;
    return at ? slice_make(at, size - 1) : SLICE_NULL;
}

size_t broker_group_subscription_protocol_count(struct slice *rest)
{
    struct words_in r = {.rest = *rest};
    uint32_t count = take_varint(&r);
    *rest = r.rest;
    return r.is_bad || count == 0 ? 0 : count - 1;
}

bool broker_group_subscription_protocol_next(struct slice *rest, struct group_protocol *out)
{
    struct words_in r = {.rest = *rest};
    out->name = take_flexible(&r);
    out->metadata = take_flexible(&r);
    uint32_t tags = take_varint(&r);
    for (uint32_t i = 0; i < tags && !r.is_bad; i++) {
        take_varint(&r);
        take(&r, take_varint(&r));
    }
    *rest = r.rest;
    return !r.is_bad;
}
