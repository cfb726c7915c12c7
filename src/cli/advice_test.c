// What the doctor says, what it reads of assignments, and that the tables agree.
// SPDX-License-Identifier: Apache-2.0
#include "cli/advice.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/command.h"
#include "cli/facts.h"

static void check(const struct cli_advice_case *found, enum cli_advice_level level,
                  const char *what_part, const char *fix_part)
{
    struct text what, fix;
    text_init(&what);
    text_init(&fix);
    assert_int_equal(cli_advice_address(found, &what, &fix), level);
    if (!strstr(what.data, what_part))
        fail_msg("'%s' is not in: %s", what_part, what.data);
    assert_int_equal(fix.size > 0, level != CLI_ADVICE_OK);
    if (fix_part && !strstr(fix.data, fix_part))
        fail_msg("'%s' is not in: %s", fix_part, fix.data);
    text_deinit(&what);
    text_deinit(&fix);
}

static void test_addresses(void **state)
{
    (void)state;
    struct cli_advice_case c = {
        .dialled = {"kafka.example.org", "9092"}, .host = "10.0.0.1", .port = 9092};
    check(&c, CLI_ADVICE_OK, "advertises 10.0.0.1:9092, which answers", NULL);
    c.other_cluster = true;
    check(&c, CLI_ADVICE_PROBLEM, "another cluster", "PLAINTEXT://kafka.example.org:9092");
    c.other_cluster = false;
    c.err = ERR_NOT_FOUND;
    check(&c, CLI_ADVICE_PROBLEM, "not known here", "advertised.listeners");
    c.err = ERR_CLOSED;
    check(&c, CLI_ADVICE_PROBLEM, "nobody listens", NULL);
    c.err = ERR_TIMEOUT;
    check(&c, CLI_ADVICE_PROBLEM, "firewall", NULL);
    c.err = ERR_PROTOCOL;
    c.words = "a web server answers there, not a Kafka server";
    check(&c, CLI_ADVICE_PROBLEM, "a web server", NULL);
    c.err = ERR_OK; /* it works here, by chance: a server of one's own listens there, too */
    c.host = "localhost";
    check(&c, CLI_ADVICE_PROBLEM, "client's own machine", NULL);
    c.dialled.host = "127.0.0.1";
    check(&c, CLI_ADVICE_OK, "localhost:9092", NULL);
    c.host = "0.0.0.0";
    check(&c, CLI_ADVICE_PROBLEM, "where to listen", "PLAINTEXT://127.0.0.1:9092");
    c.dialled.host = "::1";
    check(&c, CLI_ADVICE_PROBLEM, "where to listen", "PLAINTEXT://[::1]:9092");
}

static void test_disks(void **state)
{
    (void)state;
    static const struct {
        int64_t total, usable;
        enum cli_advice_level level;
    } cases[] = {{1000, 500, CLI_ADVICE_OK},    {1000, 99, CLI_ADVICE_WARNING},
                 {1000, 0, CLI_ADVICE_PROBLEM}, {-1, -1, CLI_ADVICE_OK},
                 {10, 0, CLI_ADVICE_PROBLEM},   {INT64_MAX, INT64_MAX, CLI_ADVICE_OK}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct text what, fix;
        text_init(&what);
        text_init(&fix);
        assert_int_equal(cli_advice_disk(cases[i].total, cases[i].usable, &what, &fix),
                         cases[i].level);
        text_deinit(&what);
        text_deinit(&fix);
    }
}

static void take(void *arg, struct slice topic, int32_t partition)
{
    text_add_format(arg, "%.*s/%d ", (int)topic.size, (const char *)topic.data, partition);
}

static void test_assignments(void **state)
{
    (void)state;
    struct text out;
    text_init(&out);
    struct slice bytes = SLICE_LITERAL("\0\1\0\0\0\1\0\2ab\0\0\0\2\0\0\0\0\0\0\0\7\0\0\0\0");
    assert_true(cli_facts_assignment(bytes, take, &out));
    assert_string_equal(out.data, "ab/0 ab/7 ");
    text_clear(&out);
    for (size_t size = 0; size < bytes.size - 4; size++)
        (void)cli_facts_assignment(slice_make(bytes.data, size), take, &out);
    text_clear(&out);
    /* A count that the bytes cannot hold. */
    (void)cli_facts_assignment(SLICE_LITERAL("\0\1\x7f\xff\xff\xff\0\1a"), take, &out);
    (void)cli_facts_subscription(SLICE_LITERAL("\0\1\x7f\xff\xff\xff\0\1a"), take, &out);
    text_clear(&out);
    assert_true(cli_facts_subscription(SLICE_LITERAL("\0\1\0\0\0\2\0\1a\0\2bc\0\0"), take, &out));
    assert_string_equal(out.data, "a/-1 bc/-1 ");
    text_deinit(&out);
}

/* Every flag that a command names is there, and no two of its flags share a letter. */
static void test_tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *row = &cli_command_rows[i];
        for (const char *name = row->flags; *name;) {
            size_t size = strcspn(name, " ");
            enum cli_flag flag, other;
            if (!cli_flags_find(slice_make(name, size), &flag))
                fail_msg("leat %s %s: no flag %s", row->noun, row->verb, name);
            const struct cli_flag_row *known = cli_flags_row(flag);
            assert_true(cli_flags_listed(row->flags, flag));
            if (known->letter) {
                assert_true(cli_flags_find_letter(known->letter, row->flags, &other));
                if (other != flag)
                    fail_msg("leat %s %s: -%c twice", row->noun, row->verb, known->letter);
            }
            name += size + (name[size] == ' ');
        }
        if (row->verb)
            assert_ptr_equal(cli_command_find(row->noun, row->verb), row);
        assert_int_equal(row->verb == NULL, row->run == NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_disks),
        cmocka_unit_test(test_assignments),
        cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
