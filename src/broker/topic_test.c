// Tests of topics: made, seen by every core, changed, deleted, found again after a restart.
// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_fixture.h"

static unsigned cores_of(void **state)
{
    return *(unsigned *)*state;
}

static void delete_fn(struct core *core, void *arg)
{
    broker_topic_delete(core, arg);
}

static void grow_fn(struct core *core, void *arg)
{
    broker_topic_grow(core, arg);
}

static enum err delete_topic(struct fixture *f, unsigned core, const struct broker_topic *topic)
{
    struct broker_topic_delete ask = {.id = topic->id};
    return fixture_call(f, core, &ask.call, delete_fn, &ask);
}

struct counts {
    size_t topics;
    size_t partitions;
};

static void counts_fn(struct core *core, void *arg)
{
    struct counts *counts = arg;
    counts->topics = broker_topic_count(core);
    counts->partitions = broker_partition_count_total(core);
}

static void every_core_sees_a_topic_before_its_done(void **state)
{
    struct fixture *f = fixture_new(cores_of(state));
    const struct broker_topic *first = NULL;
    assert_int_equal(fixture_create(f, f->core_count - 1, "orders", 3), ERR_OK);
    for (unsigned i = 0; i < f->core_count; i++) {
        struct counts counts;
        const struct broker_topic *topic = fixture_find(f, i, "orders");
        assert_non_null(topic);
        assert_true(slice_equal_text(topic->name, "orders"));
        assert_int_equal(topic->partition_count, 3);
        assert_false(uuid_is_zero(&topic->id));
        if (first)
            assert_ptr_equal(topic->partitions[2], first->partitions[2]);
        assert_null(broker_partition_at(topic, 3));
        assert_null(broker_partition_at(topic, -1));
        fixture_on(f, i, counts_fn, &counts);
        assert_int_equal(counts.topics, 1);
        assert_int_equal(counts.partitions, 3);
        broker_topic_unref(first);
        first = topic;
    }
    broker_topic_unref(first);
    assert_int_equal(fixture_create(f, 0, "orders", 1), ERR_EXISTS);
    fixture_free(f);
}

static void a_deleted_topic_is_gone_with_its_logs(void **state)
{
    struct fixture *f = fixture_new(cores_of(state));
    assert_int_equal(fixture_create(f, 0, "a", 4), ERR_OK);
    const struct broker_topic *topic = fixture_find(f, 0, "a");
    assert_int_equal(delete_topic(f, f->core_count - 1, topic), ERR_OK);
    for (unsigned i = 0; i < f->core_count; i++)
        assert_null(fixture_find(f, i, "a"));
    assert_int_equal(delete_topic(f, 0, topic), ERR_NOT_FOUND);
    assert_int_equal(fixture_create(f, 0, "a", 1), ERR_OK);
    assert_int_equal(atomic_load(&f->store.deleted), 4);
    const struct broker_topic *again = fixture_find(f, 0, "a");
    assert_false(uuid_equal(&again->id, &topic->id));
    broker_topic_unref(again);
    broker_topic_unref(topic);
    fixture_free(f);
}

static void a_topic_grows_but_never_shrinks(void **state)
{
    struct fixture *f = fixture_new(cores_of(state));
    assert_int_equal(fixture_create(f, 0, "a", 2), ERR_OK);
    const struct broker_topic *before = fixture_find(f, 0, "a");
    struct broker_topic_grow grow = {.id = before->id, .partition_count = 2};
    assert_int_equal(fixture_call(f, 0, &grow.call, grow_fn, &grow), ERR_INVALID);
    grow.partition_count = 5;
    grow.validate_only = true;
    assert_int_equal(fixture_call(f, 0, &grow.call, grow_fn, &grow), ERR_OK);
    grow.validate_only = false;
    assert_int_equal(fixture_call(f, f->core_count - 1, &grow.call, grow_fn, &grow), ERR_OK);
    const struct broker_topic *after = fixture_find(f, f->core_count - 1, "a");
    assert_int_equal(before->partition_count, 2);
    assert_int_equal(after->partition_count, 5);
    assert_ptr_equal(before->partitions[1], after->partitions[1]);
    grow.partition_count = 10001;
    assert_int_equal(fixture_call(f, 0, &grow.call, grow_fn, &grow), ERR_LIMIT);
    broker_topic_unref(before);
    broker_topic_unref(after);
    fixture_free(f);
}

