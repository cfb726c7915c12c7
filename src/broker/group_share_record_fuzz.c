// Fuzz target of the records of share groups: what is read can be written, and read again.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_share.h"

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

static bool world_with_id(struct consumer_env *env, const struct uuid *id,
                          struct consumer_topic *out)
{
    *out = (struct consumer_topic){.id = *id, .name = SLICE_LITERAL("t"), .partition_count = 100};
    return id->bytes[0] % 2 == 0;
}

static enum err world_record(struct consumer_env *env, void *owner, enum consumer_fact fact,
                             struct slice name, struct slice value)
{
    return owner ? broker_group_share_record_restore(owner, fact, name, value) : ERR_OK;
}

static void write_all(struct group_share *group, struct world *world)
{
    struct group_share again;
    broker_group_share_init(&again, &world->env, SLICE_LITERAL("g"), NULL);
    group->owner = &again;
    list_for_each (node, &group->order) {
        const struct group_share_member *member = LIST_ENTRY(node, struct group_share_member, node);
        broker_group_share_record_member(group, member);
        broker_group_share_record_target(group, member);
        broker_group_share_record_current(group, member);
    }
    broker_group_share_record_epoch(group);
    broker_group_share_record_target_epoch(group);
    broker_group_share_record_parts(group);
    CHECK(!group->is_broken);
    CHECK(again.epoch == group->epoch && again.members.count == group->members.count);
    CHECK(broker_group_parts_equal(&again.parts, &group->parts));
    broker_group_share_deinit(&again);
    group->owner = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.number = 7};
    struct group_share group;
    bool is_good = true;
    budget_init(&world.budget, (size_t)16 << 20);
    world.env = (struct consumer_env){.budget = &world.budget,
                                      .random = world_random,
                                      .topic_with_id = world_with_id,
                                      .record = world_record};
    broker_group_share_init(&group, &world.env, SLICE_LITERAL("g"), NULL);
    while (size >= 3) {
        enum consumer_fact kind = (enum consumer_fact)(SHARE_FACT_MEMBER + data[0] % 6);
        struct slice name = slice_make(data + 1, 1);
        size_t length = MIN((size_t)data[2], size - 3);
        if (broker_group_share_record_restore(&group, kind, name, slice_make(data + 3, length)))
            is_good = false;
        data += 3 + length;
        size -= 3 + length;
    }
    broker_group_share_record_restored(&group, 1000);
    if (is_good)
        write_all(&group, &world);
    broker_group_share_deinit(&group);
    CHECK(budget_used(&world.budget) == 0);
    return 0;
}
