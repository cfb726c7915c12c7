// Turns requests for pages into reports, and reports into answers.
// SPDX-License-Identifier: Apache-2.0
#include "server/pages.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "admin/topics.h"
#include "base/subject.h"
#include "broker/telemetry.h"
#include "kafka/report.h"
#include "nats/report.h"

#define CONNZ_LIMIT_DEFAULT 1024

static void report_is_there(void *arg, struct slice body)
{
    struct admin_call *call = arg;
    if (body.data)
        admin_answer(call, 200, body);
    else
        admin_answer(call, 503, SLICE_LITERAL("out of memory\n"));
}

static void varz(void *arg, struct slice query, struct admin_call *call)
{
    struct server_pages *pages = arg;
    struct core *core = reactor_core(pages->options.reactor, 0);
    server_usage_read(&pages->usage, core_os(core), core_now_ns(core), pages->options.started_ns);
    struct nats_report_process process = {
        .http_port = pages->options.http_port,
        .memory_bytes = pages->usage.memory_bytes,
        .cpu_percent = pages->usage.cpu_percent,
    };
    nats_report_varz(pages->options.nats, &process, report_is_there, call);
}

static void absence(void *arg, struct admin_call *call, enum nats_report_absent absent)
{
    struct server_pages *pages = arg;
    nats_report_absence(pages->options.nats, absent, report_is_there, call);
}

static void routez(void *arg, struct slice query, struct admin_call *call)
{
    absence(arg, call, NATS_REPORT_ROUTES);
}

static void gatewayz(void *arg, struct slice query, struct admin_call *call)
{
    absence(arg, call, NATS_REPORT_GATEWAYS);
}

static void leafz(void *arg, struct slice query, struct admin_call *call)
{
    absence(arg, call, NATS_REPORT_LEAFS);
}

static void jsz(void *arg, struct slice query, struct admin_call *call)
{
    absence(arg, call, NATS_REPORT_JETSTREAM);
}

static bool read_number(struct slice query, const char *name, uint64_t *out)
{
    struct slice text;
    return !admin_http_query(query, name, &text) || text_parse_u64(text, out);
}

static bool read_flag(struct slice query, const char *name)
{
    struct slice text;
    return admin_http_query(query, name, &text) &&
           (slice_equal_text(text, "1") || slice_equal_text(text, "true"));
}

static bool read_window(struct slice query, struct nats_report_options *options)
{
    options->limit = CONNZ_LIMIT_DEFAULT;
    bool is_right = read_number(query, "limit", &options->limit) &&
                    read_number(query, "offset", &options->offset);
    if (options->limit == 0)
        options->limit = CONNZ_LIMIT_DEFAULT;
    return is_right;
}

static void subsz(void *arg, struct slice query, struct admin_call *call)
{
    struct server_pages *pages = arg;
    struct nats_report_options options = {0};
    uint8_t memory[ADMIN_HTTP_HEAD_SIZE_MAX];
    struct slice text;
    bool is_right = read_window(query, &options);
    options.subscriptions = read_flag(query, "subs");
    if (admin_http_query(query, "acc", &text))
        is_right &= admin_http_decode(text, memory, &text) && slice_equal_text(text, "$G");
    if (admin_http_query(query, "test", &text))
        is_right &=
            admin_http_decode(text, memory, &options.test) && subject_is_literal(options.test);
    if (is_right)
        nats_report_subsz(pages->options.nats, &options, report_is_there, call);
    else
        admin_answer(call, 400,
                     SLICE_LITERAL("limit and offset are numbers, test is a literal subject, the "
                                   "account is $G\n"));
}

static bool read_sort(struct slice query, enum nats_report_sort *out)
{
    static const char *const names[] = {
        [NATS_REPORT_BY_ID] = "cid",
        [NATS_REPORT_BY_START] = "start",
        [NATS_REPORT_BY_SUBSCRIPTIONS] = "subs",
        [NATS_REPORT_BY_PENDING] = "pending",
        [NATS_REPORT_BY_MESSAGES_TO] = "msgs_to",
        [NATS_REPORT_BY_MESSAGES_FROM] = "msgs_from",
        [NATS_REPORT_BY_BYTES_TO] = "bytes_to",
        [NATS_REPORT_BY_BYTES_FROM] = "bytes_from",
        [NATS_REPORT_BY_LAST] = "last",
        [NATS_REPORT_BY_IDLE] = "idle",
        [NATS_REPORT_BY_UPTIME] = "uptime",
        [NATS_REPORT_BY_RTT] = "rtt",
        [NATS_REPORT_BY_STOP] = "stop",
        [NATS_REPORT_BY_REASON] = "reason",
    };
    struct slice text;
    if (!admin_http_query(query, "sort", &text))
        return true;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (!slice_equal_text(text, names[i]))
            continue;
        *out = (enum nats_report_sort)i;
        return true;
    }
    return false;
}

