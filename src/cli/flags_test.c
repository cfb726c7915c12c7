// Flags and addresses.
// SPDX-License-Identifier: Apache-2.0
#include "cli/flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "cli/ask.h"

#define ROOM 64

/* Parses words between blanks; the result as "flag=value ..." and the arguments behind "|". */
static bool parse(const char *line, const char *names, char *out, size_t out_size)
{
    char copy[256];
    char *argv[ROOM], *arguments[ROOM], *rest = copy;
    size_t count = 0;
    (void)snprintf(copy, sizeof(copy), "%s", line);
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        argv[count++] = word;
    struct cli_flags flags = {.arguments = arguments};
    flags.given = test_calloc(256, sizeof(*flags.given));
    struct diag diag = {""};
    enum err err = cli_flags_parse(argv, count, names, &flags, &diag);
    size_t at = (size_t)snprintf(out, out_size, "%s", err ? diag.text : "");
    for (size_t i = 0; !err && i < flags.count; i++)
        at += (size_t)snprintf(out + at, out_size - at, "%s=%s ",
                               cli_flags_row(flags.given[i].flag)->name,
                               flags.given[i].value ? flags.given[i].value : "");
    for (size_t i = 0; !err && i < flags.argument_count; i++)
        at += (size_t)snprintf(out + at, out_size - at, "|%s", arguments[i]);
    test_free(flags.given);
    return !err;
}

static void test_flags(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *expected;
        bool good;
    } cases[] = {
        {"a -b h:1 b", "bootstrap=h:1 |a|b", true},
        {"-bh:1 --format=json --format csv", "bootstrap=h:1 format=json format=csv ", true},
        {"-p 3 -- -p --yes", "partitions=3 |-p|--yes", true},
        {"-yq -y", "yes= quiet= yes= ", true},
        {"-o -5", "there is no flag -o here", false},
        {"-", "|-", true},
        {"--set a=b", "there is no flag --set here", false},
        {"--yse", "there is no flag --yse here; did you mean --yes?", false},
        {"--yes=1", "--yes takes no value", false},
        {"x --bootstrap", "--bootstrap needs a value: --bootstrap HOST:PORT", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char out[512];
        assert_int_equal(parse(cases[i].line, "partitions yes", out, sizeof(out)), cases[i].good);
        assert_string_equal(out, cases[i].expected);
    }
    char out[512];
    /* One letter means what the command's own flag of that letter is. */
    assert_true(parse("-p 1", "partition", out, sizeof(out)));
    assert_string_equal(out, "partition=1 ");
}

static void test_leading_flags(void **state)
{
    (void)state;
    char *argv[] = {"-b", "x:1", "-q", "--format=json", "topic", "list"};
    assert_int_equal(cli_flags_leading(argv, COUNT_OF(argv)), 4);
    assert_int_equal(cli_flags_leading(argv, 1), 1);
    char *other[] = {"--yes", "topic"};
    assert_int_equal(cli_flags_leading(other, 2), 0);
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port;
    } cases[] = {
        {"h:1", "h", "1"},        {"h", "h", "9092"},     {"[::1]:5", "::1", "5"},
        {"[::1]", "::1", "9092"}, {"h:0", NULL, NULL},    {"h:70000", NULL, NULL},
        {"h:x", NULL, NULL},      {":1", NULL, NULL},     {"", NULL, NULL},
        {"[::1", NULL, NULL},     {"[::1]x", NULL, NULL}, {"10.0.0.1:9092", "10.0.0.1", "9092"}};
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cli_ask_address address;
        bool good = cli_ask_parse_address(slice_text(cases[i].text), "9092", &arena, &address);
        assert_int_equal(good, cases[i].host != NULL);
        if (!good)
            continue;
        assert_string_equal(address.host, cases[i].host);
        assert_string_equal(address.port, cases[i].port);
    }
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_leading_flags),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
