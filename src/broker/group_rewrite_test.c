// Random commits, deletes and restarts while the log of group state is rewritten all the time.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_fixture.h"

#define GROUPS_MAX     6
#define PARTITIONS_MAX 12
#define BURST_MAX      40
#define REWRITE_SIZE   2000

enum change_kind { CHANGE_COMMIT, CHANGE_FORGET, CHANGE_DELETE };

struct change {
    struct core_message message;
    struct model *model;
    enum change_kind kind;
    unsigned group;
    char name[16];
    struct group_offset offset;
    struct group_commit commit;
    struct group_forget forget;
    struct group_delete delete;
};

struct model {
    struct fixture *f;
    uint64_t seed;
    int64_t offsets[GROUPS_MAX][PARTITIONS_MAX]; /* acknowledged; -1: none */
    struct change changes[BURST_MAX];
    struct fixture_member members[2]; /* of groups of their own, one a partition */
    sem_t done;
    unsigned long rewrites;
    uint64_t log_bytes_max;
};

static unsigned dice(struct model *model, unsigned sides)
{
    model->seed = model->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(model->seed >> 33) % sides;
}

static void tune_fn(struct core *core, void *arg)
{
    struct groups *groups = broker_group_coordinator(core);
    groups->rewrite_size_min = REWRITE_SIZE;
    groups->rewrite_again_ms = 1;
}

static void look_fn(struct core *core, void *arg)
{
    struct model *model = arg;
    struct groups *groups = broker_group_coordinator(core);
    model->rewrites += groups->rewrites;
    groups->rewrites = 0;
    for (uint32_t i = 0; i < groups->partition_count; i++)
        model->log_bytes_max = MAX(model->log_bytes_max, groups->partitions[i].log_bytes);
}

/* --- a burst: all begun in order on one core --- */

static void commit_done(struct broker_call *call)
{
    struct change *change = CONTAINER_OF(call, struct change, commit.call);
    CHECK(!call->err && !change->offset.err);
    sem_post(&change->model->done);
}

static void forget_done(struct broker_call *call)
{
    struct change *change = CONTAINER_OF(call, struct change, forget.call);
    CHECK(!call->err || call->err == ERR_NOT_FOUND);
    sem_post(&change->model->done);
}

static void delete_done(struct broker_call *call)
{
    struct change *change = CONTAINER_OF(call, struct change, delete.call);
    CHECK(!call->err || call->err == ERR_NOT_FOUND);
    sem_post(&change->model->done);
}

static void change_run(struct core *core, struct core_message *message)
{
    struct change *change = CONTAINER_OF(message, struct change, message);
    struct slice name = slice_text(change->name);
    if (change->kind == CHANGE_COMMIT) {
        change->commit = (struct group_commit){.call.done = commit_done,
                                               .group_id = name,
                                               .member_id = slice_text(""),
                                               .generation = -1,
                                               .retention_ms = -1,
                                               .offsets = &change->offset,
                                               .offset_count = 1};
        broker_group_commit(core, &change->commit);
    } else if (change->kind == CHANGE_FORGET) {
        change->forget = (struct group_forget){.call.done = forget_done,
                                               .group_id = name,
                                               .offsets = &change->offset,
                                               .offset_count = 1};
        broker_group_forget(core, &change->forget);
    } else {
        change->delete = (struct group_delete){.call.done = delete_done, .group_id = name};
        broker_group_delete(core, &change->delete);
    }
}

static void change_make(struct model *model, struct change *change)
{
    unsigned way = dice(model, 100);
    int32_t partition = (int32_t)dice(model, PARTITIONS_MAX);
    int64_t offset = dice(model, 1000000);
    change->model = model;
    change->group = dice(model, GROUPS_MAX);
    change->kind = way < 90 ? CHANGE_COMMIT : way < 98 ? CHANGE_FORGET : CHANGE_DELETE;
    change->offset = (struct group_offset){.topic = SLICE_LITERAL("orders"),
                                           .partition = partition,
                                           .offset = offset,
                                           .leader_epoch = -1,
                                           .metadata = SLICE_LITERAL("words"),
                                           .commit_ms = -1};
    snprintf(change->name, sizeof(change->name), "g%u", change->group);
    int64_t *row = model->offsets[change->group];
    for (int32_t i = 0; i < PARTITIONS_MAX; i++)
        if (change->kind == CHANGE_DELETE || i == partition)
            row[i] = change->kind == CHANGE_COMMIT ? offset : -1;
    change->message.run = change_run;
    struct fixture *f = model->f;
    core_send_from_outside(reactor_core(f->reactor, f->core_count - 1), &change->message);
}

