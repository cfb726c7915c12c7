// Checks planned topics, alone and against what is there.
// SPDX-License-Identifier: Apache-2.0
#include "broker/plan_state.h"

#include <stdlib.h>

#include "base/endian.h"
#include "broker/binding.h"

/* One pass over a plan. */
struct check {
    const struct broker_plan *plan;
    struct core *core; /* NULL: without data */
    const struct settings_version *base;
    struct slice view_prefix;
    struct owner *owner; /* whose names are claimed */
    struct map names;    /* of the plan */
    struct list claims;  /* on subjects, as they will be */
    size_t partition_count;
    size_t claimed_count; /* topics whose names are claimed, if they are new */
    struct broker_plan_fault *fault;
    struct diag *diag;
};

static const struct broker_topic *existing(const struct check *check,
                                           const struct broker_plan_topic *topic)
{
    return check->core ? broker_topic_find(check->core, topic->name) : NULL;
}

static enum err fault_at(struct check *check, enum broker_plan_part part, size_t setting,
                         enum err err)
{
    check->fault->part = part;
    check->fault->setting = setting;
    return err;
}

/* Its place among the topic's settings; setting_count: it is none of them. */
static size_t place_of(const struct broker_plan_topic *topic, const char *name)
{
    for (size_t i = topic->setting_count; i > 0; i--)
        if (slice_equal_text(topic->settings[i - 1].name, name))
            return i - 1;
    return topic->setting_count;
}

/* --- names ------------------------------------------------------------------------------------ */

static enum err check_twice(struct check *check)
{
    for (size_t i = 0; i < check->plan->count; i++) {
        const struct broker_plan_topic *topic = &check->plan->topics[i];
        void *old = NULL;
        check->fault->topic = i;
        if (topic->name.size == 0)
            continue;
        if (!map_put(&check->names, topic->name, (void *)(uintptr_t)topic, &old))
            return ERR_NO_MEMORY;
        if (!old)
            continue;
        diag_set(check->diag, "topic '%.*s' is described twice", (int)MIN(topic->name.size, 249),
                 (const char *)topic->name.data);
        return fault_at(check, BROKER_PLAN_TOPIC, 0, ERR_INVALID);
    }
    return ERR_OK;
}

static enum err check_name(struct check *check, const struct broker_plan_topic *topic)
{
    enum err err = broker_topic_name_check(topic->name, check->diag);
    if (!err && broker_topic_name_is_internal(topic->name)) {
        diag_set(check->diag, "internal topics are made by the server alone");
        err = ERR_INVALID;
    }
    if (!err && !existing(check, topic))
        err = broker_topic_name_claim(check->owner, topic->name, check->diag);
    return err ? fault_at(check, BROKER_PLAN_TOPIC, 0, err) : ERR_OK;
}

static void names_release(struct check *check)
{
    for (size_t i = 0; i < check->claimed_count; i++)
        if (!existing(check, &check->plan->topics[i]))
            broker_topic_name_release(check->owner, check->plan->topics[i].name);
}

/* --- partitions ------------------------------------------------------------------------------- */

static enum err check_count(struct check *check, const struct broker_plan_topic *topic)
{
    const struct broker_settings *settings = &check->base->values;
    const struct broker_topic *now = existing(check, topic);
    int32_t before = now ? (int32_t)now->partition_count : 0;
    int32_t count = topic->partition_count;
    if (count == -1)
        count = now ? before : settings->num_partitions;
    if (count < 1) {
        diag_set(check->diag, "a topic has at least one partition, not %d", count);
        return fault_at(check, BROKER_PLAN_PARTITIONS, 0, ERR_INVALID);
    }
    if (count < before) {
        diag_set(check->diag,
                 "the topic has %d partitions; %d are fewer, and none can be taken away", before,
                 count);
        return fault_at(check, BROKER_PLAN_PARTITIONS, 0, ERR_INVALID);
    }
    check->partition_count += (size_t)(count - before);
    if (count > settings->topic_partitions_max && count > before) {
        diag_set(check->diag, "%d partitions: leat.topic.partitions.max is %d", count,
                 settings->topic_partitions_max);
        return fault_at(check, BROKER_PLAN_PARTITIONS, 0, ERR_LIMIT);
    }
    if (check->partition_count > (size_t)settings->partitions_max && count > before) {
        diag_set(check->diag, "%zu partitions in all: leat.partitions.max is %d",
                 check->partition_count, settings->partitions_max);
        return fault_at(check, BROKER_PLAN_PARTITIONS, 0, ERR_LIMIT);
    }
    return ERR_OK;
}

/* --- settings --------------------------------------------------------------------------------- */

enum err broker_plan_settings(const struct broker_plan_topic *topic, const struct broker_topic *now,
                              const struct settings_version *base, struct topic_settings **out,
                              struct diag *diag)
{
    struct topic_settings *settings =
        now ? broker_topic_config_copy(broker_topic_version_of(now)->settings, base)
            : broker_topic_config_new(base);
    if (!settings)
        return ERR_NO_MEMORY;
    enum err err =
        broker_settings_pairs_apply(settings, topic->settings, topic->setting_count, diag);
    if (!err) {
        broker_topic_config_resolve(settings, base);
        err = broker_topic_config_check(settings, diag);
    }
    if (err)
        broker_topic_config_unref(settings);
    else
        *out = settings;
    return err;
}

