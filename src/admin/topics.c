// Asks partition after partition and group after group, and writes what dashboards read.
// SPDX-License-Identifier: Apache-2.0
#include "admin/topics.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/group.h"

#define GROUP_ARENA_SIZE_MAX ((size_t)64 << 20)

/* FAMILY(name here, leat's name, Kafka's name); "" where it has none. */
#define FAMILIES(FAMILY)                                                                           \
    FAMILY(PARTITIONS, "leat_topic_partitions", "kafka_topic_partitions")                          \
    FAMILY(START, "leat_partition_log_start_offset", "kafka_topic_partition_oldest_offset")        \
    FAMILY(END, "leat_partition_high_watermark", "kafka_topic_partition_current_offset")           \
    FAMILY(SIZE, "leat_partition_size_bytes", "kafka_log_log_size")                                \
    FAMILY(OFFLINE, "leat_partition_offline", "")                                                  \
    FAMILY(LEADER, "", "kafka_topic_partition_leader")                                             \
    FAMILY(REPLICAS, "", "kafka_topic_partition_replicas")                                         \
    FAMILY(IN_SYNC, "", "kafka_topic_partition_in_sync_replica")                                   \
    FAMILY(PREFERRED, "", "kafka_topic_partition_leader_is_preferred")                             \
    FAMILY(UNDER, "", "kafka_topic_partition_under_replicated_partition")                          \
    FAMILY(MEMBERS, "leat_group_members", "kafka_consumergroup_members")                           \
    FAMILY(COMMITTED, "leat_group_committed_offset", "kafka_consumergroup_current_offset")         \
    FAMILY(LAG, "leat_group_lag", "kafka_consumergroup_lag")

enum family {
#define FAMILY(name, leat, kafka) FAMILY_##name,
    FAMILIES(FAMILY)
#undef FAMILY
        FAMILY_COUNT
};

static const char *const family_names[FAMILY_COUNT][2] = {
#define FAMILY(name, leat, kafka) {leat, kafka},
    FAMILIES(FAMILY)
#undef FAMILY
};

/* A report under way. */
struct report {
    struct core *core;
    enum admin_topics_names names;
    admin_topics_fn fn;
    void *arg;
    struct text texts[FAMILY_COUNT];
    uint64_t partition_count;
    uint64_t offline_count;
    bool is_whole; /* a line for each partition */
    bool failed;

    const struct broker_topic *topic; /* a reference; the one being asked */
    int32_t partition;
    struct broker_partition_state state;

    struct group_list list;
    size_t group;
    struct group_describe describe;
    struct group_fetch fetch;
    struct arena arena; /* of offsets */
    struct group_offset *offsets;
    size_t offset_count;
    size_t offset;
};

static void topic_next(struct report *report);
static void group_next(struct report *report);
static void offset_next(struct report *report);

/* Label values: backslash, quote and line end are escaped. */
static void add_label(struct text *out, const char *name, struct slice value)
{
    text_add_format(out, "%s=\"", name);
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] == '\n')
            text_add_text(out, "\\n");
        else if (value.data[i] == '"' || value.data[i] == '\\')
            text_add_format(out, "\\%c", value.data[i]);
        else
            text_add(out, slice_make(&value.data[i], 1));
    }
    text_add_text(out, "\"");
}

struct labels {
    struct slice group; /* null: none */
    struct slice topic; /* null: none */
    int32_t partition;  /* -1: none */
};

