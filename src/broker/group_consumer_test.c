// The newer group protocol under random members, clocks, topics and restarts.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_consumer_fixture.h"
#include "broker/group_state.h"

#define CLIENTS      8
#define PARTS_MAX    256
#define STEPS        1500
#define SEEDS        12
#define REBALANCE_MS 30000

/* A client as the protocol wants it, over a network that loses answers. */
struct client {
    char id[16];
    char instance[16]; /* empty: dynamic */
    unsigned lives;
    int32_t epoch; /* 0: not in the group */
    bool has_left; /* for a while, static */
    struct group_part held[PARTS_MAX];
    size_t held_count;
    bool is_changed; /* it has to say what it holds */
    bool is_unsure;  /* an answer was lost: it says everything, and is told everything */
    int64_t heard_ms;
    const char *regex; /* NULL: topics */
    unsigned topics;   /* bits */
};

struct model {
    struct world world;
    struct client clients[CLIENTS];
    int32_t epoch; /* of the group, as last seen */
};

static bool holds(const struct client *client, const struct group_part *part)
{
    for (size_t i = 0; i < client->held_count; i++)
        if (broker_group_parts_compare(&client->held[i], part) == 0)
            return true;
    return false;
}

/* No partition is read by two, whatever the server believes. */
static void nobody_shares(const struct model *model)
{
    for (size_t a = 0; a < CLIENTS; a++)
        for (size_t i = 0; i < model->clients[a].held_count; i++)
            for (size_t b = a + 1; b < CLIENTS; b++)
                assert_false(holds(&model->clients[b], &model->clients[a].held[i]));
}

static void epochs_grow(struct model *model)
{
    const struct group_consumer *group = &model->world.group;
    assert_true(group->epoch >= model->epoch);
    assert_true(group->assignment_epoch <= group->epoch);
    model->epoch = group->epoch;
    list_for_each (node, &group->order) {
        const struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        assert_true(member->epoch <= group->epoch);
        assert_false(broker_group_parts_meet(&member->assigned, &member->revoking));
        if (member->state != CONSUMER_UNREVOKED)
            assert_int_equal(member->revoking.count, 0);
    }
}

/* Who has a partition may commit for it with the epoch that it last heard, however old that is, and
 * nobody may for what is not its own (KIP-1251). */
static void commits_hold(const struct model *model)
{
    const struct group_consumer *group = &model->world.group;
    for (size_t c = 0; c < CLIENTS; c++) {
        const struct client *client = &model->clients[c];
        struct slice id = slice_text(client->id);
        const struct consumer_member *member = broker_group_consumer_member_find(group, id);
        for (size_t i = 0; i < client->held_count && member && !client->is_unsure; i++) {
            const struct group_part *part = &client->held[i];
            bool is_its = broker_group_consumer_member_owner(group, part) == member;
            enum err err = broker_group_consumer_commit_check_part(group, id, client->epoch, part);
            assert_int_equal(err, is_its ? ERR_OK : ERR_EPOCH_STALE);
            int32_t since = broker_group_consumer_member_since(group, part);
            if (is_its && since > 0)
                assert_int_equal(
                    broker_group_consumer_commit_check_part(group, id, since - 1, part),
                    ERR_EPOCH_STALE);
        }
    }
}

/* Of who has what since when. */
static uint64_t holdings(const struct group_consumer *group)
{
    uint64_t sum = 0;
    list_for_each (node, &group->order) {
        const struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        for (size_t i = 0; i < member->assigned.count + member->revoking.count; i++) {
            const struct group_part *part =
                i < member->assigned.count ? &member->assigned.items[i]
                                           : &member->revoking.items[i - member->assigned.count];
            uint64_t one = (uint64_t)(uint32_t)broker_group_consumer_member_since(group, part);
            sum += (one << 20 | part->topic.bytes[0] << 8 | (unsigned)part->index) *
                   UINT64_C(0x9e3779b97f4a7c15);
        }
    }
    return sum;
}

static void abandon(struct client *client)
{
    client->epoch = 0;
    client->held_count = 0;
    client->is_changed = false;
    client->is_unsure = false;
}

/* Gives up what it is no longer to have at once, and says so with the next heartbeat. */
static void take_over(struct client *client, const struct group_beat *beat)
{
    client->is_changed = false;
    client->is_unsure = false;
    if (beat->has_assignment) {
        assert_true(beat->assignment_count <= PARTS_MAX);
        client->is_changed = true;
        client->held_count = beat->assignment_count;
        memcpy(client->held, beat->assignment, client->held_count * sizeof(*client->held));
    }
    assert_true(client->epoch <= beat->member_epoch_out);
    client->epoch = beat->member_epoch_out;
}