/* Which one alone is wrong; setting_count: they do not go together. */
static size_t wrong_setting(const struct check *check, const struct broker_plan_topic *topic)
{
    struct diag diag;
    for (size_t i = 0; i < topic->setting_count; i++) {
        struct topic_settings *settings = broker_topic_config_new(check->base);
        bool is_wrong = settings && broker_settings_pairs_apply(settings, &topic->settings[i], 1,
                                                                &diag) == ERR_INVALID;
        broker_topic_config_unref(settings);
        if (is_wrong)
            return i;
    }
    return topic->setting_count;
}

static struct uuid id_of(const struct check *check, const struct broker_plan_topic *topic)
{
    const struct broker_topic *now = existing(check, topic);
    struct uuid id = {{0}}; /* random ones have a version number in the middle */
    if (now)
        return now->id;
    be64_put(id.bytes, (uint64_t)(topic - check->plan->topics));
    return id;
}

static enum err check_binding(struct check *check, const struct broker_plan_topic *topic,
                              const struct topic_settings *settings)
{
    size_t place = place_of(topic, BROKER_BINDING_NAME);
    struct uuid id = id_of(check, topic);
    if (place == topic->setting_count)
        return ERR_OK;
    enum err err = broker_binding_check_among(&check->claims, check->view_prefix, &id,
                                              settings->binding, check->diag);
    if (!err)
        err = broker_binding_claim_among(&check->claims, &id, settings->binding);
    return err ? fault_at(check, BROKER_PLAN_SETTING, place, err) : ERR_OK;
}

static enum err check_settings(struct check *check, const struct broker_plan_topic *topic)
{
    struct topic_settings *settings = NULL;
    enum err err =
        broker_plan_settings(topic, existing(check, topic), check->base, &settings, check->diag);
    if (err) {
        size_t place = err == ERR_INVALID ? wrong_setting(check, topic) : topic->setting_count;
        bool is_one = place < topic->setting_count;
        return fault_at(check, is_one ? BROKER_PLAN_SETTING : BROKER_PLAN_TOPIC, place, err);
    }
    err = check_binding(check, topic, settings);
    broker_topic_config_unref(settings);
    return err;
}

/* Subjects of topics whose binding the plan leaves alone. */
static enum err claim_others(struct check *check)
{
    const struct broker_topic *topic =
        check->core ? broker_topic_after(check->core, SLICE_NULL) : NULL;
    enum err err = ERR_OK;
    for (; topic && !err; topic = broker_topic_after(check->core, topic->name)) {
        const struct broker_plan_topic *planned = map_get(&check->names, topic->name);
        bool is_planned =
            planned && place_of(planned, BROKER_BINDING_NAME) < planned->setting_count;
        if (topic->binding && !is_planned)
            err = broker_binding_claim_among(&check->claims, &topic->id,
                                             broker_topic_version_of(topic)->settings->binding);
    }
    return err;
}

/* --- all of it -------------------------------------------------------------------------------- */

static enum err check_all(struct check *check)
{
    enum err err = check_twice(check);
    if (!err)
        err = claim_others(check);
    for (size_t i = 0; i < check->plan->count && !err; i++) {
        const struct broker_plan_topic *topic = &check->plan->topics[i];
        *check->fault = (struct broker_plan_fault){.topic = i};
        err = check_name(check, topic);
        if (err)
            return err;
        check->claimed_count = i + 1;
        err = check_count(check, topic);
        if (!err)
            err = check_settings(check, topic);
    }
    return err;
}

static enum err check_run(struct check *check)
{
    map_init(&check->names, 0);
    list_init(&check->claims);
    *check->fault = (struct broker_plan_fault){0};
    check->diag->text[0] = 0;
    enum err err = check_all(check);
    names_release(check);
    broker_binding_free_claims(&check->claims);
    map_deinit(&check->names);
    return err;
}

enum err broker_plan_check(const struct broker_plan *plan, const struct broker_settings *settings,
                           struct slice view_prefix, struct broker_plan_fault *out_fault,
                           struct diag *diag)
{
    struct settings_version *base;
    struct owner owner;
    *out_fault = (struct broker_plan_fault){0};
    enum err err = broker_settings_version_new(settings, &base);
    if (err)
        return err;
    map_init(&owner.collisions, 0);
    err = check_run(&(struct check){.plan = plan,
                                    .base = base,
                                    .view_prefix = view_prefix,
                                    .owner = &owner,
                                    .fault = out_fault,
                                    .diag = diag});
    broker_topic_name_free_all(&owner);
    broker_settings_version_unref(base);
    return err;
}

enum err broker_plan_check_here(struct core *core, const struct broker_plan *plan,
                                struct broker_plan_fault *out_fault, struct diag *diag)
{
    struct owner *owner = broker_owner_of(core);
    return check_run(&(struct check){.plan = plan,
                                     .core = core,
                                     .base = broker_core(core)->settings,
                                     .view_prefix = broker_core(core)->broker->view_prefix,
                                     .owner = owner,
                                     .partition_count = owner->partition_count,
                                     .fault = out_fault,
                                     .diag = diag});
}
