// Asks the lists of allowed and denied subjects.
// SPDX-License-Identifier: Apache-2.0
#include "security/permissions.h"

#include "base/subject.h"

enum found { FOUND_NONE = 0, FOUND_PLAIN = 1, FOUND_QUEUE = 2, FOUND_OTHER_QUEUE = 4 };

static bool covers(const struct security_rule *rule, struct slice subject)
{
    if (!subject_has_wildcard(subject))
        return subject_matches(subject, rule->subject);
    return subject_is_valid(subject) && subject_is_subset(subject, rule->subject);
}

/* Which kinds of rules cover the subject. */
static unsigned rules_find(const struct security_rules *rules, struct slice subject,
                           struct slice queue)
{
    unsigned found = FOUND_NONE;
    for (size_t i = 0; i < rules->count; i++) {
        const struct security_rule *rule = &rules->items[i];
        if (!covers(rule, subject))
            continue;
        if (!rule->queue.data)
            found |= FOUND_PLAIN;
        else if (queue.data && subject_matches(queue, rule->queue))
            found |= FOUND_QUEUE;
        else
            found |= FOUND_OTHER_QUEUE;
    }
    return found;
}

/* What is published is taken as it is written: "a.*" is a name like any other there. */
static bool rules_name(const struct security_rules *rules, struct slice subject)
{
    for (size_t i = 0; i < rules->count; i++)
        if (!rules->items[i].queue.data && subject_matches(subject, rules->items[i].subject))
            return true;
    return false;
}

bool security_permissions_publish(const struct security_permissions *permissions,
                                  struct slice subject)
{
    if (!permissions)
        return true;
    if (permissions->publish_allow.is_set && !rules_name(&permissions->publish_allow, subject))
        return false;
    return !rules_name(&permissions->publish_deny, subject);
}

static bool is_denied(const struct security_permissions *permissions, struct slice subject,
                      struct slice queue)
{
    unsigned found = rules_find(&permissions->subscribe_deny, subject, queue);
    return (found & FOUND_PLAIN) || (queue.data && (found & FOUND_QUEUE));
}

bool security_permissions_subscribe(const struct security_permissions *permissions,
                                    struct slice subject, struct slice queue)
{
    if (!permissions)
        return true;
    if (permissions->subscribe_allow.is_set) {
        unsigned found = rules_find(&permissions->subscribe_allow, subject, queue);
        /* Where rules name queues for the subject, a queue subscription needs one of them. */
        bool names_queues = queue.data && (found & (FOUND_QUEUE | FOUND_OTHER_QUEUE));
        if (names_queues ? !(found & FOUND_QUEUE) : !(found & FOUND_PLAIN))
            return false;
    }
    return !is_denied(permissions, subject, queue);
}

bool security_permissions_filters(const struct security_permissions *permissions,
                                  struct slice subject, struct slice queue)
{
    if (!permissions)
        return false;
    const struct security_rules *deny = &permissions->subscribe_deny;
    for (size_t i = 0; i < deny->count; i++) {
        bool is_meant = !deny->items[i].queue.data ||
                        (queue.data && subject_matches(queue, deny->items[i].queue));
        if (is_meant && subject_is_valid(subject) &&
            subject_collide(subject, deny->items[i].subject))
            return true;
    }
    return false;
}

bool security_permissions_deliver(const struct security_permissions *permissions,
                                  struct slice subject, struct slice queue)
{
    return !permissions || !is_denied(permissions, subject, queue);
}
