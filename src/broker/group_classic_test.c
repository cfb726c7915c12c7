// Plays random groups against the state machine in virtual time; its rules hold at every step.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/group_state.h"

#define CLIENTS_MAX 8
#define WRITES_MAX  256

enum client_phase { CLIENT_OUT, CLIENT_JOINING, CLIENT_JOINED, CLIENT_SYNCING, CLIENT_IN };

/* Any of the two calls that wait. */
struct parked {
    struct group_join join;
    struct group_sync sync;
    bool join_out; /* asked and not answered */
    bool sync_out;
    unsigned owner;
    char member_id[96];
    struct group_protocol protocols[2];
};

struct client {
    enum client_phase phase;
    char member_id[96];
    char instance_id[16];
    bool is_static;
    bool crashed; /* asks no more; its answers are dropped */
    int32_t generation;
    bool leads;
    char assignment[64];
    char metadata[16];
    struct parked *call; /* the one that it waits for */
};

struct pending_write {
    struct group_write write;
    char member_id[96];
};

struct world {
    struct group_env env;
    struct group group;
    struct budget budget;
    uint64_t seed;
    struct client clients[CLIENTS_MAX];
    struct parked *parked[4096];
    size_t parked_count;
    struct pending_write writes[WRITES_MAX];
    size_t write_count;
    unsigned long asked;
    unsigned long answered;
    unsigned long stable;
    unsigned long skips;
    int32_t generation_seen;
    int fail_writes_percent;
};

static uint64_t world_random(struct world *world)
{
    world->seed = world->seed * 6364136223846793005u + 1442695040888963407u;
    return world->seed >> 11;
}

static uint64_t env_random(struct group_env *env)
{
    struct world *world = CONTAINER_OF(env, struct world, env);
    return world_random(world) << 32 ^ world_random(world);
}

static void text_of(char *out, size_t size, struct slice bytes)
{
    assert_true(bytes.size < size);
    if (bytes.size > 0)
        memcpy(out, bytes.data, bytes.size);
    out[bytes.size] = 0;
}

static void join_answered(struct world *world, struct parked *parked)
{
    struct group_join *join = &parked->join;
    struct client *client = &world->clients[parked->owner];
    assert_true(parked->join_out);
    parked->join_out = false;
    world->answered++;
    if (client->call == parked) {
        client->call = NULL;
        client->phase = CLIENT_OUT;
        if (join->call.err == ERR_OK) {
            client->phase = CLIENT_JOINED;
            text_of(client->member_id, sizeof(client->member_id), join->member_id_out);
            client->generation = join->generation;
            client->leads = slice_equal_text(join->leader_id, client->member_id);
            world->skips += join->skip_assignment;
            assert_int_equal(join->generation, world->group.generation);
            assert_true(client->leads || join->member_count == 0);
            assert_true(!client->leads || join->member_count == world->group.members.count);
        } else if (join->call.err == ERR_MEMBER_ID_REQUIRED) {
            text_of(client->member_id, sizeof(client->member_id), join->member_id_out);
        } else {
            client->member_id[0] = 0;
        }
    }
    broker_group_member_result_free(join->private);
}

static void sync_answered(struct world *world, struct parked *parked)
{
    struct group_sync *sync = &parked->sync;
    struct client *client = &world->clients[parked->owner];
    assert_true(parked->sync_out);
    parked->sync_out = false;
    world->answered++;
    if (client->call == parked) {
        client->call = NULL;
        client->phase = CLIENT_OUT;
        if (sync->call.err == ERR_OK) {
            client->phase = CLIENT_IN;
            text_of(client->assignment, sizeof(client->assignment), sync->assignment);
        } else if (sync->call.err != ERR_REBALANCE) {
            client->member_id[0] = 0;
        }
    }
    broker_group_member_result_free(sync->private);
}

static void env_answer(struct group_env *env, struct broker_call *call)
{
    struct world *world = CONTAINER_OF(env, struct world, env);
    for (size_t i = 0; i < world->parked_count; i++) {
        if (&world->parked[i]->join.call == call) {
            join_answered(world, world->parked[i]);
            return;
        }
        if (&world->parked[i]->sync.call == call) {
            sync_answered(world, world->parked[i]);
            return;
        }
    }
    fail_msg("an answer for nobody, or twice");
}

