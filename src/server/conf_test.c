// Tests of the configuration language: values, places, variables, includes, and every complaint.
// SPDX-License-Identifier: Apache-2.0
#include "server/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fake_file {
    const char *path;
    const char *text;
};

struct fixture {
    struct arena arena;
    struct diag diag;
    struct server_conf_value map;
    const struct fake_file *files;
    const struct fake_file *variables;
};

static const char *fake_find(const struct fake_file *entries, const char *name)
{
    for (; entries && entries->path; entries++)
        if (strcmp(entries->path, name) == 0)
            return entries->text;
    return NULL;
}

static enum err fake_read(void *arg, const char *path, struct arena *arena, struct slice *out,
                          struct diag *diag)
{
    struct fixture *fixture = arg;
    const char *text = fake_find(fixture->files, path);
    diag_set(diag, "%s: not found", path);
    if (!text)
        return ERR_NOT_FOUND;
    *out = arena_copy(arena, slice_text(text));
    return out->data ? ERR_OK : ERR_NO_MEMORY;
}

static const char *fake_env(void *arg, const char *name)
{
    struct fixture *fixture = arg;
    return fake_find(fixture->variables, name);
}

static enum err parse(struct fixture *fixture, const char *text)
{
    struct server_conf_source source = {.read = fake_read, .env = fake_env, .arg = fixture};
    arena_reset(&fixture->arena);
    fixture->diag.text[0] = 0;
    struct server_conf_text input = {.name = "conf/leat.conf", .bytes = slice_text(text)};
    return server_conf_parse(&input, &source, &fixture->arena, &fixture->map, &fixture->diag);
}

static const struct server_conf_value *get(struct fixture *fixture, const char *text,
                                           enum server_conf_type type)
{
    if (parse(fixture, text) != ERR_OK)
        fail_msg("%s", fixture->diag.text);
    const struct server_conf_value *value = server_conf_get(&fixture->map, "k");
    assert_non_null(value);
    assert_string_equal(server_conf_type_name(value->type), server_conf_type_name(type));
    return value;
}

static void assert_text(struct fixture *fixture, const char *source, const char *text)
{
    const struct server_conf_value *value = get(fixture, source, SERVER_CONF_STRING);
    assert_string_equal((const char *)value->text.data, text);
    assert_int_equal(value->text.size, strlen(text));
}

static void assert_integer(struct fixture *fixture, const char *source, int64_t number)
{
    assert_int_equal(get(fixture, source, SERVER_CONF_INTEGER)->integer, number);
}

static void assert_complains(struct fixture *fixture, const char *text, const char *words)
{
    assert_int_equal(parse(fixture, text), ERR_INVALID);
    if (!strstr(fixture->diag.text, words))
        fail_msg("'%s' lacks '%s'", fixture->diag.text, words);
}

static void test_strings(void **state)
{
    struct fixture *fixture = *state;
    assert_text(fixture, "k: word", "word");
    assert_text(fixture, "k=word", "word");
    assert_text(fixture, "k word", "word");
    assert_text(fixture, "k = a\\tb\\x41", "a\tbA");
    assert_text(fixture, "k: \"a b\\n\\\"\\\\\"", "a b\n\"\\");
    assert_text(fixture, "k: 'a\\tb'", "a\\tb");
    assert_text(fixture, "k: ''", "");
    assert_text(fixture, "\"k\": \"true\"", "true");
    assert_text(fixture, "'k' 12ab", "12ab");
    assert_text(fixture, "k: 1.2.3.4:4222", "1.2.3.4:4222");
    assert_text(fixture, "k: nats://a:1/x#y", "nats://a:1/x#y");
    assert_text(fixture, "k: 10s", "10s");
    assert_text(fixture, "k: a; b: c", "a");
}

static void test_blocks(void **state)
{
    struct fixture *fixture = *state;
    assert_text(fixture, "k (\n a ) b\n  )\n)\nx: 1", "\n a ) b\n  )\n");
    assert_text(fixture, "k: (\nx\n)", "\nx\n");
    assert_complains(fixture, "k: (\nx )\n", ":1:4: this block has no closing )");
}

