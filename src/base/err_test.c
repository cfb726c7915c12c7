// Tests of the error table and of diag.
// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_names(void **state)
{
    assert_int_equal(ERR_OK, 0);
    assert_string_equal(err_name(ERR_OK), "OK");
    assert_string_equal(err_name(ERR_DISK_FULL), "DISK_FULL");
    assert_string_equal(err_text(ERR_DISK_FULL), "no space left on the disk");
    for (int i = 0; i < ERR_COUNT; i++) {
        assert_true(strlen(err_name((enum err)i)) > 1);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(err_name((enum err)i), err_name((enum err)j));
    }
    assert_string_equal(err_name(ERR_COUNT), "UNKNOWN");
    assert_string_equal(err_text((enum err) - 1), "unknown error");
}

static void test_errno(void **state)
{
    assert_int_equal(err_from_errno(0), ERR_OK);
    assert_int_equal(err_from_errno(ENOSPC), ERR_DISK_FULL);
    assert_int_equal(err_from_errno(EDQUOT), ERR_DISK_FULL);
    assert_int_equal(err_from_errno(ENOENT), ERR_NOT_FOUND);
    assert_int_equal(err_from_errno(EAGAIN), ERR_AGAIN);
    assert_int_equal(err_from_errno(EIO), ERR_IO);
    assert_int_equal(err_from_errno(99999), ERR_IO);
}

static void test_diag(void **state)
{
    struct diag diag;
    diag_set(NULL, "%d", 1);
    diag_set(&diag, "line %d: %s", 3, "bad");
    assert_string_equal(diag.text, "line 3: bad");
    diag_set(&diag, "file: %s", diag.text);
    assert_string_equal(diag.text, "file: line 3: bad");
}

static void test_diag_cuts(void **state)
{
    struct diag diag;
    char words[600];
    memset(words, 'a', sizeof(words));
    words[511] = 0;
    diag_set(&diag, "%s", words);
    assert_string_equal(diag.text, words);
    words[511] = 'a';
    words[512] = 0;
    diag_set(&diag, "%s", words);
    assert_int_equal(strlen(diag.text), 511);
    assert_string_equal(diag.text + 507, "a...");
    /* never within a character */
    memcpy(words + 507, "\xe2\x82\xac\xe2\x82\xac", 7);
    diag_set(&diag, "%s", words);
    assert_string_equal(diag.text + 506, "a...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_errno),
        cmocka_unit_test(test_diag),
        cmocka_unit_test(test_diag_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
