// Subjects bound to topics: the topic setting nats.subjects.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/broker.h"

#define BROKER_BINDING_NAME "nats.subjects"

enum broker_binding_limit {
    BROKER_BINDING_FILTERS_MAX = 256,     /* of a topic */
    BROKER_BINDING_TOTAL_MAX = 16384,     /* of all topics: each new one is compared with all */
    BROKER_BINDING_FILTER_SIZE_MAX = 256, /* bytes of one */
};

/* Shared by versions of a topic's settings, never changed. */
struct broker_binding {
    _Atomic uint32_t refs;
    size_t count;          /* not 0 */
    struct slice *filters; /* valid, without blanks and commas */
    char *text;            /* as it is shown: with commas between them */
};

struct broker_binding *broker_binding_ref(struct broker_binding *binding);
void broker_binding_unref(struct broker_binding *binding);

/* Servers' own subjects: a binding never catches them, whatever its wildcards. */
bool broker_binding_is_reserved(struct slice subject);

/* One change of *binding (NULL: nothing is bound), which is replaced. ERR_INVALID with words. */
NODISCARD enum err broker_binding_change(struct broker_binding **binding,
                                         const struct broker_setting_change *change,
                                         struct diag *diag);

/* Core 0. ERR_INVALID with words: collides with another topic's, or leads into the view. NULL is
 * allowed. */
NODISCARD enum err broker_binding_check(struct core *core, const struct uuid *id,
                                        const struct broker_binding *binding, struct diag *diag);
/* Core 0. Notes that the topic has this binding, unchecked; a topic may have claims on two while it
 * changes. ERR_NO_MEMORY. NULL is allowed. */
NODISCARD enum err broker_binding_claim(struct core *core, const struct uuid *id,
                                        struct broker_binding *binding);
/* Both. */
NODISCARD enum err broker_binding_take(struct core *core, const struct uuid *id,
                                       struct broker_binding *binding, struct diag *diag);
/* Gives back one claim. */
void broker_binding_release(struct core *core, const struct uuid *id,
                            const struct broker_binding *binding);
/* The same in any list of claims: a plan's, or core 0's own. */
NODISCARD enum err broker_binding_check_among(const struct list *claims, struct slice view_prefix,
                                              const struct uuid *id,
                                              const struct broker_binding *binding,
                                              struct diag *diag);
NODISCARD enum err broker_binding_claim_among(struct list *claims, const struct uuid *id,
                                              struct broker_binding *binding);
void broker_binding_free_claims(struct list *claims);

/* Called on this core after its view has changed: before and after are versions of one topic, and
 * one of them at least has a binding; NULL: there is none. One listener a core; NULL: none. */
void broker_binding_listen(struct core *core,
                           void (*changed)(void *arg, const struct broker_topic *before,
                                           const struct broker_topic *after),
                           void *arg);
