// Asks for a group's members, offsets and logs.
// SPDX-License-Identifier: Apache-2.0
#include "cli/facts.h"

#include <stdlib.h>

#include "base/nearest.h"
#include "cli/error.h"
#include "cli/facts_share.h"
#include "cli/lookup.h"
#include "cli/topics.h"
#include "cli/txn.h"
#include "wire/kafka_consumer_group_describe.h"
#include "wire/kafka_describe_groups.h"
#include "wire/kafka_list_groups.h"
#include "wire/kafka_offset_fetch.h"

#define COORDINATOR_LOADING  14
#define GROUP_ID_NOT_FOUND   69
#define OFFSET_FETCH_BY_NAME 9 /* version 10 knows topics by id alone */
#define ASSIGNED_COUNT_MAX   1000000

struct gathering {
    struct cli *cli;
    struct cli_facts *facts;
    struct slice topic; /* null: all */
    size_t capacity;
    struct cli_lookup lookup; /* of facts->why.partitions, while they keep their order */
    int member;               /* whose assignment is being read */
};

static struct cli_why_partition *find_partition(const struct gathering *g, struct slice topic,
                                                int32_t partition)
{
    size_t index;
    return cli_lookup_find(&g->lookup, topic, partition, &index) ? &g->facts->why.partitions[index]
                                                                 : NULL;
}

static struct cli_why_partition *add_partition(struct gathering *g, struct slice topic,
                                               int32_t partition)
{
    struct cli_why_facts *why = &g->facts->why;
    struct cli_why_partition *known = find_partition(g, topic, partition);
    if (known)
        return known;
    if (why->partition_count == g->capacity) {
        size_t capacity = g->capacity ? g->capacity * 2 : 64;
        struct cli_why_partition *more = cli_alloc(g->cli, capacity, sizeof(*more));
        if (why->partition_count > 0)
            memcpy(more, why->partitions, why->partition_count * sizeof(*more));
        why->partitions = more;
        g->capacity = capacity;
    }
    cli_lookup_put(&g->lookup, topic, partition, why->partition_count);
    struct cli_why_partition *made = &why->partitions[why->partition_count++];
    *made = (struct cli_why_partition){.topic = topic,
                                       .partition = partition,
                                       .leader = -1,
                                       .member = -1,
                                       .committed = -1,
                                       .committed_later = -2,
                                       .start = -1,
                                       .end = -1,
                                       .stable = -1,
                                       .shared = g->facts->why.share,
                                       .told_lag = -1,
                                       .told_lag_later = -1,
                                       .open_producer = -1,
                                       .open_last_ms = -1};
    return made;
}

static bool is_asked(const struct gathering *g, struct slice topic)
{
    return !g->topic.data || slice_equal(g->topic, topic);
}

static void take_assigned(void *arg, struct slice topic, int32_t partition)
{
    struct gathering *g = arg;
    g->facts->why.members[g->member].partition_count++;
    if (!is_asked(g, topic) || g->facts->why.partition_count >= ASSIGNED_COUNT_MAX)
        return;
    struct cli_why_partition *found = add_partition(g, topic, partition);
    found->member = g->member;
    found->subscribed = true;
}

/* Partition -1 stands for the topic until metadata tells its partitions. */
static void take_subscribed(void *arg, struct slice topic, int32_t partition)
{
    struct gathering *g = arg;
    if (is_asked(g, topic) && g->facts->why.partition_count < ASSIGNED_COUNT_MAX)
        add_partition(g, topic, -1)->subscribed = true;
}

static size_t read_count(struct wire_reader *r)
{
    int32_t count = wire_reader_int32(r);
    if (count < 0 || (size_t)count > wire_reader_left(r) / 2)
        return 0;
    return (size_t)count;
}

bool cli_facts_assignment(struct slice bytes, cli_facts_take_fn take, void *arg)
{
    struct wire_reader r;
    wire_reader_init(&r, bytes, NULL);
    (void)wire_reader_int16(&r);
    for (size_t topics = read_count(&r); topics > 0 && !r.error; topics--) {
        struct slice topic = wire_reader_string(&r);
        for (size_t count = read_count(&r); count > 0 && !r.error; count--) {
            int32_t partition = wire_reader_int32(&r);
            if (!r.error)
                take(arg, topic, partition);
        }
    }
    return !r.error;
}

