// The decision of leat group why, without any I/O.
// SPDX-License-Identifier: Apache-2.0
#include "cli/why.h"

#include <inttypes.h>

#include "cli/stamp.h"

#define MEMBERS_NAMED_MAX 3

struct deciding {
    const struct cli_why_facts *facts;
    struct arena *arena;
    struct cli_why_answer *answer;
    struct text what;
    struct text fix;
};

typedef bool (*rule_fn)(struct deciding *d);

static int64_t reach(const struct cli_why_partition *p)
{
    return p->stable >= 0 && p->stable < p->end ? p->stable : p->end;
}

int64_t cli_why_lag(const struct cli_why_partition *p)
{
    if (p->shared)
        return MAX(p->told_lag, 0);
    if (p->end < 0 || (p->barren && p->stable >= p->end))
        return 0;
    int64_t from = p->committed >= 0 ? p->committed : MAX(p->start, 0);
    return MAX(p->end - from, 0);
}

/* Something that a member could read now. */
static bool has_readable(const struct cli_why_partition *p)
{
    if (p->shared)
        return p->exists && p->told_lag > 0;
    int64_t from = p->committed >= 0 ? p->committed : MAX(p->start, 0);
    return p->exists && !p->barren && p->end >= 0 && from < reach(p);
}

static bool moves(const struct cli_why_partition *p)
{
    if (p->shared) /* a lag that grows is the work of producers */
        return p->committed_later > p->committed ||
               (p->committed_later != -2 && p->told_lag_later >= 0 &&
                p->told_lag_later < p->told_lag);
    return p->committed_later != -2 && p->committed_later != p->committed;
}

/* "1 record waits", "2 records wait". */
static void say_waiting(struct text *out, int64_t count)
{
    text_add_format(out, count == 1 ? "%" PRId64 " record waits" : "%" PRId64 " records wait",
                    count);
}

static void say_partition(struct text *out, const struct cli_why_partition *p)
{
    text_add_format(out, "%.*s partition %d", (int)p->topic.size, (const char *)p->topic.data,
                    p->partition);
}

static void say_member(struct text *out, const struct cli_why_member *m)
{
    struct slice name = m->client.size > 0 ? m->client : m->id;
    text_add_format(out, "%.*s", (int)name.size, (const char *)name.data);
    if (m->host.size > 0)
        text_add_format(out, " at %.*s", (int)m->host.size, (const char *)m->host.data);
}

static void say_members(struct deciding *d)
{
    size_t count = MIN(d->facts->member_count, (size_t)MEMBERS_NAMED_MAX);
    for (size_t i = 0; i < count; i++) {
        text_add_text(&d->what, i ? ", " : "");
        say_member(&d->what, &d->facts->members[i]);
    }
    if (d->facts->member_count > count)
        text_add_format(&d->what, " and %zu more", d->facts->member_count - count);
}

static bool found(struct deciding *d, enum cli_why_reason reason, bool stuck,
                  const struct cli_why_partition *partition)
{
    d->answer->reason = reason;
    d->answer->stuck = stuck;
    d->answer->partition = partition;
    if (partition && partition->member >= 0)
        d->answer->member = &d->facts->members[partition->member];
    return true;
}

static int group_size(const struct deciding *d)
{
    return (int)d->facts->group.size;
}

static const char *group_name(const struct deciding *d)
{
    return (const char *)d->facts->group.data;
}

/* --- the rules, in their order --- */

static bool is_missing(struct deciding *d)
{
    if (d->facts->state != CLI_WHY_MISSING)
        return false;
    text_add_text(&d->what, "There is no such group: nobody has joined it and nothing was ever "
                            "committed in its name, or its offsets have expired.");
    text_add_text(&d->fix, "check the consumer's group.id and its bootstrap servers; leat group "
                           "list names the groups that are there");
    return found(d, CLI_WHY_NO_GROUP, true, NULL);
}

static bool is_loading(struct deciding *d)
{
    if (d->facts->state != CLI_WHY_LOADING)
        return false;
    text_add_text(&d->what, "The group's coordinator is not ready: its state is still being read "
                            "from disk.");
    text_add_text(&d->fix, "wait a moment; if it lasts, look into the server's log");
    return found(d, CLI_WHY_COORDINATOR, true, NULL);
}

