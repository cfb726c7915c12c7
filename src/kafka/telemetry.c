// GetTelemetrySubscriptions and PushTelemetry: metrics that clients push. KIP-714.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_get_telemetry_subscriptions.h"
#include "wire/kafka_push_telemetry.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/text.h"
#include "broker/telemetry.h"
#include "kafka/conn.h"
#include "kafka/error.h"
#include "kafka/handlers.h"
#include "record/codec.h"
#include "wire/otlp.h"

#define METRIC_PREFIX       "leat_client_"
#define DECOMPRESSED_FACTOR 8 /* of telemetry.max.bytes */
#define UUID_HEX_SIZE       36
#define PORT_TEXT_SIZE      6

/* Who asks, by all that it can be selected by. */
struct who {
    struct broker_telemetry_client client;
    char id[UUID_HEX_SIZE + 1];
    char address[INET6_ADDRSTRLEN];
    char port[PORT_TEXT_SIZE];
};

/* What is asked of it. */
struct subscription {
    int32_t interval_ms;
    struct slice *metrics;
    size_t metric_count;
    int32_t id;
};

/* --- who is it, and what shall it push -------------------------------------------------------- */

static void uuid_text(const struct uuid *uuid, char out[UUID_HEX_SIZE + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        out[at++] = digits[uuid->bytes[i] >> 4];
        out[at++] = digits[uuid->bytes[i] & 15];
    }
    out[at] = '\0';
}

static void peer_text(const struct sockaddr_storage *peer, struct who *who)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;
    bool is_v4 = peer->ss_family == AF_INET;
    bool is_mapped = !is_v4 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
    const void *bytes = is_v4       ? (const void *)&v4->sin_addr
                        : is_mapped ? (const void *)&v6->sin6_addr.s6_addr[12]
                                    : (const void *)&v6->sin6_addr;
    if (!inet_ntop(is_v4 || is_mapped ? AF_INET : AF_INET6, bytes, who->address,
                   sizeof(who->address)))
        who->address[0] = '\0';
    (void)snprintf(who->port, sizeof(who->port), "%" PRIu16,
                   ntohs(is_v4 ? v4->sin_port : v6->sin6_port));
}

/* While the connection is there. */
static void who_fill(struct kafka_request *request, const struct uuid *id, struct who *who)
{
    const struct kafka_software *software = kafka_conn_software(request->conn);
    uuid_text(id, who->id);
    peer_text(conn_peer_address(kafka_conn_conn(request->conn)), who);
    who->client = (struct broker_telemetry_client){
        .keys = {slice_text(who->id), request->frame.header.client_id, slice_text(software->name),
                 slice_text(software->version), slice_text(who->address), slice_text(who->port)},
        .steps = BROKER_TELEMETRY_STEPS_MAX};
}

static void metrics_add(struct kafka_request *request, struct subscription *out, struct slice list)
{
    while (list.size > 0) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        size_t size = comma ? (size_t)(comma - list.data) : list.size;
        out->metrics[out->metric_count++] =
            arena_copy(&request->arena, slice_make(list.data, size));
        size += comma ? 1 : 0;
        list = slice_make(list.data + size, list.size - size);
    }
}

static size_t list_count(struct slice list)
{
    size_t count = list.size > 0;
    for (size_t i = 0; i < list.size; i++)
        count += list.data[i] == ',';
    return count;
}

/* The number changes with all that the client is told, so that it asks again. */
static int32_t subscription_id(const struct uuid *client, const struct subscription *told)
{
    uint32_t crc = crc32c(0, client->bytes, sizeof(client->bytes));
    crc = crc32c(crc, &told->interval_ms, sizeof(told->interval_ms));
    for (size_t i = 0; i < told->metric_count; i++) {
        crc = crc32c(crc, told->metrics[i].data, told->metrics[i].size);
        crc = crc32c(crc, ",", 1);
    }
    return (int32_t)crc;
}

