// Permissions: allow, deny, wildcards against wildcards, queues.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "security/permissions.h"

#define RULE(text)                                                                                 \
    {                                                                                              \
        SLICE_LITERAL(text), SLICE_NULL                                                            \
    }
#define QUEUE(text, name)                                                                          \
    {                                                                                              \
        SLICE_LITERAL(text), SLICE_LITERAL(name)                                                   \
    }
#define RULES(array)                                                                               \
    {                                                                                              \
        array, COUNT_OF(array), true                                                               \
    }

static bool may_publish(const struct security_permissions *permissions, const char *subject)
{
    return security_permissions_publish(permissions, slice_text(subject));
}

static bool may_subscribe(const struct security_permissions *permissions, const char *subject,
                          const char *queue)
{
    return security_permissions_subscribe(permissions, slice_text(subject), slice_text(queue));
}

static void test_none(void **state)
{
    struct security_permissions permissions = {.has_responses = false};
    assert_true(may_publish(NULL, "a"));
    assert_true(may_subscribe(NULL, ">", NULL));
    assert_true(may_publish(&permissions, "a"));
    assert_true(may_subscribe(&permissions, ">", "q"));
    permissions.publish_allow.is_set = true;
    permissions.subscribe_allow.is_set = true;
    assert_false(may_publish(&permissions, "a"));
    assert_false(may_subscribe(&permissions, "a", NULL));
}

static void test_publish(void **state)
{
    static const struct security_rule allow[] = {RULE("a.*"), RULE("b.>")};
    static const struct security_rule deny[] = {RULE("b.secret.>"), RULE("a.x")};
    struct security_permissions permissions = {.publish_allow = RULES(allow),
                                               .publish_deny = RULES(deny)};
    assert_true(may_publish(&permissions, "a.b"));
    assert_false(may_publish(&permissions, "a.x"));
    assert_false(may_publish(&permissions, "a.b.c"));
    assert_true(may_publish(&permissions, "b.secret"));
    assert_false(may_publish(&permissions, "b.secret.c"));
    assert_false(may_publish(&permissions, "c"));
    assert_true(may_publish(&permissions, "b.>"));
    assert_true(may_publish(&permissions, "b.c"));
}

static void test_subscribe_wildcards(void **state)
{
    static const struct security_rule allow[] = {RULE("a.*"), RULE("b.>")};
    static const struct security_rule deny[] = {RULE("b.secret")};
    struct security_permissions permissions = {.subscribe_allow = RULES(allow),
                                               .subscribe_deny = RULES(deny)};
    assert_true(may_subscribe(&permissions, "a.*", NULL));
    assert_false(may_subscribe(&permissions, "a.>", NULL));
    assert_false(may_subscribe(&permissions, ">", NULL));
    assert_false(may_subscribe(&permissions, "*", NULL));
    assert_true(may_subscribe(&permissions, "b.*", NULL));
    assert_false(may_subscribe(&permissions, "b.secret", NULL));
    assert_true(security_permissions_filters(&permissions, SLICE_LITERAL("b.*"), SLICE_NULL));
    assert_false(security_permissions_filters(&permissions, SLICE_LITERAL("a.*"), SLICE_NULL));
    assert_false(security_permissions_deliver(&permissions, SLICE_LITERAL("b.secret"), SLICE_NULL));
    assert_true(security_permissions_deliver(&permissions, SLICE_LITERAL("b.other"), SLICE_NULL));
}

static void test_subscribe_queues(void **state)
{
    static const struct security_rule allow[] = {RULE("a"), QUEUE("a", "v1"), QUEUE("b", "v1.>"),
                                                 RULE("c")};
    static const struct security_rule deny[] = {QUEUE("c", "*.no")};
    struct security_permissions permissions = {.subscribe_allow = RULES(allow),
                                               .subscribe_deny = RULES(deny)};
    assert_true(may_subscribe(&permissions, "a", NULL));
    assert_true(may_subscribe(&permissions, "a", "v1"));
    assert_false(may_subscribe(&permissions, "a", "v2"));
    assert_false(may_subscribe(&permissions, "b", NULL));
    assert_true(may_subscribe(&permissions, "b", "v1.x"));
    assert_false(may_subscribe(&permissions, "b", "v2.x"));
    assert_true(may_subscribe(&permissions, "c", "x.yes"));
    assert_false(may_subscribe(&permissions, "c", "x.no"));
    assert_true(may_subscribe(&permissions, "c", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_publish),
        cmocka_unit_test(test_subscribe_wildcards),
        cmocka_unit_test(test_subscribe_queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
