// The loads on a group coordinator: members at rest, a rebalance, commits.
// SPDX-License-Identifier: Apache-2.0
#include "bench/groups.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "bench/frames.h"
#include "bench/link.h"
#include "bench/stats.h"
#include "wire/kafka_apis.h"
#include "wire/kafka_find_coordinator.h"
#include "wire/kafka_heartbeat.h"
#include "wire/kafka_join_group.h"
#include "wire/kafka_offset_commit.h"
#include "wire/kafka_sync_group.h"

#define FIND_VERSION          1
#define JOIN_VERSION          5
#define SYNC_VERSION          3
#define BEAT_VERSION          3
#define COMMIT_VERSION        7
#define EVENTS_MAX            256
#define ANSWER_WAIT_MS        60000
#define SESSION_MS            45000
#define BEAT_NS               3000000000ull
#define FIND_TRIES_MAX        3000
#define CORRELATION_END       4
#define GROUP_NAME_SIZE       32
#define MEMBER_ID_REQUIRED    79
#define REBALANCE_IN_PROGRESS 27
#define MEMBER_ID_PRETENDED   "bench-00000000-0000-0000-0000-000000000000"

enum member_state { MEMBER_JOINS, MEMBER_SYNCS, MEMBER_RESTS, MEMBER_BEATS };

/* One consumer, or with commit one group; has a connection of its own. */
struct member {
    struct link link;
    enum member_state state;
    char group[GROUP_NAME_SIZE];
    char *id; /* of the heap; NULL: none yet */
    int32_t generation;
    uint8_t joins;
    uint64_t sent_ns;
    struct frames_bytes beat; /* once it has joined; commit: its request */
};

struct groups {
    const struct options *options;
    bool is_kafka; /* else the floor, whose answers say nothing */
    struct member *members;
    uint64_t count;
    uint64_t resting; /* members with an assignment */
    int poll;
    struct arena arena;
    struct stats_run run;
    uint64_t end_ns;  /* commit */
    uint64_t waiting; /* answers */
};

static void send_frame(struct member *member, struct frames_bytes frame)
{
    member->sent_ns = stats_now_ns();
    if (!link_send(&member->link, frame.bytes, frame.size))
        stats_die_of("the server closed the connection");
}

static void send_once(struct member *member, struct wire_writer *w)
{
    struct frames_bytes frame = frames_end(w);
    send_frame(member, frame);
    free(frame.bytes);
}

static void check_answer(enum err err, int code, const char *what)
{
    if (err != ERR_OK || code != 0)
        stats_die_of("%s: %s (%d)", what, err ? err_text(err) : frames_error_name(code), code);
}

// --- one member ----------------------------------------------------------------------------------

/* What it says of itself changes each time: who joins again with the same gets the same generation,
 * unless it leads. */
static void member_join(struct member *member)
{
    uint8_t metadata[] = {0, 1, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, member->joins++};
    struct kafka_join_group_request_protocol protocol;
    kafka_join_group_request_protocol_init(&protocol);
    protocol.name = SLICE_LITERAL("range");
    protocol.metadata = slice_make(metadata, sizeof(metadata));
    struct kafka_join_group_request request;
    kafka_join_group_request_init(&request);
    request.group_id = slice_text(member->group);
    request.session_timeout_ms = SESSION_MS;
    request.rebalance_timeout_ms = SESSION_MS;
    request.member_id = slice_text(member->id ? member->id : "");
    request.protocol_type = SLICE_LITERAL("consumer");
    request.protocols = &protocol;
    request.protocols_count = 1;
    struct wire_writer w;
    frames_start(&w, KAFKA_API_JOIN_GROUP, JOIN_VERSION);
    kafka_join_group_request_encode(&request, JOIN_VERSION, &w);
    member->state = MEMBER_JOINS;
    send_once(member, &w);
}