/* Sends a heartbeat; is_lost: the answer does not arrive. */
static enum err speak(struct model *model, struct client *client, int32_t epoch, bool is_lost)
{
    struct slice topics[WORLD_TOPICS];
    struct group_held held[PARTS_MAX];
    struct group_beat beat = {.group_id = SLICE_LITERAL("group"),
                              .member_id = slice_text(client->id),
                              .client_id = SLICE_LITERAL("client"),
                              .client_host = SLICE_LITERAL("/host"),
                              .member_epoch = epoch,
                              .rebalance_timeout_ms = -1,
                              .member_id_required = true,
                              .held = held};
    if (client->instance[0])
        beat.instance_id = slice_text(client->instance);
    bool is_full = epoch == 0 || (client->is_unsure && epoch > 0);
    for (size_t i = 0; i < client->held_count && (client->is_changed || is_full); i++)
        held[beat.held_count++] = (struct group_held){.topic = client->held[i].topic,
                                                      .partitions = &client->held[i].index,
                                                      .partition_count = 1};
    beat.has_held = client->is_changed || is_full;
    if (is_full) {
        beat.rebalance_timeout_ms = REBALANCE_MS;
        beat.has_topics = true;
        beat.topics = topics;
        for (size_t i = 0; i < WORLD_TOPICS; i++)
            if (client->topics >> i & 1)
                topics[beat.topic_count++] = slice_text(model->world.topics[i].name);
        beat.regex = client->regex ? slice_text(client->regex) : SLICE_NULL;
    }
    enum err err = broker_group_consumer_check(&model->world.env, &beat);
    assert_int_equal(err, ERR_OK);
    err = broker_group_consumer_heartbeat(&model->world.group, &beat);
    assert_false(model->world.group.is_broken);
    if (!err)
        client->heard_ms = model->world.env.now_ms;
    client->is_unsure = client->is_unsure || is_lost;
    if (!err && !is_lost && epoch >= 0)
        take_over(client, &beat);
    broker_group_member_result_free(beat.private);
    if (err == ERR_EPOCH_FENCED || err == ERR_MEMBER_UNKNOWN || err == ERR_FENCED)
        abandon(client);
    return err;
}

static void join(struct model *model, struct client *client)
{
    struct world *world = &model->world;
    size_t number = (size_t)(client - model->clients);
    abandon(client);
    if (!client->has_left || world_pick(world, 2))
        snprintf(client->id, sizeof(client->id), "m%zu-%u", number, ++client->lives);
    client->topics = (unsigned)world_pick(world, 1 << WORLD_TOPICS);
    client->regex = world_pick(world, 4) ? NULL : world_pick(world, 2) ? "topic-[0-2]" : ".*-3|x";
    enum err err = speak(model, client, 0, false);
    if (err == ERR_INSTANCE_HELD)
        return; /* its former life has not timed out yet */
    assert_int_equal(err, ERR_OK);
    client->has_left = false;
    assert_true(client->epoch > 0);
}

static void leave(struct model *model, struct client *client)
{
    bool for_a_while = client->instance[0] && world_pick(&model->world, 2);
    assert_int_equal(speak(model, client, for_a_while ? -2 : -1, false), ERR_OK);
    client->has_left = for_a_while;
    abandon(client);
}

/* Those who have been silent for too long stop by themselves; the server waits as long. */
static void time_passes(struct model *model, int64_t ms)
{
    struct world *world = &model->world;
    world->env.now_ms += ms;
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &model->clients[i];
        if (client->epoch > 0 && world->env.now_ms - client->heard_ms >= world->env.session_ms)
            abandon(client);
    }
    if (world->env.now_ms >= world->group.deadline_ms)
        broker_group_consumer_expire(&world->group);
    /* Whoever did not give up in time is out: it hears of it before anybody reads in its place. */
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &model->clients[i];
        if (client->epoch > 0 &&
            !broker_group_consumer_member_find(&world->group, slice_text(client->id)))
            abandon(client);
    }
}

