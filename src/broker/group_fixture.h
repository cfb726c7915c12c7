// Tests of groups over a broker: many calls at once, and a clock that a test moves on.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdio.h>

#include "broker/broker_fixture.h"
#include "broker/group_coordinator.h"

struct group_clock {
    struct os os;
    struct os_ops ops;
    _Atomic int64_t ahead_ms;
};

static inline uint64_t group_clock_mono_ns(struct os *os)
{
    struct group_clock *clock = CONTAINER_OF(os, struct group_clock, os);
    uint64_t ahead_ms = (uint64_t)atomic_load(&clock->ahead_ms);
    return os_posix()->ops->mono_ns(os_posix()) + ahead_ms * 1000000;
}

static inline int64_t group_clock_wall_ms(struct os *os)
{
    struct group_clock *clock = CONTAINER_OF(os, struct group_clock, os);
    return os_posix()->ops->wall_ms(os_posix()) + atomic_load(&clock->ahead_ms);
}

static inline void group_clock_init(struct group_clock *clock)
{
    clock->ops = *os_posix()->ops;
    clock->ops.mono_ns = group_clock_mono_ns;
    clock->ops.wall_ms = group_clock_wall_ms;
    clock->os.ops = &clock->ops;
    atomic_store(&clock->ahead_ms, 0);
}

static inline void fixture_nothing(struct core *core, void *arg)
{
}

/* Timers that are due have run when it returns: they do before the second message. */
static inline void group_clock_pass(struct group_clock *clock, struct fixture *f, int64_t ms)
{
    atomic_fetch_add(&clock->ahead_ms, ms);
    for (unsigned i = 0; i < 3; i++)
        fixture_on(f, 0, fixture_nothing, NULL);
}

static inline void fixture_drained(void *arg)
{
    struct fixture *f = arg;
    sem_post(&f->sem);
}

static inline void fixture_drain_fn(struct core *core, void *arg)
{
    struct fixture *f = arg;
    broker_drain(f->broker, fixture_drained, f);
}

/* A stop that leaves nothing under way. */
static inline void fixture_drain_stop(struct fixture *f)
{
    fixture_on(f, 0, fixture_drain_fn, f);
    while (sem_wait(&f->sem) != 0) {
    }
    fixture_stop(f);
}

/* The first generation begins at once; what is written outlives the broker. */
static inline struct fixture *fixture_groups_new(unsigned core_count, struct group_clock *clock)
{
    struct fixture *f = fixture_new(core_count);
    fixture_stop(f);
    f->os = clock ? &clock->os : NULL;
    f->store.is_keeping = true;
    f->settings.group_initial_rebalance_delay_ms = 0;
    f->settings.offsets_topic_num_partitions = 2;
    fixture_start(f);
    return f;
}

/* --- calls --- */

static inline void fixture_commit_fn(struct core *core, void *arg)
{
    broker_group_commit(core, arg);
}

static inline void fixture_fetch_fn(struct core *core, void *arg)
{
    broker_group_fetch(core, arg);
}

static inline void fixture_delete_fn(struct core *core, void *arg)
{
    broker_group_delete(core, arg);
}

static inline void fixture_forget_fn(struct core *core, void *arg)
{
    broker_group_forget(core, arg);
}

static inline void fixture_describe_fn(struct core *core, void *arg)
{
    broker_group_describe(core, arg);
}

struct fixture_member {
    const char *group;
    struct slice subscription;
    int32_t session_ms;
    char id[128];
};

struct fixture_commit {
    const struct fixture_member *member; /* NULL: none */
    const char *group;
    const char *topic;
    struct uuid topic_id; /* zero: not known */
    int32_t partition;
    int64_t offset;
    int64_t retention_ms;
};

static inline enum err fixture_commit(struct fixture *f, const struct fixture_commit *what)
{
    struct group_offset one = {.topic = slice_text(what->topic),
                               .topic_id = what->topic_id,
                               .partition = what->partition,
                               .offset = what->offset,
                               .leader_epoch = -1,
                               .metadata = SLICE_LITERAL("words"),
                               .commit_ms = -1};
    struct group_commit commit = {.group_id = slice_text(what->group),
                                  .member_id = slice_text(what->member ? what->member->id : ""),
                                  .generation = what->member ? 1 : -1,
                                  .retention_ms = what->retention_ms ? what->retention_ms : -1,
                                  .offsets = &one,
                                  .offset_count = 1};
    enum err err = fixture_call(f, f->core_count - 1, &commit.call, fixture_commit_fn, &commit);
    return err ? err : one.err;
}

