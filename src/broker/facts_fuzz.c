// Fuzz target: a topic's fact that decodes is encoded to the same topic again.
// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "broker/owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct broker_settings defaults;
    struct settings_version *base;
    uint8_t key[FACT_TOPIC_KEY_SIZE];
    struct uuid id = {{1}};
    struct diag diag;
    broker_settings_init(&defaults);
    CHECK(broker_settings_version_new(&defaults, &base) == ERR_OK);
    struct fact_topic topic = {.settings = broker_topic_config_new(base)};
    broker_facts_topic_key(&id, key);
    if (broker_facts_topic_decode(slice_make(key, sizeof(key)), slice_make(data, size), &topic,
                                  &diag) == ERR_OK) {
        struct fact_topic again = {.settings = broker_topic_config_new(base)};
        struct text value;
        text_init(&value);
        broker_facts_topic_encode(&topic, &value);
        CHECK(broker_facts_topic_decode(slice_make(key, sizeof(key)), text_slice(&value), &again,
                                        &diag) == ERR_OK);
        CHECK(slice_equal(again.name, topic.name));
        CHECK(again.partition_count == topic.partition_count);
        CHECK(again.settings->set == topic.settings->set);
        text_deinit(&value);
        broker_topic_config_unref(again.settings);
    }
    broker_topic_config_unref(topic.settings);
    broker_settings_version_unref(base);
    return 0;
}
