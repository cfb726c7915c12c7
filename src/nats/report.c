// Collects what every core knows and writes nats-server's JSON.
// SPDX-License-Identifier: Apache-2.0
#include "nats/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/subject.h"
#include "nats/closed.h"

#define NS_PER_S 1000000000ull

struct totals {
    uint64_t connections;
    uint64_t opened;
    uint64_t subscriptions;
    uint64_t in_messages;
    uint64_t in_bytes;
    uint64_t out_messages;
    uint64_t out_bytes;
    uint64_t stalls;
    uint64_t dropped;
    uint64_t closed[NATS_REASON_COUNT];
};

static struct totals totals_of(const struct nats *nats)
{
    struct totals totals = {0};
    for (unsigned i = 0; i < nats->core_count; i++) {
        const struct nats_counters *counters = &nats->cores[i].counters;
        totals.connections += metric_get(&counters->here);
        totals.opened += metric_get(&counters->opened);
        totals.subscriptions += metric_get(&counters->subscriptions);
        totals.in_messages += metric_get(&counters->in_messages);
        totals.in_bytes += metric_get(&counters->in_bytes);
        totals.out_messages += metric_get(&counters->out_messages);
        totals.out_bytes += metric_get(&counters->out_bytes);
        totals.stalls += metric_get(&counters->stalls);
        totals.dropped += metric_get(&counters->dropped);
        for (unsigned reason = 0; reason < NATS_REASON_COUNT; reason++)
            totals.closed[reason] += metric_get(&counters->closed[reason]);
    }
    return totals;
}

static void add_time(struct text *out, const char *key, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm date;
    char when[32];
    gmtime_r(&seconds, &date);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &date);
    text_add_format(out, "\"%s\":\"%s.%03uZ\",", key, when, (unsigned)(time_ms % 1000));
}

/* As Go writes it: 1d2h3m4s. */
static void add_duration(struct text *out, const char *key, uint64_t seconds)
{
    text_add_format(out, "\"%s\":\"", key);
    if (seconds >= 86400)
        text_add_format(out, "%" PRIu64 "d", seconds / 86400);
    if (seconds >= 3600)
        text_add_format(out, "%" PRIu64 "h", seconds / 3600 % 24);
    if (seconds >= 60)
        text_add_format(out, "%" PRIu64 "m", seconds / 60 % 60);
    text_add_format(out, "%" PRIu64 "s\",", seconds % 60);
}

static void add_limits(struct text *out, const struct nats_config *config)
{
    text_add_format(out, "\"max_connections\":%u,", config->connections_max);
    if (config->subscriptions_max > 0)
        text_add_format(out, "\"max_subscriptions\":%u,", config->subscriptions_max);
    text_add_format(out,
                    "\"ping_interval\":%" PRIu64 ",\"ping_max\":%u,\"max_control_line\":%zu,"
                    "\"max_payload\":%zu,\"max_pending\":%zu,\"auth_timeout\":%g,"
                    "\"write_deadline\":%" PRIu64 ",",
                    config->ping_interval_ms * (uint64_t)1000000, config->ping_max,
                    config->control_line_size_max, config->payload_size_max,
                    config->pending_size_max, config->auth_timeout_ms / 1000.0,
                    config->write_deadline_ms * (uint64_t)1000000);
}

static void add_totals(struct text *out, const struct totals *totals)
{
    uint64_t pending = totals->closed[NATS_REASON_SLOW_CONSUMER_PENDING];
    uint64_t deadline = totals->closed[NATS_REASON_SLOW_CONSUMER_DEADLINE];
    text_add_format(out,
                    "\"connections\":%" PRIu64 ",\"total_connections\":%" PRIu64
                    ",\"in_msgs\":%" PRIu64 ",\"out_msgs\":%" PRIu64 ",\"in_bytes\":%" PRIu64
                    ",\"out_bytes\":%" PRIu64 ",\"slow_consumers\":%" PRIu64
                    ",\"stale_connections\":%" PRIu64 ",\"stalled_clients\":%" PRIu64
                    ",\"subscriptions\":%" PRIu64 "}",
                    totals->connections, totals->opened, totals->in_messages, totals->out_messages,
                    totals->in_bytes, totals->out_bytes, pending + deadline,
                    totals->closed[NATS_REASON_STALE], totals->stalls, totals->subscriptions);
}

