// What the members of a group are to read: topics, expressions, and the assignment made of them.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/endian.h"
#include "base/hash.h"
#include "base/regex.h"
#include "broker/group_assignor.h"
#include "broker/group_consumer.h"

/* A topic that a member reads and that exists. */
struct wanted {
    struct slice name; /* the member's */
    struct uuid id;
    uint32_t partition_count;
    uint32_t index; /* in order of id */
};

struct wanted_list {
    struct wanted *items; /* in order of name */
    size_t count;
};

/* --- regular expressions --- */

static struct consumer_regex *regex_find(const struct group_consumer *group, struct slice text)
{
    list_for_each (node, &group->regexes) {
        struct consumer_regex *regex = LIST_ENTRY(node, struct consumer_regex, node);
        if (slice_equal(regex->text, text))
            return regex;
    }
    return NULL;
}

struct consumer_regex *broker_group_consumer_target_regex_new(struct group_consumer *group,
                                                              struct slice text)
{
    struct consumer_regex *regex = regex_find(group, text);
    if (regex)
        return regex;
    regex = calloc(1, sizeof(*regex));
    if (!regex)
        return NULL;
    if (broker_group_parts_text(group->env->budget, &regex->text, text)) {
        free(regex);
        return NULL;
    }
    list_push_back(&group->regexes, &regex->node);
    return regex;
}

static void regex_free(struct group_consumer *group, struct consumer_regex *regex)
{
    list_remove(&regex->node);
    broker_group_parts_names_free(group->env->budget, &regex->topics);
    broker_group_parts_text_free(group->env->budget, &regex->text);
    free(regex);
}

struct matches {
    struct slice *names;
    size_t count;
    size_t capacity;
};

static enum err matches_add(struct matches *matches, struct slice name)
{
    if (matches->count == matches->capacity) {
        size_t capacity = MAX(matches->capacity * 2, (size_t)16);
        struct slice *names = reallocarray(matches->names, capacity, sizeof(*names));
        if (!names)
            return ERR_NO_MEMORY;
        matches->names = names;
        matches->capacity = capacity;
    }
    matches->names[matches->count++] = name;
    return ERR_OK;
}

/* The names are those of the view, which lasts for this call. */
static enum err matches_find(struct consumer_env *env, struct regex *compiled,
                             struct matches *matches, struct diag *diag)
{
    struct consumer_topic topic = {.name = SLICE_NULL};
    enum err err = ERR_OK;
    regex_allow(compiled, CONSUMER_REGEX_STEPS_MAX);
    while (!err && env->topic_after(env, topic.name, &topic)) {
        regex_allow(compiled, CONSUMER_REGEX_BYTE_STEPS_MAX * topic.name.size);
        if (regex_matches(compiled, topic.name))
            err = matches_add(matches, topic.name);
        if (!err && regex_is_spent(compiled)) {
            diag_set(diag, "SubscribedTopicRegex takes too long with so many topics.");
            err = ERR_REGEX;
        }
    }
    return err;
}

/* Whether all changes since the expression was matched are known by name. */
static bool changes_are_known(struct consumer_env *env, const struct consumer_regex *regex)
{
    uint64_t now = env->topics_generation(env);
    uint64_t since = regex->generation;
    return regex->is_matched && !regex->is_refused && since <= now &&
           now - since <= CONSUMER_CHANGES_MAX &&
           (since == now || env->topic_change(env, since + 1).data);
}

static bool is_changed(struct consumer_env *env, uint64_t since, struct slice name)
{
    for (uint64_t g = since + 1; g <= env->topics_generation(env); g++)
        if (slice_equal(env->topic_change(env, g), name))
            return true;
    return false;
}

/* What it found before, and of the topics that changed since those that it finds now. */
static enum err matches_update(struct consumer_env *env, const struct consumer_regex *regex,
                               struct regex *compiled, struct matches *matches)
{
    struct consumer_topic topic;
    enum err err = ERR_OK;
    for (size_t i = 0; i < regex->topics.count && !err; i++)
        if (!is_changed(env, regex->generation, regex->topics.items[i]))
            err = matches_add(matches, regex->topics.items[i]);
    regex_allow(compiled, CONSUMER_REGEX_STEPS_MAX);
    for (uint64_t g = regex->generation + 1; g <= env->topics_generation(env) && !err; g++) {
        struct slice name = env->topic_change(env, g);
        regex_allow(compiled, CONSUMER_REGEX_BYTE_STEPS_MAX * name.size);
        if (regex_matches(compiled, name) && env->topic_named(env, name, &topic))
            err = matches_add(matches, topic.name);
    }
    return !err && regex_is_spent(compiled) ? ERR_REGEX : err;
}

