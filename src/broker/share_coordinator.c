// Where share groups live: finds or makes the topic of their state and reads it back.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/share_state.h"

#define NS_PER_MS           UINT64_C(1000000)
#define SWEEP_MS            200
#define TEXT_OF(number)     #number
#define NUMBER_TEXT(number) TEXT_OF(number)
#define SEGMENT_TEXT        NUMBER_TEXT(SHARE_SEGMENT_SIZE)

static void load_next(struct shares *shares);
static void sweep_timer(struct core *core, struct core_timer *timer);
static void tidying_run(struct core *core, struct core_task *task);

int64_t broker_share_coordinator_now_ms(const struct shares *shares)
{
    return (int64_t)(core_now_ns(shares->core) / NS_PER_MS);
}

struct shares *broker_share_coordinator(struct core *core)
{
    struct broker *broker = broker_of(core);
    CHECK(core_id(core) == 0);
    if (broker->shares)
        return broker->shares;
    struct shares *shares = calloc(1, sizeof(*shares));
    if (!shares)
        return NULL;
    shares->broker = broker;
    shares->core = core;
    shares->budget = reactor_budget(core_reactor(core));
    map_init(&shares->by_id, core_random(core));
    list_init(&shares->groups);
    list_init(&shares->parked);
    list_init(&shares->calls);
    list_init(&shares->erasing);
    list_init(&shares->untidy);
    core_task_init(&shares->tidying, tidying_run);
    core_timer_init(&shares->sweep, sweep_timer);
    broker->shares = shares;
    return shares;
}

void broker_share_coordinator_tell(struct broker_call *call, const char *kind,
                                   struct slice group_id, const char *what)
{
    diag_set(&call->diag, "%s %.*s %s.", kind, (int)MIN(group_id.size, (size_t)200),
             (const char *)group_id.data, what);
}

struct group_entry *broker_share_coordinator_entry(struct core *core, struct slice group_id)
{
    struct groups *groups = broker_of(core)->groups;
    return groups ? broker_group_entry_find(groups, group_id) : NULL;
}

static void group_free(struct share_group *group)
{
    struct shares *shares = group->shares;
    list_for_each_safe (node, following, &group->sessions)
        broker_share_session_free(group, LIST_ENTRY(node, struct share_session, node));
    list_for_each_safe (node, following, &group->cursors)
        broker_share_cursor_free(LIST_ENTRY(node, struct share_cursor, node));
    map_deinit(&group->parts);
    map_remove(&shares->by_id, group->id);
    list_remove(&group->untidy_node);
    list_remove(&group->node);
    budget_release(shares->budget, sizeof(*group) + group->id.size);
    free(group);
}

void broker_share_coordinator_close(struct broker *broker)
{
    struct shares *shares = broker->shares;
    if (!shares)
        return;
    list_for_each_safe (node, following, &shares->groups) {
        struct share_group *group = LIST_ENTRY(node, struct share_group, node);
        list_for_each (part, &group->cursors)
            broker_watch_forget(&LIST_ENTRY(part, struct share_cursor, node)->watch);
        group_free(group);
    }
    core_timer_cancel(shares->core, &shares->sweep);
    core_task_cancel(&shares->tidying);
    if (shares->topic)
        broker_topic_unref(shares->topic);
    map_deinit(&shares->by_id);
    free(shares);
    broker->shares = NULL;
}

struct share_group *broker_share_coordinator_group(struct shares *shares, struct slice id,
                                                   bool create)
{
    struct share_group *group = map_get(&shares->by_id, id);
    if (group || !create)
        return group;
    size_t size = sizeof(*group) + id.size;
    if (!budget_charge(shares->budget, size))
        return NULL;
    group = calloc(1, size);
    if (!group) {
        budget_release(shares->budget, size);
        return NULL;
    }
    memcpy(group + 1, id.data, id.size);
    group->id = slice_make(group + 1, id.size);
    group->shares = shares;
    list_init(&group->cursors);
    list_init(&group->sessions);
    list_init(&group->untidy_node);
    map_init(&group->parts, core_random(shares->core));
    if (!map_put(&shares->by_id, group->id, group, NULL)) {
        budget_release(shares->budget, size);
        map_deinit(&group->parts);
        free(group);
        return NULL;
    }
    list_push_back(&shares->groups, &group->node);
    return group;
}

