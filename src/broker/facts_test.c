// Tests of the catalogue's facts: known bytes, there and back, damage.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/text.h"
#include "broker/owner.h"

struct fixture {
    struct settings_version *base;
    struct topic_settings *settings;
    struct text value;
    uint8_t key[FACT_TOPIC_KEY_SIZE];
};

static void fixture_init(struct fixture *f)
{
    struct broker_settings defaults;
    broker_settings_init(&defaults);
    assert_int_equal(broker_settings_version_new(&defaults, &f->base), ERR_OK);
    f->settings = broker_topic_config_new(f->base);
    text_init(&f->value);
}

static void fixture_deinit(struct fixture *f)
{
    text_deinit(&f->value);
    broker_topic_config_unref(f->settings);
    broker_settings_version_unref(f->base);
}

static void encode(struct fixture *f)
{
    struct broker_setting_change change = {SLICE_LITERAL("retention.ms"), SLICE_LITERAL("60000"),
                                           BROKER_SETTING_SET};
    struct fact_topic topic = {.name = SLICE_LITERAL("ab"),
                               .internal = true,
                               .partition_count = 258,
                               .created_ms = 0x0102030405060708,
                               .settings = f->settings};
    memset(topic.id.bytes, 7, sizeof(topic.id.bytes));
    assert_int_equal(broker_topic_config_change(f->settings, &change, NULL), ERR_OK);
    broker_facts_topic_key(&topic.id, f->key);
    broker_facts_topic_encode(&topic, &f->value);
    assert_false(f->value.failed);
}

static enum err decode(struct fixture *f, struct slice value, struct fact_topic *out)
{
    struct diag diag = {0};
    memset(out, 0, sizeof(*out));
    out->settings = broker_topic_config_new(f->base);
    enum err err = broker_facts_topic_decode(slice_make(f->key, sizeof(f->key)), value, out, &diag);
    if (err)
        broker_topic_config_unref(out->settings);
    return err;
}

static void a_topic_has_these_bytes(void **state)
{
    static const char bytes[] = "\x01\x01\x00\x00\x01\x02\x01\x02\x03\x04\x05\x06\x07\x08\x02"
                                "ab\x00\x01\x0cretention.ms\x00\x05"
                                "60000";
    struct fixture f;
    fixture_init(&f);
    encode(&f);
    assert_int_equal(f.value.size, sizeof(bytes) - 1);
    assert_memory_equal(f.value.data, bytes, sizeof(bytes) - 1);
    assert_memory_equal(f.key, "topic/\x07\x07", 8);
    fixture_deinit(&f);
}

static void a_topic_comes_back(void **state)
{
    struct fixture f;
    struct fact_topic topic;
    fixture_init(&f);
    encode(&f);
    assert_int_equal(decode(&f, text_slice(&f.value), &topic), ERR_OK);
    assert_true(slice_equal_text(topic.name, "ab"));
    assert_true(topic.internal);
    assert_int_equal(topic.partition_count, 258);
    assert_int_equal(topic.created_ms, 0x0102030405060708);
    assert_int_equal(topic.settings->config.retention_ms, 60000);
    assert_int_equal(topic.settings->set, f.settings->set);
    broker_topic_config_unref(topic.settings);
    fixture_deinit(&f);
}

/* Cut anywhere, longer, or with a value that breaks a rule: an error, no more. */
static void damage_is_told(void **state)
{
    struct fixture f;
    struct fact_topic topic;
    fixture_init(&f);
    encode(&f);
    for (size_t size = 0; size < f.value.size; size++)
        assert_int_equal(decode(&f, slice_make(f.value.data, size), &topic), ERR_CORRUPT);
    text_add_text(&f.value, "x");
    assert_int_equal(decode(&f, text_slice(&f.value), &topic), ERR_CORRUPT);
    f.value.size--;
    f.value.data[f.value.size - 1] = 'x'; /* 6000x */
    assert_int_equal(decode(&f, text_slice(&f.value), &topic), ERR_CORRUPT);
    f.value.data[f.value.size - 1] = '0';
    f.value.data[0] = 2;
    assert_int_equal(decode(&f, text_slice(&f.value), &topic), ERR_CORRUPT);
    f.value.data[0] = 1;
    f.value.data[15] = '/';
    assert_int_equal(decode(&f, text_slice(&f.value), &topic), ERR_CORRUPT);
    fixture_deinit(&f);
}

static void numbers_come_back(void **state)
{
    struct text value;
    int64_t number;
    text_init(&value);
    broker_facts_number_encode(INT64_MAX - 1, &value);
    assert_int_equal(broker_facts_number_decode(text_slice(&value), &number), ERR_OK);
    assert_int_equal(number, INT64_MAX - 1);
    value.size--;
    assert_int_equal(broker_facts_number_decode(text_slice(&value), &number), ERR_CORRUPT);
    text_deinit(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_has_these_bytes),
        cmocka_unit_test(a_topic_comes_back),
        cmocka_unit_test(damage_is_told),
        cmocka_unit_test(numbers_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
