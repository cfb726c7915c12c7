// ApiVersions: what is answered here, and in which versions. KIP-35, KIP-511, KIP-584.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_api_versions.h"

#include "broker/telemetry.h"
#include "kafka/error.h"
#include "kafka/handlers.h"

/* Letters, digits, '-' and '.', beginning and ending with a letter or digit, as Kafka demands. */
static bool software_text_ok(struct slice text)
{
    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool inner = i > 0 && i + 1 < text.size && (c == '-' || c == '.');
        if (!plain && !inner)
            return false;
    }
    return true;
}

/* What clients switch on: name, lowest and highest level supported, level in force. */
static const struct {
    struct slice name;
    int16_t min, max, level;
} api_features[] = {
#define KAFKA_FEATURE(name, min, max, level) {SLICE_LITERAL(name), min, max, level},
#include "kafka/features.def"
#undef KAFKA_FEATURE
};

/* Level 0 is a level only since version 4: before, a feature begins with 1. */
static bool api_features_fill(struct kafka_request *request,
                              struct kafka_api_versions_response *response)
{
    size_t count = COUNT_OF(api_features);
    response->supported_features =
        kafka_request_alloc(request, count, sizeof(*response->supported_features));
    if (!response->supported_features)
        return false;
    response->finalized_features =
        kafka_request_alloc(request, count, sizeof(*response->finalized_features));
    if (!response->finalized_features)
        return false;
    response->supported_features_count = response->finalized_features_count = count;
    response->finalized_features_epoch = 0;
    for (size_t i = 0; i < count; i++) {
        int16_t min =
            request->version < 4 ? MAX(api_features[i].min, (int16_t)1) : api_features[i].min;
        response->supported_features[i] = (struct kafka_api_versions_response_supported_feature){
            .name = api_features[i].name, .min_version = min, .max_version = api_features[i].max};
        response->finalized_features[i] = (struct kafka_api_versions_response_finalized_feature){
            .name = api_features[i].name,
            .max_version_level = api_features[i].level,
            .min_version_level = api_features[i].level};
    }
    return true;
}

static void software_keep(char out[KAFKA_SOFTWARE_SIZE_MAX + 1], struct slice text)
{
    if (text.size == 0 || text.size > KAFKA_SOFTWARE_SIZE_MAX)
        return;
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
}

/* Clients ask for subscriptions as soon as they may: where there are none, nobody is bothered. */
static bool is_told(struct kafka_request *request, int16_t key)
{
    size_t position = 0;
    return (key != KAFKA_API_GET_TELEMETRY_SUBSCRIPTIONS && key != KAFKA_API_PUSH_TELEMETRY) ||
           broker_telemetry_next(request->core, &position);
}

/* Those that are there; with only, that one. */
static bool api_versions_fill(struct kafka_request *request,
                              struct kafka_api_versions_response *response, const int16_t *only)
{
    size_t count;
    const struct kafka_handler *handlers = kafka_handlers_all(&count);
    response->api_keys = kafka_request_alloc(request, count, sizeof(*response->api_keys));
    if (!response->api_keys)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct kafka_api *api = kafka_api_find(handlers[i].key);
        if ((only && *only != api->key) || !is_told(request, api->key))
            continue;
        response->api_keys[response->api_keys_count++] =
            (struct kafka_api_versions_response_api_version){.api_key = api->key,
                                                             .min_version = api->advertise_min,
                                                             .max_version = api->advertise_max};
    }
    return true;
}

void kafka_api_versions_handle(struct kafka_request *request)
{
    struct kafka_api_versions_response response;
    kafka_api_versions_response_init(&response);
    if (!wire_kafka_frame_is_supported(&request->frame)) {
        /* A client from the future reads version 0 and comes again with a version that is told. */
        static const int16_t only = KAFKA_API_API_VERSIONS;
        response.error_code = KAFKA_UNSUPPORTED_VERSION;
        if (api_versions_fill(request, &response, &only))
            kafka_request_answer_version(
                request, (kafka_encode_fn)(void (*)(void))kafka_api_versions_response_encode,
                &response, 0);
        return;
    }
    struct kafka_api_versions_request asked;
    enum err err = kafka_api_versions_request_decode(request->frame.body, request->version,
                                                     &request->arena, &asked);
    if (err) {
        kafka_request_reject(request, err, "malformed ApiVersions request");
        return;
    }
    if (request->version >= 3 && (!software_text_ok(asked.client_software_name) ||
                                  !software_text_ok(asked.client_software_version)))
        response.error_code = KAFKA_INVALID_REQUEST;
    else if (!api_versions_fill(request, &response, NULL) || !api_features_fill(request, &response))
        return;
    if (!response.error_code && request->version >= 3 && request->conn) {
        struct kafka_software *software = kafka_conn_software(request->conn);
        software_keep(software->name, asked.client_software_name);
        software_keep(software->version, asked.client_software_version);
    }
    kafka_request_answer(request, api_versions, &response);
}