static bool is_foreign(struct deciding *d)
{
    if (d->facts->state != CLI_WHY_FOREIGN)
        return false;
    text_add_text(&d->what, "The members are no consumers (Kafka Connect and the like use groups, "
                            "too), so that there are no offsets to move.");
    return found(d, CLI_WHY_NOT_CONSUMERS, false, NULL);
}

static bool is_empty(struct deciding *d)
{
    if (d->facts->member_count > 0 && d->facts->state != CLI_WHY_EMPTY)
        return false;
    text_add_text(&d->what, "The group has no members: no consumer is running");
    if (d->answer->lag > 0) {
        text_add_text(&d->what, ", and ");
        say_waiting(&d->what, d->answer->lag);
    }
    text_add_text(&d->what, ".");
    text_add_format(&d->fix,
                    "start a %sconsumer with group.id=%.*s; if one runs, it does not reach "
                    "the server: leat doctor",
                    d->facts->share ? "share " : "", group_size(d), group_name(d));
    return found(d, CLI_WHY_NO_MEMBERS, true, NULL);
}

static bool is_rebalancing(struct deciding *d)
{
    if (d->facts->state == CLI_WHY_JOINING) {
        text_add_text(&d->what,
                      "The group is rebalancing and waits for its members to join again: ");
        say_members(d);
        text_add_text(&d->what, ". Until the last of them has, or is given up after its "
                                "max.poll.interval.ms, nobody reads.");
    } else if (d->facts->state == CLI_WHY_SYNCING) {
        text_add_text(&d->what, d->facts->modern
                                    ? "The group is rebalancing: not every member has given up "
                                      "and taken over its partitions yet. Members: "
                                    : "The group is rebalancing and waits for its leader to share "
                                      "out the partitions. Members: ");
        say_members(d);
        text_add_text(&d->what, ".");
    } else {
        return false;
    }
    text_add_text(&d->fix, "a consumer that does not come back hangs in the work on its last "
                           "records: look at those named, or restart them");
    return found(d, CLI_WHY_REBALANCING, true, NULL);
}

static bool has_no_topic(struct deciding *d)
{
    for (size_t i = 0; i < d->facts->partition_count; i++) {
        const struct cli_why_partition *p = &d->facts->partitions[i];
        if (p->exists || !p->subscribed)
            continue;
        text_add_format(&d->what, "The members subscribe to topic %.*s, which does not exist.",
                        (int)p->topic.size, (const char *)p->topic.data);
        text_add_format(&d->fix, "leat topic create %.*s, or correct the name in the consumer",
                        (int)p->topic.size, (const char *)p->topic.data);
        return found(d, CLI_WHY_NO_TOPIC, true, p);
    }
    return false;
}

static bool is_offline(struct deciding *d)
{
    for (size_t i = 0; i < d->facts->partition_count; i++) {
        const struct cli_why_partition *p = &d->facts->partitions[i];
        if (!p->exists || p->leader >= 0)
            continue;
        say_partition(&d->what, p);
        text_add_text(&d->what, " is offline: no server leads it.");
        text_add_text(&d->fix, "start the server that holds it, or look into its log for a failed "
                               "disk; leat doctor");
        return found(d, CLI_WHY_OFFLINE, true, p);
    }
    return false;
}

static bool is_out_of_range(struct deciding *d)
{
    for (size_t i = 0; i < d->facts->partition_count; i++) {
        const struct cli_why_partition *p = &d->facts->partitions[i];
        if (p->shared || p->committed < 0 || p->end < 0 || moves(p))
            continue; /* a share group goes to the log's start by itself */
        bool below = p->committed < p->start;
        if (!below && p->committed <= p->end)
            continue;
        text_add_format(&d->what, "The committed offset %" PRId64 " of ", p->committed);
        say_partition(&d->what, p);
        if (below)
            text_add_format(&d->what,
                            " lies before the log's start %" PRId64 ": the %" PRId64
                            " records between were deleted by retention before they were read. "
                            "A consumer goes where its auto.offset.reset says, or fails if that "
                            "says none.",
                            p->start, p->start - p->committed);
        else
            text_add_format(&d->what,
                            " lies behind the log's end %" PRId64
                            ": the topic was made anew, or offsets were copied from elsewhere.",
                            p->end);
        text_add_format(&d->fix,
                        "stop the consumers, then: leat group seek %.*s %.*s -p %d --to %s",
                        group_size(d), group_name(d), (int)p->topic.size,
                        (const char *)p->topic.data, p->partition, below ? "start" : "end");
        return found(d, below ? CLI_WHY_BELOW_START : CLI_WHY_BEHIND_END, true, p);
    }
    return false;
}