/* The leader gives itself and everybody else an empty assignment. */
static void member_sync(struct member *member, const struct kafka_join_group_response *joined)
{
    struct kafka_sync_group_request request;
    kafka_sync_group_request_init(&request);
    request.group_id = slice_text(member->group);
    request.generation_id = member->generation;
    request.member_id = slice_text(member->id);
    request.assignments_count = joined->members_count;
    request.assignments = calloc(joined->members_count + 1, sizeof(*request.assignments));
    if (!request.assignments)
        stats_die("calloc");
    for (size_t i = 0; i < joined->members_count; i++) {
        kafka_sync_group_request_assignment_init(&request.assignments[i]);
        request.assignments[i].member_id = joined->members[i].member_id;
    }
    struct wire_writer w;
    frames_start(&w, KAFKA_API_SYNC_GROUP, SYNC_VERSION);
    kafka_sync_group_request_encode(&request, SYNC_VERSION, &w);
    member->state = MEMBER_SYNCS;
    send_once(member, &w);
    free(request.assignments);
}

static void member_joined(struct groups *groups, struct member *member, struct slice body)
{
    struct kafka_join_group_response response;
    enum err err = kafka_join_group_response_decode(body, JOIN_VERSION, &groups->arena, &response);
    if (err == ERR_OK && !member->id) {
        member->id = strndup((const char *)response.member_id.data, response.member_id.size);
        if (!member->id)
            stats_die("strndup");
    }
    if (err == ERR_OK && response.error_code == MEMBER_ID_REQUIRED) {
        member_join(member);
        return;
    }
    check_answer(err, response.error_code, "JoinGroup");
    member->generation = response.generation_id;
    member_sync(member, &response);
}

static struct frames_bytes beat_new(const struct member *member)
{
    struct kafka_heartbeat_request request;
    kafka_heartbeat_request_init(&request);
    request.group_id = slice_text(member->group);
    request.generation_id = member->generation;
    request.member_id = slice_text(member->id);
    struct wire_writer w;
    frames_start(&w, KAFKA_API_HEARTBEAT, BEAT_VERSION);
    kafka_heartbeat_request_encode(&request, BEAT_VERSION, &w);
    return frames_end(&w);
}

static void member_synced(struct groups *groups, struct member *member, struct slice body)
{
    struct kafka_sync_group_response response;
    enum err err = kafka_sync_group_response_decode(body, SYNC_VERSION, &groups->arena, &response);
    if (err == ERR_OK && response.error_code == REBALANCE_IN_PROGRESS) {
        member_join(member); /* another one came late */
        return;
    }
    check_answer(err, response.error_code, "SyncGroup");
    free(member->beat.bytes);
    member->beat = beat_new(member);
    member->state = MEMBER_RESTS;
    groups->resting++;
}

static void beat_check(struct groups *groups, struct slice body)
{
    struct kafka_heartbeat_response response;
    enum err err = kafka_heartbeat_response_decode(body, BEAT_VERSION, &groups->arena, &response);
    check_answer(err, response.error_code, "Heartbeat");
}

static void member_has_beaten(struct groups *groups, struct member *member, struct slice body)
{
    if (groups->is_kafka)
        beat_check(groups, body);
    stats_times_add(&groups->run.times, stats_now_ns() - member->sent_ns);
    groups->run.requests++;
    member->state = MEMBER_RESTS;
}

static void member_answered(struct groups *groups, struct member *member, struct slice body)
{
    if (member->state == MEMBER_JOINS)
        member_joined(groups, member, body);
    else if (member->state == MEMBER_SYNCS)
        member_synced(groups, member, body);
    else
        member_has_beaten(groups, member, body);
}

// --- all of them ---------------------------------------------------------------------------------

static void find_coordinator(struct groups *groups)
{
    struct kafka_find_coordinator_request request;
    kafka_find_coordinator_request_init(&request);
    request.key = SLICE_LITERAL("bench-0");
    struct wire_writer w;
    frames_start(&w, KAFKA_API_FIND_COORDINATOR, FIND_VERSION);
    kafka_find_coordinator_request_encode(&request, FIND_VERSION, &w);
    struct frames_bytes frame = frames_end(&w);
    struct link link;
    if (!link_open(&link, (uint16_t)groups->options->port, true))
        stats_die("connect");
    struct kafka_find_coordinator_response response;
    unsigned tries = 0;
    do {
        arena_reset(&groups->arena);
        struct slice body = link_call(&link, frame.bytes, frame.size);
        if (tries > 0)
            poll(NULL, 0, 10);
        check_answer(
            kafka_find_coordinator_response_decode(body, FIND_VERSION, &groups->arena, &response),
            0, "FindCoordinator");
    } while (response.error_code && ++tries < FIND_TRIES_MAX);
    check_answer(ERR_OK, response.error_code, "FindCoordinator");
    link_close(&link);
    free(frame.bytes);
}

