// Groups over a broker: membership and offsets from every core, found again after a restart.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "broker/broker_fixture.h"
#include "broker/group.h"
#include "broker/state.h"

static void join_fn(struct core *core, void *arg)
{
    broker_group_join(core, arg);
}

static void sync_fn(struct core *core, void *arg)
{
    broker_group_sync(core, arg);
}

static void heartbeat_fn(struct core *core, void *arg)
{
    broker_group_heartbeat(core, arg);
}

static void leave_fn(struct core *core, void *arg)
{
    broker_group_leave(core, arg);
}

static void commit_fn(struct core *core, void *arg)
{
    broker_group_commit(core, arg);
}

static void fetch_fn(struct core *core, void *arg)
{
    broker_group_fetch(core, arg);
}

static void describe_fn(struct core *core, void *arg)
{
    broker_group_describe(core, arg);
}

static void delete_fn(struct core *core, void *arg)
{
    broker_group_delete(core, arg);
}

/* The first generation begins at once. */
static struct fixture *groups_new(void **state)
{
    struct fixture *f = fixture_new(*(unsigned *)*state);
    fixture_stop(f);
    f->store.is_keeping = true;
    f->settings.group_initial_rebalance_delay_ms = 0;
    f->settings.offsets_topic_num_partitions = 5;
    fixture_start(f);
    return f;
}

static void restart(struct fixture *f)
{
    fixture_stop(f);
    fixture_start(f);
}

static enum err commit_one(struct fixture *f, const char *group, int32_t partition, int64_t offset)
{
    struct group_offset one = {.topic = SLICE_LITERAL("orders"),
                               .partition = partition,
                               .offset = offset,
                               .leader_epoch = 7,
                               .metadata = SLICE_LITERAL("words"),
                               .commit_ms = -1};
    struct group_commit commit = {.group_id = slice_text(group),
                                  .member_id = slice_text(""),
                                  .generation = -1,
                                  .retention_ms = -1,
                                  .offsets = &one,
                                  .offset_count = 1};
    enum err err = fixture_call(f, f->core_count - 1, &commit.call, commit_fn, &commit);
    return err ? err : one.err;
}

static int64_t fetch_one(struct fixture *f, const char *group, int32_t partition)
{
    struct group_offset one = {.topic = SLICE_LITERAL("orders"), .partition = partition};
    struct group_fetch fetch = {.group_id = slice_text(group), .offsets = &one, .offset_count = 1};
    arena_init(&fetch.arena, 1 << 20);
    assert_int_equal(fixture_call(f, f->core_count - 1, &fetch.call, fetch_fn, &fetch), ERR_OK);
    if (one.offset >= 0) {
        assert_true(slice_equal_text(one.metadata, "words"));
        assert_int_equal(one.leader_epoch, 7);
    }
    arena_deinit(&fetch.arena);
    return one.offset;
}

static void committed_offsets_survive_a_restart(void **state)
{
    struct fixture *f = groups_new(state);
    assert_int_equal(fetch_one(f, "g0", 0), -1);
    for (int32_t i = 0; i < 20; i++) {
        char group[16];
        snprintf(group, sizeof(group), "g%d", i);
        assert_int_equal(commit_one(f, group, i, 1000 + i), ERR_OK);
        assert_int_equal(commit_one(f, group, i, 2000 + i), ERR_OK);
    }
    for (unsigned round = 0; round < 2; round++) {
        for (int32_t i = 0; i < 20; i++) {
            char group[16];
            snprintf(group, sizeof(group), "g%d", i);
            assert_int_equal(fetch_one(f, group, i), 2000 + i);
            assert_int_equal(fetch_one(f, group, i + 1), -1);
        }
        restart(f);
    }
    fixture_free(f);
}

static enum err heartbeat(struct fixture *f, const char *member, int32_t generation)
{
    struct group_heartbeat ask = {.group_id = SLICE_LITERAL("team"),
                                  .member_id = slice_text(member),
                                  .generation = generation};
    return fixture_call(f, f->core_count - 1, &ask.call, heartbeat_fn, &ask);
}

