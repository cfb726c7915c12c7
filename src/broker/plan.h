// Topics as a plan describes them: checked without data, checked against it, and put in force.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/text.h"
#include "broker/broker.h"

/* What shall be there. */
struct broker_plan_topic {
    struct slice name;
    int32_t partition_count;                    /* -1: as many as there are, or the default */
    const struct broker_setting_pair *settings; /* others stay as they are */
    size_t setting_count;
};
struct broker_plan {
    const struct broker_plan_topic *topics;
    size_t count;
};

enum broker_plan_part {
    BROKER_PLAN_TOPIC, /* its name, or all of it together */
    BROKER_PLAN_PARTITIONS,
    BROKER_PLAN_SETTING,
};
/* Where a plan is wrong. */
struct broker_plan_fault {
    size_t topic;
    enum broker_plan_part part;
    size_t setting; /* of its settings */
};

/* What can be said without data: names, numbers, settings, subjects that overlap. ERR_INVALID or
 * ERR_LIMIT with words and place, ERR_NO_MEMORY. Any thread. */
NODISCARD enum err broker_plan_check(const struct broker_plan *plan,
                                     const struct broker_settings *settings,
                                     struct slice view_prefix, struct broker_plan_fault *out_fault,
                                     struct diag *diag);

enum broker_plan_limit {
    BROKER_PLAN_MAKING_MAX = 64,
};

/* Memory of the caller's until done. */
struct broker_plan_apply {
    const struct broker_plan *plan;
    void (*done)(struct broker_plan_apply *apply); /* on core 0, perhaps inside the call */
    void *arg;
    enum err err; /* out: those of broker_topic_create, _grow and broker_settings_alter */
    struct diag diag;
    struct broker_plan_fault fault;
    size_t created_count; /* out */
    size_t changed_count; /* out: calls that changed topics */
    /* the broker's */
    struct core *core;
    size_t next;
    bool is_making;   /* subjects that go from topic to topic are free */
    bool is_changing; /* the next topic is being grown or set */
    size_t making_count;
    struct broker_plan_making *making; /* BROKER_PLAN_MAKING_MAX */
    struct broker_plan_making *free;
    struct text surplus;
    struct broker_setting_change *changes;
    struct broker_topic_grow grow;
    struct broker_settings_alter alter;
};
/* Core 0. The whole plan is checked against what is there first,
 * then each topic is made, grown and set, unless it is as planned; up to BROKER_PLAN_MAKING_MAX
 * topics are made at a time, and their facts share commits. What was done before an error stays
 * done. Where others change topics meanwhile a call may fail, or their change may stay. */
void broker_plan_apply(struct core *core, struct broker_plan_apply *apply);
/* Frees what one holds that will not be done any more; zeroed or done ones hold nothing. */
void broker_plan_forget(struct broker_plan_apply *apply);
