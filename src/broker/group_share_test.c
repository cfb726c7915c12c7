// Members of share groups under random clients, topics and restarts.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_consumer_fixture.h"
#include "broker/group_share.h"

#define CLIENTS    6
#define STEPS      1200
#define SEEDS      10
#define SESSION_MS 45000

static const struct group_share_terms terms = {
    .session_ms = SESSION_MS, .heartbeat_ms = 5000, .size_max = CLIENTS - 1};

struct client {
    char id[16];
    int32_t epoch; /* 0: not in the group */
    unsigned topics;
    int64_t heard_ms;
    struct group_part held[256];
    size_t held_count;
};

struct model {
    struct world world;
    struct group_share share;
    struct client clients[CLIENTS];
};

static void model_init(struct model *model, uint64_t seed)
{
    memset(model, 0, sizeof(*model));
    world_init(&model->world, seed);
    broker_group_share_init(&model->share, &model->world.env, SLICE_LITERAL("group"),
                            &model->world);
    for (size_t i = 0; i < CLIENTS; i++)
        snprintf(model->clients[i].id, sizeof(model->clients[i].id), "client-%zu", i);
}

static void model_deinit(struct model *model)
{
    broker_group_share_deinit(&model->share);
    world_deinit(&model->world);
}

/* As after a stop: what the log says is all there is, in any order. */
static void model_restart(struct model *model)
{
    struct world *world = &model->world;
    broker_group_share_deinit(&model->share);
    broker_group_share_init(&model->share, &world->env, SLICE_LITERAL("group"), world);
    for (size_t i = world->fact_count; i > 0; i--)
        assert_int_equal(broker_group_share_record_restore(&model->share, world->facts[i - 1].kind,
                                                           world->facts[i - 1].name,
                                                           world->facts[i - 1].value),
                         ERR_OK);
    broker_group_share_record_restored(&model->share, SESSION_MS);
    for (size_t i = 0; i < CLIENTS; i++)
        model->clients[i].heard_ms = world->env.now_ms;
}

static enum err speak(struct model *model, struct client *client, int32_t epoch, bool is_lost)
{
    struct slice topics[WORLD_TOPICS];
    struct share_beat beat = {.group_id = SLICE_LITERAL("group"),
                              .member_id = slice_text(client->id),
                              .client_id = SLICE_LITERAL("client"),
                              .client_host = SLICE_LITERAL("/host"),
                              .member_epoch = epoch,
                              .has_topics = epoch == 0,
                              .topics = topics};
    for (size_t i = 0; i < WORLD_TOPICS && epoch == 0; i++)
        if (client->topics >> i & 1)
            topics[beat.topic_count++] = slice_text(model->world.topics[i].name);
    arena_init(&beat.arena, (size_t)1 << 20);
    enum err err = broker_group_share_beat(&model->share, &beat, &terms);
    assert_false(model->share.is_broken);
    if (!err && !is_lost) {
        client->epoch = beat.member_epoch_out == SHARE_EPOCH_LEAVE ? 0 : beat.member_epoch_out;
        client->heard_ms = model->world.env.now_ms;
        if (beat.has_assignment) {
            client->held_count = beat.assignment.count;
            memcpy(client->held, beat.assignment.items, client->held_count * sizeof(*client->held));
        }
    }
    arena_deinit(&beat.arena);
    return err;
}

/* With everybody's target made: each partition that somebody wants is somebody's, nobody has what
 * it did not ask for, and shares differ by one at most. */
static void targets_hold(const struct model *model)
{
    const struct group_share *share = &model->share;
    bool is_made =
        share->assignment_epoch == share->epoch && share->topics_seen == model->world.generation;
    for (size_t t = 0; t < WORLD_TOPICS && is_made; t++) {
        const struct world_topic *topic = &model->world.topics[t];
        size_t readers = 0, given = 0, least = SIZE_MAX, most = 0;
        list_for_each (node, &share->order) {
            const struct group_share_member *member =
                LIST_ENTRY(node, struct group_share_member, node);
            size_t count = 0;
            for (uint32_t i = 0; i < topic->partition_count; i++) {
                const struct group_part part = {.topic = topic->id, .index = (int32_t)i};
                count += broker_group_parts_has(&member->target, &part);
            }
            bool wants = broker_group_parts_names_have(&member->topics, slice_text(topic->name));
            assert_true(wants || count == 0);
            readers += wants;
            given += count;
            least = wants ? MIN(least, count) : least;
            most = MAX(most, count);
        }
        if (readers == 0)
            continue;
        assert_int_equal(given, MAX(readers, (size_t)topic->partition_count) *
                                    (topic->partition_count > 0));
        assert_true(most - least <= 1);
    }
}

