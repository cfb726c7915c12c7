// Tests of settings: tables, limits, what is refused, layers of the broker, what topics make of it.
// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_fixture.h"

static enum err alter(struct fixture *f, struct broker_settings_alter *ask)
{
    return fixture_call(f, f->core_count - 1, &ask->call, fixture_alter_fn, ask);
}

static enum err alter_one(struct fixture *f, struct broker_settings_alter *ask, const char *name,
                          const char *value)
{
    struct broker_setting_change change = {slice_text(name), slice_text(value), ask->replace_all};
    ask->changes = &change;
    ask->change_count = name ? 1 : 0;
    change.op = value ? BROKER_SETTING_SET : BROKER_SETTING_DELETE;
    return alter(f, ask);
}

static enum err set(struct fixture *f, const struct uuid *topic, const char *name,
                    const char *value)
{
    struct broker_settings_alter ask = {.topic_id = *topic, .validate_only = true};
    enum err err = alter_one(f, &ask, name, value);
    if (err) /* the words name the setting */
        assert_non_null(strstr(ask.call.diag.text, name));
    return err;
}

static void every_default_is_its_own_synonym(void **state)
{
    struct broker_settings defaults;
    struct settings_version *version;
    struct config_rules rules = broker_topic_config_rules();
    broker_settings_init(&defaults);
    assert_int_equal(broker_settings_version_new(&defaults, &version), ERR_OK);
    struct topic_settings *settings = broker_topic_config_new(version);
#define TOPIC_CONFIG(kind, field, name, synonym, value, min, max, doc)                             \
    assert_true(settings->config.field == (SETTING_TYPE_##kind)broker_config_default_##kind(value));
#define broker_config_default_LIST(value)   broker_config_word(slice_text(value))
#define broker_config_default_TEXT(value)   broker_config_word(slice_text(value))
#define broker_config_default_INT(value)    (value)
#define broker_config_default_LONG(value)   (value)
#define broker_config_default_DOUBLE(value) (value)
#include "broker/topic_config.def"
#undef TOPIC_CONFIG
    for (unsigned i = 0; i < rules.count; i++) {
        char buffer[CONFIG_VALUE_SIZE];
        struct slice text =
            slice_text(broker_config_text(&rules.rules[i], &settings->config, buffer));
        assert_int_equal(broker_config_parse(&rules.rules[i], text, &settings->config, NULL),
                         ERR_OK);
    }
    broker_topic_config_unref(settings);
    broker_settings_version_unref(version);
}

/* Each word of the tables has its static text, or it could never be set. */
static void every_word_can_be_set(void **state)
{
    struct config_rules tables[] = {broker_topic_config_rules(), broker_settings_rules()};
    for (unsigned t = 0; t < COUNT_OF(tables); t++) {
        for (unsigned i = 0; i < tables[t].count; i++) {
            const char *words = tables[t].rules[i].words;
            while (words) {
                const char *bar = strchr(words, '|');
                size_t size = bar ? (size_t)(bar - words) : strlen(words);
                assert_non_null(broker_config_word(slice_make(words, size)));
                words = bar ? bar + 1 : NULL;
            }
        }
    }
}

static void values_are_checked(void **state)
{
    struct fixture *f = fixture_new(1);
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    const struct broker_topic *topic = fixture_find(f, 0, "t");
    struct uuid id = topic->id;
    broker_topic_unref(topic);
    assert_int_equal(set(f, &id, "segment.bytes", "1048576"), ERR_OK);
    assert_int_equal(set(f, &id, "segment.bytes", "1048575"), ERR_INVALID);
    assert_int_equal(set(f, &id, "segment.bytes", "2147483648"), ERR_INVALID);
    assert_int_equal(set(f, &id, "segment.bytes", "12x"), ERR_INVALID);
    assert_int_equal(set(f, &id, "segment.bytes", ""), ERR_INVALID);
    assert_int_equal(set(f, &id, "retention.ms", " -1 "), ERR_OK);
    assert_int_equal(set(f, &id, "retention.ms", "-2"), ERR_INVALID);
    assert_int_equal(set(f, &id, "retention.ms", "9223372036854775808"), ERR_INVALID);
    assert_int_equal(set(f, &id, "min.insync.replicas", "1"), ERR_OK);
    assert_int_equal(set(f, &id, "min.insync.replicas", "2"), ERR_INVALID);
    assert_int_equal(set(f, &id, "cleanup.policy", "delete"), ERR_OK);
    assert_int_equal(set(f, &id, "cleanup.policy", "compact"), ERR_OK);
    assert_int_equal(set(f, &id, "cleanup.policy", " delete , compact"), ERR_OK);
    assert_int_equal(set(f, &id, "cleanup.policy", "delete,remove"), ERR_INVALID);
    assert_int_equal(set(f, &id, "cleanup.policy", ","), ERR_INVALID);
    assert_int_equal(set(f, &id, "min.compaction.lag.ms", "5"), ERR_OK);
    assert_int_equal(set(f, &id, "max.compaction.lag.ms", "0"), ERR_INVALID);
    assert_int_equal(set(f, &id, "compression.type", "lz4"), ERR_OK);
    assert_int_equal(set(f, &id, "compression.type", "none"), ERR_INVALID);
    assert_int_equal(set(f, &id, "compression.gzip.level", "0"), ERR_INVALID);
    assert_int_equal(set(f, &id, "compression.gzip.level", "-1"), ERR_OK);
    assert_int_equal(set(f, &id, "message.timestamp.type", "LogAppendTime"), ERR_OK);
    assert_int_equal(set(f, &id, "message.timestamp.type", "logappendtime"), ERR_INVALID);
    assert_int_equal(set(f, &id, "leat.durability", "async"), ERR_OK);
    assert_int_equal(set(f, &id, "unclean.leader.election.enable", "false"), ERR_OK);
    assert_int_equal(set(f, &id, "unclean.leader.election.enable", "true"), ERR_INVALID);
    assert_int_equal(set(f, &id, "min.cleanable.dirty.ratio", "0.5"), ERR_OK);
    assert_int_equal(set(f, &id, "min.cleanable.dirty.ratio", "1"), ERR_OK);
    assert_int_equal(set(f, &id, "min.cleanable.dirty.ratio", "1.01"), ERR_INVALID);
    assert_int_equal(set(f, &id, "min.cleanable.dirty.ratio", "-0.1"), ERR_INVALID);
    assert_int_equal(set(f, &id, "min.cleanable.dirty.ratio", "half"), ERR_INVALID);
    assert_int_equal(set(f, &id, "no.such.setting", "1"), ERR_INVALID);
    fixture_free(f);
}

/* What a description said about one setting. */
struct said {
    const char *name;
    char value[64];
    enum config_source source;
    unsigned synonym_count;
    char last_value[64];
    char synonym[64];
    unsigned entries;
    bool for_broker;
};

static void said_entry(void *arg, const struct config_entry *entry)
{
    struct said *said = arg;
    const struct config_synonym *last = &entry->synonyms[entry->synonym_count - 1];
    said->entries++;
    CHECK(entry->doc && entry->synonym_count > 0 && last->source == CONFIG_SOURCE_DEFAULT);
    if (strcmp(entry->name, said->name) != 0)
        return;
    strncpy(said->value, entry->value, sizeof(said->value) - 1);
    strncpy(said->last_value, last->value, sizeof(said->last_value) - 1);
    strncpy(said->synonym, last->name, sizeof(said->synonym) - 1);
    said->source = entry->source;
    said->synonym_count = entry->synonym_count;
}

static void said_fn(struct core *core, void *arg)
{
    struct said *said = arg;
    if (said->for_broker)
        broker_settings_each(core, false, said_entry, said);
    else
        broker_topic_config_each(core, broker_topic_find(core, SLICE_LITERAL("t")), said_entry,
                                 said);
}

static struct said describe(struct fixture *f, unsigned core, const char *name, bool for_broker)
{
    struct said said = {.name = name, .for_broker = for_broker};
    fixture_on(f, core, said_fn, &said);
    return said;
}

static void topics_follow_the_brokers_settings(void **state)
{
    struct fixture *f = fixture_new(3);
    struct broker_settings_alter broker = {.for_broker = true};
    struct broker_settings_alter cluster = {.for_broker = true, .cluster = true};
    assert_int_equal(fixture_create(f, 0, "t", 2), ERR_OK);
    assert_int_equal(alter_one(f, &cluster, "log.retention.ms", "5000"), ERR_OK);
    struct said said = describe(f, 1, "retention.ms", false);
    assert_string_equal(said.value, "5000");
    assert_int_equal(said.source, CONFIG_SOURCE_DEFAULT_BROKER_DYNAMIC);
    assert_string_equal(said.last_value, "604800000");
    assert_string_equal(said.synonym, "log.retention.ms");
    assert_int_equal(said.entries, broker_topic_config_rules().count + 12);
    assert_int_equal(alter_one(f, &broker, "log.retention.ms", "6000"), ERR_OK);
    said = describe(f, 2, "retention.ms", false);
    assert_string_equal(said.value, "6000");
    assert_int_equal(said.source, CONFIG_SOURCE_BROKER_DYNAMIC);
    assert_int_equal(said.synonym_count, 3);
    const struct broker_topic *topic = fixture_find(f, 2, "t");
    assert_int_equal(topic->config->retention_ms, 6000);
    assert_int_equal(topic->partitions[1]->log->config->retention_ms, 6000);
    struct broker_settings_alter own = {.topic_id = topic->id};
    assert_int_equal(alter_one(f, &own, "retention.ms", "7000"), ERR_OK);
    broker_topic_unref(topic);
    said = describe(f, 1, "retention.ms", false);
    assert_string_equal(said.value, "7000");
    assert_int_equal(said.source, CONFIG_SOURCE_TOPIC);
    fixture_stop(f);
    fixture_start(f);
    assert_string_equal(describe(f, 1, "retention.ms", false).value, "7000");
    said = describe(f, 1, "log.retention.ms", true);
    assert_string_equal(said.value, "6000");
    assert_int_equal(alter_one(f, &own, "retention.ms", NULL), ERR_OK);
    assert_int_equal(alter_one(f, &broker, "log.retention.ms", NULL), ERR_OK);
    assert_string_equal(describe(f, 2, "retention.ms", false).value, "5000");
    fixture_free(f);
}

static void what_cannot_change_is_refused(void **state)
{
    struct fixture *f = fixture_new(1);
    struct broker_settings_alter broker = {.for_broker = true};
    assert_int_equal(alter_one(f, &broker, "node.id", "7"), ERR_INVALID);
    assert_int_equal(alter_one(f, &broker, "retention.ms", "7"), ERR_INVALID);
    assert_int_equal(alter_one(f, &broker, "num.partitions", "0"), ERR_INVALID);
    assert_int_equal(alter_one(f, &broker, "num.partitions", "4"), ERR_OK);
    assert_int_equal(fixture_create(f, 0, "four", -1), ERR_OK);
    const struct broker_topic *topic = fixture_find(f, 0, "four");
    assert_int_equal(topic->partition_count, 4);
    broker_topic_unref(topic);
    fixture_free(f);
}

static void policy_is(struct fixture *f, const char *expected)
{
    const struct broker_topic *topic = fixture_find(f, 0, "t");
    const struct topic_settings *settings = broker_topic_version_of(topic)->settings;
    assert_string_equal(settings->config.cleanup_policy, expected);
    assert_int_equal(settings->log.compact, strstr(expected, "compact") != NULL);
    assert_int_equal(settings->log.retain, strstr(expected, "delete") != NULL);
    broker_topic_unref(topic);
}

static void lags_must_go_together(void **state)
{
    struct fixture *f = fixture_new(1);
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    const struct broker_topic *topic = fixture_find(f, 0, "t");
    struct broker_setting_change changes[2] = {
        {SLICE_LITERAL("min.compaction.lag.ms"), SLICE_LITERAL("20"), BROKER_SETTING_SET},
        {SLICE_LITERAL("max.compaction.lag.ms"), SLICE_LITERAL("10"), BROKER_SETTING_SET}};
    struct broker_settings_alter ask = {
        .topic_id = topic->id, .changes = changes, .change_count = 2};
    assert_int_equal(alter(f, &ask), ERR_INVALID);
    assert_non_null(strstr(ask.call.diag.text, "max.compaction.lag.ms"));
    changes[0].value = SLICE_LITERAL("10");
    assert_int_equal(alter(f, &ask), ERR_OK);
    broker_topic_unref(topic);
    fixture_free(f);
}

static void numbers_are_written_as_java_does(void **state)
{
    static const struct {
        double number;
        const char *text;
    } pairs[] = {{0.5, "0.5"},
                 {0, "0.0"},
                 {1, "1.0"},
                 {0.01, "0.01"},
                 {1e7, "1.0E7"},
                 {1.7976931348623157e308, "1.7976931348623157E308"},
                 {1234567, "1234567.0"},
                 {0.0001, "1.0E-4"}};
    struct config_rule rule = {.type = CONFIG_TYPE_DOUBLE};
    for (unsigned i = 0; i < COUNT_OF(pairs); i++) {
        char buffer[CONFIG_VALUE_SIZE];
        assert_string_equal(broker_config_text(&rule, &pairs[i].number, buffer), pairs[i].text);
    }
}

static void lists_take_additions(void **state)
{
    struct fixture *f = fixture_new(1);
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    const struct broker_topic *topic = fixture_find(f, 0, "t");
    struct broker_setting_change change = {SLICE_LITERAL("cleanup.policy"), SLICE_LITERAL("delete"),
                                           BROKER_SETTING_APPEND};
    struct broker_settings_alter ask = {
        .topic_id = topic->id, .changes = &change, .change_count = 1};
    assert_int_equal(alter(f, &ask), ERR_OK);
    change.value = SLICE_LITERAL("compact");
    assert_int_equal(alter(f, &ask), ERR_OK);
    policy_is(f, "delete,compact");
    assert_int_equal(alter(f, &ask), ERR_OK);
    policy_is(f, "delete,compact");
    change.op = BROKER_SETTING_SUBTRACT;
    change.value = SLICE_LITERAL("delete");
    assert_int_equal(alter(f, &ask), ERR_OK);
    policy_is(f, "compact");
    assert_int_equal(alter(f, &ask), ERR_OK); /* it has none */
    change.value = SLICE_LITERAL("delete,compact");
    assert_int_equal(alter(f, &ask), ERR_INVALID);
    policy_is(f, "compact");
    change.name = SLICE_LITERAL("retention.ms");
    assert_int_equal(alter(f, &ask), ERR_INVALID);
    broker_topic_unref(topic);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_its_own_synonym),
        cmocka_unit_test(every_word_can_be_set),
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(topics_follow_the_brokers_settings),
        cmocka_unit_test(what_cannot_change_is_refused),
        cmocka_unit_test(lists_take_additions),
        cmocka_unit_test(lags_must_go_together),
        cmocka_unit_test(numbers_are_written_as_java_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