static enum err join(struct fixture *f, char *member, size_t size, struct group_join *out)
{
    static struct group_protocol protocol = {SLICE_LITERAL("range"), SLICE_LITERAL("me")};
    *out = (struct group_join){.group_id = SLICE_LITERAL("team"),
                               .member_id = slice_text(member),
                               .client_id = SLICE_LITERAL("client"),
                               .client_host = SLICE_LITERAL("/127.0.0.1"),
                               .protocol_type = SLICE_LITERAL("consumer"),
                               .protocols = &protocol,
                               .protocol_count = 1,
                               .session_timeout_ms = 30000,
                               .rebalance_timeout_ms = 30000,
                               .member_id_required = true};
    enum err err = fixture_call(f, f->core_count - 1, &out->call, join_fn, out);
    if (err == ERR_MEMBER_ID_REQUIRED)
        snprintf(member, size, "%.*s", (int)out->member_id_out.size,
                 (const char *)out->member_id_out.data);
    return err;
}

static void ask_for_an_id(struct fixture *f, char *out_member, size_t size)
{
    struct group_join asked;
    out_member[0] = 0;
    assert_int_equal(join(f, out_member, size, &asked), ERR_MEMBER_ID_REQUIRED);
    broker_group_result_release(asked.private);
}

static void join_as(struct fixture *f, char *member, size_t size, int32_t generation)
{
    struct group_join joined;
    assert_int_equal(join(f, member, size, &joined), ERR_OK);
    assert_int_equal(joined.generation, generation);
    assert_int_equal(joined.member_count, 1);
    assert_true(slice_equal_text(joined.leader_id, member));
    assert_true(slice_equal_text(joined.members[0].metadata, "me"));
    broker_group_result_release(joined.private);
}

static void join_alone(struct fixture *f, char *out_member, size_t size)
{
    ask_for_an_id(f, out_member, size);
    join_as(f, out_member, size, 1);
}

static void sync_alone(struct fixture *f, const char *member)
{
    struct group_assignment assignment = {slice_text(member), SLICE_LITERAL("all of it")};
    struct group_sync sync = {.group_id = SLICE_LITERAL("team"),
                              .member_id = slice_text(member),
                              .generation = 1,
                              .assignments = &assignment,
                              .assignment_count = 1};
    assert_int_equal(fixture_call(f, f->core_count - 1, &sync.call, sync_fn, &sync), ERR_OK);
    assert_true(slice_equal_text(sync.assignment, "all of it"));
    broker_group_result_release(sync.private);
}

static void assert_state(struct fixture *f, const char *expected)
{
    struct group_describe describe = {.group_id = SLICE_LITERAL("team")};
    arena_init(&describe.arena, 1 << 20);
    enum err err = fixture_call(f, 0, &describe.call, describe_fn, &describe);
    if (expected) {
        assert_int_equal(err, ERR_OK);
        assert_string_equal(describe.state, expected);
    } else {
        assert_int_equal(err, ERR_NOT_FOUND);
    }
    arena_deinit(&describe.arena);
}

static void members_go_on_after_a_restart(void **state)
{
    struct fixture *f = groups_new(state);
    char member[128];
    join_alone(f, member, sizeof(member));
    sync_alone(f, member);
    restart(f);
    assert_state(f, "Stable");
    assert_int_equal(heartbeat(f, member, 1), ERR_OK);
    assert_int_equal(heartbeat(f, member, 2), ERR_GENERATION);
    assert_int_equal(heartbeat(f, "nobody", 1), ERR_MEMBER_UNKNOWN);
    assert_int_equal(commit_one(f, "team", 0, 1),
                     ERR_MEMBER_UNKNOWN); /* not while it has members */
    struct group_leaver leaver = {.member_id = slice_text(member)};
    struct group_leave leave = {
        .group_id = SLICE_LITERAL("team"), .leavers = &leaver, .leaver_count = 1};
    assert_int_equal(fixture_call(f, 0, &leave.call, leave_fn, &leave), ERR_OK);
    assert_int_equal(leaver.err, ERR_OK);
    assert_state(f, "Empty");
    fixture_free(f);
}