static void held_are_told(const struct model *model)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct client *client = &model->clients[i];
        const struct group_share_member *member =
            broker_group_share_member_find(&model->share, slice_text(client->id));
        if (!member || client->epoch != member->epoch)
            continue;
        const struct group_parts held = {(struct group_part *)(uintptr_t)client->held,
                                         client->held_count};
        assert_true(broker_group_parts_equal(&held, &member->assigned));
        if (member->epoch == model->share.epoch) /* it knows of topics that went */
            assert_true(broker_group_parts_within(&member->assigned, &model->share.parts));
    }
}

static void step(struct model *model)
{
    struct world *world = &model->world;
    struct client *client = &model->clients[world_pick(world, CLIENTS)];
    bool is_lost = world_pick(world, 10) == 0;
    world->env.now_ms += (int64_t)world_pick(world, 4000);
    if (model->share.deadline_ms <= world->env.now_ms)
        broker_group_share_expire(&model->share);
    switch (world_pick(world, 20)) {
    case 0:
        world_topic_set(world, world_pick(world, WORLD_TOPICS), (uint32_t)world_pick(world, 9));
        return;
    case 1:
        model_restart(model);
        return;
    case 2:
        client->topics = 1 + (unsigned)world_pick(world, (1u << WORLD_TOPICS) - 1);
        client->epoch = 0;
        break;
    case 3:
        if (client->epoch > 0)
            client->epoch = speak(model, client, SHARE_EPOCH_LEAVE, false) ? 0 : client->epoch;
        return;
    default:
        break;
    }
    if (client->topics == 0)
        return;
    enum err err = speak(model, client, client->epoch, is_lost);
    if (err == ERR_MEMBER_UNKNOWN || err == ERR_EPOCH_FENCED || err == ERR_GROUP_FULL)
        client->epoch = 0;
    else
        assert_int_equal(err, ERR_OK);
}

static void random_members(void **state)
{
    struct model model;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        model_init(&model, seed);
        for (unsigned i = 0; i < STEPS; i++) {
            step(&model);
            targets_hold(&model);
            held_are_told(&model);
            assert_true(model.share.members.count < CLIENTS);
        }
        model_deinit(&model);
    }
}

static void epochs_survive_a_restart(void **state)
{
    struct model model;
    model_init(&model, 1);
    struct client *client = &model.clients[0];
    world_topic_set(&model.world, 0, 3);
    client->topics = 1;
    assert_int_equal(speak(&model, client, 3, false), ERR_MEMBER_UNKNOWN);
    assert_int_equal(speak(&model, client, 0, false), ERR_OK);
    assert_int_equal(client->epoch, 2); /* as with Kafka */
    assert_int_equal(client->held_count, 3);
    model_restart(&model);
    size_t written = model.world.written;
    assert_int_equal(speak(&model, client, 2, false), ERR_OK);
    assert_int_equal(model.world.written, written); /* nothing has changed */
    assert_int_equal(client->epoch, 2);
    world_topic_set(&model.world, 0, 4);
    assert_int_equal(speak(&model, client, 2, true), ERR_OK);
    assert_int_equal(client->epoch, 2);
    assert_int_equal(speak(&model, client, 2, false), ERR_OK); /* the answer was lost */
    assert_int_equal(client->epoch, 3);
    assert_int_equal(speak(&model, client, 2, false), ERR_OK);
    assert_int_equal(speak(&model, client, 1, false), ERR_EPOCH_FENCED);
    assert_int_equal(speak(&model, client, 4, false), ERR_EPOCH_FENCED);
    model_deinit(&model);
}

#define TOPIC_ID "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"

/* What a Kafka 4.3 wrote of a member m1 that reads the one partition of the topic "t", with another
 * id of the topic. */