static bool is_unassigned(struct deciding *d)
{
    for (size_t i = 0; i < d->facts->partition_count; i++) {
        const struct cli_why_partition *p = &d->facts->partitions[i];
        if (p->member >= 0 || !p->subscribed || !has_readable(p) || moves(p))
            continue;
        text_add_text(&d->what, "Nobody reads ");
        say_partition(&d->what, p);
        text_add_text(&d->what, ", in which ");
        say_waiting(&d->what, cli_why_lag(p));
        text_add_text(&d->what, ": the topic is subscribed to, but the partition is assigned to "
                                "no member.");
        text_add_text(&d->fix, "restart a consumer of the group, so that it shares out again");
        return found(d, CLI_WHY_NOT_ASSIGNED, true, p);
    }
    return false;
}

/* Offsets in a topic that the members have turned away from. */
static bool is_abandoned(struct deciding *d)
{
    for (size_t i = 0; i < d->facts->partition_count; i++) {
        const struct cli_why_partition *p = &d->facts->partitions[i];
        if (p->member >= 0 || p->subscribed || !has_readable(p) || moves(p))
            continue;
        text_add_format(&d->what, "No member subscribes to topic %.*s any more, and ",
                        (int)p->topic.size, (const char *)p->topic.data);
        say_waiting(&d->what, cli_why_lag(p));
        text_add_format(&d->what, " in its partition %d. All else is read.", p->partition);
        text_add_text(&d->fix, "subscribe to it, or let its offsets expire: until then they count "
                               "as lag");
        return found(d, CLI_WHY_NOT_SUBSCRIBED, true, p);
    }
    return false;
}

static void say_open(struct deciding *d, const struct cli_why_partition *p)
{
    text_add_format(&d->what, " The transaction of producer %" PRId64, p->open_producer);
    if (p->open_id.size > 0)
        text_add_format(&d->what, " (transactional id %.*s)", (int)p->open_id.size,
                        (const char *)p->open_id.data);
    text_add_format(&d->what, " is open since offset %" PRId64, p->open_offset);
    if (p->open_last_ms >= 0) {
        text_add_text(&d->what, "; it last wrote there ");
        cli_stamp_add_duration(&d->what, MAX(d->facts->now_ms - p->open_last_ms, 0));
        text_add_text(&d->what, " ago");
    }
    text_add_text(&d->what, ".");
}

static bool hangs(struct deciding *d)
{
    for (size_t i = 0; i < d->facts->partition_count; i++) {
        const struct cli_why_partition *p = &d->facts->partitions[i];
        int64_t from = p->committed >= 0 ? p->committed : p->start;
        bool unknown = p->shared && p->committed < 0;
        if (!p->exists || unknown || p->stable < 0 || p->stable >= p->end ||
            (from < p->stable && !p->barren) || p->member < 0 || moves(p))
            continue;
        text_add_format(&d->what, "An open transaction holds back ");
        say_partition(&d->what, p);
        text_add_format(&d->what,
                        ": readers of committed records see nothing from offset %" PRId64
                        " on, and the log goes to %" PRId64 ".",
                        p->stable, p->end);
        if (p->open_producer >= 0)
            say_open(d, p);
        text_add_text(&d->fix, "let its producer commit or abort; one that is gone is aborted "
                               "after its transaction.timeout.ms (leat txn list --state ongoing)");
        return found(d, CLI_WHY_OPEN_TRANSACTION, true, p);
    }
    return false;
}

