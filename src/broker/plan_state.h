// What the files of plans share; for this room only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/owner.h"
#include "broker/plan.h"

/* A topic on its way. */
struct broker_plan_making {
    struct broker_topic_create create;
    struct broker_plan_apply *apply;
    struct broker_plan_making *next; /* while free */
    size_t topic;                    /* of the plan */
};

/* The topic's settings as planned, over those it has (now NULL: none). ERR_INVALID with words. */
NODISCARD enum err broker_plan_settings(const struct broker_plan_topic *topic,
                                        const struct broker_topic *now,
                                        const struct settings_version *base,
                                        struct topic_settings **out, struct diag *diag);
/* Core 0: the whole plan against what is there; errors of broker_plan_check. */
NODISCARD enum err broker_plan_check_here(struct core *core, const struct broker_plan *plan,
                                          struct broker_plan_fault *out_fault, struct diag *diag);