static void restart(struct model *model)
{
    struct world *world = &model->world;
    int32_t epoch = world->group.epoch;
    int32_t assignment_epoch = world->group.assignment_epoch;
    size_t members = world->group.members.count;
    size_t owners = world->group.owners.count;
    uint64_t before = holdings(&world->group);
    const char *state = broker_group_consumer_state(&world->group);
    world_restart(world);
    assert_int_equal(world->group.epoch, epoch);
    assert_int_equal(world->group.assignment_epoch, assignment_epoch);
    assert_int_equal(world->group.members.count, members);
    assert_int_equal(world->group.owners.count, owners);
    assert_true(holdings(&world->group) == before);
    assert_string_equal(broker_group_consumer_state(&world->group), state);
    for (size_t i = 0; i < CLIENTS; i++) /* sessions run anew */
        if (model->clients[i].epoch > 0)
            model->clients[i].heard_ms = world->env.now_ms;
}

static void topics_change(struct model *model)
{
    struct world *world = &model->world;
    size_t index = world_pick(world, WORLD_TOPICS);
    uint32_t now = world->topics[index].partition_count;
    world_topic_set(
        world, index,
        now > 0 && world_pick(world, 3) == 0 ? 0 : now + 1 + (uint32_t)world_pick(world, 5));
    if (world->topics[index].partition_count > 30)
        world_topic_set(world, index, 0);
}

static void step(struct model *model)
{
    struct world *world = &model->world;
    struct client *client = &model->clients[world_pick(world, CLIENTS)];
    size_t what = world_pick(world, 100);
    if (what < 3)
        topics_change(model);
    else if (what < 6)
        restart(model);
    else if (what < 14)
        time_passes(model, (int64_t)world_pick(world, 8000));
    else if (what < 15)
        time_passes(model, (int64_t)world_pick(world, 60000));
    else if (what < 17 && client->epoch > 0)
        leave(model, client);
    else if (client->epoch == 0)
        join(model, client);
    else
        speak(model, client, client->epoch, world_pick(world, 10) == 0);
}

/* Everybody who is there, and what each partition of a topic that somebody reads has: one. */
static void everything_is_read(struct model *model)
{
    struct world *world = &model->world;
    for (size_t round = 0; round < 40; round++) {
        time_passes(model, 2000);
        for (size_t i = 0; i < CLIENTS; i++) {
            struct client *client = &model->clients[i];
            if (client->epoch > 0)
                speak(model, client, client->epoch, false);
            nobody_shares(model);
        }
    }
    if (world->group.members.count == 0)
        return;
    assert_string_equal(broker_group_consumer_state(&world->group), "Stable");
    for (size_t t = 0; t < WORLD_TOPICS; t++) {
        const struct world_topic *topic = &world->topics[t];
        bool is_read = broker_group_consumer_is_subscribed(&world->group, slice_text(topic->name));
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            struct group_part part = {.topic = topic->id, .index = (int32_t)p};
            size_t readers = 0;
            for (size_t i = 0; i < CLIENTS; i++)
                readers += holds(&model->clients[i], &part);
            assert_int_equal(readers, is_read ? 1 : 0);
        }
    }
}

static void what_always_holds(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct model *model = calloc(1, sizeof(*model));
        assert_non_null(model);
        world_init(&model->world, seed);
        for (size_t i = 0; i < CLIENTS; i++)
            if (i % 3 == 0)
                snprintf(model->clients[i].instance, sizeof(model->clients[i].instance), "i%zu", i);
        for (size_t i = 0; i < STEPS; i++) {
            step(model);
            nobody_shares(model);
            commits_hold(model);
            epochs_grow(model);
            if (i % 300 == 299)
                everything_is_read(model);
        }
        world_deinit(&model->world);
        free(model);
    }
}

/* Where a record cannot be written nothing is answered; what the log says is a whole state. */
static void what_cannot_be_written_breaks_it(void **state)
{
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    struct world *world = &model->world;
    world_init(world, 5);
    world_topic_set(world, 0, 4);
    struct client *client = &model->clients[0];
    snprintf(client->id, sizeof(client->id), "m");
    client->topics = 1;
    assert_int_equal(speak(model, client, 0, false), ERR_OK);
    assert_int_equal(client->held_count, 4);
    world->fails = true;
    world_topic_set(world, 0, 6);
    struct group_beat beat = {.group_id = SLICE_LITERAL("group"),
                              .member_id = slice_text("m"),
                              .member_epoch = client->epoch,
                              .rebalance_timeout_ms = -1};
    assert_int_not_equal(broker_group_consumer_heartbeat(&world->group, &beat), ERR_OK);
    assert_true(world->group.is_broken);
    world->fails = false;
    world_restart(world);
    assert_int_equal(world->group.epoch, 2);
    assert_int_equal(speak(model, client, client->epoch, false), ERR_OK);
    assert_int_equal(client->held_count, 6);
    world_deinit(world);
    free(model);
}