bool cli_facts_subscription(struct slice bytes, cli_facts_take_fn take, void *arg)
{
    struct wire_reader r;
    wire_reader_init(&r, bytes, NULL);
    (void)wire_reader_int16(&r);
    for (size_t topics = read_count(&r); topics > 0 && !r.error; topics--) {
        struct slice topic = wire_reader_string(&r);
        if (!r.error)
            take(arg, topic, -1);
    }
    return !r.error;
}

/* --- members --- */

static enum cli_why_state state_of(struct slice name)
{
    static const struct {
        const char *name;
        enum cli_why_state state;
    } states[] = {{"Empty", CLI_WHY_EMPTY},
                  {"PreparingRebalance", CLI_WHY_JOINING},
                  {"CompletingRebalance", CLI_WHY_SYNCING},
                  {"Assigning", CLI_WHY_SYNCING},
                  {"Reconciling", CLI_WHY_SYNCING},
                  {"Stable", CLI_WHY_STABLE}};
    for (size_t i = 0; i < COUNT_OF(states); i++)
        if (slice_equal_text(name, states[i].name))
            return states[i].state;
    return CLI_WHY_MISSING;
}

static void take_classic(struct gathering *g,
                         const struct kafka_describe_groups_response_group *from)
{
    struct cli_why_facts *why = &g->facts->why;
    why->state = state_of(from->group_state);
    if (from->protocol_type.size > 0 && !slice_equal_text(from->protocol_type, "consumer"))
        why->state = CLI_WHY_FOREIGN;
    g->facts->state = from->group_state;
    g->facts->assignor = from->protocol_data;
    why->member_count = from->members_count;
    why->members = cli_alloc(g->cli, MAX(from->members_count, 1), sizeof(*why->members));
    for (size_t i = 0; i < from->members_count; i++) {
        const struct kafka_describe_groups_response_member *member = &from->members[i];
        why->members[i] = (struct cli_why_member){.id = member->member_id,
                                                  .instance = member->group_instance_id,
                                                  .client = member->client_id,
                                                  .host = member->client_host};
        g->member = (int)i;
        if (why->state == CLI_WHY_FOREIGN)
            continue;
        if (member->member_assignment.size > 0)
            (void)cli_facts_assignment(member->member_assignment, take_assigned, g);
        if (member->member_metadata.size > 0)
            (void)cli_facts_subscription(member->member_metadata, take_subscribed, g);
    }
}

static void take_modern(struct gathering *g,
                        const struct kafka_consumer_group_describe_response_group *from)
{
    struct cli_why_facts *why = &g->facts->why;
    why->modern = true;
    why->state = state_of(from->group_state);
    g->facts->state = from->group_state;
    g->facts->assignor = from->assignor_name;
    why->member_count = from->members_count;
    why->members = cli_alloc(g->cli, MAX(from->members_count, 1), sizeof(*why->members));
    for (size_t i = 0; i < from->members_count; i++) {
        const struct kafka_consumer_group_describe_response_member *member = &from->members[i];
        why->members[i] = (struct cli_why_member){.id = member->member_id,
                                                  .instance = member->instance_id,
                                                  .client = member->client_id,
                                                  .host = member->client_host};
        g->member = (int)i;
        for (size_t t = 0; t < member->assignment.topic_partitions_count; t++) {
            const struct kafka_consumer_group_describe_response_topic *topic =
                &member->assignment.topic_partitions[t];
            for (size_t p = 0; p < topic->partitions_count; p++)
                take_assigned(g, topic->topic_name, topic->partitions[p]);
        }
        for (size_t t = 0; t < member->subscribed_topic_names_count; t++)
            take_subscribed(g, member->subscribed_topic_names[t], -1);
    }
}

/* True: it is a group of KIP-848, or an error was said. */
static bool ask_modern(struct gathering *g, struct slice group)
{
    if (!cli_cluster_knows(g->cli, KAFKA_API_CONSUMER_GROUP_DESCRIBE))
        return false;
    struct kafka_consumer_group_describe_request request = {.group_ids = &group,
                                                            .group_ids_count = 1};
    struct kafka_consumer_group_describe_response response;
    struct cli_cluster_call call = {.node = g->facts->coordinator,
                                    .key = KAFKA_API_CONSUMER_GROUP_DESCRIBE,
                                    .request = &request,
                                    .response = &response,
                                    .quiet = true};
    if (cli_cluster_call(g->cli, &call) || response.groups_count != 1 ||
        response.groups[0].error_code)
        return false;
    take_modern(g, &response.groups[0]);
    return true;
}