static enum err env_write(struct group_env *env, struct group *group,
                          const struct group_write *write)
{
    struct world *world = CONTAINER_OF(env, struct world, env);
    if (world->fail_writes_percent > 0 && world_random(world) % 16 == 0)
        return ERR_NO_MEMORY;
    assert_true(world->write_count < WRITES_MAX);
    struct pending_write *pending = &world->writes[world->write_count++];
    pending->write = *write;
    if (write->kind == GROUP_WRITE_REPLACED) {
        text_of(pending->member_id, sizeof(pending->member_id), write->member_id);
        pending->write.member_id = slice_text(pending->member_id);
    }
    return ERR_OK;
}

static struct parked *call_new(struct world *world, unsigned owner)
{
    for (size_t i = 0; i < world->parked_count; i++) {
        struct parked *parked = world->parked[i];
        if (parked->join_out || parked->sync_out)
            continue;
        memset(parked, 0, sizeof(*parked));
        parked->owner = owner;
        return parked;
    }
    assert_true(world->parked_count < COUNT_OF(world->parked));
    struct parked *parked = calloc(1, sizeof(*parked));
    parked->owner = owner;
    world->parked[world->parked_count++] = parked;
    return parked;
}

static struct slice instance_of(const struct client *client)
{
    return client->is_static ? slice_text(client->instance_id) : SLICE_NULL;
}

static void client_join(struct world *world, unsigned index)
{
    struct client *client = &world->clients[index];
    struct parked *parked = call_new(world, index);
    snprintf(parked->member_id, sizeof(parked->member_id), "%s", client->member_id);
    if (world_random(world) % 4 == 0)
        snprintf(client->metadata, sizeof(client->metadata), "m%u",
                 (unsigned)(world_random(world) % 9));
    parked->protocols[0] =
        (struct group_protocol){SLICE_LITERAL("range"), slice_text(client->metadata)};
    parked->protocols[1] = (struct group_protocol){SLICE_LITERAL("sticky"), SLICE_LITERAL("s")};
    bool swap = world_random(world) % 3 == 0;
    if (swap) {
        struct group_protocol first = parked->protocols[0];
        parked->protocols[0] = parked->protocols[1];
        parked->protocols[1] = first;
    }
    parked->join = (struct group_join){.member_id = slice_text(parked->member_id),
                                       .instance_id = instance_of(client),
                                       .client_id = SLICE_LITERAL("client"),
                                       .client_host = SLICE_LITERAL("/127.0.0.1"),
                                       .protocol_type = SLICE_LITERAL("consumer"),
                                       .protocols = parked->protocols,
                                       .protocol_count = 2,
                                       .session_timeout_ms = 10000,
                                       .rebalance_timeout_ms = 60000,
                                       .member_id_required = world_random(world) % 2,
                                       .skip_assignment_known = world_random(world) % 2};
    parked->join_out = true;
    world->asked++;
    client->phase = CLIENT_JOINING;
    client->call = parked;
    broker_group_classic_join(&world->group, &parked->join);
}

static void client_sync(struct world *world, unsigned index)
{
    struct client *client = &world->clients[index];
    struct parked *parked = call_new(world, index);
    snprintf(parked->member_id, sizeof(parked->member_id), "%s", client->member_id);
    parked->sync = (struct group_sync){.member_id = slice_text(parked->member_id),
                                       .instance_id = instance_of(client),
                                       .generation = client->generation};
    struct group_assignment assignments[CLIENTS_MAX * 4];
    char texts[CLIENTS_MAX * 4][64];
    size_t count = 0;
    if (client->leads) {
        list_for_each (node, &world->group.order) {
            const struct group_member *member = LIST_ENTRY(node, struct group_member, node);
            if (count == COUNT_OF(assignments))
                break;
            snprintf(texts[count], sizeof(texts[count]), "%d:%.8s", client->generation,
                     (const char *)member->id.data + member->id.size - 12);
            assignments[count].member_id = member->id;
            assignments[count].assignment = slice_text(texts[count]);
            count++;
        }
    }
    parked->sync.assignments = assignments;
    parked->sync.assignment_count = count;
    parked->sync_out = true;
    world->asked++;
    client->phase = CLIENT_SYNCING;
    client->call = parked;
    broker_group_classic_sync(&world->group, &parked->sync);
}