/* A heartbeat that changes nothing writes nothing. */
static void rest_costs_nothing(void **state)
{
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    struct world *world = &model->world;
    world_init(world, 6);
    world_topic_set(world, 0, 4);
    for (size_t i = 0; i < 4; i++) {
        snprintf(model->clients[i].id, sizeof(model->clients[i].id), "m%zu", i);
        model->clients[i].topics = 1;
        assert_int_equal(speak(model, &model->clients[i], 0, false), ERR_OK);
    }
    everything_is_read(model);
    world->written = 0;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(speak(model, &model->clients[i], model->clients[i].epoch, false), ERR_OK);
    assert_int_equal(world->written, 0);
    world_deinit(world);
    free(model);
}

/* A static member comes back under the id of somebody else: two would have one name. */
/* Two readers of four partitions; one has not heard yet that there is a newer epoch. */
static void an_older_epoch_commits_what_it_had(void **state)
{
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    struct world *world = &model->world;
    struct client *a = &model->clients[0];
    struct client *b = &model->clients[1];
    struct slice id = SLICE_LITERAL("a");
    bool is_each;
    world_init(world, 1);
    world_topic_set(world, 0, 4);
    for (size_t i = 0; i < 2; i++) {
        snprintf(model->clients[i].id, sizeof(a->id), "%c", (char)('a' + i));
        model->clients[i].topics = 1;
        assert_int_equal(speak(model, &model->clients[i], 0, false), ERR_OK);
    }
    struct group_part lost = a->held[3];
    int32_t epoch = a->epoch;
    for (size_t i = 0; i < 4; i++) /* gives two up and takes the newest epoch */
        assert_int_equal(speak(model, a, a->epoch, false), ERR_OK);
    assert_true(a->epoch > epoch);
    assert_int_equal(a->held_count, 2);
    if (holds(a, &lost))
        lost.index = 0;
    const struct group_consumer *group = &world->group;
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(broker_group_consumer_commit_check(group, id, a->epoch, &is_each), ERR_OK);
        assert_false(is_each);
        assert_int_equal(broker_group_consumer_commit_check(group, id, a->epoch + 1, &is_each),
                         ERR_EPOCH_STALE);
        assert_int_equal(broker_group_consumer_commit_check(group, id, epoch, &is_each), ERR_OK);
        assert_true(is_each);
        assert_int_equal(broker_group_consumer_commit_check_part(group, id, epoch, &a->held[0]),
                         ERR_OK);
        assert_int_equal(broker_group_consumer_commit_check_part(group, id, epoch - 1, &a->held[0]),
                         ERR_EPOCH_STALE);
        assert_int_equal(broker_group_consumer_commit_check_part(group, id, epoch, &lost),
                         ERR_EPOCH_STALE);
        world_restart(world);
    }
    assert_int_equal(speak(model, b, b->epoch, false), ERR_OK);
    assert_int_equal(b->held_count, 2);
    world_deinit(world);
    free(model);
}

static void ids_stay_unique(void **state)
{
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    struct world *world = &model->world;
    world_init(world, 7);
    world_topic_set(world, 0, 4);
    struct client *other = &model->clients[0];
    struct client *of_place = &model->clients[1];
    snprintf(other->id, sizeof(other->id), "taken");
    snprintf(of_place->id, sizeof(of_place->id), "own");
    snprintf(of_place->instance, sizeof(of_place->instance), "place");
    other->topics = of_place->topics = 1;
    assert_int_equal(speak(model, other, 0, false), ERR_OK);
    assert_int_equal(speak(model, of_place, 0, false), ERR_OK);
    assert_int_equal(speak(model, of_place, CONSUMER_EPOCH_LEAVE_STATIC, false), ERR_OK);
    snprintf(of_place->id, sizeof(of_place->id), "taken");
    assert_int_equal(speak(model, of_place, 0, false), ERR_FENCED);
    assert_int_equal(world->group.members.count, 2);
    snprintf(of_place->id, sizeof(of_place->id), "free");
    assert_int_equal(speak(model, of_place, 0, false), ERR_OK);
    assert_int_equal(world->group.members.count, 2);
    world_deinit(world);
    free(model);
}