/* False: the request has been rejected. */
static bool subscription_make(struct kafka_request *request, const struct uuid *id,
                              struct subscription *out)
{
    const struct broker_telemetry_rule *rule;
    struct who who;
    size_t position = 0, count = 0;
    who_fill(request, id, &who);
    *out = (struct subscription){.interval_ms = 0};
    while ((rule = broker_telemetry_next(request->core, &position)))
        count += list_count(rule->metrics);
    out->metrics = kafka_request_alloc(request, count, sizeof(*out->metrics));
    if (!out->metrics)
        return false;
    position = 0;
    while ((rule = broker_telemetry_next(request->core, &position))) {
        if (!broker_telemetry_matches(rule, &who.client))
            continue;
        if (!out->interval_ms || rule->interval_ms < out->interval_ms)
            out->interval_ms = rule->interval_ms;
        metrics_add(request, out, rule->metrics);
    }
    if (who.client.steps == 0)
        log_warn(core_logger(request->core), "kafka",
                 "too much to match: a client is told of some subscriptions to metrics only");
    if (!out->interval_ms)
        out->interval_ms = BROKER_TELEMETRY_INTERVAL_MS;
    out->id = subscription_id(id, out);
    return true;
}

/* --- GetTelemetrySubscriptions ---------------------------------------------------------------- */

static struct uuid uuid_new(struct core *core)
{
    uint8_t random[16];
    uint64_t halves[2] = {core_random(core), core_random(core)};
    memcpy(random, halves, sizeof(random));
    return uuid_from_random(random);
}

void kafka_telemetry_get_handle(struct kafka_request *request)
{
    int8_t codecs[] = {BATCH_CODEC_ZSTD, BATCH_CODEC_LZ4, BATCH_CODEC_GZIP, BATCH_CODEC_SNAPPY};
    struct kafka_get_telemetry_subscriptions_request asked;
    struct kafka_get_telemetry_subscriptions_response response;
    struct subscription told;
    if (!kafka_request_decode(request, get_telemetry_subscriptions, &asked))
        return;
    struct uuid id = uuid_is_zero(&asked.client_instance_id) ? uuid_new(request->core)
                                                             : asked.client_instance_id;
    if (!subscription_make(request, &id, &told))
        return;
    kafka_get_telemetry_subscriptions_response_init(&response);
    response.client_instance_id = id;
    response.subscription_id = told.id;
    response.accepted_compression_types = codecs;
    response.accepted_compression_types_count = COUNT_OF(codecs);
    response.push_interval_ms = told.interval_ms;
    response.telemetry_max_bytes = broker_settings_now(request->core)->telemetry_max_bytes;
    response.delta_temporality = false; /* totals, as Prometheus has them */
    response.requested_metrics = told.metrics;
    response.requested_metrics_count = told.metric_count;
    kafka_request_answer(request, get_telemetry_subscriptions, &response);
}

/* --- PushTelemetry ---------------------------------------------------------------------------- */

struct push {
    struct broker_telemetry_push push;
    struct kafka_request *request;
    struct text lines;
    struct who who;
};

static void push_answer(struct kafka_request *request, int16_t code)
{
    struct kafka_push_telemetry_response response;
    kafka_push_telemetry_response_init(&response);
    response.error_code = code;
    kafka_request_answer(request, push_telemetry, &response);
}

static void push_release(struct kafka_request *request)
{
    struct push *push = request->state;
    text_deinit(&push->lines);
}

/* Letters, digits and '_'. */
static uint8_t plain(uint8_t c)
{
    bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return is_plain ? c : '_';
}

static void add_name(struct text *out, struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = plain(name.data[i]);
        text_add(out, slice_make(&c, 1));
    }
}

static void add_label(struct text *out, struct slice value)
{
    bool is_text = text_is_utf8(value);
    text_add_text(out, "=\"");
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.data[i];
        if (c == '\n')
            text_add_text(out, "\\n");
        else if (c == '"' || c == '\\')
            text_add_format(out, "\\%c", c);
        else
            text_add(out, (is_text || c < 128) && c >= ' ' && c != 127 ? slice_make(&c, 1)
                                                                       : SLICE_LITERAL("?"));
    }
    text_add_text(out, "\"");
}

static void add_value(struct text *out, double value)
{
    if (isnan(value))
        text_add_text(out, " NaN\n");
    else if (isinf(value))
        text_add_text(out, value > 0 ? " +Inf\n" : " -Inf\n");
    else
        text_add_format(out, " %.17g\n", value);
}

/* A label that begins with two '_' would be none of ours. */
static struct slice attribute_name(const struct wire_otlp_attribute *attribute)
{
    struct slice name = attribute->name;
    while (name.size > 0 && plain(*name.data) == '_')
        name = slice_make(name.data + 1, name.size - 1);
    return name;
}