static void a_deleted_group_stays_deleted(void **state)
{
    struct fixture *f = groups_new(state);
    assert_int_equal(commit_one(f, "team", 3, 33), ERR_OK);
    assert_int_equal(commit_one(f, "other", 3, 44), ERR_OK);
    struct group_delete delete = {.group_id = SLICE_LITERAL("team")};
    assert_int_equal(fixture_call(f, f->core_count - 1, &delete.call, delete_fn, &delete), ERR_OK);
    for (unsigned round = 0; round < 2; round++) {
        assert_state(f, NULL);
        assert_int_equal(fetch_one(f, "team", 3), -1);
        assert_int_equal(fetch_one(f, "other", 3), 44);
        restart(f);
    }
    assert_int_equal(fixture_call(f, 0, &delete.call, delete_fn, &delete), ERR_NOT_FOUND);
    fixture_free(f);
}

/* As Kafka: with the group goes who was only given an id. */
static void a_deleted_group_forgets_who_has_not_joined(void **state)
{
    struct fixture *f = groups_new(state);
    char member[128];
    struct group_join joined;
    struct group_delete delete = {.group_id = SLICE_LITERAL("team")};
    ask_for_an_id(f, member, sizeof(member));
    assert_int_equal(fixture_call(f, f->core_count - 1, &delete.call, delete_fn, &delete), ERR_OK);
    assert_int_equal(join(f, member, sizeof(member), &joined), ERR_MEMBER_UNKNOWN);
    broker_group_result_release(joined.private);
    fixture_free(f);
}

static void an_assignment_is_shown_until_there_is_another(void **state)
{
    struct fixture *f = groups_new(state);
    char member[128];
    join_alone(f, member, sizeof(member));
    sync_alone(f, member);
    join_as(f, member, sizeof(member), 2);
    struct group_describe describe = {.group_id = SLICE_LITERAL("team")};
    arena_init(&describe.arena, 1 << 20);
    assert_int_equal(fixture_call(f, 0, &describe.call, describe_fn, &describe), ERR_OK);
    assert_string_equal(describe.state, "CompletingRebalance");
    assert_int_equal(describe.member_count, 1);
    assert_true(slice_equal_text(describe.members[0].assignment, "all of it"));
    assert_null(describe.members[0].metadata.data);
    arena_deinit(&describe.arena);
    fixture_free(f);
}

static void metadata_is_bounded(void **state)
{
    struct fixture *f = groups_new(state);
    char words[4097] = {0};
    struct group_offset offsets[2] = {{.topic = SLICE_LITERAL("orders"),
                                       .metadata = slice_make(words, sizeof(words)),
                                       .commit_ms = -1},
                                      {.topic = SLICE_LITERAL("orders"),
                                       .partition = 1,
                                       .offset = 9,
                                       .leader_epoch = 7,
                                       .metadata = SLICE_LITERAL("words"),
                                       .commit_ms = -1}};
    struct group_commit commit = {.group_id = SLICE_LITERAL("g"),
                                  .member_id = slice_text(""),
                                  .generation = -1,
                                  .retention_ms = -1,
                                  .offsets = offsets,
                                  .offset_count = 2};
    assert_int_equal(fixture_call(f, 0, &commit.call, commit_fn, &commit), ERR_OK);
    assert_int_equal(offsets[0].err, ERR_TOO_LARGE);
    assert_int_equal(offsets[1].err, ERR_OK);
    assert_int_equal(fetch_one(f, "g", 0), -1);
    assert_int_equal(fetch_one(f, "g", 1), 9);
    fixture_free(f);
}

/* --- commits that come together --- */

#define CROWD 3

struct crowd_call {
    struct crowd *crowd;
    struct group_offset offset;
    struct group_commit commit;
    struct group_forget forget; /* of the last group's offset */
    char name[8];
};