static bool is_moving(struct deciding *d)
{
    int64_t gained = 0;
    size_t moved = 0;
    const struct cli_why_partition *one = NULL;
    for (size_t i = 0; i < d->facts->partition_count; i++) {
        const struct cli_why_partition *p = &d->facts->partitions[i];
        if (!moves(p))
            continue;
        one = p;
        moved++;
        gained += p->committed_later - MAX(p->committed, 0);
    }
    if (!one)
        return false;
    if (d->facts->share)
        text_add_format(&d->what, "It moves: %zu partition%s went on in ", moved,
                        moved == 1 ? "" : "s");
    else
        text_add_format(&d->what, "It moves: %" PRId64 " record%s committed in ", gained,
                        gained == 1 ? "" : "s");
    cli_stamp_add_duration(&d->what, d->facts->watched_ms);
    text_add_format(&d->what, ", %" PRId64 " still wait.", d->answer->lag);
    return found(d, CLI_WHY_MOVING, false, NULL);
}

static bool is_not_committing(struct deciding *d)
{
    for (size_t i = 0; i < d->facts->partition_count; i++) {
        const struct cli_why_partition *p = &d->facts->partitions[i];
        if (p->shared || p->member < 0 || !has_readable(p))
            continue;
        bool never = p->committed < 0;
        say_member(&d->what, &d->facts->members[p->member]);
        text_add_text(&d->what, " is alive and has ");
        say_partition(&d->what, p);
        if (never)
            text_add_text(&d->what, ", but has never committed an offset there");
        else
            text_add_format(&d->what, ", but its committed offset stays at %" PRId64, p->committed);
        text_add_text(&d->what, "; ");
        say_waiting(&d->what, cli_why_lag(p));
        text_add_text(&d->what, ".");
        if (!never && d->facts->watched_ms > 0) {
            text_add_text(&d->what, " (Watched for ");
            cli_stamp_add_duration(&d->what, d->facts->watched_ms);
            text_add_text(&d->what, ".)");
        }
        text_add_format(&d->fix, "%s",
                        never ? "it starts at the end (auto.offset.reset=latest) and found "
                                "nothing new, does not commit (enable.auto.commit=false), or "
                                "hangs in its first records"
                              : "it hangs in the work on a record, commits seldom, or is paused: "
                                "look at the consumer, and at the record with leat consume "
                                "TOPIC -p N -o OFFSET -n 1");
        return found(d, never ? CLI_WHY_NEVER_COMMITTED : CLI_WHY_NOT_COMMITTING, true, p);
    }
    return false;
}

/* Whether members hold records of a share group under their locks is not told to others. */
static bool is_not_acknowledged(struct deciding *d)
{
    for (size_t i = 0; i < d->facts->partition_count; i++) {
        const struct cli_why_partition *p = &d->facts->partitions[i];
        if (!p->shared || p->member < 0 || !has_readable(p))
            continue;
        text_add_text(&d->what, "Members are alive (");
        say_members(d);
        text_add_text(&d->what, ") and have ");
        say_partition(&d->what, p);
        text_add_format(&d->what, ", but the group stays at offset %" PRId64 "; ", p->committed);
        say_waiting(&d->what, cli_why_lag(p));
        text_add_text(&d->what, ", those included that a member has taken and holds.");
        if (d->facts->watched_ms > 0) {
            text_add_text(&d->what, " (Watched for ");
            cli_stamp_add_duration(&d->what, d->facts->watched_ms);
            text_add_text(&d->what, ".)");
        }
        text_add_format(&d->fix,
                        "a consumer hangs in the work on a record, does not acknowledge, or "
                        "releases it again and again; what it holds is free for others when its "
                        "lock ends (share.record.lock.duration.ms: leat config show group %.*s "
                        "--all)",
                        group_size(d), group_name(d));
        return found(d, CLI_WHY_NOT_ACKNOWLEDGED, true, p);
    }
    return false;
}

