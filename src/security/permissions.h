// Which subjects a NATS user may publish and subscribe to.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"

/* "subject" or "subject queue" of a rule. */
struct security_rule {
    struct slice subject; /* a filter */
    struct slice queue;   /* a filter too; null: none was named */
};

struct security_rules {
    const struct security_rule *items;
    size_t count;
    bool is_set; /* an allow list that is set and empty allows nothing */
};

/* deny goes before allow; no allow list allows all. */
struct security_permissions {
    struct security_rules publish_allow;
    struct security_rules publish_deny;
    struct security_rules subscribe_allow;
    struct security_rules subscribe_deny;
    bool has_responses;      /* may publish to the reply subjects of what it gets */
    int64_t responses_max;   /* for each reply subject; 0 and less: any number */
    int64_t response_ttl_ms; /* 0 and less: for ever */
};

/* permissions NULL: all is allowed. Reply subjects are the caller's business. */
bool security_permissions_publish(const struct security_permissions *permissions,
                                  struct slice subject);
/* subject may have wildcards: all that it stands for must be allowed, and not all of it denied.
 * queue null: a plain subscription. */
bool security_permissions_subscribe(const struct security_permissions *permissions,
                                    struct slice subject, struct slice queue);
/* A subscription that is allowed, but of which some messages may be denied: ask _deliver. */
bool security_permissions_filters(const struct security_permissions *permissions,
                                  struct slice subject, struct slice queue);
bool security_permissions_deliver(const struct security_permissions *permissions,
                                  struct slice subject, struct slice queue);
