// UpdateFeatures: levels come with the program. KIP-584, KIP-1022.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_update_features.h"

#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/topic.h"

struct feature {
    const char *name;
    int16_t level;
};

static const struct feature features[] = {
#define KAFKA_FEATURE(text, low, high, now) {text, now},
#include "kafka/features.def"
#undef KAFKA_FEATURE
};

/* What upgrade_type says: 1, or downgrades that are safe (2) or not (3). */
#define UPGRADE          1
#define UNSAFE_DOWNGRADE 3

static int16_t update_judge(const struct kafka_update_features_request_update *asked,
                            struct diag *diag)
{
    int name_size = (int)MIN(asked->feature.size, (size_t)64);
    const char *name = asked->feature.data ? (const char *)asked->feature.data : "";
    if (asked->upgrade_type < UPGRADE || asked->upgrade_type > UNSAFE_DOWNGRADE) {
        diag_set(diag, "Invalid upgrade type %d for feature %.*s.", asked->upgrade_type, name_size,
                 name);
        return KAFKA_INVALID_UPDATE_VERSION;
    }
    for (size_t i = 0; i < COUNT_OF(features); i++) {
        const struct feature *feature = &features[i];
        if (!slice_equal_text(asked->feature, feature->name))
            continue;
        if (asked->max_version_level == feature->level)
            return KAFKA_NONE;
        diag_set(diag, "Invalid update version %d for feature %.*s. It stays at level %d.",
                 asked->max_version_level, name_size, name, feature->level);
        return KAFKA_INVALID_UPDATE_VERSION;
    }
    diag_set(diag,
             "Invalid update version %d for feature %.*s. This server does not support this "
             "feature.",
             asked->max_version_level, name_size, name);
    return KAFKA_INVALID_UPDATE_VERSION;
}

void kafka_features_update_handle(struct kafka_request *request)
{
    struct kafka_update_features_request asked;
    struct kafka_update_features_response response;
    if (!kafka_request_decode(request, update_features, &asked))
        return;
    kafka_update_features_response_init(&response);
    response.results =
        kafka_request_alloc(request, asked.feature_updates_count, sizeof(*response.results));
    if (!response.results)
        return;
    response.results_count = asked.feature_updates_count;
    /* One error stands for all. */
    for (size_t i = 0; i < asked.feature_updates_count; i++) {
        struct diag diag = {""};
        int16_t code = update_judge(&asked.feature_updates[i], &diag);
        struct slice words = kafka_topic_words(request, &diag);
        response.results[i] = (struct kafka_update_features_response_result){
            .feature = asked.feature_updates[i].feature,
            .error_code = code,
            .error_message = words};
        if (!code)
            continue;
        response.error_code = code;
        response.error_message = words;
        response.results_count = 0;
        break;
    }
    kafka_request_answer(request, update_features, &response);
}
