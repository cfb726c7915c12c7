// Reads records from arguments, a file or stdin and writes them to a topic.
// SPDX-License-Identifier: Apache-2.0
#include "cli/produce.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "cli/client.h"
#include "cli/escape.h"
#include "cli/template.h"
#include "cli/topics.h"

#define TXN_TIMEOUT_MS 60000

const char cli_produce_details[] =
    "Each line of stdin is a record, or each VALUE when there are some. Records are written with\n"
    "acks=all by an idempotent producer: when the command is done, they are on disk. Keys choose\n"
    "the partition as Java clients do (murmur2).\n"
    "\n"
    "Formats (-f) say how a record stands in the input; the default is '%v\\n'.\n"
    "  %k %v      key, value: up to the text behind, or of the size read before\n"
    "  %K %V      their sizes: a number and a text, or {big32}, {little16}, {byte} and so on\n"
    "  %p %d      partition (-p goes before it), timestamp in milliseconds\n"
    "  %k{hex}    written in hex; also {base64}\n"
    "  json       a line of JSON with key, value, headers, timestamp, partition, as\n"
    "             leat consume -f json writes it\n"
    "--report takes the letters of leat consume.\n"
    "\n"
    "Examples:\n"
    "  echo hello | leat produce greetings\n"
    "  leat produce greetings hello world -k friend\n"
    "  leat produce orders -f '%k\\t%v\\n' -F orders.tsv -z zstd\n"
    "  leat consume orders -f json -e | leat produce copy -f json -p 0\n"
    "                        without -p copy needs all partitions that orders has\n"
    "  leat produce orders -k 42 -Z ''                  a tombstone\n";

struct producing {
    struct cli *cli;
    rd_kafka_t *client;
    rd_kafka_headers_t *headers; /* of every record; NULL: none */
    struct cli_record given;     /* what flags say of every record */
    struct cli_template format;
    struct cli_template report;
    bool reports;
    bool null_values;
    int64_t count;
    int64_t done;
    int64_t failed;
    enum cli_exit result;
    rd_kafka_resp_err_t err; /* of the first that failed */
    const char *trouble;
    int32_t missing_partition; /* of the first that failed; -1: that was not the reason */
    struct cli_client_trouble unreachable;
};

static void print_report(struct producing *p, const rd_kafka_message_t *message)
{
    struct text out;
    rd_kafka_timestamp_type_t type;
    text_init(&out);
    struct cli_record record = {.topic = slice_text(rd_kafka_topic_name(message->rkt)),
                                .key = slice_make(message->key, message->key_len),
                                .value = slice_make(message->payload, message->len),
                                .partition = message->partition,
                                .offset = message->offset,
                                .timestamp_ms = rd_kafka_message_timestamp(message, &type),
                                .counter = p->done};
    cli_template_render(&p->report, &record, &out);
    (void)cli_write(text_slice(&out));
    text_deinit(&out);
}

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    struct producing *p = opaque;
    if (!message->err) {
        p->done++;
        if (p->reports)
            print_report(p, message);
        return;
    }
    p->failed++;
    if (p->trouble)
        return;
    bool timed_out = message->err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT && p->unreachable.err;
    if (message->err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        p->missing_partition = message->partition;
    p->trouble =
        timed_out ? p->unreachable.words : cli_words(p->cli, "%s", rd_kafka_err2str(message->err));
    p->err = message->err;
    p->result = cli_client_exit(timed_out ? p->unreachable.err : message->err);
}

static void complain(rd_kafka_t *client, int err, const char *words, void *opaque)
{
    (void)client;
    struct producing *p = opaque;
    cli_client_complain(&p->unreachable, err, words);
}

/* --- setting up --- */

static enum cli_exit take_header(struct producing *p, const char *text)
{
    const char *mark = strpbrk(text, "=:");
    if (!mark || mark == text)
        return cli_fail(p->cli, CLI_USAGE, "write it as -H NAME=VALUE", "'%s' is no header", text);
    if (!p->headers)
        p->headers = rd_kafka_headers_new(8);
    const char *value = mark + 1;
    (void)rd_kafka_header_add(p->headers, text, mark - text, value, (ssize_t)strlen(value));
    return CLI_OK;
}