static void client_heartbeat(struct world *world, unsigned index)
{
    struct client *client = &world->clients[index];
    struct group_heartbeat heartbeat = {.member_id = slice_text(client->member_id),
                                        .instance_id = instance_of(client),
                                        .generation = client->generation};
    enum err err = broker_group_classic_heartbeat(&world->group, &heartbeat);
    if (err == ERR_OK)
        return;
    client->phase = CLIENT_OUT;
    if (err != ERR_REBALANCE)
        client->member_id[0] = 0;
}

static void client_leave(struct world *world, unsigned index)
{
    struct client *client = &world->clients[index];
    struct group_leaver leaver = {.member_id = slice_text(client->member_id)};
    if (client->is_static && world_random(world) % 2)
        leaver =
            (struct group_leaver){.member_id = slice_text(""), .instance_id = instance_of(client)};
    broker_group_classic_leave(&world->group, &leaver, 1);
    client->phase = CLIENT_OUT;
    client->call = NULL;
    client->member_id[0] = 0;
}

/* --- the rules --- */

static void check_members(struct world *world)
{
    const struct group *group = &world->group;
    size_t joining = 0;
    size_t count = 0;
    bool leader_seen = false;
    list_for_each (node, &group->order) {
        const struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        count++;
        joining += member->join != NULL;
        leader_seen |= member == group->leader;
        assert_ptr_equal(broker_group_member_find(group, member->id), member);
        if (member->instance_id.data)
            assert_ptr_equal(map_get(&group->instances, member->instance_id), member);
        bool excused = !member->is_new && (member->join || member->sync);
        if (!excused) {
            assert_true(member->deadline_ms >= group->deadline_ms);
            assert_true(member->deadline_ms > world->env.now_ms);
        }
        if (member->sync)
            assert_int_equal(group->state, GROUP_COMPLETING);
    }
    assert_int_equal(count, group->members.count);
    assert_int_equal(joining, group->joining);
    assert_true(leader_seen == (count > 0));
    assert_true((group->leader != NULL) == (count > 0));
}

static void check_state(struct world *world)
{
    const struct group *group = &world->group;
    assert_true(group->generation >= world->generation_seen);
    world->generation_seen = group->generation;
    if (group->state == GROUP_EMPTY)
        assert_int_equal(group->members.count, 0);
    if (group->state == GROUP_PREPARING) {
        assert_true(group->join_deadline_ms != GROUP_NEVER_MS);
        assert_true(group->join_deadline_ms <= world->env.now_ms + 60000);
    }
    if (group->state == GROUP_COMPLETING)
        assert_true(group->sync_deadline_ms <= world->env.now_ms + 60000);
    assert_true(group->deadline_ms <= group->join_deadline_ms);
    assert_true(group->deadline_ms <= group->sync_deadline_ms);
}

/* In a stable group everybody has what its leader decided in this generation. */
static void check_assignments(struct world *world)
{
    const struct group *group = &world->group;
    if (group->state != GROUP_STABLE)
        return;
    world->stable++;
    list_for_each (node, &group->order) {
        const struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        char prefix[16];
        snprintf(prefix, sizeof(prefix), "%d:", group->generation);
        assert_true(member->assignment.size > strlen(prefix));
        assert_memory_equal(member->assignment.data, prefix, strlen(prefix));
    }
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        const struct client *client = &world->clients[i];
        const struct group_member *member =
            broker_group_member_find(group, slice_text(client->member_id));
        if (client->phase == CLIENT_IN && client->generation == group->generation && member)
            assert_true(slice_equal_text(member->assignment, client->assignment));
    }
}

