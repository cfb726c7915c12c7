// Turns requests for pages into reports, and reports into answers.
// SPDX-License-Identifier: Apache-2.0
#include "server/pages.h"

#include <inttypes.h>

#include "broker/telemetry.h"
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
    nats_report_varz(pages->nats, pages->http_port, report_is_there, call);
}

static void subsz(void *arg, struct slice query, struct admin_call *call)
{
    struct server_pages *pages = arg;
    nats_report_subsz(pages->nats, report_is_there, call);
}

static bool read_number(struct slice query, const char *name, uint64_t *out)
{
    struct slice text;
    return !admin_http_query(query, name, &text) || text_parse_u64(text, out);
}

static void connz(void *arg, struct slice query, struct admin_call *call)
{
    struct server_pages *pages = arg;
    struct nats_report_options options = {.limit = CONNZ_LIMIT_DEFAULT};
    struct slice text;
    bool is_right = read_number(query, "limit", &options.limit) &&
                    read_number(query, "offset", &options.offset) &&
                    read_number(query, "cid", &options.id);
    if (options.limit == 0)
        options.limit = CONNZ_LIMIT_DEFAULT;
    if (admin_http_query(query, "subs", &text))
        options.subscriptions = slice_equal_text(text, "1") || slice_equal_text(text, "true");
    if (admin_http_query(query, "sort", &text))
        is_right &= slice_equal_text(text, "cid") || slice_equal_text(text, "start");
    if (admin_http_query(query, "state", &text))
        is_right &= slice_equal_text(text, "open") || slice_equal_text(text, "0");
    if (is_right)
        nats_report_connz(pages->nats, &options, report_is_there, call);
    else
        admin_answer(call, 400,
                     SLICE_LITERAL("limit, offset and cid are numbers, sort is cid or start, "
                                   "state is open\n"));
}

static void healthz(void *arg, struct slice query, struct admin_call *call)
{
    admin_answer(call, 200, SLICE_LITERAL("{\"status\":\"ok\"}"));
}

static void add_total(struct text *out, const char *name, uint64_t value)
{
    text_add_format(out, "# TYPE leat_%s counter\nleat_%s %" PRIu64 "\n", name, name, value);
}

static void metrics(void *arg, struct slice query, struct admin_call *call)
{
    struct server_pages *pages = arg;
    struct text text;
    uint64_t accepted = 0, bytes_in = 0, bytes_out = 0, turns = 0, moved = 0;
    for (unsigned i = 0; i < reactor_core_count(pages->reactor); i++) {
        const struct core_metrics *core = core_metrics(reactor_core(pages->reactor, i));
        accepted += metric_get(&core->accepted);
        bytes_in += metric_get(&core->bytes_in);
        bytes_out += metric_get(&core->bytes_out);
        turns += metric_get(&core->turns);
        moved += metric_get(&core->moved_in);
    }
    text_init(&text);
    add_total(&text, "connections_accepted_total", accepted);
    add_total(&text, "bytes_received_total", bytes_in);
    add_total(&text, "bytes_sent_total", bytes_out);
    add_total(&text, "turns_total", turns);
    add_total(&text, "connections_moved_total", moved);
    text_add_format(&text, "# TYPE leat_memory_bytes gauge\nleat_memory_bytes %zu\n",
                    budget_used(reactor_budget(pages->reactor)));
    nats_report_metrics(pages->nats, &text);
    broker_telemetry_report(pages->broker, &text);
    report_is_there(call, text.failed ? SLICE_NULL : text_slice(&text));
    text_deinit(&text);
}

static void root(void *arg, struct slice query, struct admin_call *call)
{
    admin_answer(call, 200,
                 SLICE_LITERAL("<html><body><h1>Leat</h1><a href=\"/varz\">varz</a> <a "
                               "href=\"/connz\">connz</a> <a href=\"/subsz\">subsz</a> <a "
                               "href=\"/healthz\">healthz</a> <a href=\"/metrics\">metrics</a>"
                               "</body></html>\n"));
}

void server_pages_init(struct server_pages *pages, struct reactor *reactor, struct broker *broker,
                       struct nats *nats, uint16_t http_port)
{
    static const char json[] = "application/json";
    *pages = (struct server_pages){
        .pages =
            {
                {"/", "text/html", root, pages},
                {"/varz", json, varz, pages},
                {"/connz", json, connz, pages},
                {"/subsz", json, subsz, pages},
                {"/subscriptionsz", json, subsz, pages},
                {"/healthz", json, healthz, pages},
                {"/metrics", "text/plain; version=0.0.4", metrics, pages},
            },
        .nats = nats,
        .reactor = reactor,
        .broker = broker,
        .http_port = http_port,
    };
}
