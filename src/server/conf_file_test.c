// Tests of reading configuration from real files.
// SPDX-License-Identifier: Apache-2.0
#include "server/conf_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <unistd.h>

struct fixture {
    char folder[32];
    struct arena arena;
    struct diag diag;
    struct server_conf_value map;
};

static const char *fake_env(void *arg, const char *name)
{
    return strcmp(name, "PORT") == 0 ? arg : NULL;
}

static void write_file(const struct fixture *fixture, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static enum err parse(struct fixture *fixture, const char *name, char *port)
{
    struct server_conf_file file = {.os = os_posix(), .env = fake_env, .env_arg = port};
    struct server_conf_source source = server_conf_file_source(&file);
    char path[64];
    snprintf(path, sizeof(path), "%s%s%s", fixture->folder, *name ? "/" : "", name);
    return server_conf_parse_file(path, &source, &fixture->arena, &fixture->map, &fixture->diag);
}

static void test_files_include_files_beside_them(void **state)
{
    struct fixture *fixture = *state;
    char port[] = "4222";
    write_file(fixture, "a.conf", "include b.conf\nport: $PORT");
    write_file(fixture, "b.conf", "b: yes");
    assert_int_equal(parse(fixture, "a.conf", port), ERR_OK);
    assert_int_equal(server_conf_get(&fixture->map, "port")->integer, 4222);
    assert_true(server_conf_get(&fixture->map, "b")->boolean);
    write_file(fixture, "b.conf", "");
    assert_int_equal(parse(fixture, "b.conf", NULL), ERR_OK);
    assert_null(fixture->map.pairs);
}

static void test_what_cannot_be_read(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(parse(fixture, "none.conf", NULL), ERR_NOT_FOUND);
    assert_non_null(strstr(fixture->diag.text, "/none.conf: not found"));
    assert_true(parse(fixture, "", NULL) != ERR_OK);
    char path[64];
    snprintf(path, sizeof(path), "%s/big.conf", fixture->folder);
    write_file(fixture, "big.conf", "");
    assert_int_equal(truncate(path, SERVER_CONF_FILE_SIZE_MAX + 1), 0);
    assert_int_equal(parse(fixture, "big.conf", NULL), ERR_TOO_LARGE);
    assert_int_equal(truncate(path, 0), 0);
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.folder = "/tmp/leat-conf-XXXXXX"};
    arena_init(&fixture.arena, 0);
    *state = &fixture;
    return mkdtemp(fixture.folder) ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"a.conf", "b.conf", "big.conf"};
    char path[64];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", fixture->folder, names[i]);
        unlink(path);
    }
    arena_deinit(&fixture->arena);
    return rmdir(fixture->folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files_include_files_beside_them, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