/* One line with a label twice, and nobody reads the page any more. */
static bool is_repeated(const struct wire_otlp_point *point, unsigned index)
{
    struct slice name = attribute_name(&point->attributes[index]);
    for (unsigned i = 0; i < index; i++) {
        struct slice before = attribute_name(&point->attributes[i]);
        size_t same = 0;
        while (same < name.size && same < before.size &&
               plain(name.data[same]) == plain(before.data[same]))
            same++;
        if (same == name.size && same == before.size)
            return true;
    }
    return false;
}

static void point_add(void *arg, const struct wire_otlp_point *point)
{
    struct push *push = arg;
    struct text *out = &push->lines;
    if (out->size > BROKER_TELEMETRY_LINES_SIZE_MAX)
        return; /* refused in the end */
    text_add_text(out, METRIC_PREFIX);
    add_name(out, point->metric);
    text_add_text(out, "{client_id");
    add_label(out, push->who.client.keys[1]);
    text_add_text(out, ",client_instance_id");
    add_label(out, slice_text(push->who.id));
    for (unsigned i = 0; i < point->attribute_count; i++) {
        if (is_repeated(point, i))
            continue;
        text_add_text(out, ",_"); /* none of them is one of the two above */
        add_name(out, attribute_name(&point->attributes[i]));
        add_label(out, point->attributes[i].value);
    }
    text_add_text(out, "}");
    add_value(out, point->value);
}

static int16_t lines_make(struct kafka_request *request,
                          const struct kafka_push_telemetry_request *asked)
{
    struct push *push = request->state;
    size_t size_max = (size_t)broker_settings_now(request->core)->telemetry_max_bytes;
    struct codec_output plain;
    if (asked->compression_type < BATCH_CODEC_NONE || asked->compression_type > BATCH_CODEC_ZSTD)
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    if (asked->metrics.size > size_max)
        return KAFKA_TELEMETRY_TOO_LARGE;
    codec_output_init(&plain, size_max * DECOMPRESSED_FACTOR);
    enum err err = ERR_OK;
    struct slice data = asked->metrics;
    if (asked->compression_type != BATCH_CODEC_NONE && data.size > 0) {
        err = codec_decompress((enum batch_codec)asked->compression_type, data, &plain);
        data = slice_make(plain.data, plain.size);
    }
    if (!err)
        err = wire_otlp_read(data, point_add, push);
    codec_output_deinit(&plain);
    if (!err && push->lines.failed)
        err = ERR_NO_MEMORY;
    if (err == ERR_TOO_LARGE || push->lines.size > BROKER_TELEMETRY_LINES_SIZE_MAX)
        return KAFKA_TELEMETRY_TOO_LARGE;
    return err == ERR_NO_MEMORY ? kafka_error_of(err) : err ? KAFKA_INVALID_RECORD : KAFKA_NONE;
}

static void push_done(struct broker_call *call)
{
    struct push *push = CONTAINER_OF(call, struct push, push.call);
    int16_t code = kafka_error_of(call->err);
    if (call->err == ERR_BUSY)
        code = KAFKA_THROTTLING_QUOTA_EXCEEDED;
    push_answer(push->request, code);
}

void kafka_telemetry_push_handle(struct kafka_request *request)
{
    struct kafka_push_telemetry_request asked;
    struct subscription told;
    struct push *push = kafka_request_alloc(request, 1, sizeof(*push));
    request->state = push;
    if (!push || !kafka_request_decode(request, push_telemetry, &asked))
        return;
    if (uuid_is_zero(&asked.client_instance_id)) {
        push_answer(request, KAFKA_INVALID_REQUEST);
        return;
    }
    if (!subscription_make(request, &asked.client_instance_id, &told))
        return;
    if (asked.subscription_id != told.id) {
        push_answer(request, KAFKA_UNKNOWN_SUBSCRIPTION_ID);
        return;
    }
    text_init(&push->lines);
    request->release = push_release;
    push->request = request;
    who_fill(request, &asked.client_instance_id, &push->who);
    int16_t code = lines_make(request, &asked);
    if (code) {
        push_answer(request, code);
        return;
    }
    push->push.call.done = push_done;
    push->push.client = asked.client_instance_id;
    push->push.interval_ms = told.interval_ms;
    push->push.terminating = asked.terminating;
    push->push.lines = text_slice(&push->lines);
    broker_telemetry_push(request->core, &push->push);
}