/* Cursors and groups end here alone: whoever walks them, and what their calls' ends bring about,
 * may rely on them. */
static void tidy(struct share_group *group)
{
    bool is_quiet = true;
    if (group->has_erased) {
        list_for_each (node, &group->sessions)
            is_quiet = is_quiet && !LIST_ENTRY(node, struct share_session, node)->is_busy;
        group->has_erased = !is_quiet;
        list_for_each_safe (node, following, &group->cursors) {
            struct share_cursor *cursor = LIST_ENTRY(node, struct share_cursor, node);
            if (is_quiet && broker_share_cursor_is_idle(cursor))
                broker_share_cursor_free(cursor);
            else if (cursor->is_erased)
                group->has_erased = true;
        }
    }
    if (list_empty(&group->cursors) && list_empty(&group->sessions))
        group_free(group);
}

static void tidying_run(struct core *core, struct core_task *task)
{
    struct shares *shares = CONTAINER_OF(task, struct shares, tidying);
    struct list *node;
    while ((node = list_pop_front(&shares->untidy)) != NULL)
        tidy(LIST_ENTRY(node, struct share_group, untidy_node));
}

void broker_share_coordinator_tidy(struct share_group *group)
{
    if (list_empty(&group->untidy_node))
        list_push_back(&group->shares->untidy, &group->untidy_node);
    core_task_post(group->shares->core, &group->shares->tidying);
}

/* --- topics that go --- */

static bool sweep_group(struct shares *shares, struct share_group *group)
{
    struct group_entry *entry = broker_share_coordinator_entry(shares->core, group->id);
    bool is_found = false;
    list_for_each (node, &group->cursors) {
        struct share_cursor *cursor = LIST_ENTRY(node, struct share_cursor, node);
        if (cursor->is_erased || broker_topic_find_id(shares->core, &cursor->part.topic))
            continue;
        is_found = true;
        broker_share_cursor_reset(cursor, -1);
        broker_share_cursor_write(cursor, NULL);
        broker_share_cursor_wake(cursor);
    }
    if (!is_found || !entry || !entry->share)
        return is_found;
    if (broker_group_share_tidy(entry->share))
        entry->share->is_broken = true;
    broker_group_turn_end(entry);
    return is_found;
}

static void sweep_timer(struct core *core, struct core_timer *timer)
{
    struct shares *shares = CONTAINER_OF(timer, struct shares, sweep);
    list_for_each_safe (node, following, &shares->groups) {
        struct share_group *group = LIST_ENTRY(node, struct share_group, node);
        if (sweep_group(shares, group))
            broker_share_coordinator_tidy(group);
    }
}

void broker_share_coordinator_topic_gone(struct core *core)
{
    struct shares *shares = broker_of(core)->shares;
    if (shares && shares->is_loaded && !core_timer_is_set(&shares->sweep))
        core_timer_set(core, &shares->sweep, core_now_ns(core) + SWEEP_MS * NS_PER_MS);
}

/* --- waiting for state --- */

static void parked_end(struct shares *shares, enum err err)
{
    struct list here;
    struct list *node;
    list_init(&here);
    list_splice_back(&here, &shares->parked);
    shares->parked_count = 0;
    while ((node = list_pop_front(&here)) != NULL) {
        struct broker_call *call = LIST_ENTRY(node, struct broker_call, node);
        if (err)
            broker_call_finish(shares->core, call, err);
        else
            call->serve(shares->core, call);
    }
}