/* Such as "orders 0,1; bills 3". */
static struct slice
say_assignment(struct cli *cli, const struct kafka_share_group_describe_response_assignment *from)
{
    struct text text;
    text_init(&text);
    for (size_t t = 0; t < from->topic_partitions_count; t++) {
        const struct kafka_share_group_describe_response_topic *topic = &from->topic_partitions[t];
        text_add_format(&text, "%s%.*s ", t ? "; " : "", (int)topic->topic_name.size,
                        (const char *)topic->topic_name.data);
        for (size_t p = 0; p < topic->partitions_count; p++)
            text_add_format(&text, "%s%d", p ? "," : "", topic->partitions[p]);
    }
    struct slice out = text.failed ? SLICE_NULL : slice_text(cli_string(cli, text_slice(&text)));
    text_deinit(&text);
    return out;
}

/* A partition may have several readers: the first of them is its member. */
static void take_share(struct gathering *g,
                       const struct kafka_share_group_describe_response_group *from)
{
    struct cli_why_facts *why = &g->facts->why;
    why->share = true;
    why->state = state_of(from->group_state);
    g->facts->state = from->group_state;
    g->facts->assignor = from->assignor_name;
    why->member_count = from->members_count;
    why->members = cli_alloc(g->cli, MAX(from->members_count, 1), sizeof(*why->members));
    for (size_t i = from->members_count; i-- > 0;) {
        const struct kafka_share_group_describe_response_member *member = &from->members[i];
        why->members[i] =
            (struct cli_why_member){.id = member->member_id,
                                    .client = member->client_id,
                                    .host = member->client_host,
                                    .assigned = say_assignment(g->cli, &member->assignment)};
        g->member = (int)i;
        for (size_t t = 0; t < member->assignment.topic_partitions_count; t++) {
            const struct kafka_share_group_describe_response_topic *topic =
                &member->assignment.topic_partitions[t];
            for (size_t p = 0; p < topic->partitions_count; p++)
                take_assigned(g, topic->topic_name, topic->partitions[p]);
        }
        for (size_t t = 0; t < member->subscribed_topic_names_count; t++)
            take_subscribed(g, member->subscribed_topic_names[t], -1);
    }
}

/* True: it is a share group. */
static bool ask_share(struct gathering *g, struct slice group)
{
    struct kafka_share_group_describe_response response;
    if (!cli_facts_share_describe(g->cli, group, g->facts->coordinator, &response) ||
        state_of(response.groups[0].group_state) == CLI_WHY_MISSING)
        return false;
    take_share(g, &response.groups[0]);
    return true;
}

static enum cli_exit ask_classic(struct gathering *g, struct slice group)
{
    struct kafka_describe_groups_request request = {.groups = &group, .groups_count = 1};
    struct kafka_describe_groups_response response;
    struct cli_cluster_call call = {.node = g->facts->coordinator,
                                    .key = KAFKA_API_DESCRIBE_GROUPS,
                                    .request = &request,
                                    .response = &response};
    enum cli_exit result = cli_cluster_call(g->cli, &call);
    if (result)
        return result;
    if (response.groups_count != 1)
        return cli_fail(g->cli, CLI_FAILED, NULL, "the server's answer has no group");
    int16_t code = response.groups[0].error_code;
    if (code == COORDINATOR_LOADING)
        g->facts->why.state = CLI_WHY_LOADING;
    else if (code && code != GROUP_ID_NOT_FOUND)
        return cli_error_say(g->cli, cli_string(g->cli, group), code,
                             response.groups[0].error_message);
    else if (!code)
        take_classic(g, &response.groups[0]);
    return CLI_OK;
}

/* --- committed offsets --- */