static void bytes_of_kafka(void **state)
{
#define BYTES(text) slice_make(text, sizeof(text) - 1)
    const struct world_fact facts[] = {
        {SHARE_FACT_MEMBER, SLICE_LITERAL("m1"), BYTES("\0\0\0\5next\x0b/127.0.0.1\2\2t\0")},
        {SHARE_FACT_EPOCH, SLICE_NULL, BYTES("\0\0\0\0\0\3\x1a\x3a\xce\x4c\x98\xda\xa8\xdd\0")},
        {SHARE_FACT_TARGET, SLICE_LITERAL("m1"), BYTES("\0\0\2" TOPIC_ID "\2\0\0\0\0\0\0")},
        {SHARE_FACT_TARGET_EPOCH, SLICE_NULL, BYTES("\0\0\0\0\0\3\1\0\x08\0\0\1\xa2\5\x8c\2\x2d")},
        {SHARE_FACT_CURRENT, SLICE_LITERAL("m1"),
         BYTES("\0\0\0\0\0\3\0\0\0\2\0\2" TOPIC_ID "\2\0\0\0\0\0\0")},
        {SHARE_FACT_PARTITIONS, SLICE_NULL, BYTES("\0\0\1\2" TOPIC_ID "\2t\2\0\0\0\0\0\1\0")},
    };
#undef BYTES
    struct model model;
    model_init(&model, 1);
    struct world *world = &model.world;
    snprintf(world->topics[0].name, sizeof(world->topics[0].name), "t");
    world->topics[0].partition_count = 1;
    memcpy(world->topics[0].id.bytes, TOPIC_ID, sizeof(struct uuid));
    world->env.wall_ms = INT64_C(0x1a2058c022d);
    for (size_t i = 0; i < COUNT_OF(facts); i++)
        assert_int_equal(broker_group_share_record_restore(&model.share, facts[i].kind,
                                                           facts[i].name, facts[i].value),
                         ERR_OK);
    const struct group_share_member *member =
        broker_group_share_member_find(&model.share, SLICE_LITERAL("m1"));
    assert_non_null(member);
    assert_int_equal(member->epoch, 3);
    assert_int_equal(member->previous_epoch, 2);
    broker_group_share_record_member(&model.share, member);
    broker_group_share_record_epoch(&model.share);
    broker_group_share_record_target(&model.share, member);
    broker_group_share_record_target_epoch(&model.share);
    broker_group_share_record_current(&model.share, member);
    broker_group_share_record_parts(&model.share);
    assert_int_equal(world->fact_count, COUNT_OF(facts));
    for (size_t i = 0; i < COUNT_OF(facts); i++) {
        assert_int_equal(world->facts[i].kind, facts[i].kind);
        assert_true(slice_equal(world->facts[i].value, facts[i].value));
    }
    model_deinit(&model);
}

static void partitions_are_begun_and_forgotten(void **state)
{
    struct model model;
    model_init(&model, 1);
    const struct world_topic *topics = model.world.topics;
    world_topic_set(&model.world, 0, 3);
    world_topic_set(&model.world, 1, 2);
    model.clients[0].topics = 3;
    assert_int_equal(speak(&model, &model.clients[0], 0, false), ERR_OK);
    assert_int_equal(model.share.parts.count, 5);
    assert_true(broker_group_share_has(&model.share, &topics[1].id, 1));
    assert_false(broker_group_share_has(&model.share, &topics[1].id, 2));
    struct uuid id = topics[1].id;
    const struct share_topics second = {.ids = &id, .count = 1};
    assert_true(broker_group_share_has_topic(&model.share, &id));
    assert_int_equal(broker_group_share_forget(&model.share, &second), ERR_OK);
    assert_false(broker_group_share_has_topic(&model.share, &id));
    assert_int_equal(model.share.parts.count, 3);
    const struct group_part again = {.topic = topics[1].id, .index = 1};
    assert_int_equal(broker_group_share_begin(&model.share, &again, 1), ERR_OK);
    model_restart(&model);
    assert_int_equal(model.share.parts.count, 4);
    world_topic_set(&model.world, 0, 0); /* it goes */
    assert_int_equal(speak(&model, &model.clients[0], 2, false), ERR_OK);
    assert_false(broker_group_share_has(&model.share, &topics[0].id, 0));
    broker_group_share_record_none(&model.share);
    assert_int_equal(model.world.fact_count, 0);
    model_deinit(&model);
}

static void what_cannot_be_written_breaks(void **state)
{
    struct model model;
    model_init(&model, 1);
    world_topic_set(&model.world, 0, 3);
    model.clients[0].topics = 1;
    assert_int_equal(speak(&model, &model.clients[0], 0, false), ERR_OK);
    model.world.fails = true;
    world_topic_set(&model.world, 0, 4);
    struct share_beat beat = {.member_id = slice_text(model.clients[0].id), .member_epoch = 2};
    arena_init(&beat.arena, (size_t)1 << 20);
    (void)!broker_group_share_beat(&model.share, &beat, &terms);
    assert_true(model.share.is_broken);
    arena_deinit(&beat.arena);
    model.world.fails = false;
    model_deinit(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_members),
        cmocka_unit_test(epochs_survive_a_restart),
        cmocka_unit_test(bytes_of_kafka),
        cmocka_unit_test(partitions_are_begun_and_forgotten),
        cmocka_unit_test(what_cannot_be_written_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