static void test_numbers(void **state)
{
    struct fixture *fixture = *state;
    assert_integer(fixture, "k: 0", 0);
    assert_integer(fixture, "k: -12", -12);
    assert_integer(fixture, "k: 2k", 2000);
    assert_integer(fixture, "k: 2KB", 2048);
    assert_integer(fixture, "k: 2ki", 2048);
    assert_integer(fixture, "k: 3mib", 3 << 20);
    assert_integer(fixture, "k: 1m", 1000000);
    assert_integer(fixture, "k: 5g", INT64_C(5000000000));
    assert_integer(fixture, "k: 5gib", INT64_C(5) << 30);
    assert_integer(fixture, "k: 7e", INT64_C(7000000000000000000));
    assert_integer(fixture, "k: 9223372036854775807", INT64_MAX);
    assert_complains(fixture, "k: 9223372036854775808", "out of range");
    assert_complains(fixture, "k: 8eib", ":1:4: the number 8eib is out of range");
    assert_float_equal(get(fixture, "k: -1.5", SERVER_CONF_FLOAT)->number, -1.5, 0);
    assert_text(fixture, "k: .5", ".5");
}

static void test_bools_and_times(void **state)
{
    struct fixture *fixture = *state;
    assert_true(get(fixture, "k: TRUE", SERVER_CONF_BOOL)->boolean);
    assert_true(get(fixture, "k: yes", SERVER_CONF_BOOL)->boolean);
    assert_false(get(fixture, "k: Off", SERVER_CONF_BOOL)->boolean);
    assert_int_equal(get(fixture, "k: 2024-02-29T12:34:56Z", SERVER_CONF_TIME)->time_ms,
                     INT64_C(1709210096000));
    assert_int_equal(get(fixture, "k: 1970-01-01T00:00:00Z", SERVER_CONF_TIME)->time_ms, 0);
    assert_int_equal(get(fixture, "k: 1969-12-31T23:59:59Z", SERVER_CONF_TIME)->time_ms, -1000);
    assert_text(fixture, "k: 2023-02-29T12:34:56Z", "2023-02-29T12:34:56Z");
}

static void test_maps_and_arrays(void **state)
{
    struct fixture *fixture = *state;
    const struct server_conf_value *map =
        get(fixture, "{\"k\": {\"a\": 1, \"b\": [2, \"x\", true],}}\n", SERVER_CONF_MAP);
    assert_int_equal(server_conf_get(map, "A")->integer, 1);
    const struct server_conf_item *item = server_conf_get(map, "b")->items;
    assert_int_equal(item->value.integer, 2);
    assert_string_equal(item->next->value.text.data, "x");
    assert_true(item->next->next->value.boolean);
    assert_null(item->next->next->next);
    const struct server_conf_value *array = get(
        fixture, "k\n[ # first\n  a // second\n  b,\n  {c: d}\n]\nlast: 1\n}", SERVER_CONF_ARRAY);
    assert_string_equal(array->items->next->value.text.data, "b");
    assert_int_equal(array->items->next->next->value.type, SERVER_CONF_MAP);
    assert_null(get(fixture, "k {}", SERVER_CONF_MAP)->pairs);
    assert_null(get(fixture, "k []", SERVER_CONF_ARRAY)->items);
}

static void test_the_last_value_of_a_key_wins(void **state)
{
    assert_integer(*state, "k: 1\nK: 2\nother: 3", 2);
}

static void test_places(void **state)
{
    const struct server_conf_value *map = get(*state, "# one\nk {\n\tb: x }", SERVER_CONF_MAP);
    assert_int_equal(map->place.line, 2);
    assert_int_equal(map->place.column, 3);
    assert_int_equal(map->pairs->place.line, 3);
    assert_int_equal(map->pairs->place.column, 2);
    assert_int_equal(map->pairs->value.place.column, 5);
    assert_string_equal(map->pairs->value.place.file, "conf/leat.conf");
}

