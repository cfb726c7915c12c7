// Looks at everything between a client and the server, and says what to change.
// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/advice.h"
#include "cli/doc.h"
#include "cli/error.h"
#include "cli/escape.h"
#include "cli/stamp.h"
#include "cli/topics.h"
#include "cli/txn.h"
#include "wire/kafka_api_versions.h"
#include "wire/kafka_describe_log_dirs.h"
#include "wire/kafka_list_transactions.h"

#define NATS_LINE_SIZE_MAX 65536
#define AHEAD_MS           (INT64_C(5) * 60000)
#define LONG_OPEN_MS       (INT64_C(15) * 60000)
#define NAMED_MAX          5

struct checkup {
    struct cli *cli;
    struct cli_doc *list;
    struct cli_ask_address dialled;
    size_t problems;
    size_t warnings;
};

/* One line of the result; fix may be NULL. */
static void report(struct checkup *c, enum cli_advice_level level, const char *what,
                   const char *fix)
{
    static const char *const names[] = {"ok", "warning", "problem"};
    struct cli_doc *row = cli_doc_row(c->cli, c->list);
    cli_doc_add_text(c->cli, row, "result", slice_text(names[level]));
    cli_doc_add_text(c->cli, row, "what", slice_text(what));
    cli_doc_add_text(c->cli, row, "fix", slice_text(fix));
    c->problems += level == CLI_ADVICE_PROBLEM;
    c->warnings += level == CLI_ADVICE_WARNING;
}

static void report_texts(struct checkup *c, enum cli_advice_level level, struct text *what,
                         struct text *fix)
{
    const char *fix_words = fix->size > 0 ? cli_string(c->cli, text_slice(fix)) : NULL;
    report(c, level, cli_string(c->cli, text_slice(what)), fix_words);
    text_deinit(what);
    text_deinit(fix);
}

static void check_node(struct checkup *c, const struct cli_cluster_node *node)
{
    struct cli *cli = c->cli;
    struct diag diag = {""};
    struct cli_ask *ask = NULL;
    struct cli_ask_address address = {cli_string(cli, node->host),
                                      cli_words(cli, "%d", node->port)};
    struct cli_advice_case found = {
        .dialled = c->dialled, .host = address.host, .port = node->port, .words = diag.text};
    found.err = cli_ask_open(&address, cli->timeout_ms, &ask, &diag);
    if (!found.err) {
        struct kafka_metadata_request request;
        struct kafka_metadata_response response;
        kafka_metadata_request_init(&request);
        request.topics = cli_alloc(cli, 1, sizeof(*request.topics));
        struct cli_ask_call call = {.key = KAFKA_API_METADATA,
                                    .request = &request,
                                    .response = &response,
                                    .arena = &cli->arena};
        found.err = cli_ask_call(ask, &call, &diag);
        found.other_cluster = !found.err && !slice_equal(response.cluster_id, cli->cluster->id);
        cli_ask_close(ask);
    }
    struct text what, fix;
    text_init(&what);
    text_init(&fix);
    text_add_format(&what, "broker %d ", node->id);
    enum cli_advice_level level = cli_advice_address(&found, &what, &fix);
    report_texts(c, level, &what, &fix);
}

static void check_disks(struct checkup *c, int32_t node)
{
    struct kafka_describe_log_dirs_request request;
    struct kafka_describe_log_dirs_response response;
    kafka_describe_log_dirs_request_init(&request);
    struct cli_cluster_call call = {.node = node,
                                    .key = KAFKA_API_DESCRIBE_LOG_DIRS,
                                    .request = &request,
                                    .response = &response,
                                    .quiet = true};
    if (cli_cluster_call(c->cli, &call))
        return;
    for (size_t i = 0; i < response.results_count; i++) {
        const struct kafka_describe_log_dirs_response_result *folder = &response.results[i];
        const char *name = cli_string(c->cli, folder->log_dir);
        struct text what, fix;
        text_init(&what);
        text_init(&fix);
        text_add_format(&what, "broker %d: the disk of %s ", node, name);
        enum cli_advice_level level = CLI_ADVICE_PROBLEM;
        if (folder->error_code) {
            text_add_format(&what, "has failed: %s", cli_error_of(folder->error_code)->what);
            text_add_text(&fix, "look into the server's log and the kernel's (dmesg)");
        } else {
            level = cli_advice_disk(folder->total_bytes, folder->usable_bytes, &what, &fix);
        }
        report_texts(c, level, &what, &fix);
    }
}

