// Reads records and prints them, on its own or as a member of a group.
// SPDX-License-Identifier: Apache-2.0
#include "cli/consume.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/client.h"
#include "cli/escape.h"
#include "cli/template.h"
#include "cli/topics.h"

#define POLL_MS 100
#define SAY_MS  1000 /* a server that is away for less is not worth a word */

const char cli_consume_details[] =
    "Reads from the start and waits for more; Ctrl-C, -e or -n end it. Records of open and "
    "aborted\n"
    "transactions are left out. On a terminal control characters in records are shown, not "
    "obeyed.\n"
    "\n"
    "Offsets (-o): from where, and up to where\n"
    "  start, end      the first record; only new ones\n"
    "  N, +N, -N       offset N; N behind the start; the last N of each partition\n"
    "  @TIME           from a time on: 2026-11-22, 2026-11-22T08:30:00Z, 1795334400, -1h, now\n"
    "  FROM:TO         up to TO, which is not read; :TO begins at the start, FROM: goes on for "
    "ever\n"
    "                  such as 10:20, :end, -5:end, @-2h:-1h\n"
    "\n"
    "Formats (-f): the default is '%v\\n'\n"
    "  %t %p %o        topic, partition, offset        %k %v (or %s)  key, value\n"
    "  %d              timestamp in ms; %d{iso}, %d{strftime[%F %T]}\n"
    "  %h              headers as NAME=VALUE,...; %h{%k=%v\\n} writes each\n"
    "  %T %K %V %H     sizes of topic, key, value; count of headers\n"
    "  %i %[ %]        number of the record in this run; start and end of the log\n"
    "  %v{hex}         also base64, base64raw, json; numbers: hex64, big32, little16 ...\n"
    "  %% \\n \\t \\x00   a percent sign, escapes\n"
    "  json            a line of JSON a record\n"
    "With --kcat %s is the value, %S its size, %R the same as 4 bytes, %T the timestamp.\n"
    "\n"
    "Examples:\n"
    "  leat consume orders\n"
    "  leat consume orders -o -10 -e -f '%p:%o %k = %v\\n'\n"
    "  leat consume orders -o @-1h:end -f json | jq .value\n"
    "  leat consume orders payments -g billing\n";

struct consuming {
    struct cli *cli;
    rd_kafka_t *client;
    struct cli_template format;
    struct cli_record_header *headers; /* of the record that is printed */
    size_t header_capacity;
    struct cli_place *places; /* offset: where to stop; INT64_MAX: never. Without a group */
    bool *over;
    size_t place_count;
    size_t over_count;
    int64_t count;
    int64_t count_max; /* 0: no limit */
    bool group;
    bool until_end;
    int64_t progress_ms;
    struct cli_client_trouble unreachable; /* since progress_ms */
    bool is_said;                          /* that it is */
    enum cli_exit result;
    bool stop;
};

/* --- where to read --- */

static enum cli_exit take_span(struct consuming *c, struct cli_span *span)
{
    const char *text = cli_flags_text(&c->cli->flags, CLI_FLAG_OFFSET, "start");
    if (cli_span_parse(slice_text(text), cli_now_ms(), span))
        return cli_fail(c->cli, CLI_USAGE,
                        "such as start, end, 42, -10, 10:20, @-1h; leat consume --help explains it",
                        "-o %s is no place in a log", text);
    if (c->group && (span->to.kind != CLI_SPAN_NONE || span->from.number != 0 ||
                     (span->from.kind != CLI_SPAN_START && span->from.kind != CLI_SPAN_END)))
        return cli_fail(c->cli, CLI_USAGE, "leat group seek moves a group to any place",
                        "with -g only -o start and -o end can be said: where to begin when the "
                        "group has no offset yet");
    if (c->until_end && span->to.kind == CLI_SPAN_NONE)
        span->to = (struct cli_span_point){CLI_SPAN_END, 0};
    return CLI_OK;
}

static struct cli_place *copy_places(struct consuming *c)
{
    struct cli_place *copy = cli_alloc(c->cli, MAX(c->place_count, 1), sizeof(*copy));
    memcpy(copy, c->places, c->place_count * sizeof(*copy));
    return copy;
}