static void test_variables_come_from_the_nearest_map(void **state)
{
    struct fixture *fixture = *state;
    static const struct fake_file env[] = {{"A", "7k"},    {"LIST", "[1, 2]"}, {"E", ""},
                                           {"B", "'$A' "}, {"C", "$A"},        {NULL, NULL}};
    fixture->variables = env;
    assert_integer(fixture, "x: 1\nk: $x", 1);
    const struct server_conf_value *map =
        get(fixture, "x: 1\ny: 5\nk { x: 2, a: $x, b: $y }", SERVER_CONF_MAP);
    assert_int_equal(server_conf_get(map, "a")->integer, 2);
    assert_int_equal(server_conf_get(map, "b")->integer, 5);
    assert_true(fixture->map.pairs->next->is_used);
    assert_false(fixture->map.pairs->is_used);
    assert_integer(fixture, "A: 1\nk: $A", 1);
    assert_integer(fixture, "k: $A", 7000);
    assert_integer(fixture, "k: $C", 7000);
    assert_text(fixture, "k: $B", "$A");
    assert_text(fixture, "k: $E", "");
    assert_text(fixture, "k: '$A'", "$A");
    assert_text(fixture, "k: \"$A\"", "$A");
    assert_int_equal(get(fixture, "k: $LIST", SERVER_CONF_ARRAY)->items->next->value.integer, 2);
}

static void test_bad_variables(void **state)
{
    struct fixture *fixture = *state;
    static const struct fake_file env[] = {
        {"A", "$B"}, {"B", "$A"}, {"W", "a b"}, {"M", "{"}, {NULL, NULL}};
    fixture->variables = env;
    assert_complains(fixture, "\n  k: $none", "leat.conf:2:6: variable 'none' is neither");
    assert_complains(fixture, "k: $A", "variable 'A' refers to itself");
    assert_complains(fixture, "k: $W", "$W:1:3: the value of a variable ends here");
    assert_complains(fixture, "k: $M", "$M:1:1: this map has no closing");
    assert_complains(fixture, "k: $", "needs the name");
    assert_complains(fixture, "k: $x\nx: 1", "variable 'x' is neither");
}

static void test_bcrypt_hashes_are_strings(void **state)
{
    assert_text(*state, "k: $2a$11$ooo.AB/x", "$2a$11$ooo.AB/x");
    assert_text(*state, "k: $2b$1", "$2b$1");
}

static void test_includes(void **state)
{
    struct fixture *fixture = *state;
    static const struct fake_file files[] = {{"conf/a.conf", "k: $outer\ninclude sub/b.conf"},
                                             {"conf/sub/b.conf", "b: 1\ninclude './c.conf';"},
                                             {"conf/sub/c.conf", "c: 2"},
                                             {"conf/bad.conf", "x: 1\n  y ]"},
                                             {"/abs.conf", "k: 9"},
                                             {"conf/self.conf", "include ./leat.conf"},
                                             {NULL, NULL}};
    fixture->files = files;
    assert_integer(fixture, "outer: 3\ninclude 'a.conf'\n", 3);
    assert_int_equal(server_conf_get(&fixture->map, "c")->integer, 2);
    assert_integer(fixture, "include \"/abs.conf\"", 9);
    const struct server_conf_value *map = get(fixture, "k { include /abs.conf }", SERVER_CONF_MAP);
    assert_int_equal(server_conf_get(map, "k")->integer, 9);
    assert_integer(fixture, "include: 1\ninclude = 2\nk: $include", 2);
    assert_complains(fixture, "include bad.conf", "conf/bad.conf:2:5: a value is expected");
    assert_complains(fixture, "include self.conf", "conf/self.conf:1:9: 'conf/leat.conf' includes");
    assert_int_equal(parse(fixture, "\ninclude none.conf"), ERR_NOT_FOUND);
    assert_string_equal(fixture->diag.text,
                        "conf/leat.conf:2:9: cannot include: conf/none.conf: not found");
}