static void add_names(struct text *out, const struct nats *nats)
{
    const struct nats_config *config = nats->cores[0].config;
    struct slice id = slice_text(nats->id);
    text_add_format(out, "{\"server_id\":\"%s\",\"server_name\":", nats->id);
    text_add_json(out, config->server_name.data ? config->server_name : id);
    text_add_format(out, ",\"version\":\"%s\",\"proto\":1,\"go\":", NATS_VERSION);
    text_add_json(out, slice_text(nats->options.software));
    text_add_format(out, ",\"host\":\"%s\",\"port\":%u,", nats->host, nats->port);
    if (nats_config_needs_login(config))
        text_add_text(out, "\"auth_required\":true,");
}

static void answer(struct text *text, nats_report_fn fn, void *arg)
{
    fn(arg, text->failed ? SLICE_NULL : text_slice(text));
    text_deinit(text);
}

void nats_report_varz(struct nats *nats, const struct nats_report_process *process,
                      nats_report_fn fn, void *arg)
{
    struct totals totals = totals_of(nats);
    struct core *core = nats->cores[0].core;
    struct text text;
    text_init(&text);
    add_names(&text, nats);
    add_limits(&text, nats->cores[0].config);
    text_add_format(&text, "\"http_port\":%u,\"cores\":%u,\"mem\":%" PRIu64 ",\"cpu\":%.1f,",
                    process->http_port, nats->core_count, process->memory_bytes,
                    process->cpu_percent);
    text_add_text(&text, "\"routes\":0,\"remotes\":0,\"leafnodes\":0,");
    add_time(&text, "start", nats->opened_ms);
    add_time(&text, "now", core_wall_ms(core));
    add_duration(&text, "uptime", (core_now_ns(core) - nats->opened_ns) / NS_PER_S);
    add_totals(&text, &totals);
    answer(&text, fn, arg);
}

void nats_report_absence(struct nats *nats, enum nats_report_absent absent, nats_report_fn fn,
                         void *arg)
{
    static const char *const FIELDS[] = {
        [NATS_REPORT_ROUTES] = "\"num_routes\":0,\"routes\":[]}",
        [NATS_REPORT_GATEWAYS] = "\"outbound_gateways\":{},\"inbound_gateways\":{}}",
        [NATS_REPORT_LEAFS] = "\"leafnodes\":0,\"leafs\":[]}",
        [NATS_REPORT_JETSTREAM] =
            "\"disabled\":true,\"config\":{\"max_memory\":0,\"max_storage\":0},\"memory\":0,"
            "\"storage\":0,\"reserved_memory\":0,\"reserved_storage\":0,\"accounts\":0,"
            "\"ha_assets\":0,\"api\":{\"total\":0,\"errors\":0},\"streams\":0,\"consumers\":0,"
            "\"messages\":0,\"bytes\":0,\"total\":0}",
    };
    struct text text;
    text_init(&text);
    text_add_format(&text, "{\"server_id\":\"%s\",", nats->id);
    add_time(&text, "now", core_wall_ms(nats->cores[0].core));
    text_add_text(&text, FIELDS[absent]);
    answer(&text, fn, arg);
}

/* --- every core in turn ----------------------------------------------------------------------- */

struct row {
    uint64_t id;
    uint64_t weight; /* the greatest comes first, then the lowest id */
    struct text text;
};