static enum cli_exit assign(struct consuming *c, const struct cli_span *span)
{
    struct cli *cli = c->cli;
    struct cli_place *from = copy_places(c), *to = copy_places(c);
    enum cli_exit result = cli_topics_resolve(cli, &span->from, from, c->place_count);
    if (!result && span->to.kind != CLI_SPAN_NONE)
        result = cli_topics_resolve(cli, &span->to, to, c->place_count);
    if (result)
        return result;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)c->place_count);
    for (size_t i = 0; i < c->place_count; i++) {
        bool bounded = span->to.kind != CLI_SPAN_NONE;
        c->places[i].offset = bounded && !to[i].error ? to[i].offset : INT64_MAX;
        if (from[i].error || from[i].offset >= c->places[i].offset) {
            if (from[i].error)
                cli_note(cli, "leat: %s partition %d cannot be read now",
                         cli_string(cli, from[i].topic), from[i].partition);
            c->over[i] = true;
            c->over_count++;
            continue;
        }
        rd_kafka_topic_partition_list_add(list, cli_string(cli, from[i].topic), from[i].partition)
            ->offset = from[i].offset;
    }
    rd_kafka_resp_err_t err = rd_kafka_assign(c->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    return err ? cli_fail(cli, CLI_FAILED, NULL, "cannot read: %s", rd_kafka_err2str(err)) : CLI_OK;
}