static enum err regex_match(struct group_consumer *group, struct consumer_regex *regex,
                            struct diag *diag)
{
    struct consumer_env *env = group->env;
    struct regex *compiled;
    enum err err = regex_new(regex->text, &compiled, diag);
    if (err)
        return err == ERR_NO_MEMORY ? err : ERR_REGEX;
    struct matches matches = {NULL, 0, 0};
    if (changes_are_known(env, regex))
        err = matches_update(env, regex, compiled, &matches);
    else
        err = matches_find(env, compiled, &matches, diag);
    struct group_names names = {NULL, 0, 0};
    if (!err)
        err = broker_group_parts_names(env->budget, &names, matches.names, matches.count);
    free(matches.names);
    regex_delete(compiled);
    if (err)
        return err;
    bool is_same = regex->is_matched && broker_group_parts_names_equal(&names, &regex->topics);
    broker_group_parts_names_free(env->budget, &regex->topics);
    regex->topics = names;
    regex->generation = env->topics_generation(env);
    regex->is_matched = true;
    regex->is_refused = false;
    if (!is_same)
        broker_group_consumer_record_regex(group, regex);
    return ERR_OK;
}

enum err broker_group_consumer_target_regex(struct group_consumer *group, struct slice text,
                                            struct diag *diag)
{
    struct consumer_regex *regex = regex_find(group, text);
    bool is_new = !regex;
    if (regex && regex->is_refused)
        diag_set(diag, "SubscribedTopicRegex takes too long with so many topics.");
    if (regex && regex->is_matched)
        return regex->is_refused ? ERR_REGEX : ERR_OK;
    size_t count = 0;
    list_for_each (node, &group->regexes)
        count++;
    if (is_new && count >= CONSUMER_REGEXES_MAX) {
        diag_set(diag, "The group has %d expressions already.", CONSUMER_REGEXES_MAX);
        return ERR_REGEX;
    }
    regex = broker_group_consumer_target_regex_new(group, text);
    enum err err = regex ? regex_match(group, regex, diag) : ERR_NO_MEMORY;
    if (err && regex && is_new)
        regex_free(group, regex);
    return err;
}

enum err broker_group_consumer_target_match(struct group_consumer *group)
{
    uint64_t generation = group->env->topics_generation(group->env);
    enum err err = ERR_OK;
    list_for_each (node, &group->regexes) {
        struct consumer_regex *regex = LIST_ENTRY(node, struct consumer_regex, node);
        if (err || (regex->is_matched && regex->generation == generation))
            continue;
        err = regex_match(group, regex, NULL);
        if (err != ERR_REGEX)
            continue;
        /* Its members are told with their next heartbeat. */
        regex->generation = generation;
        regex->is_matched = regex->is_refused = true;
        err = ERR_OK;
    }
    return err;
}

static bool regex_is_used(const struct group_consumer *group, const struct consumer_regex *regex)
{
    list_for_each (node, &group->order)
        if (slice_equal(LIST_ENTRY(node, struct consumer_member, node)->regex, regex->text))
            return true;
    return false;
}

void broker_group_consumer_target_tidy(struct group_consumer *group)
{
    list_for_each_safe (node, following, &group->regexes) {
        struct consumer_regex *regex = LIST_ENTRY(node, struct consumer_regex, node);
        if (regex_is_used(group, regex))
            continue;
        broker_group_consumer_record_gone(group, CONSUMER_FACT_REGEX, regex->text);
        regex_free(group, regex);
    }
}

void broker_group_consumer_target_forget(struct group_consumer *group)
{
    list_for_each_safe (node, following, &group->regexes)
        regex_free(group, LIST_ENTRY(node, struct consumer_regex, node));
}