/* Goes from core to core and home again. */
struct walk {
    struct core_message message;
    struct nats *nats;
    struct nats_report_options options;
    uint8_t *texts; /* the bytes of the options */
    nats_report_fn fn;
    void *arg;
    unsigned next;
    bool is_conns;
    bool failed;
    struct row *rows;
    size_t count;
    size_t capacity;
    struct interest_stats stats;
};

static void walk_step(struct core *core, struct core_message *message);

/* As nats-server shows a subscription. */
static void add_sub(struct text *out, const struct nats_sub *sub)
{
    const struct nats_conn *conn = sub->conn;
    text_add_text(out, "{\"account\":\"$G\",\"subject\":");
    text_add_json(out, broker_interest_subject(&sub->interest));
    if (broker_interest_queue_size(&sub->interest) > 0) {
        text_add_text(out, ",\"qgroup\":");
        text_add_json(out, broker_interest_queue(&sub->interest));
    }
    text_add_text(out, ",\"sid\":");
    text_add_json(out, nats_conn_sid(sub));
    text_add_format(out, ",\"msgs\":%" PRIu64, sub->delivered);
    if (sub->max > 0)
        text_add_format(out, ",\"max\":%" PRIu64, sub->max);
    text_add_format(out, ",\"cid\":%" PRIu64 "}", conn->id);
}

static void add_subscriptions(struct text *out, const struct nats_conn *conn, bool detail)
{
    struct nats_sids_walk at_sub = {0};
    const struct nats_sub *sub;
    const char *between = "";
    text_add_format(out, ",\"subscriptions_list%s\":[", detail ? "_detail" : "");
    while ((sub = nats_sids_next(&conn->subs, &at_sub)) != NULL) {
        text_add_text(out, between);
        if (detail)
            add_sub(out, sub);
        else
            text_add_json(out, broker_interest_subject(&sub->interest));
        between = ",";
    }
    text_add_text(out, "]");
}

static void add_text_field(struct text *out, const char *key, struct slice value)
{
    if (value.size == 0)
        return;
    text_add_format(out, ",\"%s\":", key);
    text_add_json(out, value);
}

static void add_conn(struct text *out, const struct nats_conn_facts *facts,
                     const struct nats_conn *conn, const struct nats_report_options *options)
{
    text_add_format(out,
                    "{\"cid\":%" PRIu64 ",\"kind\":\"Client\",\"type\":\"nats\",\"ip\":\"%s\","
                    "\"port\":%u,",
                    facts->id, facts->ip, facts->port);
    add_time(out, "start", facts->opened_ms);
    add_time(out, "last_activity", facts->now_ms - (int64_t)(facts->idle_ns / 1000000));
    if (facts->reason != NATS_REASON_NONE) {
        add_time(out, "stop", facts->now_ms);
        text_add_format(out, "\"reason\":\"%s\",", nats_error_reason_text(facts->reason));
    }
    if (facts->rtt_ns > 0)
        text_add_format(out, "\"rtt\":\"%gµs\",", (double)facts->rtt_ns / 1000);
    add_duration(out, "uptime", (uint64_t)MAX(facts->now_ms - facts->opened_ms, (int64_t)0) / 1000);
    add_duration(out, "idle", facts->idle_ns / NS_PER_S);
    text_add_format(out,
                    "\"pending_bytes\":%zu,\"in_msgs\":%" PRIu64 ",\"out_msgs\":%" PRIu64
                    ",\"in_bytes\":%" PRIu64 ",\"out_bytes\":%" PRIu64 ",\"subscriptions\":%zu",
                    facts->pending_bytes, facts->in_messages, facts->out_messages, facts->in_bytes,
                    facts->out_bytes, facts->subscription_count);
    add_text_field(out, "name", facts->name);
    add_text_field(out, "lang", facts->lang);
    add_text_field(out, "version", facts->version);
    if (options->auth)
        add_text_field(out, "authorized_user", facts->user);
    if (options->auth)
        add_text_field(out, "account", SLICE_LITERAL("$G"));
    if (conn && (options->subscriptions || options->detail))
        add_subscriptions(out, conn, options->detail);
    text_add_text(out, "}");
}