static void check_world(struct world *world)
{
    check_members(world);
    check_state(world);
    check_assignments(world);
    unsigned long waiting = 0;
    for (size_t i = 0; i < world->parked_count; i++)
        waiting += (unsigned)world->parked[i]->join_out + (unsigned)world->parked[i]->sync_out;
    assert_int_equal(world->asked, world->answered + waiting);
}

static void write_finish(struct world *world)
{
    struct pending_write first = world->writes[0];
    world->write_count--;
    memmove(world->writes, world->writes + 1, world->write_count * sizeof(first));
    for (size_t i = 0; i < world->write_count; i++)
        world->writes[i].write.member_id = slice_text(world->writes[i].member_id);
    first.write.member_id = slice_text(first.member_id);
    bool fails = (int)(world_random(world) % 100) < world->fail_writes_percent;
    broker_group_classic_written(&world->group, &first.write, fails ? ERR_DISK_FULL : ERR_OK);
}

static void world_init(struct world *world, uint64_t seed)
{
    memset(world, 0, sizeof(*world));
    world->seed = seed * 2654435761u + 12345;
    budget_init(&world->budget, 1 << 20);
    world->env = (struct group_env){.now_ms = 1000,
                                    .wall_ms = 5000,
                                    .budget = &world->budget,
                                    .initial_delay_ms = 3000,
                                    .size_max = seed % 5 == 0 ? 3 : 100,
                                    .session_ms_min = 6000,
                                    .session_ms_max = 1800000,
                                    .random = env_random,
                                    .answer = env_answer,
                                    .write = env_write};
    assert_int_equal(broker_group_classic_init(&world->group, &world->env, SLICE_LITERAL("group")),
                     ERR_OK);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &world->clients[i];
        client->is_static = i % 3 == 2;
        snprintf(client->instance_id, sizeof(client->instance_id), "instance-%u", i);
        snprintf(client->metadata, sizeof(client->metadata), "m");
    }
}

/* Everything is answered in the end, and all memory has come back. */
static void world_deinit(struct world *world)
{
    broker_group_classic_kill(&world->group, ERR_CLOSED);
    assert_int_equal(world->asked, world->answered);
    broker_group_classic_deinit(&world->group);
    assert_int_equal(budget_used(&world->budget), 0);
    for (size_t i = 0; i < world->parked_count; i++)
        free(world->parked[i]);
}

static void time_pass(struct world *world, int64_t ms)
{
    world->env.now_ms += ms;
    world->env.wall_ms += ms;
    if (world->group.deadline_ms <= world->env.now_ms)
        broker_group_classic_expire(&world->group);
}

static void client_restart(struct client *client)
{
    client->phase = CLIENT_OUT;
    client->crashed = false;
    client->call = NULL;
    client->member_id[0] = 0;
}

/* Who is out comes back, who is in comes again now and then, who waits is impatient. */
static bool client_asks_to_join(const struct client *client, unsigned dice)
{
    switch (client->phase) {
    case CLIENT_OUT:
        return true;
    case CLIENT_JOINED:
        return false;
    case CLIENT_IN:
        return dice < 12;
    default:
        return dice < 9;
    }
}

static void client_step(struct world *world, unsigned index)
{
    struct client *client = &world->clients[index];
    unsigned dice = (unsigned)(world_random(world) % 100);
    if (client->crashed) {
        if (dice < 10)
            client_restart(client);
    } else if (dice < 4) {
        client->crashed = true;
        client->call = NULL;
    } else if (dice < 7 && client->member_id[0]) {
        client_leave(world, index);
    } else if (client_asks_to_join(client, dice)) {
        client_join(world, index);
    } else if (client->phase == CLIENT_JOINED) {
        client_sync(world, index);
    } else if (client->phase == CLIENT_IN) {
        client_heartbeat(world, index);
    }
}