static const struct group_names *regex_topics(const struct group_consumer *group,
                                              const struct consumer_member *member)
{
    static const struct group_names none = {NULL, 0, 0};
    const struct consumer_regex *regex =
        member->regex.size > 0 ? regex_find(group, member->regex) : NULL;
    return regex ? &regex->topics : &none;
}

bool broker_group_consumer_is_subscribed(const struct group_consumer *group, struct slice topic)
{
    list_for_each (node, &group->order) {
        const struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        if (broker_group_parts_names_have(&member->topics, topic) ||
            broker_group_parts_names_have(regex_topics(group, member), topic))
            return true;
    }
    return false;
}

/* --- the topics that are read --- */

static int name_order(const void *a, const void *b)
{
    return slice_compare(((const struct wanted *)a)->name, ((const struct wanted *)b)->name);
}

static int id_order(const void *a, const void *b)
{
    const struct wanted *const *left = a;
    const struct wanted *const *right = b;
    return memcmp((*left)->id.bytes, (*right)->id.bytes, sizeof((*left)->id.bytes));
}

static void wanted_put(struct wanted_list *list, const struct group_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        list->items[list->count++] = (struct wanted){.name = names->items[i]};
}

static void wanted_look_up(struct group_consumer *group, struct wanted_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct consumer_topic topic;
        struct slice name = list->items[i].name;
        if (i > 0 && slice_equal(name, list->items[i - 1].name))
            continue;
        if (!group->env->topic_named(group->env, name, &topic))
            continue;
        list->items[kept++] =
            (struct wanted){.name = name, .id = topic.id, .partition_count = topic.partition_count};
    }
    list->count = kept;
}

static enum err wanted_make(struct group_consumer *group, struct wanted_list *out)
{
    size_t room = 0;
    list_for_each (node, &group->order) {
        const struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        room += member->topics.count + regex_topics(group, member)->count;
    }
    *out = (struct wanted_list){.items = reallocarray(NULL, room + 1, sizeof(*out->items))};
    if (!out->items)
        return ERR_NO_MEMORY;
    list_for_each (node, &group->order) {
        const struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        wanted_put(out, &member->topics);
        wanted_put(out, regex_topics(group, member));
    }
    if (out->count > 1)
        qsort(out->items, out->count, sizeof(*out->items), name_order);
    /* Repetitions are found by name, which stays in place behind what is kept. */
    wanted_look_up(group, out);
    return ERR_OK;
}

enum err broker_group_consumer_target_hash(struct group_consumer *group, uint64_t *out)
{
    struct wanted_list list;
    enum err err = wanted_make(group, &list);
    if (err)
        return err;
    uint64_t hash = 0;
    for (size_t i = 0; i < list.count; i++) {
        uint8_t tail[sizeof(struct uuid) + 4];
        memcpy(tail, list.items[i].id.bytes, sizeof(struct uuid));
        be32_put(tail + sizeof(struct uuid), list.items[i].partition_count);
        const uint64_t name_key[2] = {hash, list.count};
        const uint64_t tail_key[2] = {hash_siphash(name_key, list.items[i].name), i};
        hash = hash_siphash(tail_key, slice_make(tail, sizeof(tail)));
    }
    free(list.items);
    *out = hash;
    return ERR_OK;
}

/* --- the assignment --- */

/* One run of an assignor; everything in it is freed at its end. */
struct making {
    struct wanted_list wanted;
    struct wanted **by_id;
    uint32_t *topics; /* of all members, one after the other */
    size_t topics_used;
    struct assignor assignor;
    struct group_parts *parts;
};

static enum err making_topics(struct making *making)
{
    size_t count = making->wanted.count;
    making->by_id = reallocarray(NULL, count + 1, sizeof(*making->by_id));
    making->assignor.topics = reallocarray(NULL, count + 1, sizeof(*making->assignor.topics));
    if (!making->by_id || !making->assignor.topics)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        making->by_id[i] = &making->wanted.items[i];
    if (count > 1)
        qsort(making->by_id, count, sizeof(*making->by_id), id_order);
    for (size_t i = 0; i < count; i++) {
        making->by_id[i]->index = (uint32_t)i;
        making->assignor.topics[i] = (struct assignor_topic){
            .id = making->by_id[i]->id, .partition_count = making->by_id[i]->partition_count};
    }
    making->assignor.topic_count = count;
    return ERR_OK;
}