static void members_open(struct groups *groups, uint64_t group_count, uint64_t member_count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    groups->count = group_count * member_count;
    groups->poll = epoll_create1(EPOLL_CLOEXEC);
    groups->members = calloc(groups->count, sizeof(*groups->members));
    if (groups->poll < 0 || !groups->members)
        stats_die("members");
    for (uint64_t i = 0; i < groups->count; i++) {
        struct member *member = &groups->members[i];
        (void)snprintf(member->group, sizeof(member->group), "%s-%llu", groups->options->mode,
                       (unsigned long long)(i / member_count));
        if (!link_open(&member->link, (uint16_t)groups->options->port, false))
            stats_die("connect");
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = member};
        if (epoll_ctl(groups->poll, EPOLL_CTL_ADD, member->link.fd, &event))
            stats_die("epoll_ctl");
    }
}

typedef void (*answered_fn)(struct groups *groups, struct member *member, struct slice body);

/* Takes what has come within wait_ms; false: nothing did. */
static bool members_read(struct groups *groups, int wait_ms, answered_fn answered)
{
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(groups->poll, events, EVENTS_MAX, wait_ms);
    for (int i = 0; i < ready; i++) {
        struct member *member = events[i].data.ptr;
        if (link_read(&member->link, LINK_READ_SIZE) < 0)
            stats_die_of("the server closed the connection");
        struct slice frame;
        while ((frame = link_frame(&member->link, 0, NULL)).data) {
            arena_reset(&groups->arena);
            link_take(&member->link);
            answered(groups, member,
                     slice_make(frame.data + CORRELATION_END, frame.size - CORRELATION_END));
        }
    }
    return ready > 0;
}

/* The floor lets everybody beat: with an id as long as those that leatd gives. */
static void members_pretend(struct groups *groups)
{
    for (uint64_t i = 0; i < groups->count; i++) {
        struct member *member = &groups->members[i];
        member->id = strdup(MEMBER_ID_PRETENDED);
        if (!member->id)
            stats_die("strdup");
        member->beat = beat_new(member);
        member->state = MEMBER_RESTS;
    }
}

/* All members join at once; gives how long it took until the last has its assignment. */
static uint64_t members_settle(struct groups *groups)
{
    uint64_t start_ns = stats_now_ns();
    groups->resting = 0;
    for (uint64_t i = 0; i < groups->count; i++)
        member_join(&groups->members[i]);
    while (groups->resting < groups->count) {
        if (!members_read(groups, ANSWER_WAIT_MS, member_answered))
            stats_die_of("%llu of %llu members have no assignment after %d ms",
                         (unsigned long long)(groups->count - groups->resting),
                         (unsigned long long)groups->count, ANSWER_WAIT_MS);
    }
    return stats_now_ns() - start_ns;
}

static void run_beat(struct groups *groups)
{
    const struct options *options = groups->options;
    members_open(groups, options->groups, options->members);
    if (groups->is_kafka)
        members_settle(groups);
    else
        members_pretend(groups);
    stats_run_start(&groups->run, (int)options->pid);
    uint64_t end_ns = groups->run.started_ns + options->seconds * 1000000000u, next = 0;
    for (uint64_t now_ns = stats_now_ns(); now_ns < end_ns; now_ns = stats_now_ns()) {
        uint64_t due_ns = groups->run.started_ns + next * (BEAT_NS / groups->count);
        if (now_ns >= due_ns) {
            struct member *member = &groups->members[next++ % groups->count];
            if (member->state != MEMBER_RESTS)
                stats_die_of("no answer to a heartbeat for %llu s", BEAT_NS / 1000000000u);
            member->state = MEMBER_BEATS;
            send_frame(member, member->beat);
            continue;
        }
        members_read(groups, (int)((due_ns - now_ns) / 1000000u), member_answered);
    }
    stats_run_end(&groups->run);
    const struct stats_run *run = &groups->run;
    printf("{\"cpu_ms_s\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"requests_s\": %.1f}\n",
           (double)run->cpu_ns / 1e6 / ((double)run->taken_ns / 1e9),
           stats_times_us(&run->times, 0.5), stats_times_us(&run->times, 0.99),
           (double)run->requests / ((double)run->taken_ns / 1e9));
}