static void topics_and_settings_survive_a_restart(void **state)
{
    struct fixture *f = fixture_new(cores_of(state));
    struct broker_setting_pair pair = {SLICE_LITERAL("retention.ms"), SLICE_LITERAL("1234")};
    struct broker_topic_create create = {.name = SLICE_LITERAL("kept"),
                                         .partition_count = 2,
                                         .replication_factor = 1,
                                         .settings = &pair,
                                         .setting_count = 1};
    char cluster_id[UUID_TEXT_SIZE + 1];
    memcpy(cluster_id, broker_cluster_id(f->broker), sizeof(cluster_id));
    assert_int_equal(strlen(cluster_id), UUID_TEXT_SIZE);
    assert_int_equal(fixture_call(f, 0, &create.call, fixture_create_fn, &create), ERR_OK);
    assert_int_equal(fixture_create(f, 0, "gone", 1), ERR_OK);
    const struct broker_topic *topic = fixture_find(f, 0, "gone");
    assert_int_equal(delete_topic(f, 0, topic), ERR_OK);
    broker_topic_unref(topic);
    fixture_stop(f);
    fixture_start(f);
    assert_string_equal(broker_cluster_id(f->broker), cluster_id);
    topic = fixture_find(f, f->core_count - 1, "kept");
    assert_non_null(topic);
    assert_true(uuid_equal(&topic->id, &create.out_id));
    assert_int_equal(topic->partition_count, 2);
    assert_int_equal(topic->config->retention_ms, 1234);
    assert_int_equal(topic->config->segment_bytes, 1073741824);
    broker_topic_unref(topic);
    assert_null(fixture_find(f, 0, "gone"));
    assert_int_equal(fixture_create(f, 0, "kept", 1), ERR_EXISTS);
    fixture_free(f);
}

static void what_is_not_durable_is_not_there(void **state)
{
    struct fixture *f = fixture_new(cores_of(state));
    assert_int_equal(fixture_create(f, 0, "first", 1), ERR_OK);
    f->store.fact_err = ERR_DISK_FULL;
    assert_int_equal(fixture_create(f, 0, "second", 1), ERR_DISK_FULL);
    assert_null(fixture_find(f, 0, "second"));
    f->store.fact_err = ERR_OK;
    assert_int_equal(fixture_create(f, 0, "second", 1), ERR_OK);
    fixture_free(f);
}

static enum err create_named(struct fixture *f, const char *name)
{
    return fixture_create(f, 0, name, 1);
}

static void names_follow_the_rules(void **state)
{
    struct fixture *f = fixture_new(cores_of(state));
    char longest[251];
    memset(longest, 'x', sizeof(longest));
    longest[250] = 0;
    assert_int_equal(create_named(f, longest), ERR_INVALID);
    longest[249] = 0;
    assert_int_equal(create_named(f, longest), ERR_OK);
    assert_int_equal(create_named(f, ""), ERR_INVALID);
    assert_int_equal(create_named(f, "."), ERR_INVALID);
    assert_int_equal(create_named(f, ".."), ERR_INVALID);
    assert_int_equal(create_named(f, "a b"), ERR_INVALID);
    assert_int_equal(create_named(f, "\xc3\xa4"), ERR_INVALID);
    assert_int_equal(create_named(f, "__consumer_offsets"), ERR_INVALID);
    assert_int_equal(create_named(f, "a.b-C_9"), ERR_OK);
    assert_int_equal(create_named(f, "a_b-C.9"), ERR_INVALID);
    const struct broker_topic *topic = fixture_find(f, 0, "a.b-C_9");
    assert_int_equal(delete_topic(f, 0, topic), ERR_OK);
    broker_topic_unref(topic);
    assert_int_equal(create_named(f, "a_b-C.9"), ERR_OK);
    fixture_free(f);
}

