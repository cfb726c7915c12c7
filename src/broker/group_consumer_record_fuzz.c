// Fuzz target of what groups of the newer protocol read: their records, and classic members' words.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_consumer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct consumer_env env;
    struct budget budget;
    uint64_t number;
};

static uint64_t world_random(struct consumer_env *env)
{
    return ++CONTAINER_OF(env, struct world, env)->number;
}

/* Topics of one letter are there. */
static bool world_named(struct consumer_env *env, struct slice name, struct consumer_topic *out)
{
    if (name.size != 1)
        return false;
    *out = (struct consumer_topic){.name = name, .partition_count = 100};
    out->id.bytes[0] = name.data[0];
    return true;
}

static bool world_with_id(struct consumer_env *env, const struct uuid *id,
                          struct consumer_topic *out)
{
    *out = (struct consumer_topic){.id = *id, .name = SLICE_LITERAL("t"), .partition_count = 100};
    return id->bytes[0] % 2 == 0;
}

static enum err world_record(struct consumer_env *env, void *owner, enum consumer_fact fact,
                             struct slice name, struct slice value)
{
    struct codec_output key;
    codec_output_init(&key, 1 << 20);
    if (broker_group_consumer_record_key(&key, fact, SLICE_LITERAL("g"), name) == ERR_OK) {
        enum consumer_fact kind;
        struct slice group;
        struct slice again;
        CHECK(broker_group_consumer_record_key_read(slice_make(key.data, key.size), &kind, &group,
                                                    &again) == ERR_OK);
        CHECK(kind == fact && slice_equal(again, name) && slice_equal_text(group, "g"));
    }
    codec_output_deinit(&key);
    return owner ? broker_group_consumer_record_restore(owner, fact, name, value) : ERR_OK;
}

/* What was read can be written, and read again. */
static void write_all(struct group_consumer *group, struct world *world)
{
    struct group_consumer again;
    broker_group_consumer_init(&again, &world->env, SLICE_LITERAL("g"), NULL);
    group->owner = &again;
    list_for_each (node, &group->order) {
        const struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        broker_group_consumer_record_member(group, member);
        broker_group_consumer_record_target(group, member);
        broker_group_consumer_record_current(group, member);
    }
    broker_group_consumer_record_epoch(group);
    CHECK(!group->is_broken);
    CHECK(again.epoch == group->epoch && again.members.count == group->members.count);
    broker_group_consumer_deinit(&again);
    group->owner = NULL;
}

static void read_records(struct world *world, const uint8_t *data, size_t size)
{
    struct group_consumer group;
    broker_group_consumer_init(&group, &world->env, SLICE_LITERAL("g"), NULL);
    bool is_good = true;
    while (size >= 3) {
        enum consumer_fact kind = (enum consumer_fact)(3 + data[0] % 6);
        struct slice name = slice_make(data + 1, 1);
        size_t length = MIN((size_t)data[2], size - 3);
        if (data[0] % 7 == 6)
            kind = CONSUMER_FACT_REGEX;
        if (broker_group_consumer_record_restore(&group, kind, name, slice_make(data + 3, length)))
            is_good = false;
        data += 3 + length;
        size -= 3 + length;
    }
    broker_group_consumer_record_restored(&group);
    if (is_good)
        write_all(&group, world);
    broker_group_consumer_deinit(&group);
}

static void read_words(struct world *world, struct slice bytes)
{
    struct group_subscription words;
    struct group_parts parts;
    size_t room;
    if (broker_group_subscription_read(&world->env, bytes, &words) == ERR_OK)
        broker_group_subscription_free(&world->env, &words);
    if (broker_group_subscription_assignment_read(&world->env, bytes, &parts, &room) == ERR_OK) {
        struct codec_output out;
        codec_output_init(&out, 1 << 20);
        if (broker_group_subscription_assignment_write(&world->env, 3, &parts, &out) == ERR_OK) {
            struct group_parts again;
            size_t again_room;
            CHECK(broker_group_subscription_assignment_read(
                      &world->env, slice_make(out.data, out.size), &again, &again_room) == ERR_OK);
            broker_group_parts_free(&world->budget, &again, again_room);
        }
        codec_output_deinit(&out);
        broker_group_parts_free(&world->budget, &parts, room);
    }
    struct slice rest = bytes;
    struct group_protocol protocol;
    size_t count = broker_group_subscription_protocol_count(&rest);
    while (count-- > 0 && broker_group_subscription_protocol_next(&rest, &protocol)) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.number = 7};
    budget_init(&world.budget, (size_t)16 << 20);
    world.env = (struct consumer_env){.budget = &world.budget,
                                      .session_ms = 1000,
                                      .assignor = "uniform",
                                      .assignors = "uniform,range",
                                      .random = world_random,
                                      .topic_named = world_named,
                                      .topic_with_id = world_with_id,
                                      .record = world_record};
    enum consumer_fact kind;
    struct slice group;
    struct slice name;
    if (broker_group_consumer_record_key_read(slice_make(data, size), &kind, &group, &name) ==
        ERR_OK)
        CHECK(kind >= CONSUMER_FACT_EPOCH && kind <= CONSUMER_FACT_REGEX);
    read_records(&world, data, size);
    read_words(&world, slice_make(data, size));
    CHECK(budget_used(&world.budget) == 0);
    return 0;
}