static enum err load_record(struct replay *replay, const struct batch_header *header,
                            const struct record *record)
{
    struct shares *shares = CONTAINER_OF(replay, struct shares, replay);
    struct share_record_key key;
    enum err err = broker_share_record_read_key(record->key, &key);
    if (err)
        return err;
    struct share_group *group =
        broker_share_coordinator_group(shares, key.group_id, record->value.data != NULL);
    if (record->value.data) {
        struct share_cursor *found =
            group ? broker_share_cursor_get(group, &key.topic_id, key.index) : NULL;
        return found ? broker_share_cursor_restore(found, record->value) : ERR_NO_MEMORY;
    }
    struct share_cursor *cursor =
        group ? broker_share_cursor_find(group, &key.topic_id, key.index) : NULL;
    if (cursor)
        broker_share_cursor_free(cursor);
    if (group)
        broker_share_coordinator_tidy(group);
    return ERR_OK;
}

static void load_done(struct replay *replay, enum err err)
{
    struct shares *shares = CONTAINER_OF(replay, struct shares, replay);
    if (!err) {
        shares->loading++;
        load_next(shares);
        return;
    }
    log_error(core_logger(shares->core), "broker",
              "the state of share groups cannot be read: %s partition=%u", err_text(err),
              shares->loading);
    list_for_each_safe (node, following, &shares->groups)
        group_free(LIST_ENTRY(node, struct share_group, node));
    shares->is_loading = false;
    shares->loading = 0; /* the next call tries again */
    parked_end(shares, ERR_LOADING);
}

static void load_next(struct shares *shares)
{
    shares->is_loading = true;
    if (shares->loading == shares->topic->partition_count) {
        shares->is_loading = false;
        shares->is_loaded = true;
        broker_share_coordinator_topic_gone(shares->core); /* while nobody looked */
        parked_end(shares, ERR_OK);
        return;
    }
    shares->replay = (struct replay){.core = shares->core,
                                     .topic = shares->topic,
                                     .partition = (int32_t)shares->loading,
                                     .batch_size_max = SHARE_BATCH_SIZE_MAX,
                                     .record = load_record,
                                     .done = load_done};
    broker_replay_start(&shares->replay);
}

/* --- the topic --- */

static void topic_created(struct broker_call *call)
{
    struct shares *shares = CONTAINER_OF(call, struct shares, create.call);
    enum err err = call->err == ERR_EXISTS ? ERR_OK : call->err;
    shares->is_creating = false;
    if (err)
        log_error(core_logger(shares->core), "broker", "cannot make " SHARE_TOPIC ": %s %s",
                  err_text(err), call->diag.text);
    parked_end(shares, err);
}

static void topic_create(struct shares *shares)
{
    static const struct broker_setting_pair settings[] = {
        {SLICE_LITERAL("cleanup.policy"), SLICE_LITERAL("compact")},
        {SLICE_LITERAL("retention.ms"), SLICE_LITERAL("-1")},
        {SLICE_LITERAL("retention.bytes"), SLICE_LITERAL("-1")},
        {SLICE_LITERAL("segment.bytes"), SLICE_LITERAL(SEGMENT_TEXT)},
    };
    shares->is_creating = true;
    shares->create = (struct broker_topic_create){
        .call.done = topic_created,
        .name = SLICE_LITERAL(SHARE_TOPIC),
        .partition_count =
            broker_settings_now(shares->core)->share_coordinator_state_topic_num_partitions,
        .replication_factor = -1,
        .settings = settings,
        .setting_count = COUNT_OF(settings),
        .internal = true};
    broker_topic_create(shares->core, &shares->create);
}

bool broker_share_coordinator_enter(struct core *core, struct broker_call *call)
{
    struct shares *shares = broker_share_coordinator(core);
    if (!shares) {
        broker_call_finish(core, call, ERR_NO_MEMORY);
        return false;
    }
    if (shares->is_loaded)
        return true;
    if (shares->parked_count >= SHARE_LOAD_CALLS_MAX) {
        broker_call_finish(core, call, ERR_LOADING);
        return false;
    }
    shares->parked_count++;
    list_push_back(&shares->parked, &call->node);
    if (shares->is_creating || shares->is_loading)
        return false;
    const struct broker_topic *topic =
        shares->topic ? shares->topic : broker_topic_find(core, SLICE_LITERAL(SHARE_TOPIC));
    if (topic && !shares->topic)
        shares->topic = broker_topic_ref(topic);
    if (topic)
        load_next(shares);
    else
        topic_create(shares);
    return false;
}
