// Subjects that are bound to topics (nats.subjects), as one core knows them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/binding.h"
#include "nats/conn.h"

/* A topic with a binding. */
struct nats_bound {
    struct list node;                 /* of home->bounds */
    const struct broker_topic *topic; /* a reference; always the newest version */
    size_t count;
    struct nats_bound_filter {
        struct interest_sub interest; /* in home->bound_interest */
        struct nats_bound *bound;
    } filters[];
};

/* Reads the topics that are there, and listens; before the reactor runs. */
NODISCARD enum err nats_bound_open(struct nats_core *home);
void nats_bound_close(struct nats_core *home);
/* The struct nats_bound that takes what is published on the subject, or NULL: the tap of
 * home->interest. */
void *nats_bound_find(void *home, struct slice subject);
/* Messages that come out of bound topics may match the filter of a subscription. */
bool nats_bound_meets(struct nats_core *home, struct slice filter);
/* One of the topic's filters may. */
bool nats_bound_topic_meets(const struct broker_topic *topic, struct slice filter);
/* Somebody, on whichever core, subscribed to what may come out under one of the topic's filters. */
bool nats_bound_is_wanted(struct nats_core *home, const struct broker_topic *topic);