static enum cli_exit ask_committed(struct cli *cli, const struct cli_facts *facts,
                                   struct kafka_offset_fetch_response *out)
{
    struct kafka_offset_fetch_request request;
    struct kafka_offset_fetch_request_group group;
    kafka_offset_fetch_request_init(&request);
    kafka_offset_fetch_request_group_init(&group);
    request.group_id = group.group_id = facts->why.group;
    request.groups = &group;
    request.groups_count = 1;
    struct cli_cluster_call call = {.node = facts->coordinator,
                                    .key = KAFKA_API_OFFSET_FETCH,
                                    .version_max = OFFSET_FETCH_BY_NAME,
                                    .request = &request,
                                    .response = out};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (result)
        return result;
    int16_t code = out->groups_count > 0 ? out->groups[0].error_code : out->error_code;
    if (code && code != GROUP_ID_NOT_FOUND)
        return cli_error_say(cli, cli_string(cli, facts->why.group), code, SLICE_NULL);
    return CLI_OK;
}

typedef void (*take_committed_fn)(struct gathering *g, struct slice topic, int32_t partition,
                                  int64_t offset);

/* Old versions answer without a level of groups. */
static void each_committed(struct gathering *g, const struct kafka_offset_fetch_response *from,
                           take_committed_fn take)
{
    for (size_t t = 0; t < from->topics_count; t++)
        for (size_t p = 0; p < from->topics[t].partitions_count; p++)
            take(g, from->topics[t].name, from->topics[t].partitions[p].partition_index,
                 from->topics[t].partitions[p].committed_offset);
    if (from->groups_count == 0)
        return;
    const struct kafka_offset_fetch_response_group *group = &from->groups[0];
    for (size_t t = 0; t < group->topics_count; t++)
        for (size_t p = 0; p < group->topics[t].partitions_count; p++)
            take(g, group->topics[t].name, group->topics[t].partitions[p].partition_index,
                 group->topics[t].partitions[p].committed_offset);
}

static void take_committed(struct gathering *g, struct slice topic, int32_t partition,
                           int64_t offset)
{
    if (offset >= 0 && is_asked(g, topic))
        add_partition(g, topic, partition)->committed = offset;
}

static void take_later(struct gathering *g, struct slice topic, int32_t partition, int64_t offset)
{
    struct cli_why_partition *found = find_partition(g, topic, partition);
    if (found)
        found->committed_later = offset;
}

/* --- start offsets of share groups --- */

typedef void (*take_start_fn)(struct gathering *g, struct slice topic, int32_t partition,
                              int64_t start, int64_t lag);

static enum cli_exit each_start(struct gathering *g, take_start_fn take)
{
    struct kafka_describe_share_group_offsets_response response;
    const struct cli_facts *facts = g->facts;
    enum cli_exit result =
        cli_facts_share_offsets(g->cli, facts->why.group, facts->coordinator, &response);
    if (result)
        return result;
    const struct kafka_describe_share_group_offsets_response_group *group = &response.groups[0];
    for (size_t t = 0; t < group->topics_count; t++)
        for (size_t p = 0; p < group->topics[t].partitions_count; p++) {
            const struct kafka_describe_share_group_offsets_response_partition *one =
                &group->topics[t].partitions[p];
            if (!one->error_code)
                take(g, group->topics[t].topic_name, one->partition_index, one->start_offset,
                     one->lag);
        }
    return CLI_OK;
}

static void take_start(struct gathering *g, struct slice topic, int32_t partition, int64_t start,
                       int64_t lag)
{
    if (start < 0 || !is_asked(g, topic))
        return;
    struct cli_why_partition *found = add_partition(g, topic, partition);
    found->committed = start;
    found->told_lag = lag;
}

static void take_start_later(struct gathering *g, struct slice topic, int32_t partition,
                             int64_t start, int64_t lag)
{
    struct cli_why_partition *found = find_partition(g, topic, partition);
    if (!found)
        return;
    found->committed_later = start;
    found->told_lag_later = lag;
}

/* --- logs --- */

static void take_metadata(struct gathering *g, const struct kafka_metadata_response_topic *topic,
                          struct slice name, bool subscribed)
{
    for (size_t p = 0; p < topic->partitions_count; p++) {
        const struct kafka_metadata_response_partition *from = &topic->partitions[p];
        struct cli_why_partition *found = subscribed
                                              ? add_partition(g, name, from->partition_index)
                                              : find_partition(g, name, from->partition_index);
        if (!found)
            continue;
        found->exists = true;
        found->subscribed = subscribed;
        found->leader = from->leader_id;
    }
}