static void run_join(struct groups *groups)
{
    members_open(groups, 1, groups->options->members);
    uint64_t first_ns = members_settle(groups), again_ns = members_settle(groups);
    printf("{\"first_ms\": %.3f, \"again_ms\": %.3f}\n", (double)first_ns / 1e6,
           (double)again_ns / 1e6);
}

// --- commits -------------------------------------------------------------------------------------

static struct frames_bytes commit_new(const struct groups *groups, const struct member *member)
{
    size_t count = groups->options->partitions;
    struct kafka_offset_commit_request_topic topic;
    kafka_offset_commit_request_topic_init(&topic);
    topic.name = slice_text(groups->options->topic);
    topic.partitions = calloc(count, sizeof(*topic.partitions));
    topic.partitions_count = count;
    if (!topic.partitions)
        stats_die("calloc");
    for (size_t i = 0; i < count; i++) {
        kafka_offset_commit_request_partition_init(&topic.partitions[i]);
        topic.partitions[i].partition_index = (int32_t)i;
        topic.partitions[i].committed_offset = 1;
    }
    struct kafka_offset_commit_request request;
    kafka_offset_commit_request_init(&request);
    request.group_id = slice_text(member->group);
    request.topics = &topic;
    request.topics_count = 1;
    struct wire_writer w;
    frames_start(&w, KAFKA_API_OFFSET_COMMIT, COMMIT_VERSION);
    kafka_offset_commit_request_encode(&request, COMMIT_VERSION, &w);
    free(topic.partitions);
    return frames_end(&w);
}

static void commit_send(struct groups *groups, struct member *member)
{
    groups->waiting++;
    send_frame(member, member->beat);
}

static void commit_check(struct groups *groups, struct slice body)
{
    struct kafka_offset_commit_response response;
    enum err err =
        kafka_offset_commit_response_decode(body, COMMIT_VERSION, &groups->arena, &response);
    size_t count = err ? 0 : response.topics[0].partitions_count;
    for (size_t i = 0; i < count; i++)
        check_answer(err, response.topics[0].partitions[i].error_code, "OffsetCommit");
    check_answer(err, count == groups->options->partitions ? 0 : FRAMES_MALFORMED, "OffsetCommit");
}

static void commit_answered(struct groups *groups, struct member *member, struct slice body)
{
    if (groups->is_kafka)
        commit_check(groups, body);
    groups->waiting--;
    groups->run.requests++;
    groups->run.records += groups->options->partitions;
    stats_times_add(&groups->run.times, stats_now_ns() - member->sent_ns);
    if (stats_now_ns() < groups->end_ns)
        commit_send(groups, member);
}

static void run_commit(struct groups *groups)
{
    const struct options *options = groups->options;
    members_open(groups, options->groups, 1);
    for (uint64_t i = 0; i < groups->count; i++)
        groups->members[i].beat = commit_new(groups, &groups->members[i]);
    stats_run_start(&groups->run, (int)options->pid);
    groups->end_ns = groups->run.started_ns + options->seconds * 1000000000u;
    for (uint64_t i = 0; i < groups->count * options->in_flight; i++)
        commit_send(groups, &groups->members[i % groups->count]);
    while (groups->waiting) {
        if (!members_read(groups, ANSWER_WAIT_MS, commit_answered))
            stats_die_of("no answer for %d ms", ANSWER_WAIT_MS);
    }
    stats_run_end(&groups->run);
    stats_run_print(&groups->run, options->json);
}

bool groups_run(const struct options *options)
{
    static const struct {
        const char *mode;
        void (*run)(struct groups *groups);
    } modes[] = {{"beat", run_beat}, {"join", run_join}, {"commit", run_commit}};
    static struct groups groups;
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        if (strcmp(options->mode, modes[i].mode) != 0)
            continue;
        groups.options = options;
        groups.is_kafka = strcmp(options->peer, "floor") != 0;
        arena_init(&groups.arena, 0);
        if (groups.is_kafka)
            find_coordinator(&groups);
        modes[i].run(&groups);
        return true;
    }
    return false;
}
