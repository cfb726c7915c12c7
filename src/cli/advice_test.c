// What the doctor says, what it reads of assignments, and that the tables agree.
// SPDX-License-Identifier: Apache-2.0
#include "cli/advice.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/endian.h"
#include "cli/command.h"
#include "cli/facts.h"
#include "wire/kafka_fetch.h"

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

/* A batch as far as its header goes. */
static void put_batch(uint8_t batch[61], int64_t base, uint16_t attributes, int64_t producer)
{
    memset(batch, 0, 61);
    be64_put(batch, (uint64_t)base);
    be32_put(batch + 8, 61 - 12);
    be16_put(batch + 21, attributes);
    be64_put(batch + 43, (uint64_t)producer);
}

static void test_records_among_marks(void **state)
{
    (void)state;
    uint8_t bytes[3 * 61] = {0};
    struct kafka_fetch_response_aborted_transaction aborted = {.producer_id = 7,
                                                               .first_offset = 10};
    struct kafka_fetch_response_partition part = {
        .aborted_transactions = &aborted,
        .aborted_transactions_count = 1,
        .records = {.size = sizeof(bytes), .bytes = slice_make(bytes, sizeof(bytes))}};
    put_batch(bytes, 10, 0x10, 7);
    put_batch(bytes + 61, 11, 0x30, 7);
    put_batch(bytes + 122, 12, 0x30, 8);
    int64_t from = 10;
    assert_false(cli_facts_has_record(&part, &from));
    assert_int_equal(from, 13);
    part.aborted_transactions_count = 0; /* it was committed */
    from = 10;
    assert_true(cli_facts_has_record(&part, &from));
    from = 11; /* and read */
    assert_false(cli_facts_has_record(&part, &from));
    part.aborted_transactions_count = 1;
    put_batch(bytes + 122, 12, 0x10, 7); /* the producer's next transaction, which was not */
    from = 10;
    assert_true(cli_facts_has_record(&part, &from));
    part.records.bytes.size = 70; /* cut off */
    part.aborted_transactions_count = 1;
    from = 10;
    assert_true(cli_facts_has_record(&part, &from));
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
        cmocka_unit_test(test_addresses),   cmocka_unit_test(test_disks),
        cmocka_unit_test(test_assignments), cmocka_unit_test(test_records_among_marks),
        cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
