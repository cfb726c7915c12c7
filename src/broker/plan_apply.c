// Makes, grows and sets topics until they are as planned, one call after the other.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/text.h"
#include "broker/binding.h"
#include "broker/plan_state.h"

static void plan_go_on(struct broker_plan_apply *apply);

static void plan_end(struct broker_plan_apply *apply, enum err err)
{
    free(apply->changes);
    apply->changes = NULL;
    text_deinit(&apply->surplus);
    apply->err = err;
    apply->done(apply);
}

/* The call for a topic is over; is_last: there is no other one to make for it now. */
static void plan_called(struct broker_plan_apply *apply, const struct broker_call *call,
                        bool is_last)
{
    free(apply->changes);
    apply->changes = NULL;
    if (call->err) {
        apply->diag = call->diag;
        apply->fault = (struct broker_plan_fault){.topic = apply->next};
        plan_end(apply, call->err);
        return;
    }
    apply->next += is_last;
    plan_go_on(apply);
}

static void created(struct broker_call *call)
{
    struct broker_plan_apply *apply = CONTAINER_OF(call, struct broker_plan_apply, create.call);
    apply->created_count += call->err == ERR_OK;
    plan_called(apply, call, true);
}

static void grown(struct broker_call *call)
{
    struct broker_plan_apply *apply = CONTAINER_OF(call, struct broker_plan_apply, grow.call);
    apply->changed_count += call->err == ERR_OK;
    plan_called(apply, call, false);
}

static void altered(struct broker_call *call)
{
    struct broker_plan_apply *apply = CONTAINER_OF(call, struct broker_plan_apply, alter.call);
    apply->changed_count += call->err == ERR_OK;
    plan_called(apply, call, true);
}

/* --- calls; true: done of one is still to come ------------------------------------------------ */

static bool plan_fail(struct broker_plan_apply *apply, enum err err)
{
    apply->fault = (struct broker_plan_fault){.topic = apply->next};
    plan_end(apply, err);
    return true;
}

static bool plan_create(struct broker_plan_apply *apply, const struct broker_plan_topic *topic)
{
    apply->create = (struct broker_topic_create){
        .call.done = created,
        .name = topic->name,
        .partition_count = topic->partition_count,
        .replication_factor = -1,
        .settings = topic->settings,
        .setting_count = topic->setting_count,
    };
    broker_topic_create(apply->core, &apply->create);
    return true;
}

static bool plan_grow(struct broker_plan_apply *apply, const struct broker_topic *now,
                      int32_t partition_count)
{
    apply->grow = (struct broker_topic_grow){
        .call.done = grown,
        .id = now->id,
        .partition_count = partition_count,
    };
    broker_topic_grow(apply->core, &apply->grow);
    return true;
}

static bool plan_alter(struct broker_plan_apply *apply, const struct broker_topic *now,
                       const struct broker_setting_change *changes, size_t count)
{
    apply->alter = (struct broker_settings_alter){
        .call.done = altered,
        .topic_id = now->id,
        .changes = changes,
        .change_count = count,
    };
    broker_settings_alter(apply->core, &apply->alter);
    return true;
}

static bool plan_set(struct broker_plan_apply *apply, const struct broker_plan_topic *topic,
                     const struct broker_topic *now)
{
    size_t count = topic->setting_count;
    apply->changes = calloc(count, sizeof(*apply->changes));
    if (!apply->changes)
        return plan_fail(apply, ERR_NO_MEMORY);
    for (size_t i = 0; i < count; i++)
        apply->changes[i] = (struct broker_setting_change){.name = topic->settings[i].name,
                                                           .value = topic->settings[i].value};
    return plan_alter(apply, now, apply->changes, count);
}

/* --- what is to be done ----------------------------------------------------------------------- */

static const char *binding_text(const struct topic_settings *settings)
{
    return settings->binding ? settings->binding->text : "";
}

static bool is_same(const struct topic_settings *a, const struct topic_settings *b)
{
    return a->set == b->set && memcmp(&a->config, &b->config, sizeof(a->config)) == 0 &&
           strcmp(binding_text(a), binding_text(b)) == 0;
}

static bool has_filter(const struct broker_binding *binding, struct slice filter)
{
    for (size_t i = 0; binding && i < binding->count; i++)
        if (slice_equal(binding->filters[i], filter))
            return true;
    return false;
}

/* Gives subjects back that the topic has and is not to have, so that another can get them. */
static bool plan_release(struct broker_plan_apply *apply, const struct broker_topic *now,
                         const struct topic_settings *planned)
{
    text_clear(&apply->surplus);
    for (size_t i = 0; now->binding && i < now->binding->count; i++) {
        if (has_filter(planned->binding, now->binding->filters[i]))
            continue;
        text_add_text(&apply->surplus, apply->surplus.size > 0 ? "," : "");
        text_add(&apply->surplus, now->binding->filters[i]);
    }
    if (apply->surplus.failed)
        return plan_fail(apply, ERR_NO_MEMORY);
    if (apply->surplus.size == 0)
        return false;
    apply->changes = calloc(1, sizeof(*apply->changes));
    if (!apply->changes)
        return plan_fail(apply, ERR_NO_MEMORY);
    *apply->changes = (struct broker_setting_change){
        slice_text(BROKER_BINDING_NAME), text_slice(&apply->surplus), BROKER_SETTING_SUBTRACT};
    return plan_alter(apply, now, apply->changes, 1);
}

static bool plan_topic(struct broker_plan_apply *apply, const struct broker_plan_topic *topic)
{
    const struct broker_topic *now = broker_topic_find(apply->core, topic->name);
    struct topic_settings *planned;
    if (!now)
        return apply->is_making && plan_create(apply, topic);
    if (apply->is_making && topic->partition_count > (int32_t)now->partition_count)
        return plan_grow(apply, now, topic->partition_count);
    enum err err = broker_plan_settings(topic, now, broker_core(apply->core)->settings, &planned,
                                        &apply->diag);
    if (err)
        return plan_fail(apply, err);
    bool is_called;
    if (!apply->is_making)
        is_called = plan_release(apply, now, planned);
    else
        is_called = !is_same(planned, broker_topic_version_of(now)->settings) &&
                    plan_set(apply, topic, now);
    broker_topic_config_unref(planned);
    return is_called;
}

static void plan_go_on(struct broker_plan_apply *apply)
{
    for (;;) {
        if (apply->next == apply->plan->count && apply->is_making)
            break;
        if (apply->next == apply->plan->count) {
            apply->is_making = true;
            apply->next = 0;
        } else if (plan_topic(apply, &apply->plan->topics[apply->next])) {
            return;
        } else {
            apply->next++;
        }
    }
    plan_end(apply, ERR_OK);
}

void broker_plan_apply(struct core *core, struct broker_plan_apply *apply)
{
    apply->core = core;
    apply->next = 0;
    apply->is_making = false;
    apply->created_count = 0;
    apply->changed_count = 0;
    apply->changes = NULL;
    text_init(&apply->surplus);
    apply->diag.text[0] = 0;
    enum err err = broker_plan_check_here(core, apply->plan, &apply->fault, &apply->diag);
    if (err)
        plan_end(apply, err);
    else
        plan_go_on(apply);
}
