// Sums up what the cores counted of Kafka's requests.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/report.h"

#include <inttypes.h>

#include "kafka/handlers.h"
#include "kafka/state.h"
#include "wire/kafka_apis.h"

#define NS_PER_S 1e9

struct sums {
    uint64_t requests;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t time_ns;
};

static struct sums sums_of(const struct kafka *kafka, int16_t key)
{
    struct sums sums = {0};
    for (unsigned i = 0; i < reactor_core_count(kafka->options.reactor); i++) {
        const struct kafka_api_counters *counters = &kafka->cores[i].apis[key];
        sums.requests += metric_get(&counters->requests);
        sums.bytes_in += metric_get(&counters->bytes_in);
        sums.bytes_out += metric_get(&counters->bytes_out);
        sums.time_ns += metric_get(&counters->time_ns);
    }
    return sums;
}

/* Those that were asked for at least once. */
static void add_family(const struct kafka *kafka, const char *name, unsigned which,
                       struct text *out)
{
    size_t count;
    const struct kafka_handler *handlers = kafka_handlers_all(&count);
    text_add_format(out, "# TYPE leat_kafka_%s counter\n", name);
    for (size_t i = 0; i < count; i++) {
        struct sums sums = sums_of(kafka, handlers[i].key);
        const uint64_t values[] = {sums.requests, sums.bytes_in, sums.bytes_out};
        const struct kafka_api *api = kafka_api_find(handlers[i].key);
        if (sums.requests == 0 || !api)
            continue;
        text_add_format(out, "leat_kafka_%s{api=\"%s\"} ", name, api->name);
        if (which < COUNT_OF(values))
            text_add_format(out, "%" PRIu64 "\n", values[which]);
        else
            text_add_format(out, "%.6f\n", (double)sums.time_ns / NS_PER_S);
    }
}

static uint64_t errors_of(const struct kafka *kafka, int16_t key, int code)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < reactor_core_count(kafka->options.reactor); i++)
        count += metric_get(&kafka->cores[i].apis[key].errors[code - KAFKA_ERROR_CODE_MIN]);
    return count;
}

/* Those that were answered at least once. */
static void add_errors(const struct kafka *kafka, struct text *out)
{
    size_t count;
    const struct kafka_handler *handlers = kafka_handlers_all(&count);
    text_add_text(out, "# TYPE leat_kafka_errors_total counter\n");
    for (size_t i = 0; i < count; i++) {
        const struct kafka_api *api = kafka_api_find(handlers[i].key);
        for (int code = KAFKA_ERROR_CODE_MIN; api && code <= KAFKA_ERROR_CODE_MAX; code++) {
            const char *name = kafka_error_name((int16_t)code);
            uint64_t errors = errors_of(kafka, handlers[i].key, code);
            if (errors > 0 && name)
                text_add_format(out,
                                "leat_kafka_errors_total{api=\"%s\",error=\"%s\"} %" PRIu64 "\n",
                                api->name, name, errors);
        }
    }
}

void kafka_report_metrics(const struct kafka *kafka, struct text *out)
{
    uint64_t rejected = 0;
    for (unsigned i = 0; i < reactor_core_count(kafka->options.reactor); i++)
        rejected += metric_get(&kafka->cores[i].rejected);
    text_add_format(
        out, "# TYPE leat_kafka_rejected_total counter\nleat_kafka_rejected_total %" PRIu64 "\n",
        rejected);
    add_family(kafka, "requests_total", 0, out);
    add_family(kafka, "request_bytes_total", 1, out);
    add_family(kafka, "response_bytes_total", 2, out);
    add_family(kafka, "request_seconds_total", 3, out);
    add_errors(kafka, out);
}