static void add_line(struct report *report, enum family family, const struct labels *labels,
                     int64_t value)
{
    const char *name = family_names[family][report->names];
    struct text *out = &report->texts[family];
    if (!name[0])
        return;
    text_add_format(out, "%s{", name);
    if (labels->group.data)
        add_label(out, report->names == ADMIN_TOPICS_KAFKA ? "consumergroup" : "group",
                  labels->group);
    if (labels->group.data && labels->topic.data)
        text_add_text(out, ",");
    if (labels->topic.data)
        add_label(out, "topic", labels->topic);
    if (labels->partition >= 0)
        text_add_format(out, ",partition=\"%d\"", labels->partition);
    text_add_format(out, "} %" PRId64 "\n", value);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void add_gauge(struct text *out, const char *name, uint64_t value)
{
    text_add_format(out, "# TYPE %s gauge\n%s %" PRIu64 "\n", name, name, value);
}

static void add_totals(const struct report *report, struct text *out)
{
    size_t topics = broker_topic_count(report->core);
    if (report->names == ADMIN_TOPICS_LEAT) {
        add_gauge(out, "leat_topics", topics);
        add_gauge(out, "leat_partitions", report->partition_count);
        add_gauge(out, "leat_partitions_offline", report->offline_count);
        add_gauge(out, "leat_groups", report->list.count);
        return;
    }
    add_gauge(out, "kafka_brokers", 1);
    add_gauge(out, "kafka_server_replicamanager_partitioncount", report->partition_count);
    add_gauge(out, "kafka_server_replicamanager_leadercount",
              report->partition_count - report->offline_count);
    add_gauge(out, "kafka_server_replicamanager_underreplicatedpartitions", 0);
    add_gauge(out, "kafka_controller_kafkacontroller_activecontrollercount", 1);
    add_gauge(out, "kafka_controller_kafkacontroller_offlinepartitionscount",
              report->offline_count);
}

static void report_end(struct report *report)
{
    struct text text;
    text_init(&text);
    add_totals(report, &text);
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        struct text *family = &report->texts[i];
        if (family->size > 0)
            text_add_format(&text, "# TYPE %s gauge\n", family_names[i][report->names]);
        text_add(&text, text_slice(family));
        text.failed |= family->failed;
        text_deinit(family);
    }
    text.failed |= report->failed;
    arena_deinit(&report->list.arena);
    report->fn(report->arg, &text);
    free(report);
}

/* --- groups ----------------------------------------------------------------------------------- */

static void offset_is_known(struct broker_call *call)
{
    struct report *report = CONTAINER_OF(call, struct report, state.call);
    const struct group_offset *offset = &report->offsets[report->offset++];
    struct labels labels = {report->list.groups[report->group].group_id, offset->topic,
                            offset->partition};
    if (!call->err)
        add_line(report, FAMILY_LAG, &labels,
                 MAX(report->state.high_watermark - offset->offset, (int64_t)0));
    offset_next(report);
}

static void offset_next(struct report *report)
{
    for (; report->offset < report->offset_count; report->offset++) {
        const struct group_offset *offset = &report->offsets[report->offset];
        struct labels labels = {report->list.groups[report->group].group_id, offset->topic,
                                offset->partition};
        const struct broker_topic *topic = broker_topic_find(report->core, offset->topic);
        struct broker_partition *partition =
            topic ? broker_partition_at(topic, offset->partition) : NULL;
        if (offset->offset < 0 || !partition)
            continue;
        add_line(report, FAMILY_COMMITTED, &labels, offset->offset);
        report->state = (struct broker_partition_state){.call.done = offset_is_known};
        broker_partition_state(report->core, partition, &report->state);
        return;
    }
    arena_deinit(&report->arena);
    report->group++;
    group_next(report);
}

/* The list is valid in here only. */
static void group_has_offsets(struct broker_call *call)
{
    struct report *report = CONTAINER_OF(call, struct report, fetch.call);
    const struct group_fetch *fetch = &report->fetch;
    size_t count = call->err ? 0 : fetch->offset_count;
    arena_init(&report->arena, GROUP_ARENA_SIZE_MAX);
    report->offset = report->offset_count = 0;
    report->offsets = arena_alloc_array(&report->arena, count, sizeof(*report->offsets));
    for (size_t i = 0; report->offsets && i < count; i++) {
        struct group_offset *offset = &report->offsets[report->offset_count];
        *offset = fetch->offsets[i];
        offset->topic = arena_copy(&report->arena, offset->topic);
        report->offset_count += offset->topic.data != NULL;
    }
    report->failed |= report->offset_count < count;
    arena_deinit(&report->fetch.arena);
    offset_next(report);
}