/* The words that come first have the greatest. */
static uint64_t reason_weight(enum nats_reason reason)
{
    uint64_t weight = 0;
    for (unsigned i = 0; i < NATS_REASON_COUNT; i++)
        weight +=
            strcmp(nats_error_reason_text((enum nats_reason)i), nats_error_reason_text(reason)) > 0;
    return weight;
}

static uint64_t weight_of(const struct nats_conn_facts *facts, enum nats_report_sort sort)
{
    switch (sort) {
    case NATS_REPORT_BY_SUBSCRIPTIONS:
        return facts->subscription_count;
    case NATS_REPORT_BY_PENDING:
        return facts->pending_bytes;
    case NATS_REPORT_BY_MESSAGES_TO:
        return facts->out_messages;
    case NATS_REPORT_BY_MESSAGES_FROM:
        return facts->in_messages;
    case NATS_REPORT_BY_BYTES_TO:
        return facts->out_bytes;
    case NATS_REPORT_BY_BYTES_FROM:
        return facts->in_bytes;
    case NATS_REPORT_BY_LAST:
        return (uint64_t)(facts->now_ms - (int64_t)(facts->idle_ns / 1000000));
    case NATS_REPORT_BY_IDLE:
        return facts->idle_ns;
    case NATS_REPORT_BY_UPTIME:
        return UINT64_MAX - (uint64_t)facts->opened_ms;
    case NATS_REPORT_BY_RTT:
        return facts->rtt_ns;
    case NATS_REPORT_BY_STOP:
        return (uint64_t)facts->now_ms;
    case NATS_REPORT_BY_REASON:
        return reason_weight(facts->reason);
    default:
        return 0;
    }
}

static struct row *row_new(struct walk *walk)
{
    if (walk->count == walk->capacity) {
        size_t capacity = MAX(walk->capacity * 2, (size_t)64);
        struct row *rows = reallocarray(walk->rows, capacity, sizeof(*rows));
        if (!rows)
            return NULL;
        walk->rows = rows;
        walk->capacity = capacity;
    }
    struct row *row = &walk->rows[walk->count++];
    text_init(&row->text);
    return row;
}

/* conn: as long as it is open. */
static void walk_conn(struct walk *walk, const struct nats_conn_facts *facts,
                      const struct nats_conn *conn)
{
    const struct nats_report_options *options = &walk->options;
    if ((options->id != 0 && options->id != facts->id) ||
        (options->user.data && !slice_equal(options->user, facts->user)))
        return;
    struct row *row = row_new(walk);
    if (!row) {
        walk->failed = true;
        return;
    }
    row->id = facts->id;
    row->weight = weight_of(facts, options->sort);
    add_conn(&row->text, facts, conn, options);
    walk->failed |= row->text.failed;
}

static void walk_conns(struct walk *walk, struct nats_core *home)
{
    const struct nats_report_options *options = &walk->options;
    struct nats_conn_facts facts;
    if (options->none)
        return;
    if (options->state != NATS_REPORT_OPEN && core_id(home->core) == 0) {
        list_for_each (node, &home->nats->closed.entries) {
            const struct nats_closed *closed = LIST_ENTRY(node, struct nats_closed, node);
            walk_conn(walk, &closed->facts, NULL);
        }
    }
    if (options->state == NATS_REPORT_CLOSED)
        return;
    list_for_each (node, &home->conns) {
        const struct nats_conn *conn = LIST_ENTRY(node, struct nats_conn, node);
        if (!nats_conn_is_open(conn))
            continue;
        nats_closed_facts(conn, &facts);
        walk_conn(walk, &facts, conn);
    }
}