/* Adds the partitions of topics that are subscribed to. */
static enum cli_exit ask_topics(struct gathering *g)
{
    const struct cli_why_facts *why = &g->facts->why;
    size_t count = g->lookup.topic_count;
    struct slice *names = cli_alloc(g->cli, MAX(count, 1), sizeof(*names));
    bool *subscribed = cli_alloc(g->cli, MAX(count, 1), sizeof(*subscribed));
    for (size_t i = 0; i < why->partition_count; i++) {
        size_t topic = cli_lookup_topic(&g->lookup, why->partitions[i].topic);
        names[topic] = why->partitions[i].topic;
        subscribed[topic] |= why->partitions[i].subscribed;
    }
    struct kafka_metadata_response topics;
    enum cli_exit result = count > 0 ? cli_topics_fetch(g->cli, names, count, &topics) : CLI_OK;
    for (size_t n = 0; !result && n < count; n++) {
        const struct kafka_metadata_response_topic *topic = cli_topics_find(&topics, names[n]);
        if (topic)
            take_metadata(g, topic, names[n], subscribed[n]);
    }
    return result;
}

static int compare_partitions(const void *a, const void *b)
{
    const struct cli_why_partition *one = a, *other = b;
    int order = slice_compare(one->topic, other->topic);
    return order ? order
                 : (one->partition > other->partition) - (one->partition < other->partition);
}

/* Drops the places of topics that exist: their partitions are there. Then the order is another. */
static void tidy(struct gathering *g)
{
    struct cli_why_facts *why = &g->facts->why;
    bool *exists = cli_alloc(g->cli, MAX(g->lookup.topic_count, 1), sizeof(*exists));
    size_t kept = 0;
    for (size_t i = 0; i < why->partition_count; i++)
        if (why->partitions[i].partition >= 0)
            exists[cli_lookup_topic(&g->lookup, why->partitions[i].topic)] = true;
    for (size_t i = 0; i < why->partition_count; i++) {
        const struct cli_why_partition *p = &why->partitions[i];
        if (p->partition >= 0 || !exists[cli_lookup_topic(&g->lookup, p->topic)])
            why->partitions[kept++] = *p;
    }
    why->partition_count = kept;
    if (kept > 1)
        qsort(why->partitions, kept, sizeof(*why->partitions), compare_partitions);
}

static enum cli_exit ask_offsets(struct cli *cli, struct cli_why_facts *why)
{
    struct cli_place *places = cli_alloc(cli, MAX(why->partition_count, 1), sizeof(*places));
    for (size_t i = 0; i < why->partition_count; i++)
        places[i] = (struct cli_place){.topic = why->partitions[i].topic,
                                       .partition = why->partitions[i].partition,
                                       .leader = why->partitions[i].leader};
    enum cli_exit result = CLI_OK;
    /* Start, end, stable end: the last one last, so that what is written between does not look like
     * an open transaction. */
    for (int turn = 0; !result && turn < 3; turn++) {
        for (size_t i = 0; i < why->partition_count; i++)
            places[i].timestamp_ms = turn == 0 ? CLI_PLACE_START : CLI_PLACE_END;
        result = cli_topics_offsets(cli, places, why->partition_count, turn == 2);
        for (size_t i = 0; !result && i < why->partition_count; i++) {
            struct cli_why_partition *p = &why->partitions[i];
            *(turn == 0 ? &p->start : turn == 1 ? &p->end : &p->stable) = places[i].offset;
        }
    }
    return result;
}

static enum cli_exit gather_committed(struct gathering *g, take_committed_fn take)
{
    struct kafka_offset_fetch_response committed;
    enum cli_exit result = ask_committed(g->cli, g->facts, &committed);
    if (!result)
        each_committed(g, &committed, take);
    return result;
}

/* No transaction holds back readers of everything. */
static void forget_stable(struct cli_why_facts *why)
{
    for (size_t i = 0; i < why->partition_count; i++)
        why->partitions[i].stable = why->partitions[i].end;
}