static void group_is_described(struct broker_call *call)
{
    struct report *report = CONTAINER_OF(call, struct report, describe.call);
    struct slice id = report->list.groups[report->group].group_id;
    if (!call->err)
        add_line(report, FAMILY_MEMBERS, &(struct labels){id, SLICE_NULL, -1},
                 (int64_t)report->describe.member_count);
    arena_deinit(&report->describe.arena);
    report->fetch =
        (struct group_fetch){.call.done = group_has_offsets, .group_id = id, .all = true};
    arena_init(&report->fetch.arena, GROUP_ARENA_SIZE_MAX);
    broker_group_fetch(report->core, &report->fetch);
}

static void group_next(struct report *report)
{
    if (report->group == report->list.count || !report->is_whole) {
        report_end(report);
        return;
    }
    report->describe = (struct group_describe){
        .call.done = group_is_described,
        .group_id = report->list.groups[report->group].group_id,
    };
    arena_init(&report->describe.arena, GROUP_ARENA_SIZE_MAX);
    broker_group_describe(report->core, &report->describe);
}

static void groups_are_listed(struct broker_call *call)
{
    struct report *report = CONTAINER_OF(call, struct report, list.call);
    if (call->err)
        report->list.count = 0;
    group_next(report);
}

/* --- partitions ------------------------------------------------------------------------------- */

static void partition_is_known(struct broker_call *call)
{
    struct report *report = CONTAINER_OF(call, struct report, state.call);
    const struct broker_partition_state *state = &report->state;
    struct labels labels = {SLICE_NULL, report->topic->name, report->partition++};
    if (!call->err) {
        add_line(report, FAMILY_START, &labels, state->log_start);
        add_line(report, FAMILY_END, &labels, state->high_watermark);
        add_line(report, FAMILY_SIZE, &labels, (int64_t)state->size_bytes);
        add_line(report, FAMILY_OFFLINE, &labels, state->offline);
        add_line(report, FAMILY_LEADER, &labels,
                 state->offline ? -1 : broker_node_id(broker_of(report->core)));
        add_line(report, FAMILY_REPLICAS, &labels, 1);
        add_line(report, FAMILY_IN_SYNC, &labels, !state->offline);
        add_line(report, FAMILY_PREFERRED, &labels, !state->offline);
        add_line(report, FAMILY_UNDER, &labels, 0);
    }
    topic_next(report);
}

static void topic_begin(struct report *report, const struct broker_topic *topic)
{
    struct labels labels = {SLICE_NULL, topic->name, -1};
    report->topic = broker_topic_ref(topic);
    report->partition = 0;
    report->partition_count += topic->partition_count;
    for (uint32_t i = 0; i < topic->partition_count; i++)
        report->offline_count += broker_partition_is_offline(topic->partitions[i]);
    if (report->is_whole)
        add_line(report, FAMILY_PARTITIONS, &labels, (int64_t)topic->partition_count);
}

static void topic_next(struct report *report)
{
    for (;;) {
        const struct broker_topic *old = report->topic;
        if (old && report->is_whole && (uint32_t)report->partition < old->partition_count) {
            report->state = (struct broker_partition_state){.call.done = partition_is_known};
            broker_partition_state(report->core, old->partitions[report->partition],
                                   &report->state);
            return;
        }
        const struct broker_topic *topic =
            broker_topic_after(report->core, old ? old->name : SLICE_NULL);
        report->topic = NULL;
        if (topic)
            topic_begin(report, topic);
        broker_topic_unref(old);
        if (!topic)
            break;
    }
    report->list = (struct group_list){.call.done = groups_are_listed};
    arena_init(&report->list.arena, GROUP_ARENA_SIZE_MAX);
    broker_group_list(report->core, &report->list);
}

void admin_topics_report(struct core *core, enum admin_topics_names names, admin_topics_fn fn,
                         void *arg)
{
    struct report *report = calloc(1, sizeof(*report));
    if (!report) {
        struct text none;
        text_init(&none);
        none.failed = true;
        fn(arg, &none);
        return;
    }
    report->core = core;
    report->names = names;
    report->fn = fn;
    report->arg = arg;
    report->is_whole = broker_partition_count_total(core) <= ADMIN_TOPICS_PARTITIONS_MAX;
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        text_init(&report->texts[i]);
    topic_next(report);
}