static void walk_subs(struct walk *walk, const struct nats_conn *conn)
{
    struct slice test = walk->options.test;
    struct nats_sids_walk at_sub = {0};
    const struct nats_sub *sub;
    while ((sub = nats_sids_next(&conn->subs, &at_sub)) != NULL) {
        if (test.data && !subject_matches(test, broker_interest_subject(&sub->interest)))
            continue;
        struct row *row = row_new(walk);
        if (!row) {
            walk->failed = true;
            return;
        }
        row->id = conn->id;
        row->weight = 0;
        add_sub(&row->text, sub);
        walk->failed |= row->text.failed;
    }
}

static void walk_interest(struct walk *walk, const struct interest *interest)
{
    struct interest_stats stats;
    broker_interest_stats(interest, &stats);
    walk->stats.subs += stats.subs;
    walk->stats.inserts += stats.inserts;
    walk->stats.removes += stats.removes;
    walk->stats.matches += stats.matches;
    walk->stats.cache_hits += stats.cache_hits;
    walk->stats.cache_entries += stats.cache_entries;
}

/* Those below the view's prefix are subscriptions like any other. */
static void walk_stats(struct walk *walk, struct nats_core *home)
{
    walk_interest(walk, home->interest);
    walk_interest(walk, home->view_interest);
    if (!walk->options.subscriptions)
        return;
    list_for_each (node, &home->conns)
        walk_subs(walk, LIST_ENTRY(node, struct nats_conn, node));
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *left = a;
    const struct row *right = b;
    if (left->weight != right->weight)
        return left->weight > right->weight ? -1 : 1;
    return left->id < right->id ? -1 : left->id > right->id;
}

/* So many rows from the offset on, sorted; returns how many. */
static uint64_t rows_shown(struct walk *walk, uint64_t *out_first)
{
    const struct nats_report_options *options = &walk->options;
    *out_first = MIN(options->offset, (uint64_t)walk->count);
    if (walk->count > 0)
        qsort(walk->rows, walk->count, sizeof(*walk->rows), compare_rows);
    return MIN(options->limit, walk->count - *out_first);
}

static void add_rows(struct text *out, const struct walk *walk, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        text_add_text(out, i > 0 ? "," : "");
        text_add(out, text_slice(&walk->rows[first + i].text));
    }
}

static void add_connections(struct text *out, struct walk *walk)
{
    const struct nats_report_options *options = &walk->options;
    uint64_t first;
    uint64_t count = rows_shown(walk, &first);
    text_add_format(out, "{\"server_id\":\"%s\",", walk->nats->id);
    add_time(out, "now", core_wall_ms(walk->nats->cores[0].core));
    text_add_format(out,
                    "\"num_connections\":%" PRIu64 ",\"total\":%zu,\"offset\":%" PRIu64
                    ",\"limit\":%" PRIu64 ",\"connections\":[",
                    count, walk->count, options->offset, options->limit);
    add_rows(out, walk, first, count);
    text_add_text(out, "]}");
}

static void add_stats(struct text *out, struct walk *walk)
{
    const struct interest_stats *stats = &walk->stats;
    const struct nats_report_options *options = &walk->options;
    text_add_format(out, "{\"server_id\":\"%s\",", walk->nats->id);
    add_time(out, "now", core_wall_ms(walk->nats->cores[0].core));
    text_add_format(
        out,
        "\"num_subscriptions\":%" PRIu64 ",\"num_cache\":%" PRIu64 ",\"num_inserts\":%" PRIu64
        ",\"num_removes\":%" PRIu64 ",\"num_matches\":%" PRIu64 ",\"cache_hit_rate\":%g",
        stats->subs, stats->cache_entries, stats->inserts, stats->removes, stats->matches,
        stats->matches > 0 ? (double)stats->cache_hits / (double)stats->matches : 0.0);
    if (options->subscriptions) {
        uint64_t first;
        uint64_t count = rows_shown(walk, &first);
        text_add_format(out,
                        ",\"total\":%zu,\"offset\":%" PRIu64 ",\"limit\":%" PRIu64
                        ",\"subscriptions_list\":[",
                        walk->count, options->offset, options->limit);
        add_rows(out, walk, first, count);
        text_add_text(out, "]");
    }
    text_add_text(out, "}");
}