static enum cli_exit check_word(struct cli *cli, enum cli_flag flag, const char *words)
{
    const char *given = cli_flags_text(&cli->flags, flag, NULL);
    size_t size = given ? strlen(given) : 0;
    const char *at = words;
    while (size > 0 && (at = strstr(at, given)) != NULL) {
        if ((at == words || at[-1] == ' ') && (at[size] == ',' || at[size] == ' ' || !at[size]))
            return CLI_OK;
        at++;
    }
    return given ? cli_fail(cli, CLI_USAGE, cli_words(cli, "it is one of %s", words),
                            "--%s cannot be '%s'", cli_flags_row(flag)->name, given)
                 : CLI_OK;
}

static enum cli_exit take_flags(struct producing *p)
{
    struct cli *cli = p->cli;
    struct diag diag = {""};
    bool kcat = cli_flags_has(&cli->flags, CLI_FLAG_KCAT);
    if (check_word(cli, CLI_FLAG_CODEC, "none, gzip, snappy, lz4, zstd") ||
        check_word(cli, CLI_FLAG_ACKS, "all, -1, 1, 0"))
        return CLI_USAGE;
    const char *format = cli_flags_text(&cli->flags, CLI_FLAG_FMT, "%v\\n");
    const char *report = cli_flags_text(&cli->flags, CLI_FLAG_REPORT, NULL);
    if (cli_template_parse(slice_text(format), kcat, &cli->arena, &p->format, &diag) ||
        (!p->format.json && cli_template_check_read(&p->format, &diag)))
        return cli_fail(cli, CLI_USAGE, "leat produce --help explains formats", "-f %s: %s", format,
                        diag.text);
    if (report && cli_template_parse(slice_text(report), kcat, &cli->arena, &p->report, &diag))
        return cli_fail(cli, CLI_USAGE, "leat consume --help lists the letters", "--report %s: %s",
                        report, diag.text);
    p->reports = report != NULL;
    p->null_values = cli_flags_has(&cli->flags, CLI_FLAG_TOMBSTONE);
    p->given = (struct cli_record){.partition = RD_KAFKA_PARTITION_UA, .timestamp_ms = -1};
    const char *key = cli_flags_text(&cli->flags, CLI_FLAG_KEY, NULL);
    p->given.key = slice_text(key);
    const char *partition = cli_flags_text(&cli->flags, CLI_FLAG_PARTITION, NULL);
    int64_t number = -1;
    if (partition &&
        (!text_parse_i64(slice_text(partition), &number) || number < 0 || number > INT32_MAX))
        return cli_fail(cli, CLI_USAGE, "a number from 0 on", "'%s' is no partition", partition);
    p->given.partition = (int32_t)number;
    size_t position = 0;
    const char *text;
    enum cli_exit result = CLI_OK;
    while (!result && (text = cli_flags_next(&cli->flags, CLI_FLAG_HEADER, &position)) != NULL)
        result = take_header(p, text);
    return result;
}

static enum cli_exit make_client(struct producing *p)
{
    struct cli *cli = p->cli;
    const char *acks = cli_flags_text(&cli->flags, CLI_FLAG_ACKS, "all");
    const char *codec = cli_flags_text(&cli->flags, CLI_FLAG_CODEC, NULL);
    const char *txn = cli_flags_text(&cli->flags, CLI_FLAG_TXN, NULL);
    rd_kafka_conf_t *conf;
    enum cli_exit result = cli_client_conf(cli, &conf);
    if (!result)
        result = cli_client_set(cli, &conf, "acks", acks);
    if (!result && strcmp(acks, "all") == 0)
        result = cli_client_set(cli, &conf, "enable.idempotence", "true");
    if (!result)
        result = cli_client_set(cli, &conf, "partitioner", "murmur2_random");
    if (!result)
        result = cli_client_set(cli, &conf, "message.timeout.ms",
                                cli_words(cli, "%d", MAX(cli->timeout_ms, 1000)));
    if (!result && codec)
        result = cli_client_set(cli, &conf, "compression.type", codec);
    if (!result && txn)
        result = cli_client_set(cli, &conf, "transactional.id", txn);
    if (!result && txn)
        result = cli_client_set(cli, &conf, "transaction.timeout.ms",
                                cli_words(cli, "%d", MAX(cli->timeout_ms, TXN_TIMEOUT_MS)));
    if (result)
        return result;
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_conf_set_error_cb(conf, complain);
    rd_kafka_conf_set_opaque(conf, p);
    return cli_client_new(cli, RD_KAFKA_PRODUCER, conf, &p->client);
}