/* A member's heartbeat with an expression. */
static enum err speak_regex(struct world *world, const char *text, int32_t epoch)
{
    struct group_beat beat = {.group_id = SLICE_LITERAL("group"),
                              .member_id = SLICE_LITERAL("m"),
                              .client_id = SLICE_LITERAL("client"),
                              .client_host = SLICE_LITERAL("/host"),
                              .regex = slice_text(text),
                              .has_held = true,
                              .member_epoch = epoch,
                              .rebalance_timeout_ms = REBALANCE_MS};
    enum err err = broker_group_consumer_heartbeat(&world->group, &beat);
    broker_group_member_result_free(beat.private);
    return err;
}

/* What an expression finds follows the changes of topics without a look at all of them. */
static void expressions_look_at_topics_that_changed(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world_init(world, 1);
    const struct group_consumer *group = &world->group;
    world_topic_set(world, 1, 1);
    assert_int_equal(speak_regex(world, "topic-[0-3]", 0), ERR_OK);
    struct slice id = SLICE_LITERAL("m");
    size_t walks = world->walks;
    for (size_t i = 0; i < 40; i++) {
        size_t index = world_pick(world, WORLD_TOPICS);
        for (size_t n = 0; n < 1 + i % 3; n++, index = (index + 1) % WORLD_TOPICS)
            world_topic_set(world, index, world->topics[index].partition_count ? 0 : 2);
        world->env.now_ms += CONSUMER_MATCH_MS;
        int32_t epoch = broker_group_consumer_member_find(group, id)->epoch;
        assert_int_equal(speak_regex(world, "topic-[0-3]", epoch), ERR_OK);
        for (size_t t = 0; t < WORLD_TOPICS; t++)
            assert_int_equal(
                broker_group_consumer_is_subscribed(group, slice_text(world->topics[t].name)),
                t <= 3 && world->topics[t].partition_count > 0);
    }
    assert_int_equal(world->walks, walks);
    for (size_t i = 0; i < WORLD_KNOWN + 1; i++) /* more than is remembered */
        world_topic_set(world, 0, world->topics[0].partition_count ? 0 : 2);
    world->env.now_ms += CONSUMER_MATCH_MS;
    int32_t epoch = broker_group_consumer_member_find(group, id)->epoch;
    assert_int_equal(speak_regex(world, "topic-[0-3]", epoch), ERR_OK);
    assert_int_equal(world->walks, walks + 1);
    assert_int_equal(broker_group_consumer_is_subscribed(group, SLICE_LITERAL("topic-0")),
                     world->topics[0].partition_count > 0);
    world_deinit(world);
    free(world);
}

/* Expressions that cost too much are refused, and hurt nobody who is there. */
static void costly_expressions_are_refused(void **state)
{
    static const char costly[] = "(?:(?:t?o?p?i?c?-?0?a?){100}){12}";
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world_init(world, 8);
    for (size_t i = 0; i < WORLD_TOPICS; i++)
        world_topic_set(world, i, 1);
    assert_int_equal(speak_regex(world, "topic-[0-3]", 0), ERR_OK);
    int32_t epoch = world->group.epoch;
    world->topic_repeats = 1000; /* so many times are they there */
    assert_int_equal(speak_regex(world, costly, epoch), ERR_REGEX);
    assert_int_equal(speak_regex(world, "(", epoch), ERR_REGEX);
    assert_false(world->group.is_broken);
    assert_int_equal(world->group.epoch, epoch);
    /* One that was cheap enough becomes too costly: its members hear of it, and live. */
    world->topic_repeats = 0;
    assert_int_equal(speak_regex(world, costly, epoch), ERR_OK);
    epoch = world->group.epoch;
    world->topic_repeats = 1000;
    for (uint32_t i = 0; i <= WORLD_KNOWN; i++) /* all topics are looked at */
        world_topic_set(world, 1, 2 + i);
    world->env.now_ms += CONSUMER_MATCH_MS;
    assert_int_equal(speak_regex(world, costly, epoch), ERR_OK); /* the last that worked */
    epoch = world->group.epoch;
    assert_int_equal(speak_regex(world, costly, epoch), ERR_REGEX);
    assert_false(world->group.is_broken);
    assert_int_equal(speak_regex(world, "topic-.*", epoch), ERR_OK);
    world_deinit(world);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_always_holds),
        cmocka_unit_test(what_cannot_be_written_breaks_it),
        cmocka_unit_test(rest_costs_nothing),
        cmocka_unit_test(an_older_epoch_commits_what_it_had),
        cmocka_unit_test(ids_stay_unique),
        cmocka_unit_test(expressions_look_at_topics_that_changed),
        cmocka_unit_test(costly_expressions_are_refused),
    };
    return cmocka_run_group_tests_name("broker/group_consumer", tests, NULL, NULL);
}