struct crowd {
    struct fixture *f;
    struct crowd_call calls[CROWD];
    unsigned left;
};

static void crowd_done(struct crowd *crowd, enum err err)
{
    assert_int_equal(err, ERR_OK);
    if (--crowd->left == 0)
        sem_post(&crowd->f->sem);
}

static void crowd_committed(struct broker_call *call)
{
    struct crowd_call *one = CONTAINER_OF(call, struct crowd_call, commit.call);
    crowd_done(one->crowd, one->offset.err ? one->offset.err : call->err);
}

static void crowd_forgot(struct broker_call *call)
{
    struct crowd_call *one = CONTAINER_OF(call, struct crowd_call, forget.call);
    crowd_done(one->crowd, call->err);
}

/* One commit of each group, and the last group's is taken back at once. */
static void crowd_fn(struct core *core, void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < CROWD; i++) {
        struct crowd_call *one = &crowd->calls[i];
        one->crowd = crowd;
        snprintf(one->name, sizeof(one->name), "g%u", i);
        one->offset = (struct group_offset){.topic = SLICE_LITERAL("orders"),
                                            .offset = 10 + i,
                                            .leader_epoch = 7,
                                            .metadata = SLICE_LITERAL("words"),
                                            .commit_ms = -1};
        one->commit = (struct group_commit){.call.done = crowd_committed,
                                            .group_id = slice_text(one->name),
                                            .member_id = slice_text(""),
                                            .generation = -1,
                                            .retention_ms = -1,
                                            .offsets = &one->offset,
                                            .offset_count = 1};
        broker_group_commit(core, &one->commit);
    }
    struct crowd_call *last = &crowd->calls[CROWD - 1];
    last->forget = (struct group_forget){.call.done = crowd_forgot,
                                         .group_id = slice_text(last->name),
                                         .offsets = &last->offset,
                                         .offset_count = 1};
    broker_group_forget(core, &last->forget);
}

static size_t batch_count(struct fixture *f)
{
    struct core *core = reactor_core(f->reactor, 0);
    const struct broker_topic *topic = broker_topic_find(core, SLICE_LITERAL("__consumer_offsets"));
    return topic->partitions[0]->log->count;
}

static void commits_of_several_groups_share_a_batch(void **state)
{
    static unsigned one = 1;
    void *cores = &one;
    struct fixture *f = groups_new(&cores);
    fixture_stop(f);
    f->settings.offsets_topic_num_partitions = 1;
    fixture_start(f);
    struct crowd crowd = {.f = f, .left = CROWD + 1};
    for (unsigned i = 0; i < CROWD; i++) {
        char name[8];
        snprintf(name, sizeof(name), "g%u", i);
        assert_int_equal(commit_one(f, name, 0, i), ERR_OK);
    }
    size_t before = batch_count(f);
    fixture_on(f, 0, crowd_fn, &crowd);
    while (sem_wait(&f->sem) != 0) {
    }
    assert_int_equal(batch_count(f), before + 2);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(fetch_one(f, "g0", 0), 10);
        assert_int_equal(fetch_one(f, "g1", 0), 11);
        assert_int_equal(fetch_one(f, "g2", 0), -1);
        restart(f);
    }
    fixture_free(f);
}

int main(void)
{
    static unsigned one = 1, three = 3;
#define ON_CORES(test)                                                                             \
    {#test " (1 core)", test, NULL, NULL, &one},                                                   \
    {                                                                                              \
#test " (3 cores)", test, NULL, NULL, &three                                               \
    }
    const struct CMUnitTest tests[] = {
        ON_CORES(committed_offsets_survive_a_restart),
        ON_CORES(members_go_on_after_a_restart),
        ON_CORES(a_deleted_group_stays_deleted),
        ON_CORES(a_deleted_group_forgets_who_has_not_joined),
        ON_CORES(an_assignment_is_shown_until_there_is_another),
        ON_CORES(metadata_is_bounded),
        cmocka_unit_test(commits_of_several_groups_share_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