static void test_random_groups(void **state)
{
    unsigned long stable = 0;
    unsigned long skips = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct world *world = calloc(1, sizeof(*world));
        world_init(world, seed);
        world->fail_writes_percent = seed % 3 == 0 ? 20 : 0;
        unsigned clients = 1 + (unsigned)(seed % CLIENTS_MAX);
        for (unsigned step = 0; step < 1500; step++) {
            unsigned dice = (unsigned)(world_random(world) % 10);
            if (dice < 5)
                client_step(world, (unsigned)(world_random(world) % clients));
            else if (dice < 8 && world->write_count > 0)
                write_finish(world);
            else
                time_pass(world, (int64_t)(world_random(world) % (seed % 7 == 0 ? 9000 : 900)));
            check_world(world);
        }
        stable += world->stable;
        skips += world->skips;
        world_deinit(world);
        free(world);
    }
    assert_true(stable > 10000);
    assert_true(skips > 0);
}

/* --- single rules --- */

static void two_join(struct world *world)
{
    world_init(world, 1);
    for (unsigned i = 0; i < 2; i++) {
        while (world->clients[i].phase != CLIENT_JOINING ||
               !world->clients[i].call) /* the handshake may take two */
            client_join(world, i);
    }
    assert_int_equal(world->group.state, GROUP_PREPARING);
}

static void test_initial_delay(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    two_join(world);
    time_pass(world, 2999);
    assert_int_equal(world->group.state, GROUP_PREPARING);
    time_pass(world, 1); /* the second came meanwhile: once more */
    assert_int_equal(world->group.state, GROUP_PREPARING);
    time_pass(world, 3000);
    assert_int_equal(world->group.state, GROUP_COMPLETING);
    assert_int_equal(world->group.generation, 1);
    world_deinit(world);
    free(world);
}

static void make_stable(struct world *world, unsigned count)
{
    time_pass(world, 3000);
    time_pass(world, 3000);
    for (unsigned i = 0; i < count; i++)
        client_sync(world, i);
    while (world->write_count > 0)
        write_finish(world);
    assert_int_equal(world->group.state, GROUP_STABLE);
    check_world(world);
}

static void test_written_before_told(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    two_join(world);
    time_pass(world, 3000);
    time_pass(world, 3000);
    client_sync(world, 0);
    client_sync(world, 1);
    assert_int_equal(world->group.state, GROUP_COMPLETING);
    assert_int_equal(world->clients[0].phase, CLIENT_SYNCING);
    assert_int_equal(world->clients[1].phase, CLIENT_SYNCING);
    write_finish(world);
    assert_int_equal(world->group.state, GROUP_STABLE);
    assert_int_equal(world->clients[1].phase, CLIENT_IN);
    world_deinit(world);
    free(world);
}

static void test_session_timeout(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    two_join(world);
    make_stable(world, 2);
    for (unsigned i = 0; i < 3; i++) {
        time_pass(world, 5000);
        client_heartbeat(world, 0);
    }
    assert_int_equal(world->group.members.count, 1);
    assert_int_equal(world->group.state, GROUP_PREPARING);
    assert_int_equal(world->clients[0].phase, CLIENT_OUT); /* told to join again */
    world_deinit(world);
    free(world);
}

static void test_sync_timeout(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    two_join(world);
    time_pass(world, 3000);
    time_pass(world, 3000);
    client_sync(world, 0);
    write_finish(world);
    for (unsigned i = 0; i < 11; i++) { /* alive, but it never syncs */
        time_pass(world, 5500);
        client_heartbeat(world, 0);
        client_heartbeat(world, 1);
    }
    assert_int_equal(world->group.members.count, 1);
    assert_int_equal(world->group.state, GROUP_PREPARING);
    world_deinit(world);
    free(world);
}

static void test_static_member_keeps_its_assignment(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    world_init(world, 1);
    world->clients[0].is_static = true;
    client_join(world, 0);
    make_stable(world, 1);
    char before[64];
    char old_id[96];
    memcpy(before, world->clients[0].assignment, sizeof(before));
    memcpy(old_id, world->clients[0].member_id, sizeof(old_id));
    client_restart(&world->clients[0]);
    snprintf(world->clients[0].metadata, sizeof(world->clients[0].metadata), "m");
    do {
        client_restart(&world->clients[0]);
        client_join(world, 0);
        while (world->write_count > 0)
            write_finish(world);
    } while (world->group.state != GROUP_STABLE);
    assert_int_equal(world->group.generation, 1);
    struct group_heartbeat heartbeat = {
        .member_id = slice_text(old_id), .instance_id = slice_text("instance-0"), .generation = 1};
    assert_int_equal(broker_group_classic_heartbeat(&world->group, &heartbeat), ERR_FENCED);
    client_sync(world, 0);
    assert_int_equal(world->clients[0].phase, CLIENT_IN);
    assert_string_equal(world->clients[0].assignment, before);
    world_deinit(world);
    free(world);
}

