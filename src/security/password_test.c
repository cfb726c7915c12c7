// Passwords: what is a hash, what fits, what does not.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "security/password.h"

/* The published vector of bcrypt for the phrase "U*U" with cost 5. */
#define HASH "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

static void test_hash_is_told_from_text(void **state)
{
    assert_true(security_password_is_hash(SLICE_LITERAL(HASH)));
    assert_true(security_password_is_hash(SLICE_LITERAL("$2y$10$x")));
    assert_false(security_password_is_hash(SLICE_LITERAL("$2c$10$x")));
    assert_false(security_password_is_hash(SLICE_LITERAL("$2a$1x$x")));
    assert_false(security_password_is_hash(SLICE_LITERAL("$2a$")));
    assert_false(security_password_is_hash(SLICE_LITERAL("")));
    assert_false(security_password_is_hash(SLICE_LITERAL("secret")));
}

static void test_plain(void **state)
{
    assert_true(security_password_check(SLICE_LITERAL("secret"), SLICE_LITERAL("secret")));
    assert_false(security_password_check(SLICE_LITERAL("secret"), SLICE_LITERAL("secre")));
    assert_false(security_password_check(SLICE_LITERAL("secret"), SLICE_LITERAL("secretx")));
    assert_false(security_password_check(SLICE_LITERAL("secret"), SLICE_LITERAL("Secret")));
    assert_false(security_password_check(SLICE_LITERAL("ab"), SLICE_LITERAL("abab")));
    assert_false(security_password_check(SLICE_LITERAL("secret"), SLICE_LITERAL("")));
    assert_false(security_password_check(SLICE_LITERAL(""), SLICE_LITERAL("x")));
    assert_true(security_password_check(SLICE_LITERAL(""), SLICE_LITERAL("")));
}

static void test_hashed(void **state)
{
    char longer[SECURITY_PASSWORD_SIZE_MAX + 1] = {'U', '*', 'U'};
    assert_true(security_password_check(SLICE_LITERAL(HASH), SLICE_LITERAL("U*U")));
    assert_false(security_password_check(SLICE_LITERAL(HASH), SLICE_LITERAL("U*V")));
    assert_false(security_password_check(SLICE_LITERAL(HASH), SLICE_LITERAL("")));
    assert_false(security_password_check(SLICE_LITERAL(HASH), SLICE_LITERAL(HASH)));
    assert_false(security_password_check(SLICE_LITERAL(HASH), SLICE_LITERAL("U*U\0x")));
    assert_false(security_password_check(SLICE_LITERAL(HASH), slice_make(longer, sizeof(longer))));
    assert_false(security_password_check(SLICE_LITERAL("$2a$05$short"), SLICE_LITERAL("U*U")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_is_told_from_text),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_hashed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
