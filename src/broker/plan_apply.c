// Makes, grows and sets topics until they are as planned, one call after the other.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/text.h"
#include "broker/binding.h"
#include "broker/plan_state.h"

static void plan_go_on(struct broker_plan_apply *apply);

void broker_plan_forget(struct broker_plan_apply *apply)
{
    free(apply->changes);
    free(apply->making);
    text_deinit(&apply->surplus);
    apply->changes = NULL;
    apply->making = NULL;
}

static void plan_end(struct broker_plan_apply *apply)
{
    broker_plan_forget(apply);
    apply->done(apply);
}

/* The first error counts; nothing is begun after it. */
static void plan_fail(struct broker_plan_apply *apply, size_t topic, enum err err)
{
    if (apply->err)
        return;
    apply->err = err;
    apply->fault = (struct broker_plan_fault){.topic = topic};
}

static void plan_called(struct broker_plan_apply *apply, size_t topic,
                        const struct broker_call *call)
{
    if (call->err && !apply->err)
        apply->diag = call->diag;
    if (call->err)
        plan_fail(apply, topic, call->err);
    plan_go_on(apply);
}

static void created(struct broker_call *call)
{
    struct broker_plan_making *making = CONTAINER_OF(call, struct broker_plan_making, create.call);
    struct broker_plan_apply *apply = making->apply;
    making->next = apply->free;
    apply->free = making;
    apply->making_count--;
    apply->created_count += call->err == ERR_OK;
    plan_called(apply, making->topic, call);
}

/* is_last: there is no other call to make for the topic now. */
static void changed(struct broker_plan_apply *apply, const struct broker_call *call, bool is_last)
{
    size_t topic = apply->next;
    free(apply->changes);
    apply->changes = NULL;
    apply->is_changing = false;
    apply->changed_count += call->err == ERR_OK;
    apply->next += is_last;
    plan_called(apply, topic, call);
}

static void grown(struct broker_call *call)
{
    changed(CONTAINER_OF(call, struct broker_plan_apply, grow.call), call, false);
}

static void altered(struct broker_call *call)
{
    changed(CONTAINER_OF(call, struct broker_plan_apply, alter.call), call, true);
}

/* --- calls ------------------------------------------------------------------------------------ */

static void plan_create(struct broker_plan_apply *apply, const struct broker_plan_topic *topic)
{
    struct broker_plan_making *making = apply->free;
    apply->free = making->next;
    making->topic = apply->next++;
    making->create = (struct broker_topic_create){
        .call.done = created,
        .name = topic->name,
        .partition_count = topic->partition_count,
        .replication_factor = -1,
        .settings = topic->settings,
        .setting_count = topic->setting_count,
    };
    apply->making_count++;
    broker_topic_create(apply->core, &making->create);
}

static void plan_grow(struct broker_plan_apply *apply, const struct broker_topic *now,
                      int32_t partition_count)
{
    apply->is_changing = true;
    apply->grow = (struct broker_topic_grow){
        .call.done = grown,
        .id = now->id,
        .partition_count = partition_count,
    };
    broker_topic_grow(apply->core, &apply->grow);
}

static void plan_alter(struct broker_plan_apply *apply, const struct broker_topic *now,
                       const struct broker_setting_change *changes, size_t count)
{
    apply->is_changing = true;
    apply->alter = (struct broker_settings_alter){
        .call.done = altered,
        .topic_id = now->id,
        .changes = changes,
        .change_count = count,
    };
    broker_settings_alter(apply->core, &apply->alter);
}

static enum err plan_set(struct broker_plan_apply *apply, const struct broker_plan_topic *topic,
                         const struct broker_topic *now)
{
    size_t count = topic->setting_count;
    apply->changes = calloc(count, sizeof(*apply->changes));
    if (!apply->changes)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        apply->changes[i] = (struct broker_setting_change){.name = topic->settings[i].name,
                                                           .value = topic->settings[i].value};
    plan_alter(apply, now, apply->changes, count);
    return ERR_OK;
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
static enum err plan_release(struct broker_plan_apply *apply, const struct broker_topic *now,
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
        return ERR_NO_MEMORY;
    if (apply->surplus.size == 0)
        return ERR_OK;
    apply->changes = calloc(1, sizeof(*apply->changes));
    if (!apply->changes)
        return ERR_NO_MEMORY;
    *apply->changes = (struct broker_setting_change){
        slice_text(BROKER_BINDING_NAME), text_slice(&apply->surplus), BROKER_SETTING_SUBTRACT};
    plan_alter(apply, now, apply->changes, 1);
    return ERR_OK;
}

static enum err plan_existing(struct broker_plan_apply *apply,
                              const struct broker_plan_topic *topic, const struct broker_topic *now)
{
    struct topic_settings *planned;
    if (apply->is_making && topic->partition_count > (int32_t)now->partition_count) {
        plan_grow(apply, now, topic->partition_count);
        return ERR_OK;
    }
    enum err err = broker_plan_settings(topic, now, broker_core(apply->core)->settings, &planned,
                                        &apply->diag);
    if (err)
        return err;
    if (!apply->is_making)
        err = plan_release(apply, now, planned);
    else if (!is_same(planned, broker_topic_version_of(now)->settings))
        err = plan_set(apply, topic, now);
    broker_topic_config_unref(planned);
    return err;
}

/* Begins what the next topic needs, or steps over it. */
static void plan_topic(struct broker_plan_apply *apply)
{
    const struct broker_plan_topic *topic = &apply->plan->topics[apply->next];
    const struct broker_topic *now = broker_topic_find(apply->core, topic->name);
    if (!now && apply->is_making) {
        plan_create(apply, topic);
        return;
    }
    enum err err = now ? plan_existing(apply, topic, now) : ERR_OK;
    if (err)
        plan_fail(apply, apply->next, err);
    else if (!apply->is_changing)
        apply->next++;
}

static void plan_go_on(struct broker_plan_apply *apply)
{
    bool is_over = false;
    while (!apply->err && !apply->is_changing && apply->free && !is_over) {
        is_over = apply->next == apply->plan->count && apply->is_making;
        if (apply->next < apply->plan->count) {
            plan_topic(apply);
        } else if (!apply->is_making) {
            apply->is_making = true;
            apply->next = 0;
        }
    }
    if ((apply->err || is_over) && !apply->is_changing && apply->making_count == 0)
        plan_end(apply);
}

static enum err plan_begin(struct broker_plan_apply *apply)
{
    apply->making = calloc(BROKER_PLAN_MAKING_MAX, sizeof(*apply->making));
    if (!apply->making)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < BROKER_PLAN_MAKING_MAX; i++) {
        apply->making[i].apply = apply;
        apply->making[i].next = apply->free;
        apply->free = &apply->making[i];
    }
    return broker_plan_check_here(apply->core, apply->plan, &apply->fault, &apply->diag);
}

void broker_plan_apply(struct core *core, struct broker_plan_apply *apply)
{
    *apply = (struct broker_plan_apply){
        .plan = apply->plan, .done = apply->done, .arg = apply->arg, .core = core};
    text_init(&apply->surplus);
    apply->err = plan_begin(apply);
    plan_go_on(apply);
}