static enum cli_exit subscribe(struct consuming *c)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)c->cli->argument_count);
    for (size_t i = 0; i < c->cli->argument_count; i++)
        rd_kafka_topic_partition_list_add(list, c->cli->arguments[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(c->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    return err ? cli_fail(c->cli, CLI_FAILED, NULL, "cannot join the group: %s",
                          rd_kafka_err2str(err))
               : CLI_OK;
}

static void complain(rd_kafka_t *client, int err, const char *words, void *opaque)
{
    (void)client;
    struct consuming *c = opaque;
    cli_client_complain(&c->unreachable, err, words);
}

static enum cli_exit make_client(struct consuming *c, const struct cli_span *span)
{
    struct cli *cli = c->cli;
    const char *group = cli_flags_text(&cli->flags, CLI_FLAG_GROUP, "leat");
    bool all = cli_flags_has(&cli->flags, CLI_FLAG_UNCOMMITTED);
    bool at_end = c->group && span->from.kind == CLI_SPAN_END;
    rd_kafka_conf_t *conf;
    enum cli_exit result = cli_client_conf(cli, &conf);
    if (!result)
        result = cli_client_set(cli, &conf, "group.id", group);
    if (!result)
        result = cli_client_set(cli, &conf, "enable.auto.commit", c->group ? "true" : "false");
    if (!result)
        result = cli_client_set(cli, &conf, "auto.offset.reset", at_end ? "latest" : "earliest");
    if (!result)
        result = cli_client_set(cli, &conf, "enable.partition.eof", "true");
    if (!result)
        result = cli_client_set(cli, &conf, "isolation.level",
                                all ? "read_uncommitted" : "read_committed");
    if (result)
        return result;
    rd_kafka_conf_set_error_cb(conf, complain);
    rd_kafka_conf_set_opaque(conf, c);
    return cli_client_new(cli, RD_KAFKA_CONSUMER, conf, &c->client);
}

/* --- records --- */

/* False: no memory. */
static bool copy_headers(struct consuming *c, const rd_kafka_message_t *message,
                         struct cli_record *record)
{
    rd_kafka_headers_t *all;
    const char *name;
    const void *value;
    size_t size;
    if (rd_kafka_message_headers(message, &all))
        return true;
    size_t count = rd_kafka_header_cnt(all);
    if (count > c->header_capacity) {
        struct cli_record_header *more = reallocarray(c->headers, count, sizeof(*more));
        if (!more)
            return false;
        c->headers = more;
        c->header_capacity = count;
    }
    record->headers = c->headers;
    while (record->header_count < count &&
           !rd_kafka_header_get_all(all, record->header_count, &name, &value, &size))
        c->headers[record->header_count++] =
            (struct cli_record_header){slice_text(name), slice_make(value, size)};
    return true;
}

static void print(struct consuming *c, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    struct cli_record record = {.topic = slice_text(rd_kafka_topic_name(message->rkt)),
                                .key = slice_make(message->key, message->key_len),
                                .value = slice_make(message->payload, message->len),
                                .partition = message->partition,
                                .offset = message->offset,
                                .timestamp_ms = rd_kafka_message_timestamp(message, &type),
                                .counter = ++c->count};
    bool has_all = copy_headers(c, message, &record);
    (void)rd_kafka_get_watermark_offsets(c->client, rd_kafka_topic_name(message->rkt),
                                         message->partition, &record.log_start, &record.log_end);
    struct text out, safe;
    text_init(&out);
    text_init(&safe);
    cli_template_render(&c->format, &record, &out);
    bool raw = !c->cli->out_is_terminal || cli_flags_has(&c->cli->flags, CLI_FLAG_RAW);
    if (!raw)
        cli_escape_add(&safe, text_slice(&out), CLI_ESCAPE_LINES);
    if (!has_all || out.failed || safe.failed) {
        c->result = cli_fail(c->cli, CLI_FAILED, NULL, "out of memory");
        c->stop = true;
    }
    /* A reader that went away (head, less) has seen enough. */
    if (!cli_write(text_slice(raw ? &out : &safe)))
        c->stop = true;
    text_deinit(&out);
    text_deinit(&safe);
}

static size_t place_of(const struct consuming *c, const rd_kafka_message_t *message)
{
    struct slice topic = slice_text(rd_kafka_topic_name(message->rkt));
    for (size_t i = 0; i < c->place_count; i++)
        if (c->places[i].partition == message->partition && slice_equal(c->places[i].topic, topic))
            return i;
    return c->place_count;
}

static void set_over(struct consuming *c, size_t place, bool over)
{
    if (place >= c->place_count || c->over[place] == over)
        return;
    c->over[place] = over;
    c->over_count += over ? 1 : -1UL;
}

static void take_record(struct consuming *c, const rd_kafka_message_t *message)
{
    size_t place = place_of(c, message);
    int64_t stop = c->group || place == c->place_count ? INT64_MAX : c->places[place].offset;
    if (message->offset < stop && !c->stop)
        print(c, message);
    if (c->group)
        set_over(c, place, false);
    else if (message->offset >= stop - 1)
        set_over(c, place, true);
    if (c->count_max > 0 && c->count >= c->count_max)
        c->stop = true;
}

/* A member of a group is at the end when all that it was given is. */
static bool is_group_over(struct consuming *c)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    if (rd_kafka_assignment(c->client, &list) || !list)
        return false;
    bool over = list->cnt > 0;
    for (int i = 0; i < list->cnt; i++) {
        bool found = false;
        for (size_t k = 0; k < c->place_count; k++)
            found |= c->over[k] && c->places[k].partition == list->elems[i].partition &&
                     slice_equal_text(c->places[k].topic, list->elems[i].topic);
        over &= found;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return over;
}

static void take_end(struct consuming *c, const rd_kafka_message_t *message)
{
    size_t place = place_of(c, message);
    if (place == c->place_count)
        return;
    if (c->group || message->offset >= c->places[place].offset)
        set_over(c, place, true);
    if (c->group && c->until_end && is_group_over(c))
        c->stop = true;
}

static void take_error(struct consuming *c, const rd_kafka_message_t *message)
{
    rd_kafka_resp_err_t err = message->err;
    const char *words = message->payload ? rd_kafka_message_errstr(message) : rd_kafka_err2str(err);
    if (err == RD_KAFKA_RESP_ERR__TIMED_OUT || err == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED) {
        complain(c->client, err, words, c);
        return;
    }
    c->result = cli_fail(c->cli, cli_client_exit(err), NULL, "cannot read on: %s", words);
    c->stop = true;
}

/* One who reads up to the end does not wait for ever; and who is not let in is not later, either.
 */
static void check_reachable(struct consuming *c)
{
    rd_kafka_resp_err_t err = c->unreachable.err;
    int64_t waited_ms = cli_now_ms() - c->progress_ms;
    bool patient = waited_ms < c->cli->timeout_ms;
    if (err && !c->is_said && !c->until_end && waited_ms >= SAY_MS) {
        c->is_said = true;
        cli_note(c->cli, "leat: %s; trying again", c->unreachable.words);
    }
    if (!err || (err != RD_KAFKA_RESP_ERR__AUTHENTICATION && (patient || !c->until_end)))
        return;
    c->result = cli_fail(c->cli, cli_client_exit(err), "leat doctor looks further",
                         "cannot read on: %s", c->unreachable.words);
    c->stop = true;
}

static void run(struct consuming *c)
{
    c->progress_ms = cli_now_ms();
    while (!c->stop && !cli_client_stop_asked()) {
        if (!c->group && c->over_count == c->place_count)
            break;
        rd_kafka_message_t *message = rd_kafka_consumer_poll(c->client, 0);
        if (!message) {
            fflush(stdout);
            message = rd_kafka_consumer_poll(c->client, POLL_MS);
        }
        if (!message) {
            check_reachable(c);
            continue;
        }
        if (!message->err || message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            c->progress_ms = cli_now_ms();
            c->unreachable.err = RD_KAFKA_RESP_ERR_NO_ERROR;
            c->is_said = false;
        }
        if (!message->err)
            take_record(c, message);
        else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            take_end(c, message);
        else
            take_error(c, message);
        rd_kafka_message_destroy(message);
    }
}

static enum cli_exit take_flags(struct consuming *c)
{
    struct cli *cli = c->cli;
    struct diag diag = {""};
    bool json = cli->format == CLI_FORMAT_JSON || cli->format == CLI_FORMAT_JSONL;
    const char *format = cli_flags_text(&cli->flags, CLI_FLAG_FMT, json ? "json" : "%v\\n");
    bool kcat = cli_flags_has(&cli->flags, CLI_FLAG_KCAT);
    if (cli_template_parse(slice_text(format), kcat, &cli->arena, &c->format, &diag))
        return cli_fail(cli, CLI_USAGE, "leat consume --help explains formats", "-f %s: %s", format,
                        diag.text);
    c->group = cli_flags_has(&cli->flags, CLI_FLAG_GROUP);
    c->until_end = cli_flags_has(&cli->flags, CLI_FLAG_EXIT);
    if (c->group && cli_flags_has(&cli->flags, CLI_FLAG_PARTITION))
        return cli_fail(cli, CLI_USAGE, "a group shares out the partitions itself",
                        "-g and -p do not go together");
    const char *count = cli_flags_text(&cli->flags, CLI_FLAG_COUNT, NULL);
    if (count && (!text_parse_i64(slice_text(count), &c->count_max) || c->count_max < 1))
        return cli_fail(cli, CLI_USAGE, "a number from 1 on", "'%s' is no number of records",
                        count);
    return CLI_OK;
}

enum cli_exit cli_consume_run(struct cli *cli)
{
    struct consuming c = {.cli = cli};
    struct cli_span span;
    struct kafka_metadata_response topics;
    struct slice *names = cli_alloc(cli, cli->argument_count, sizeof(*names));
    for (size_t i = 0; i < cli->argument_count; i++)
        names[i] = slice_text(cli->arguments[i]);
    enum cli_exit result = take_flags(&c);
    if (!result)
        result = take_span(&c, &span);
    if (!result)
        result = cli_topics_require(cli, names, cli->argument_count, &topics);
    if (!result)
        result = cli_topics_places(cli, &topics, &c.places, &c.place_count);
    if (result)
        return result;
    c.over = cli_alloc(cli, MAX(c.place_count, 1), sizeof(*c.over));
    cli_client_stop_watch();
    result = make_client(&c, &span);
    if (result)
        return result;
    (void)rd_kafka_poll_set_consumer(c.client);
    result = c.group ? subscribe(&c) : assign(&c, &span);
    if (!result) {
        run(&c);
        result = c.result;
    }
    free(c.headers);
    (void)rd_kafka_consumer_close(c.client);
    rd_kafka_destroy(c.client);
    return result;
}