static int index_order(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void making_subscribe(struct making *making, struct assignor_member *to,
                             const struct group_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        struct wanted key = {.name = names->items[i]};
        const struct wanted *found =
            bsearch(&key, making->wanted.items, making->wanted.count, sizeof(key), name_order);
        if (found)
            making->topics[making->topics_used + to->topic_count++] = found->index;
    }
}

static enum err making_members(struct group_consumer *group, struct making *making)
{
    size_t room = 0;
    struct assignor *assignor = &making->assignor;
    list_for_each (node, &group->order) {
        const struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        room += member->topics.count + regex_topics(group, member)->count;
    }
    making->topics = reallocarray(NULL, room + 1, sizeof(*making->topics));
    assignor->members = calloc(group->members.count + 1, sizeof(*assignor->members));
    making->parts = calloc(group->members.count + 1, sizeof(*making->parts));
    if (!making->topics || !assignor->members || !making->parts)
        return ERR_NO_MEMORY;
    list_for_each (node, &group->order) {
        const struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        struct assignor_member *to = &assignor->members[assignor->member_count++];
        uint32_t *topics = making->topics + making->topics_used;
        *to = (struct assignor_member){.sort = member->instance_id.data ? member->instance_id
                                                                        : member->id,
                                       .topics = topics,
                                       .before = &member->target};
        making_subscribe(making, to, &member->topics);
        making_subscribe(making, to, regex_topics(group, member));
        if (to->topic_count > 1)
            qsort(topics, to->topic_count, sizeof(*topics), index_order);
        size_t kept = 0;
        for (size_t i = 0; i < to->topic_count; i++)
            if (kept == 0 || topics[kept - 1] != topics[i])
                topics[kept++] = topics[i];
        to->topic_count = kept;
        making->topics_used += kept;
    }
    return ERR_OK;
}

/* What most members ask for; else the server's own. */
static enum assignor_kind assignor_choose(const struct group_consumer *group)
{
    size_t uniform = 0;
    size_t range = 0;
    list_for_each (node, &group->order) {
        const struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        uniform += slice_equal_text(member->assignor, "uniform");
        range += slice_equal_text(member->assignor, "range");
    }
    if (uniform == range)
        return strcmp(group->env->assignor, "range") == 0 ? ASSIGNOR_RANGE : ASSIGNOR_UNIFORM;
    return range > uniform ? ASSIGNOR_RANGE : ASSIGNOR_UNIFORM;
}

const char *broker_group_consumer_target_assignor(const struct group_consumer *group)
{
    return assignor_choose(group) == ASSIGNOR_RANGE ? "range" : "uniform";
}

/* Members take their new targets over. */
static void making_apply(struct group_consumer *group, struct making *making)
{
    size_t index = 0;
    list_for_each (node, &group->order) {
        struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        struct group_parts *parts = &making->parts[index++];
        bool is_same = broker_group_parts_equal(parts, &member->target);
        struct group_parts former = member->target;
        member->target = *parts;
        *parts = former;
        /* A member that is new has no record of it yet. */
        if (!is_same || member->epoch == 0)
            broker_group_consumer_record_target(group, member);
    }
}

enum err broker_group_consumer_target_make(struct group_consumer *group)
{
    struct budget *budget = group->env->budget;
    struct making making = {.assignor.kind = assignor_choose(group)};
    enum err err = wanted_make(group, &making.wanted);
    if (!err)
        err = making_topics(&making);
    if (!err)
        err = making_members(group, &making);
    if (!err)
        err = broker_group_assignor_run(&making.assignor);
    if (!err)
        err = broker_group_assignor_parts(&making.assignor, budget, making.parts);
    if (!err) {
        making_apply(group, &making);
        for (size_t i = 0; i < making.assignor.member_count; i++)
            broker_group_parts_free(budget, &making.parts[i], making.parts[i].count);
        group->assignment_epoch = group->epoch;
        broker_group_consumer_record_target_epoch(group);
    }
    free(making.wanted.items);
    free(making.by_id);
    free(making.topics);
    free(making.assignor.topics);
    free(making.assignor.members);
    free(making.assignor.owners);
    free(making.parts);
    if (err)
        group->is_broken = true;
    return err;
}
