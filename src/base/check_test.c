// Tests of the assertions: a failed one says where and ends the process.
// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void fail_in_child(int stderr_fd)
{
    struct rlimit none = {0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGABRT, SIG_DFL);
    dup2(stderr_fd, STDERR_FILENO);
    CHECK(1 + 1 == 3);
    _exit(0);
}

static void test_check(void **state)
{
    CHECK(1 + 1 == 2);
    DCHECK(1 + 1 == 2);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        fail_in_child(ends[1]);
    assert_true(child > 0);
    close(ends[1]);
    char words[256] = {0};
    size_t size = 0;
    for (ssize_t got; (got = read(ends[0], words + size, sizeof(words) - 1 - size)) > 0;)
        size += (size_t)got;
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(words, "check_test.c:"));
    assert_non_null(strstr(words, "check failed: 1 + 1 == 3"));
}

static void test_macros(void **state)
{
    struct pair {
        int a;
        int b;
    } pair;
    assert_ptr_equal(CONTAINER_OF(&pair.b, struct pair, b), &pair);
    int numbers[5];
    assert_int_equal(COUNT_OF(numbers), 5);
    assert_int_equal(MIN(1, 2), 1);
    assert_int_equal(MAX(1, 2), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_macros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