static void faults_say_which_part_is_wrong(void **state)
{
    struct fixture *f = fixture_new(cores_of(state));
    struct broker_setting_pair pair = {SLICE_LITERAL("cleanup.policy"), SLICE_LITERAL("shred")};
    struct broker_topic_create c = {
        .name = SLICE_LITERAL("t"), .partition_count = 0, .replication_factor = -1};
    assert_int_equal(fixture_call(f, 0, &c.call, fixture_create_fn, &c), ERR_INVALID);
    assert_int_equal(c.out_fault, BROKER_TOPIC_FAULT_PARTITIONS);
    c.partition_count = 10001;
    assert_int_equal(fixture_call(f, 0, &c.call, fixture_create_fn, &c), ERR_LIMIT);
    assert_int_equal(c.out_fault, BROKER_TOPIC_FAULT_PARTITIONS);
    c.partition_count = -1;
    c.replication_factor = 3;
    assert_int_equal(fixture_call(f, 0, &c.call, fixture_create_fn, &c), ERR_LIMIT);
    assert_int_equal(c.out_fault, BROKER_TOPIC_FAULT_REPLICAS);
    c.replication_factor = 1;
    c.settings = &pair;
    c.setting_count = 1;
    assert_int_equal(fixture_call(f, 0, &c.call, fixture_create_fn, &c), ERR_INVALID);
    assert_int_equal(c.out_fault, BROKER_TOPIC_FAULT_SETTINGS);
    assert_non_null(strstr(c.call.diag.text, "'shred' is none of"));
    c.setting_count = 0;
    c.validate_only = true;
    assert_int_equal(fixture_call(f, 0, &c.call, fixture_create_fn, &c), ERR_OK);
    assert_int_equal(c.out_partition_count, 1);
    assert_non_null(c.out_settings);
    broker_topic_create_release(&c);
    assert_null(fixture_find(f, 0, "t"));
    fixture_free(f);
}

struct walk {
    char names[64];
};

static void walk_fn(struct core *core, void *arg)
{
    struct walk *walk = arg;
    const struct broker_topic *topic = NULL;
    size_t at = 0;
    while ((topic = broker_topic_after(core, topic ? topic->name : SLICE_NULL))) {
        CHECK(at + topic->name.size + 2 < sizeof(walk->names));
        memcpy(walk->names + at, topic->name.data, topic->name.size);
        at += topic->name.size;
        walk->names[at++] = ' ';
    }
    walk->names[at] = 0;
}

static void topics_are_listed_in_order_of_name(void **state)
{
    struct fixture *f = fixture_new(cores_of(state));
    struct walk walk;
    assert_int_equal(create_named(f, "b"), ERR_OK);
    assert_int_equal(create_named(f, "aa"), ERR_OK);
    assert_int_equal(create_named(f, "c"), ERR_OK);
    assert_int_equal(create_named(f, "a"), ERR_OK);
    fixture_on(f, f->core_count - 1, walk_fn, &walk);
    assert_string_equal(walk.names, "a aa b c ");
    fixture_free(f);
}

/* Several calls for one name at once: one makes it, the others find it. */
struct race {
    struct broker_topic_create creates[16];
    unsigned left;
    unsigned made;
    unsigned found;
    sem_t sem;
};
static struct race race;

static void race_done(struct broker_call *call)
{
    race.made += call->err == ERR_OK;
    race.found += call->err == ERR_EXISTS;
    if (--race.left == 0)
        sem_post(&race.sem);
}

static void race_fn(struct core *core, void *arg)
{
    for (unsigned i = 0; i < COUNT_OF(race.creates); i++) {
        race.creates[i] = (struct broker_topic_create){
            .name = SLICE_LITERAL("same"), .partition_count = 1, .replication_factor = 1};
        race.creates[i].call.done = race_done;
        broker_topic_create(core, &race.creates[i]);
    }
}

static void only_one_makes_a_topic(void **state)
{
    struct fixture *f = fixture_new(cores_of(state));
    memset(&race, 0, sizeof(race));
    race.left = COUNT_OF(race.creates);
    sem_init(&race.sem, 0, 0);
    fixture_on(f, f->core_count - 1, race_fn, NULL);
    while (sem_wait(&race.sem) != 0) {
    }
    assert_int_equal(race.made, 1);
    assert_int_equal(race.found, COUNT_OF(race.creates) - 1);
    sem_destroy(&race.sem);
    fixture_free(f);
}

int main(void)
{
    static unsigned one = 1, three = 3;
#define ON_CORES(test)                                                                             \
    {#test " (1 core)", test, NULL, NULL, &one},                                                   \
    {                                                                                              \
#test " (3 cores)", test, NULL, NULL, &three                                               \
    }
    const struct CMUnitTest tests[] = {
        ON_CORES(every_core_sees_a_topic_before_its_done),
        ON_CORES(a_deleted_topic_is_gone_with_its_logs),
        ON_CORES(a_topic_grows_but_never_shrinks),
        ON_CORES(topics_and_settings_survive_a_restart),
        ON_CORES(what_is_not_durable_is_not_there),
        ON_CORES(names_follow_the_rules),
        ON_CORES(faults_say_which_part_is_wrong),
        ON_CORES(topics_are_listed_in_order_of_name),
        ON_CORES(only_one_makes_a_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