static void walk_end(struct walk *walk)
{
    struct text text;
    text_init(&text);
    if (walk->is_conns)
        add_connections(&text, walk);
    else
        add_stats(&text, walk);
    text.failed |= walk->failed;
    answer(&text, walk->fn, walk->arg);
    for (size_t i = 0; i < walk->count; i++)
        text_deinit(&walk->rows[i].text);
    free(walk->rows);
    free(walk->texts);
    free(walk);
}

static void walk_step(struct core *core, struct core_message *message)
{
    struct walk *walk = CONTAINER_OF(message, struct walk, message);
    struct nats_core *home = nats_state_of(core);
    if (walk->next > walk->nats->core_count) {
        walk_end(walk);
        return;
    }
    if (walk->is_conns)
        walk_conns(walk, home);
    else
        walk_stats(walk, home);
    unsigned to = walk->next++;
    core_send(core, to < walk->nats->core_count ? to : 0, message);
}

/* Moves a text of the options behind the others. */
static void keep_text(struct slice *text, uint8_t **at)
{
    if (!text->data)
        return;
    memcpy(*at, text->data, text->size);
    text->data = *at;
    *at += text->size;
}

static void walk_start(struct nats *nats, const struct walk *how, nats_report_fn fn, void *arg)
{
    struct walk *walk = malloc(sizeof(*walk));
    uint8_t *bytes = malloc(how->options.test.size + how->options.user.size + 1);
    if (!walk || !bytes) {
        free(walk);
        free(bytes);
        fn(arg, SLICE_NULL);
        return;
    }
    *walk = *how;
    walk->message.run = walk_step;
    walk->nats = nats;
    walk->texts = bytes;
    keep_text(&walk->options.test, &bytes);
    keep_text(&walk->options.user, &bytes);
    walk->fn = fn;
    walk->arg = arg;
    walk->next = 1;
    core_send(nats->cores[0].core, 0, &walk->message);
}

void nats_report_connz(struct nats *nats, const struct nats_report_options *options,
                       nats_report_fn fn, void *arg)
{
    walk_start(nats, &(struct walk){.options = *options, .is_conns = true}, fn, arg);
}

void nats_report_subsz(struct nats *nats, const struct nats_report_options *options,
                       nats_report_fn fn, void *arg)
{
    walk_start(nats, &(struct walk){.options = *options}, fn, arg);
}

/* --- Prometheus ------------------------------------------------------------------------------- */

static void add_metric(struct text *out, const char *name, const char *type, uint64_t value)
{
    text_add_format(out, "# TYPE leat_nats_%s %s\nleat_nats_%s %" PRIu64 "\n", name, type, name,
                    value);
}

void nats_report_metrics(const struct nats *nats, struct text *out)
{
    struct totals totals = totals_of(nats);
    add_metric(out, "connections", "gauge", totals.connections);
    add_metric(out, "subscriptions", "gauge", totals.subscriptions);
    add_metric(out, "connections_total", "counter", totals.opened);
    add_metric(out, "messages_in_total", "counter", totals.in_messages);
    add_metric(out, "bytes_in_total", "counter", totals.in_bytes);
    add_metric(out, "messages_out_total", "counter", totals.out_messages);
    add_metric(out, "bytes_out_total", "counter", totals.out_bytes);
    add_metric(out, "stalls_total", "counter", totals.stalls);
    add_metric(out, "dropped_total", "counter", totals.dropped);
    text_add_text(out, "# TYPE leat_nats_closed_total counter\n");
    for (unsigned reason = 1; reason < NATS_REASON_COUNT; reason++)
        text_add_format(out, "leat_nats_closed_total{reason=\"%s\"} %" PRIu64 "\n",
                        nats_error_reason_text(reason), totals.closed[reason]);
}