enum cli_exit cli_facts_gather(struct cli *cli, struct slice group, struct slice topic,
                               struct cli_facts *out)
{
    *out = (struct cli_facts){.why = {.group = group, .state = CLI_WHY_MISSING}};
    struct gathering g = {.cli = cli, .facts = out, .topic = topic};
    cli_lookup_init(&g.lookup, (uint64_t)cli_now_ms());
    enum cli_exit result = cli_cluster_coordinator(cli, group, 0, &out->coordinator);
    if (!result && !ask_modern(&g, group) && !ask_share(&g, group))
        result = ask_classic(&g, group);
    if (!result && out->why.state != CLI_WHY_MISSING && out->why.state != CLI_WHY_LOADING) {
        result = out->why.share ? each_start(&g, take_start) : gather_committed(&g, take_committed);
        if (!result)
            result = ask_topics(&g);
        tidy(&g);
        if (!result)
            result = ask_offsets(cli, &out->why);
        if (!result && out->why.share && !cli_facts_share_is_committed(cli, group))
            forget_stable(&out->why);
    }
    cli_lookup_deinit(&g.lookup);
    out->why.now_ms = cli_now_ms();
    return result;
}

enum cli_exit cli_facts_look_again(struct cli *cli, struct cli_facts *facts)
{
    struct gathering g = {.cli = cli, .facts = facts};
    cli_lookup_init(&g.lookup, (uint64_t)cli_now_ms());
    for (size_t i = 0; i < facts->why.partition_count; i++) {
        struct cli_why_partition *p = &facts->why.partitions[i];
        p->committed_later = p->committed;
        p->told_lag_later = p->told_lag;
        cli_lookup_put(&g.lookup, p->topic, p->partition, i);
    }
    enum cli_exit result =
        facts->why.share ? each_start(&g, take_start_later) : gather_committed(&g, take_later);
    cli_lookup_deinit(&g.lookup);
    return result;
}

void cli_facts_find_open(struct cli *cli, struct cli_facts *facts)
{
    for (size_t i = 0; i < facts->why.partition_count; i++) {
        struct cli_why_partition *p = &facts->why.partitions[i];
        struct cli_place place = {
            .topic = p->topic, .partition = p->partition, .leader = p->leader};
        struct cli_txn_open open;
        if (p->stable < 0 || p->stable >= p->end || !cli_txn_oldest(cli, &place, &open))
            continue;
        p->open_producer = open.producer_id;
        p->open_offset = open.offset;
        p->open_last_ms = open.last_ms;
        p->open_id = cli_txn_id_of(cli, open.producer_id);
    }
}

/* It is listed, but was not described. */
static enum cli_exit say_unreadable(struct cli *cli,
                                    const struct kafka_list_groups_response_group *group)
{
    static const char *const known[] = {"classic", "consumer", "share", ""};
    const char *name = cli_string(cli, group->group_id);
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (strlen(known[i]) == group->group_type.size &&
            strncasecmp((const char *)group->group_type.data, known[i], strlen(known[i])) == 0)
            return cli_fail(cli, CLI_FAILED, "try again",
                            "group '%s' is listed, but its coordinator does not describe it", name);
    return cli_fail(cli, CLI_FAILED, "leat group list shows its state; use the tools of its kind",
                    "group '%s' is of type %s, which leat does not know", name,
                    cli_string(cli, group->group_type));
}

enum cli_exit cli_facts_missing(struct cli *cli, struct slice group)
{
    struct nearest nearest;
    nearest_init(&nearest, group);
    for (size_t n = 0; n < cli->cluster->node_count; n++) {
        struct kafka_list_groups_request request;
        struct kafka_list_groups_response response;
        kafka_list_groups_request_init(&request);
        struct cli_cluster_call call = {.node = cli->cluster->nodes[n].id,
                                        .key = KAFKA_API_LIST_GROUPS,
                                        .request = &request,
                                        .response = &response,
                                        .quiet = true};
        if (cli_cluster_call(cli, &call))
            continue;
        for (size_t i = 0; i < response.groups_count; i++) {
            if (slice_equal(response.groups[i].group_id, group))
                return say_unreadable(cli, &response.groups[i]);
            nearest_offer(&nearest, response.groups[i].group_id);
        }
    }
    const char *fix = nearest.best.data
                          ? cli_words(cli, "did you mean '%s'?", cli_string(cli, nearest.best))
                          : "leat group list names those that are there";
    return cli_fail(cli, CLI_NOT_FOUND, fix, "there is no group '%s'", cli_string(cli, group));
}