static void test_commit_rules(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    world_init(world, 1);
    struct group_commit commit = {.member_id = slice_text(""), .generation = -1};
    assert_int_equal(broker_group_classic_commit_check(&world->group, &commit), ERR_OK);
    world_deinit(world);
    two_join(world);
    make_stable(world, 2);
    assert_int_equal(broker_group_classic_commit_check(&world->group, &commit), ERR_MEMBER_UNKNOWN);
    commit.member_id = slice_text(world->clients[0].member_id);
    assert_int_equal(broker_group_classic_commit_check(&world->group, &commit), ERR_GENERATION);
    struct group_heartbeat stale = {.member_id = commit.member_id, .generation = 2};
    assert_int_equal(broker_group_classic_heartbeat(&world->group, &stale), ERR_GENERATION);
    commit.generation = 1;
    assert_int_equal(broker_group_classic_commit_check(&world->group, &commit), ERR_OK);
    world_deinit(world);
    free(world);
}

/* A few members may name very many: looked for one by one they would take minutes. */
static void test_many_protocols(void **state)
{
    enum { MEMBERS = 300, OWN = GROUP_PROTOCOLS_MAX - 1 };
    static char names[OWN + 1][32];
    struct world *world = calloc(1, sizeof(*world));
    struct group_protocol protocols[OWN + 1];
    assert_non_null(world);
    world_init(world, 1);
    world->budget.size_max = 64 << 20;
    struct group *group = &world->group;
    struct group_join join = {.protocol_type = SLICE_LITERAL("consumer"),
                              .protocols = protocols,
                              .protocol_count = OWN + 1};
    for (int m = 0; m < MEMBERS; m++) {
        char id[16];
        struct group_member *member = NULL;
        snprintf(id, sizeof(id), "m%d", m);
        for (int i = 0; i < OWN; i++) {
            snprintf(names[i], sizeof(names[i]), "%d-%d", m, i);
            protocols[i] = (struct group_protocol){slice_text(names[i]), SLICE_LITERAL("x")};
        }
        protocols[OWN] = (struct group_protocol){SLICE_LITERAL("all"), SLICE_LITERAL("x")};
        assert_int_equal(broker_group_member_add(group, slice_text(id), &join, &member), ERR_OK);
    }
    assert_int_equal(group->votes.count, MEMBERS * OWN + 1);
    assert_true(slice_equal_text(broker_group_rebalance_vote(group), "all"));
    while (group->members.count > 1)
        broker_group_member_remove(
            group, LIST_ENTRY(list_first(&group->order), struct group_member, node));
    assert_int_equal(group->votes.count, OWN + 1);
    assert_true(slice_equal_text(broker_group_rebalance_vote(group), "299-0"));
    world_deinit(world);
    free(world);
}

static void test_moves(void **state)
{
    assert_true(broker_group_rebalance_is_allowed(GROUP_EMPTY, GROUP_PREPARING));
    assert_false(broker_group_rebalance_is_allowed(GROUP_EMPTY, GROUP_STABLE));
    assert_false(broker_group_rebalance_is_allowed(GROUP_PREPARING, GROUP_STABLE));
    assert_false(broker_group_rebalance_is_allowed(GROUP_STABLE, GROUP_EMPTY));
    assert_false(broker_group_rebalance_is_allowed(GROUP_DEAD, GROUP_EMPTY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_initial_delay),
        cmocka_unit_test(test_written_before_told),
        cmocka_unit_test(test_session_timeout),
        cmocka_unit_test(test_sync_timeout),
        cmocka_unit_test(test_static_member_keeps_its_assignment),
        cmocka_unit_test(test_commit_rules),
        cmocka_unit_test(test_many_protocols),
        cmocka_unit_test(test_random_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