/* Partitions without a leader, and records from the future. */
static void check_partitions(struct checkup *c)
{
    struct cli *cli = c->cli;
    struct kafka_metadata_response topics;
    struct cli_place *places;
    size_t count;
    if (cli_topics_fetch(cli, NULL, 0, &topics) || cli_topics_places(cli, &topics, &places, &count))
        return;
    size_t offline = 0, thin = 0;
    const struct cli_place *first = NULL;
    for (size_t t = 0; t < topics.topics_count; t++)
        for (size_t p = 0; p < topics.topics[t].partitions_count; p++)
            thin += topics.topics[t].partitions[p].isr_nodes_count <
                    topics.topics[t].partitions[p].replica_nodes_count;
    for (size_t i = 0; i < count; i++) {
        places[i].timestamp_ms = CLI_PLACE_NEWEST;
        if (places[i].leader >= 0)
            continue;
        first = first ? first : &places[i];
        offline++;
    }
    if (first)
        report(c, CLI_ADVICE_PROBLEM,
               cli_words(cli, "%zu of %zu partitions have no leader, such as %s partition %d",
                         offline, count, cli_string(cli, first->topic), first->partition),
               "look into the log of the server that holds them: a failed write takes a partition "
               "offline until a restart recovers it");
    else
        report(c, CLI_ADVICE_OK,
               cli_words(cli, "all %zu partitions of %zu topics have a leader", count,
                         topics.topics_count),
               NULL);
    if (thin > 0)
        report(c, CLI_ADVICE_WARNING,
               cli_words(cli, "%zu partitions have fewer replicas in sync than they should", thin),
               "a server is down or behind; leat topic describe TOPIC shows which");
    const struct cli_place *newest = NULL;
    if (count > 0 && !cli_topics_offsets(cli, places, count, false))
        for (size_t i = 0; i < count; i++)
            if (!newest || places[i].found_ms > newest->found_ms)
                newest = &places[i];
    if (!newest || newest->found_ms < 0)
        return;
    int64_t ahead_ms = newest->found_ms - cli_now_ms();
    struct text what;
    text_init(&what);
    if (ahead_ms <= AHEAD_MS) {
        report(c, CLI_ADVICE_OK, "clocks: no record is from the future", NULL);
    } else {
        text_add_format(&what, "%s partition %d has a record whose time is ",
                        cli_string(cli, newest->topic), newest->partition);
        cli_stamp_add_duration(&what, ahead_ms);
        text_add_text(&what, " ahead of this machine's clock");
        report(c, CLI_ADVICE_WARNING, cli_string(cli, text_slice(&what)),
               "compare the clocks of the producers with this one (NTP); retention by time and "
               "offsets by time go by these timestamps");
    }
    text_deinit(&what);
}

static void check_transactions(struct checkup *c)
{
    struct cli *cli = c->cli;
    struct slice ongoing = SLICE_LITERAL("Ongoing");
    if (!cli_cluster_knows(cli, KAFKA_API_LIST_TRANSACTIONS))
        return;
    struct kafka_list_transactions_request request;
    kafka_list_transactions_request_init(&request);
    request.state_filters = &ongoing;
    request.state_filters_count = 1;
    request.duration_filter = LONG_OPEN_MS;
    size_t count = 0;
    struct text names;
    text_init(&names);
    for (size_t n = 0; n < cli->cluster->node_count; n++) {
        struct kafka_list_transactions_response response;
        struct cli_cluster_call call = {.node = cli->cluster->nodes[n].id,
                                        .key = KAFKA_API_LIST_TRANSACTIONS,
                                        .request = &request,
                                        .response = &response,
                                        .quiet = true};
        if (cli_ask_version(cli->cluster->bootstrap, KAFKA_API_LIST_TRANSACTIONS) < 1 ||
            cli_cluster_call(cli, &call))
            continue;
        for (size_t i = 0; i < response.transaction_states_count; i++)
            if (count++ < NAMED_MAX)
                text_add_format(&names, "%s%s", count > 1 ? ", " : "",
                                cli_string(cli, response.transaction_states[i].transactional_id));
    }
    if (count == 0)
        report(c, CLI_ADVICE_OK, "no transaction is open for longer than 15 minutes", NULL);
    else
        report(c, CLI_ADVICE_WARNING,
               cli_words(cli, "%zu transaction%s open for longer than 15 minutes: %s%s", count,
                         count == 1 ? " is" : "s are", cli_string(cli, text_slice(&names)),
                         count > NAMED_MAX ? ", ..." : ""),
               "readers of committed records wait for them; leat txn describe ID says where");
    text_deinit(&names);
}