static inline int64_t fixture_committed(struct fixture *f, const char *group, const char *topic,
                                        int32_t partition)
{
    struct group_offset one = {.topic = slice_text(topic), .partition = partition};
    struct group_fetch fetch = {.group_id = slice_text(group), .offsets = &one, .offset_count = 1};
    arena_init(&fetch.arena, 1 << 20);
    assert_int_equal(fixture_call(f, f->core_count - 1, &fetch.call, fixture_fetch_fn, &fetch),
                     ERR_OK);
    arena_deinit(&fetch.arena);
    return one.offset;
}

static inline enum err fixture_group_state(struct fixture *f, const char *group, char *out,
                                           size_t size)
{
    struct group_describe describe = {.group_id = slice_text(group)};
    arena_init(&describe.arena, 1 << 20);
    enum err err = fixture_call(f, 0, &describe.call, fixture_describe_fn, &describe);
    snprintf(out, size, "%s", err ? "" : describe.state);
    arena_deinit(&describe.arena);
    return err;
}

/* --- a member alone --- */

static inline void fixture_join_fn(struct core *core, void *arg)
{
    broker_group_join(core, arg);
}

static inline void fixture_sync_fn(struct core *core, void *arg)
{
    broker_group_sync(core, arg);
}

static inline void fixture_heartbeat_fn(struct core *core, void *arg)
{
    broker_group_heartbeat(core, arg);
}

static inline void fixture_leave_fn(struct core *core, void *arg)
{
    broker_group_leave(core, arg);
}

/* A consumer, leader of generation 1, with an assignment. */
static inline void fixture_join_alone(struct fixture *f, struct fixture_member *member)
{
    struct group_protocol protocol = {SLICE_LITERAL("range"), member->subscription};
    struct group_join join = {.group_id = slice_text(member->group),
                              .member_id = slice_text(""),
                              .client_id = SLICE_LITERAL("client"),
                              .client_host = SLICE_LITERAL("/127.0.0.1"),
                              .protocol_type = SLICE_LITERAL("consumer"),
                              .protocols = &protocol,
                              .protocol_count = 1,
                              .session_timeout_ms = member->session_ms,
                              .rebalance_timeout_ms = member->session_ms};
    unsigned core = f->core_count - 1;
    assert_int_equal(fixture_call(f, core, &join.call, fixture_join_fn, &join), ERR_OK);
    snprintf(member->id, sizeof(member->id), "%.*s", (int)join.member_id_out.size,
             (const char *)join.member_id_out.data);
    broker_group_result_release(join.private);
    struct group_assignment assignment = {slice_text(member->id), SLICE_LITERAL("all of it")};
    struct group_sync sync = {.group_id = slice_text(member->group),
                              .member_id = slice_text(member->id),
                              .generation = join.generation,
                              .assignments = &assignment,
                              .assignment_count = 1};
    assert_int_equal(fixture_call(f, core, &sync.call, fixture_sync_fn, &sync), ERR_OK);
    broker_group_result_release(sync.private);
}

static inline enum err fixture_heartbeat(struct fixture *f, const struct fixture_member *member)
{
    struct group_heartbeat ask = {.group_id = slice_text(member->group),
                                  .member_id = slice_text(member->id),
                                  .generation = 1};
    return fixture_call(f, f->core_count - 1, &ask.call, fixture_heartbeat_fn, &ask);
}

static inline void fixture_leave(struct fixture *f, const struct fixture_member *member)
{
    struct group_leaver leaver = {.member_id = slice_text(member->id)};
    struct group_leave leave = {
        .group_id = slice_text(member->group), .leavers = &leaver, .leaver_count = 1};
    assert_int_equal(fixture_call(f, 0, &leave.call, fixture_leave_fn, &leave), ERR_OK);
    assert_int_equal(leaver.err, ERR_OK);
}
