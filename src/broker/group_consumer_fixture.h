// A group of the newer protocol without a broker: topics, a clock and a log that a test turns.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/group_consumer.h"

#define WORLD_TOPICS 6
#define WORLD_FACTS  4096
#define WORLD_KNOWN  8 /* changes of topics that are remembered */

struct world_topic {
    char name[16];
    struct uuid id;
    uint32_t partition_count; /* 0: it is not there */
};

struct world_fact {
    enum consumer_fact kind;
    struct slice name;  /* malloced */
    struct slice value; /* malloced */
};

/* What is in the log, and what is on its way there. */
struct world {
    struct consumer_env env;
    struct budget budget;
    uint64_t seed;
    uint64_t generation;
    size_t changed[WORLD_KNOWN]; /* topic that made the generation, by generation modulo */
    size_t walks;                /* times that all topics were looked at from the first on */
    struct world_topic topics[WORLD_TOPICS];
    struct world_fact facts[WORLD_FACTS];
    size_t fact_count;
    size_t written;       /* records since the test looked */
    bool fails;           /* records are refused */
    size_t topic_repeats; /* expressions see the last topic so many times more */
    size_t topic_repeated;
    struct group_consumer group;
};

static inline struct world *world_of(struct consumer_env *env)
{
    return CONTAINER_OF(env, struct world, env);
}

static inline uint64_t world_random(struct consumer_env *env)
{
    struct world *world = world_of(env);
    world->seed ^= world->seed << 13;
    world->seed ^= world->seed >> 7;
    world->seed ^= world->seed << 17;
    return world->seed;
}

static inline size_t world_pick(struct world *world, size_t count)
{
    return (size_t)(world_random(&world->env) % count);
}

static inline uint64_t world_generation(struct consumer_env *env)
{
    return world_of(env)->generation;
}

static inline bool world_tell(const struct world_topic *topic, struct consumer_topic *out)
{
    *out = (struct consumer_topic){.id = topic->id,
                                   .name = slice_text(topic->name),
                                   .partition_count = topic->partition_count};
    return true;
}

static inline struct slice world_change(struct consumer_env *env, uint64_t generation)
{
    struct world *world = world_of(env);
    assert_true(generation <= world->generation);
    if (generation <= 1 || world->generation - generation >= WORLD_KNOWN)
        return SLICE_NULL;
    return slice_text(world->topics[world->changed[generation % WORLD_KNOWN]].name);
}

static inline bool world_named(struct consumer_env *env, struct slice name,
                               struct consumer_topic *out)
{
    for (size_t i = 0; i < WORLD_TOPICS; i++) {
        const struct world_topic *topic = &world_of(env)->topics[i];
        if (topic->partition_count > 0 && slice_equal_text(name, topic->name))
            return world_tell(topic, out);
    }
    return false;
}

static inline bool world_with_id(struct consumer_env *env, const struct uuid *id,
                                 struct consumer_topic *out)
{
    for (size_t i = 0; i < WORLD_TOPICS; i++) {
        const struct world_topic *topic = &world_of(env)->topics[i];
        if (topic->partition_count > 0 && uuid_equal(id, &topic->id))
            return world_tell(topic, out);
    }
    return false;
}

/* The names are in order. */
static inline bool world_after(struct consumer_env *env, struct slice name,
                               struct consumer_topic *out)
{
    struct world *world = world_of(env);
    const struct world_topic *last = NULL;
    if (!name.data) {
        world->topic_repeated = 0;
        world->walks++;
    }
    for (size_t i = 0; i < WORLD_TOPICS; i++) {
        const struct world_topic *topic = &world->topics[i];
        if (topic->partition_count == 0)
            continue;
        last = topic;
        if (!name.data || slice_compare(slice_text(topic->name), name) > 0)
            return world_tell(topic, out);
    }
    if (last && world->topic_repeated < world->topic_repeats) {
        world->topic_repeated++;
        return world_tell(last, out);
    }
    return false;
}