static bool read_state(struct slice query, struct nats_report_options *options)
{
    static const struct {
        const char *name;
        enum nats_report_state state;
    } states[] = {{"open", NATS_REPORT_OPEN},
                  {"0", NATS_REPORT_OPEN},
                  {"closed", NATS_REPORT_CLOSED},
                  {"any", NATS_REPORT_ANY},
                  {"all", NATS_REPORT_ANY}};
    struct slice text;
    bool is_right = !admin_http_query(query, "state", &text);
    for (size_t i = 0; i < COUNT_OF(states) && !is_right; i++) {
        is_right = text.size == strlen(states[i].name) &&
                   strncasecmp((const char *)text.data, states[i].name, text.size) == 0;
        options->state = states[i].state;
    }
    bool is_of_closed =
        options->sort == NATS_REPORT_BY_STOP || options->sort == NATS_REPORT_BY_REASON;
    return is_right && (options->state == NATS_REPORT_CLOSED || !is_of_closed);
}

/* Whose connections; user is decoded into memory. There is one account. */
static bool read_owner(struct slice query, struct nats_report_options *options,
                       uint8_t memory[ADMIN_HTTP_HEAD_SIZE_MAX])
{
    struct slice text;
    struct slice account;
    if (admin_http_query(query, "acc", &text)) {
        if (!admin_http_decode(text, memory, &account))
            return false;
        options->none = !slice_equal_text(account, "$G");
    }
    return !admin_http_query(query, "user", &text) ||
           admin_http_decode(text, memory, &options->user);
}

static void connz(void *arg, struct slice query, struct admin_call *call)
{
    struct server_pages *pages = arg;
    struct nats_report_options options = {0};
    uint8_t memory[ADMIN_HTTP_HEAD_SIZE_MAX];
    struct slice text;
    bool is_right = read_window(query, &options) && read_number(query, "cid", &options.id) &&
                    read_sort(query, &options.sort) && read_state(query, &options) &&
                    read_owner(query, &options, memory);
    options.subscriptions = read_flag(query, "subs");
    options.auth = read_flag(query, "auth");
    if (admin_http_query(query, "subs", &text))
        options.detail = slice_equal_text(text, "detail");
    if (is_right)
        nats_report_connz(pages->options.nats, &options, report_is_there, call);
    else
        admin_answer(
            call, 400,
            SLICE_LITERAL("limit, offset and cid are numbers, sort is one of cid, start, "
                          "subs, pending, msgs_to, msgs_from, bytes_to, bytes_from, last, "
                          "idle, uptime and rtt, or of closed ones stop and reason, state is "
                          "open, closed or any\n"));
}

/* The one reason why it is not well; NULL: it is. */
static const char *complaint(const struct server_pages *pages)
{
    struct core *core = reactor_core(pages->options.reactor, 0);
    if (*pages->options.draining)
        return "the server is draining";
    if (*pages->options.starting)
        return "the server is starting: topics of the configuration are being made";
    if (store_lacks_space(pages->options.store))
        return "the disk is full: writes are refused";
    const struct broker_topic *topic = broker_topic_after(core, SLICE_NULL);
    for (; topic; topic = broker_topic_after(core, topic->name))
        for (uint32_t i = 0; i < topic->partition_count; i++)
            if (broker_partition_is_offline(topic->partitions[i]))
                return "partitions are offline: a write to the disk has failed";
    return NULL;
}

static void healthz(void *arg, struct slice query, struct admin_call *call)
{
    const char *words = complaint(arg);
    struct text text;
    if (!words) {
        admin_answer(call, 200, SLICE_LITERAL("{\"status\":\"ok\"}"));
        return;
    }
    text_init(&text);
    text_add_text(&text, "{\"status\":\"unavailable\",\"error\":");
    text_add_json(&text, slice_text(words));
    text_add_text(&text, "}");
    admin_answer(call, 503, text_slice(&text));
    text_deinit(&text);
}

static void add_total(struct text *out, const char *name, uint64_t value)
{
    text_add_format(out, "# TYPE leat_%s counter\nleat_%s %" PRIu64 "\n", name, name, value);
}

static void add_gauge(struct text *out, const char *name, uint64_t value)
{
    text_add_format(out, "# TYPE leat_%s gauge\nleat_%s %" PRIu64 "\n", name, name, value);
}