/* --- transactions --- */

static enum cli_exit check_txn(struct producing *p, rd_kafka_error_t *error, const char *what)
{
    if (!error)
        return CLI_OK;
    enum cli_exit result =
        cli_fail(p->cli, cli_client_exit(rd_kafka_error_code(error)),
                 "nothing was written, as far as readers of committed records see", "%s: %s", what,
                 rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return result;
}

static enum cli_exit begin_txn(struct producing *p)
{
    enum cli_exit result = check_txn(p, rd_kafka_init_transactions(p->client, p->cli->timeout_ms),
                                     "cannot use transactions");
    if (!result)
        result = check_txn(p, rd_kafka_begin_transaction(p->client), "cannot begin");
    return result;
}

static enum cli_exit end_txn(struct producing *p, bool commit)
{
    if (commit)
        return check_txn(p, rd_kafka_commit_transaction(p->client, p->cli->timeout_ms),
                         "cannot commit");
    return check_txn(p, rd_kafka_abort_transaction(p->client, p->cli->timeout_ms), "cannot abort");
}

/* --- writing --- */

static rd_kafka_headers_t *headers_of(struct producing *p, const struct cli_record *record)
{
    if (record->header_count == 0)
        return p->headers ? rd_kafka_headers_copy(p->headers) : NULL;
    rd_kafka_headers_t *headers =
        p->headers ? rd_kafka_headers_copy(p->headers) : rd_kafka_headers_new(record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct cli_record_header *header = &record->headers[i];
        (void)rd_kafka_header_add(headers, (const char *)header->name.data,
                                  (ssize_t)header->name.size, header->value.data,
                                  (ssize_t)header->value.size);
    }
    return headers;
}

static enum cli_exit send_record(struct producing *p, const struct cli_record *record)
{
    struct slice value = record->value;
    if (p->null_values && value.size == 0)
        value = SLICE_NULL;
    int32_t partition = p->given.partition >= 0 ? p->given.partition : record->partition;
    rd_kafka_headers_t *headers = headers_of(p, record);
    rd_kafka_resp_err_t err;
    do {
        err = rd_kafka_producev(
            p->client, RD_KAFKA_V_TOPIC(p->cli->arguments[0]), RD_KAFKA_V_PARTITION(partition),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY(record->key.data, record->key.size),
            RD_KAFKA_V_VALUE((void *)value.data, value.size),
            RD_KAFKA_V_TIMESTAMP(record->timestamp_ms < 0 ? 0 : record->timestamp_ms),
            RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        rd_kafka_poll(p->client, err == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 100 : 0);
    } while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL && !cli_client_stop_asked());
    if (err) {
        if (headers)
            rd_kafka_headers_destroy(headers);
        return cli_fail(p->cli, cli_client_exit(err), NULL, "cannot write: %s",
                        rd_kafka_err2str(err));
    }
    p->count++;
    if (p->cli->in_is_terminal)
        (void)rd_kafka_flush(p->client, p->cli->timeout_ms);
    return p->failed > 0 ? p->result : CLI_OK;
}

static enum cli_exit send_arguments(struct producing *p)
{
    enum cli_exit result = CLI_OK;
    for (size_t i = 1; !result && i < p->cli->argument_count; i++) {
        struct cli_record record = p->given;
        record.value = slice_text(p->cli->arguments[i]);
        result = send_record(p, &record);
    }
    return result;
}

static enum cli_exit send_input(struct producing *p, FILE *file)
{
    struct cli_template_input input;
    struct arena arena;
    enum cli_exit result = CLI_OK;
    arena_init(&arena, 0);
    cli_template_input_init(&input, file);
    while (!result) {
        struct cli_record record = p->given;
        struct diag diag = {""};
        arena_reset(&arena);
        enum err err = cli_template_read(&p->format, &input, &arena, &record, &diag);
        if (err == ERR_NOT_FOUND)
            break;
        result = err ? cli_fail(p->cli, CLI_FAILED, NULL, "record %" PRId64 ": %s", p->count + 1,
                                diag.text)
                     : send_record(p, &record);
    }
    cli_template_input_deinit(&input);
    arena_deinit(&arena);
    return result;
}

static enum cli_exit send_all(struct producing *p)
{
    const char *path = cli_flags_text(&p->cli->flags, CLI_FLAG_FILE, NULL);
    if (p->cli->argument_count > 1)
        return send_arguments(p);
    if (!path || strcmp(path, "-") == 0) {
        if (p->cli->in_is_terminal)
            cli_note(p->cli, "Each line is a record; Ctrl-D ends.");
        return send_input(p, stdin);
    }
    FILE *file = fopen(path, "rb");
    if (!file)
        return cli_fail(p->cli, CLI_NOT_FOUND, NULL, "cannot read %s: %s", path, strerror(errno));
    p->cli->in_is_terminal = false;
    enum cli_exit result = send_input(p, file);
    fclose(file);
    return result;
}

static enum cli_exit say_result(struct producing *p)
{
    struct cli *cli = p->cli;
    if (p->failed > 0) {
        const char *fix = NULL;
        if (p->missing_partition >= 0) {
            p->trouble =
                cli_words(cli, "%s has no partition %d", cli->arguments[0], p->missing_partition);
            fix = cli_words(
                cli, "leat topic grow %s COUNT adds partitions; -p N takes them all into one",
                cli->arguments[0]);
        } else if (p->result == CLI_NOT_FOUND)
            fix = cli_words(cli, "leat topic create %s makes the topic", cli->arguments[0]);
        else if (p->err == RD_KAFKA_RESP_ERR_INVALID_RECORD)
            fix = "a compacted topic takes no record without a key: -k KEY, or -f '%k:%v\\n'";
        enum cli_exit result = p->done > 0 ? CLI_PARTIAL : p->result;
        return cli_fail(cli, result, fix, "%" PRId64 " of %" PRId64 " records were not written: %s",
                        p->failed, p->failed + p->done, p->trouble);
    }
    if (cli->error_is_terminal)
        cli_note(cli, "%" PRId64 " record%s written to %s.", p->done, p->done == 1 ? "" : "s",
                 cli->arguments[0]);
    return CLI_OK;
}

enum cli_exit cli_produce_run(struct cli *cli)
{
    struct producing p = {.cli = cli, .missing_partition = -1};
    bool txn = cli_flags_has(&cli->flags, CLI_FLAG_TXN);
    enum cli_exit result = take_flags(&p);
    if (!result)
        result = cli_topics_touch(cli, slice_text(cli->arguments[0]));
    if (!result)
        result = make_client(&p);
    if (!result && txn)
        result = begin_txn(&p);
    if (!result) {
        result = send_all(&p);
        /* Every record is done or has failed within message.timeout.ms. */
        (void)rd_kafka_flush(p.client, -1);
        enum cli_exit said = p.failed > 0 || !result ? say_result(&p) : CLI_OK;
        result = result ? result : said;
        if (txn) {
            enum cli_exit ended = end_txn(&p, !result);
            result = result ? result : ended;
        }
    }
    if (p.headers)
        rd_kafka_headers_destroy(p.headers);
    if (p.client)
        rd_kafka_destroy(p.client);
    return result;
}