static void test_includes_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct fake_file files[SERVER_CONF_INCLUDE_DEPTH_MAX + 2] = {0};
    char paths[COUNT_OF(files)][32];
    char twice[COUNT_OF(files)][64];
    for (int i = 0; i <= SERVER_CONF_INCLUDE_DEPTH_MAX; i++) {
        snprintf(paths[i], sizeof(paths[i]), "conf/%d", i);
        snprintf(twice[i], sizeof(twice[i]), "include '%d'\ninclude '%d'", i + 1, i + 1);
        files[i] = (struct fake_file){paths[i], strchr(twice[i], '\n') + 1};
    }
    fixture->files = files;
    assert_complains(fixture, "include 0", "conf/15:1:9: too many includes");
    files[SERVER_CONF_INCLUDE_DEPTH_MAX - 1].text = "k: 1";
    assert_integer(fixture, "include 0", 1);
    for (int i = 0; i < SERVER_CONF_INCLUDE_DEPTH_MAX - 1; i++)
        files[i].text = twice[i];
    assert_complains(fixture, "include 0", "too many includes");
}

static void test_complaints(void **state)
{
    struct fixture *fixture = *state;
    assert_complains(fixture, "k", ":1:2: a value is expected here, but the text ends");
    assert_complains(fixture, "debug\ntrace: 1", ":1:1: the key 'debug' has no value on its line");
    assert_complains(fixture, "k=A://:1,B://:2",
                     ":1:10: 'B://' is no key (a ',' within a value needs quotes around it)");
    assert_complains(fixture, "k: # x", ":1:4: a value is expected here");
    assert_complains(fixture, ": 1", ":1:1: a key is expected here, not ':'");
    assert_complains(fixture, "k: 1 2", ":1:6: a new line or a separator must follow");
    assert_complains(fixture, "k {\n a: 1", ":1:3: this map has no closing");
    assert_complains(fixture, "k: [1, ", ":1:4: this array has no closing");
    assert_complains(fixture, "k: [1; 2]", ":1:6: a new line or a separator");
    assert_complains(fixture, "k: 'abc", ":1:4: this string has no closing '");
    assert_complains(fixture, "k: \"abc\\\"", ":1:4: this string has no closing \"");
    assert_complains(fixture, "k: \"ab\\q\"", ":1:7: unknown escape");
    assert_complains(fixture, "k: \\x4", ":1:4: unknown escape");
    assert_complains(fixture, "{ k: 1", "a '}' must close");
    assert_complains(fixture, "k: 1\n}\nx: 2", ":3:1: nothing may follow");
    assert_complains(fixture, "k\\x00: 1", "NUL");
    assert_complains(fixture, "k: 1\n\x01", ":2:2: a value is expected");
}

static void test_depth_is_bounded(void **state)
{
    char text[3 + 2 * 65 + 1];
    snprintf(text, sizeof(text), "k: ");
    memset(text + 3, '[', 65);
    memset(text + 3 + 65, ']', 65);
    text[3 + 2 * 65] = 0;
    assert_complains(*state, text, "too deep");
    memmove(text + 3, text + 4, 64);
    memset(text + 3 + 64, ']', 64);
    text[3 + 2 * 64] = 0;
    get(*state, text, SERVER_CONF_ARRAY);
}

static void test_memory_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct server_conf_source source = {.read = fake_read, .arg = fixture};
    struct arena small;
    arena_init(&small, 4096);
    char text[8192];
    memset(text, 'x', sizeof(text));
    memcpy(text, "k: ", 3);
    struct server_conf_text input = {.name = "f", .bytes = slice_make(text, sizeof(text))};
    assert_int_equal(server_conf_parse(&input, &source, &small, &fixture->map, &fixture->diag),
                     ERR_NO_MEMORY);
    arena_deinit(&small);
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    arena_init(&fixture.arena, 0);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    arena_deinit(&fixture->arena);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_strings),
        TEST(test_blocks),
        TEST(test_numbers),
        TEST(test_bools_and_times),
        TEST(test_maps_and_arrays),
        TEST(test_the_last_value_of_a_key_wins),
        TEST(test_places),
        TEST(test_variables_come_from_the_nearest_map),
        TEST(test_bad_variables),
        TEST(test_bcrypt_hashes_are_strings),
        TEST(test_includes),
        TEST(test_includes_are_bounded),
        TEST(test_complaints),
        TEST(test_depth_is_bounded),
        TEST(test_memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