static inline struct slice world_copy(struct slice bytes)
{
    uint8_t *copy = malloc(bytes.size + 1);
    assert_non_null(copy);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return slice_make(copy, bytes.size);
}

static inline void world_drop(struct world *world, size_t index)
{
    free((void *)(uintptr_t)world->facts[index].name.data);
    free((void *)(uintptr_t)world->facts[index].value.data);
    world->facts[index] = world->facts[--world->fact_count];
}

static inline enum err world_record(struct consumer_env *env, void *owner, enum consumer_fact fact,
                                    struct slice name, struct slice value)
{
    struct world *world = world_of(env);
    assert_ptr_equal(owner, world);
    if (world->fails)
        return ERR_NO_MEMORY;
    world->written++;
    for (size_t i = 0; i < world->fact_count; i++) {
        if (world->facts[i].kind == fact && slice_equal(world->facts[i].name, name)) {
            world_drop(world, i);
            break;
        }
    }
    if (!value.data)
        return ERR_OK;
    assert_true(world->fact_count < WORLD_FACTS);
    world->facts[world->fact_count++] =
        (struct world_fact){.kind = fact, .name = world_copy(name), .value = world_copy(value)};
    return ERR_OK;
}

static inline void world_topic_set(struct world *world, size_t index, uint32_t partition_count)
{
    struct world_topic *topic = &world->topics[index];
    if (topic->partition_count == 0)
        for (size_t i = 0; i < sizeof(topic->id.bytes); i++)
            topic->id.bytes[i] = (uint8_t)world_random(&world->env);
    topic->partition_count = partition_count;
    world->generation++;
    world->changed[world->generation % WORLD_KNOWN] = index;
}

static inline void world_init(struct world *world, uint64_t seed)
{
    memset(world, 0, sizeof(*world));
    budget_init(&world->budget, (size_t)64 << 20);
    world->seed = seed * 0x9e3779b97f4a7c15 + 1;
    world->generation = 1;
    world->env = (struct consumer_env){.now_ms = 1000000,
                                       .budget = &world->budget,
                                       .session_ms = 45000,
                                       .heartbeat_ms = 5000,
                                       .size_max = 1000,
                                       .assignor = "uniform",
                                       .assignors = "uniform,range",
                                       .random = world_random,
                                       .topics_generation = world_generation,
                                       .topic_change = world_change,
                                       .topic_named = world_named,
                                       .topic_with_id = world_with_id,
                                       .topic_after = world_after,
                                       .record = world_record};
    for (size_t i = 0; i < WORLD_TOPICS; i++)
        snprintf(world->topics[i].name, sizeof(world->topics[i].name), "topic-%zu", i);
    broker_group_consumer_init(&world->group, &world->env, SLICE_LITERAL("group"), world);
}

/* As after a stop: what the log says is all there is. Shuffled, since the order must not matter. */
static inline void world_restart(struct world *world)
{
    broker_group_consumer_deinit(&world->group);
    broker_group_consumer_init(&world->group, &world->env, SLICE_LITERAL("group"), world);
    for (size_t i = 1; i < world->fact_count; i++) {
        size_t other = world_pick(world, i + 1);
        struct world_fact fact = world->facts[i];
        world->facts[i] = world->facts[other];
        world->facts[other] = fact;
    }
    for (size_t i = 0; i < world->fact_count; i++)
        assert_int_equal(broker_group_consumer_record_restore(&world->group, world->facts[i].kind,
                                                              world->facts[i].name,
                                                              world->facts[i].value),
                         ERR_OK);
    broker_group_consumer_record_restored(&world->group);
}

static inline void world_deinit(struct world *world)
{
    broker_group_consumer_deinit(&world->group);
    while (world->fact_count > 0)
        world_drop(world, 0);
    assert_int_equal(budget_used(&world->budget), 0);
}