static void burst(struct model *model)
{
    unsigned count = 1 + dice(model, BURST_MAX);
    if (dice(model, 4) == 0)
        atomic_store(&model->f->store.is_held, true);
    for (unsigned i = 0; i < count; i++)
        change_make(model, &model->changes[i]);
    for (unsigned i = dice(model, 4); i > 0; i--)
        fixture_on(model->f, 0, fixture_nothing, NULL);
    atomic_store(&model->f->store.is_held, false);
    for (unsigned i = 0; i < count; i++) {
        while (sem_wait(&model->done) != 0) {
        }
    }
}

static void verify(struct model *model)
{
    char name[16];
    for (unsigned i = 0; i < GROUPS_MAX; i++) {
        snprintf(name, sizeof(name), "g%u", i);
        for (int32_t j = 0; j < PARTITIONS_MAX; j++)
            assert_int_equal(fixture_committed(model->f, name, "orders", j), model->offsets[i][j]);
    }
}

static void verify_members(struct model *model)
{
    char state[32];
    for (unsigned i = 0; i < COUNT_OF(model->members); i++) {
        assert_int_equal(fixture_heartbeat(model->f, &model->members[i]), ERR_OK);
        assert_int_equal(
            fixture_group_state(model->f, model->members[i].group, state, sizeof(state)), ERR_OK);
        assert_string_equal(state, "Stable");
    }
}

static void members_join(struct model *model)
{
    static const char *const groups[] = {"team-a", "team-b"}; /* one a partition */
    for (unsigned i = 0; i < COUNT_OF(model->members); i++) {
        model->members[i] = (struct fixture_member){
            .group = groups[i], .subscription = SLICE_LITERAL("me"), .session_ms = 300000};
        fixture_join_alone(model->f, &model->members[i]);
    }
}

static void what_is_acknowledged_outlives_rewrites(void **state)
{
    struct model *model = calloc(1, sizeof(*model));
    const char *seed = getenv("LEAT_SEED");
    model->seed = seed ? strtoull(seed, NULL, 10) : 7;
    model->f = fixture_groups_new(*(unsigned *)*state, NULL);
    memset(model->offsets, 0xff, sizeof(model->offsets));
    sem_init(&model->done, 0, 0);
    fixture_on(model->f, 0, tune_fn, NULL);
    members_join(model);
    for (unsigned life = 0; life < 30; life++) {
        for (unsigned i = 5 + dice(model, 20); i > 0; i--) {
            burst(model);
            fixture_on(model->f, 0, look_fn, model);
        }
        if (dice(model, 3) == 0)
            verify(model);
        fixture_drain_stop(model->f);
        fixture_start(model->f);
        fixture_on(model->f, 0, tune_fn, NULL);
        verify(model);
        verify_members(model);
    }
    /* Live state of a partition is 72 offsets at most, about 7 kB; a burst is 5 kB. */
    print_message("%lu rewrites, at most %llu bytes in a partition\n", model->rewrites,
                  (unsigned long long)model->log_bytes_max);
    assert_true(model->rewrites > 30);
    assert_true(model->log_bytes_max < 200000);
    fixture_free(model->f);
    sem_destroy(&model->done);
    free(model);
}

int main(void)
{
    static unsigned one = 1, three = 3;
    const struct CMUnitTest tests[] = {
        {"what_is_acknowledged_outlives_rewrites (1 core)", what_is_acknowledged_outlives_rewrites,
         NULL, NULL, &one},
        {"what_is_acknowledged_outlives_rewrites (3 cores)", what_is_acknowledged_outlives_rewrites,
         NULL, NULL, &three},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