/* A share group that has not begun in a log with records. */
static bool has_not_begun(struct deciding *d)
{
    for (size_t i = 0; i < d->facts->partition_count; i++) {
        const struct cli_why_partition *p = &d->facts->partitions[i];
        if (!p->shared || !p->exists || p->committed >= 0 || p->end <= p->start || moves(p))
            continue;
        text_add_text(&d->what, "Nothing was read of ");
        say_partition(&d->what, p);
        text_add_format(&d->what,
                        " yet, which has records from offset %" PRId64 " to %" PRId64
                        ". A new share group begins behind them, unless its "
                        "share.auto.offset.reset says earliest.",
                        p->start, p->end);
        text_add_format(&d->fix,
                        "look whether the consumers poll; to read what is there, stop them, then: "
                        "leat group seek %.*s %.*s -p %d --to start",
                        group_size(d), group_name(d), (int)p->topic.size,
                        (const char *)p->topic.data, p->partition);
        return found(d, CLI_WHY_NOTHING_READ, true, p);
    }
    return false;
}

static bool reads_nothing(struct deciding *d)
{
    if (d->facts->partition_count > 0)
        return false;
    text_add_format(&d->what,
                    "The group has %zu member%s, but none has a partition, and nothing "
                    "was ever committed.",
                    d->facts->member_count, d->facts->member_count == 1 ? "" : "s");
    text_add_text(&d->fix, "check which topics the consumers subscribe to");
    return found(d, CLI_WHY_NOTHING_READ, true, NULL);
}

static bool is_caught_up(struct deciding *d)
{
    text_add_text(&d->what, "Nothing is wrong: the group has read everything that is there. It "
                            "moves on when somebody writes.");
    return found(d, CLI_WHY_CAUGHT_UP, false, NULL);
}

static const char *finish(struct text *text, struct arena *arena, bool *failed)
{
    struct slice copy = SLICE_NULL;
    *failed |= text->failed;
    if (text->size > 0) {
        copy = arena_copy(arena, text_slice(text));
        *failed |= !copy.data;
    }
    text_deinit(text);
    return (const char *)copy.data;
}

enum err cli_why_decide(const struct cli_why_facts *facts, struct arena *arena,
                        struct cli_why_answer *out)
{
    static const rule_fn rules[] = {
        is_missing,    is_loading,        is_foreign,          is_empty,      is_rebalancing,
        has_no_topic,  is_offline,        is_out_of_range,     is_unassigned, hangs,
        is_moving,     is_not_committing, is_not_acknowledged, is_abandoned,  reads_nothing,
        has_not_begun, is_caught_up};
    struct deciding d = {.facts = facts, .arena = arena, .answer = out};
    *out = (struct cli_why_answer){0};
    text_init(&d.what);
    text_init(&d.fix);
    for (size_t i = 0; i < facts->partition_count; i++)
        out->lag += cli_why_lag(&facts->partitions[i]);
    for (size_t i = 0; i < COUNT_OF(rules) && !rules[i](&d); i++)
        continue;
    bool failed = false;
    out->what = finish(&d.what, arena, &failed);
    out->fix = finish(&d.fix, arena, &failed);
    return failed ? ERR_NO_MEMORY : ERR_OK;
}

const char *cli_why_name(enum cli_why_reason reason)
{
    static const char *const names[] = {
        [CLI_WHY_NO_GROUP] = "no-group",
        [CLI_WHY_COORDINATOR] = "coordinator-loading",
        [CLI_WHY_NOT_CONSUMERS] = "not-consumers",
        [CLI_WHY_NO_MEMBERS] = "no-members",
        [CLI_WHY_REBALANCING] = "rebalancing",
        [CLI_WHY_NO_TOPIC] = "no-topic",
        [CLI_WHY_OFFLINE] = "partition-offline",
        [CLI_WHY_BELOW_START] = "offset-below-start",
        [CLI_WHY_BEHIND_END] = "offset-behind-end",
        [CLI_WHY_NOT_ASSIGNED] = "not-assigned",
        [CLI_WHY_NOT_SUBSCRIBED] = "not-subscribed",
        [CLI_WHY_OPEN_TRANSACTION] = "open-transaction",
        [CLI_WHY_NEVER_COMMITTED] = "never-committed",
        [CLI_WHY_NOT_COMMITTING] = "not-committing",
        [CLI_WHY_NOT_ACKNOWLEDGED] = "not-acknowledged",
        [CLI_WHY_MOVING] = "moving",
        [CLI_WHY_CAUGHT_UP] = "caught-up",
        [CLI_WHY_NOTHING_READ] = "nothing-read",
    };
    CHECK((size_t)reason < COUNT_OF(names));
    return names[reason];
}