/* Bounds in microseconds, about 2.5 times each other. */
static void add_commit_times(const struct server_pages *pages, struct text *out)
{
    static const uint64_t bounds_us[] = {50,    100,   250,   500,    1000,   2500,    5000,
                                         10000, 25000, 50000, 100000, 250000, 1000000, 10000000};
    static const char name[] = "leat_journal_commit_seconds";
    struct histogram *times = calloc(1, sizeof(*times));
    if (!times) {
        out->failed = true;
        return;
    }
    store_commit_times(pages->options.store, times);
    text_add_format(out, "# TYPE %s histogram\n", name);
    for (size_t i = 0; i < COUNT_OF(bounds_us); i++)
        text_add_format(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, (double)bounds_us[i] / 1e6,
                        histogram_count_upto(times, bounds_us[i] * 1000));
    uint64_t count = histogram_count_upto(times, UINT64_MAX);
    text_add_format(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    text_add_format(out, "%s_sum %.6f\n%s_count %" PRIu64 "\n", name,
                    (double)metric_get(&times->sum) / 1e9, name, count);
    free(times);
}

static void add_cores(const struct server_pages *pages, struct text *out)
{
    struct reactor *reactor = pages->options.reactor;
    uint64_t accepted = 0, bytes_in = 0, bytes_out = 0, turns = 0, moved = 0, here = 0;
    for (unsigned i = 0; i < reactor_core_count(reactor); i++) {
        const struct core_metrics *core = core_metrics(reactor_core(reactor, i));
        accepted += metric_get(&core->accepted);
        bytes_in += metric_get(&core->bytes_in);
        bytes_out += metric_get(&core->bytes_out);
        turns += metric_get(&core->turns);
        moved += metric_get(&core->moved_in);
        here += metric_get(&core->connections);
    }
    add_gauge(out, "connections", here);
    add_total(out, "connections_accepted_total", accepted);
    add_total(out, "bytes_received_total", bytes_in);
    add_total(out, "bytes_sent_total", bytes_out);
    add_total(out, "turns_total", turns);
    add_total(out, "connections_moved_total", moved);
}

static void add_resources(const struct server_pages *pages, struct text *out)
{
    struct reactor *reactor = pages->options.reactor;
    struct budget *budget = reactor_budget(reactor);
    uint64_t total, left;
    add_gauge(out, "memory_bytes", budget_used(budget));
    add_gauge(out, "memory_limit_bytes", budget->size_max);
    broker_space(reactor_core(reactor, 0), &total, &left);
    add_gauge(out, "disk_bytes", total);
    add_gauge(out, "disk_free_bytes", left);
    add_gauge(out, "disk_full", store_lacks_space(pages->options.store));
}

/* A page that waits for what topics say. */
struct topics_call {
    struct server_pages *pages;
    struct admin_call *call;
    bool is_whole; /* what the server itself knows comes first */
};

static void topics_are_there(void *arg, struct text *topics)
{
    struct topics_call *call = arg;
    const struct server_pages *pages = call->pages;
    struct text text;
    text_init(&text);
    if (call->is_whole) {
        add_cores(pages, &text);
        add_resources(pages, &text);
        add_commit_times(pages, &text);
        kafka_report_metrics(pages->options.kafka, &text);
        nats_report_metrics(pages->options.nats, &text);
        broker_telemetry_report(pages->options.broker, &text);
    }
    text_add(&text, text_slice(topics));
    text.failed |= topics->failed;
    report_is_there(call->call, text.failed ? SLICE_NULL : text_slice(&text));
    text_deinit(&text);
    text_deinit(topics);
    free(call);
}

static void ask_topics(struct server_pages *pages, struct admin_call *admin_call, bool is_whole)
{
    struct topics_call *call = malloc(sizeof(*call));
    if (!call) {
        report_is_there(admin_call, SLICE_NULL);
        return;
    }
    *call = (struct topics_call){pages, admin_call, is_whole};
    admin_topics_report(reactor_core(pages->options.reactor, 0),
                        is_whole ? ADMIN_TOPICS_LEAT : ADMIN_TOPICS_KAFKA, topics_are_there, call);
}

static void metrics(void *arg, struct slice query, struct admin_call *call)
{
    ask_topics(arg, call, true);
}

static void metrics_kafka(void *arg, struct slice query, struct admin_call *call)
{
    ask_topics(arg, call, false);
}

static void root(void *arg, struct slice query, struct admin_call *call)
{
    admin_answer(call, 200,
                 SLICE_LITERAL("<html><body><h1>Leat</h1><a href=\"/varz\">varz</a> <a "
                               "href=\"/connz\">connz</a> <a href=\"/subsz\">subsz</a> <a "
                               "href=\"/healthz\">healthz</a> <a href=\"/metrics\">metrics</a> "
                               "<a href=\"/metrics/kafka\">metrics/kafka</a>"
                               "</body></html>\n"));
}

void server_pages_init(struct server_pages *pages, const struct server_pages_options *options)
{
    static const char json[] = "application/json";
    static const char prometheus[] = "text/plain; version=0.0.4";
    *pages = (struct server_pages){
        .pages =
            {
                {"/", "text/html; charset=utf-8", root, pages},
                {"/varz", json, varz, pages},
                {"/connz", json, connz, pages},
                {"/subsz", json, subsz, pages},
                {"/subscriptionsz", json, subsz, pages},
                {"/routez", json, routez, pages},
                {"/gatewayz", json, gatewayz, pages},
                {"/leafz", json, leafz, pages},
                {"/jsz", json, jsz, pages},
                {"/healthz", json, healthz, pages},
                {"/metrics", prometheus, metrics, pages},
                {"/metrics/kafka", prometheus, metrics_kafka, pages},
            },
        .options = *options,
    };
}