/* A NATS server greets with INFO and its facts. */
static void check_nats(struct checkup *c)
{
    struct cli *cli = c->cli;
    const char *told = cli_flags_text(&cli->flags, CLI_FLAG_NATS, NULL);
    struct cli_ask_address address = {c->dialled.host, "4222"};
    if (told && !cli_ask_parse_address(slice_text(told), "4222", &cli->arena, &address)) {
        report(c, CLI_ADVICE_PROBLEM, cli_words(cli, "'%s' is no address of NATS", told),
               "write it as HOST:PORT");
        return;
    }
    struct diag diag = {""};
    int fd;
    char *line = cli_alloc(cli, NATS_LINE_SIZE_MAX, 1);
    const char *where = cli_words(cli, "%s:%s", address.host, address.port);
    enum err err = cli_ask_connect(&address, cli->timeout_ms, &fd, &diag);
    if (!err) {
        err = cli_ask_read_line(fd, cli->timeout_ms, line, NATS_LINE_SIZE_MAX);
        cli_ask_disconnect(fd);
        diag_set(&diag, "it does not greet as a NATS server does");
    }
    if (!err && strncmp(line, "INFO ", 5) == 0)
        report(c, CLI_ADVICE_OK, cli_words(cli, "NATS clients are served at %s", where), NULL);
    else
        report(c, told ? CLI_ADVICE_PROBLEM : CLI_ADVICE_OK,
               cli_words(cli, "NATS clients are not served at %s (%s)", where, diag.text),
               told ? "leatd --nats-listen ADDRESS says where it serves them" : NULL);
}

/* What a server says must not steer the terminal. */
static const char *shown(struct cli *cli, struct slice words)
{
    struct text out;
    text_init(&out);
    if (cli->out_is_terminal)
        cli_escape_add(&out, words, CLI_ESCAPE_WORD);
    else
        text_add(&out, words);
    const char *copy = cli_string(cli, text_slice(&out));
    text_deinit(&out);
    return copy;
}

static void print_text(struct checkup *c)
{
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};
    struct cli *cli = c->cli;
    for (const struct cli_doc *row = c->list->first; row; row = row->next) {
        const char *result = cli_string(cli, row->first->text);
        int level = strcmp(result, "ok") == 0 ? 0 : strcmp(result, "warning") == 0 ? 1 : 2;
        printf("%s%-8s%s %s.\n", cli->out_colour ? colours[level] : "", result,
               cli->out_colour ? "\033[0m" : "", shown(cli, row->first->next->text));
        if (row->first->next->next->text.data)
            printf("%-8s Next: %s.\n", "", shown(cli, row->first->next->next->text));
    }
    if (c->problems == 0 && c->warnings == 0)
        puts("\nAll is well.");
    else
        printf("\n%zu problem%s, %zu warning%s.\n", c->problems, c->problems == 1 ? "" : "s",
               c->warnings, c->warnings == 1 ? "" : "s");
}

enum cli_exit cli_doctor_run(struct cli *cli)
{
    struct checkup c = {.cli = cli, .list = cli_doc_list(cli)};
    enum cli_exit result = cli_cluster_open(cli);
    if (result)
        return result;
    if (!cli_ask_parse_address(slice_text(cli->cluster->bootstrap_name), "9092", &cli->arena,
                               &c.dialled))
        return cli_fail(cli, CLI_FAILED, NULL, "out of memory");
    report(&c, CLI_ADVICE_OK,
           cli_words(cli, "%s answers as a Kafka server, with %zu APIs",
                     cli->cluster->bootstrap_name,
                     cli_ask_versions(cli->cluster->bootstrap)->api_keys_count),
           NULL);
    if (cli->cluster->node_count == 0)
        report(&c, CLI_ADVICE_PROBLEM, "the server names no brokers", "look into its log");
    for (size_t i = 0; i < cli->cluster->node_count; i++)
        check_node(&c, &cli->cluster->nodes[i]);
    check_partitions(&c);
    for (size_t i = 0; i < cli->cluster->node_count; i++)
        check_disks(&c, cli->cluster->nodes[i].id);
    check_transactions(&c);
    check_nats(&c);
    if (cli->format == CLI_FORMAT_TEXT || cli->format == CLI_FORMAT_WIDE)
        print_text(&c);
    else
        result = cli_doc_print(cli, c.list);
    return result ? result : c.problems > 0 ? CLI_FAILED : CLI_OK;
}
