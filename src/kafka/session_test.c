// Tests of fetch sessions: what is remembered, what is told, who makes room.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND ((uint64_t)1000000000)

struct cache {
    struct budget budget;
    struct kafka_sessions sessions;
};

static void cache_open(struct cache *cache, size_t count_max)
{
    budget_init(&cache->budget, 1 << 20);
    kafka_session_cache_init(&cache->sessions, &cache->budget, count_max, 7);
}

static void cache_close(struct cache *cache)
{
    kafka_session_cache_deinit(&cache->sessions);
    assert_int_equal(budget_used(&cache->budget), 0);
}

/* A session that no request holds. */
static struct kafka_session *session_of(struct cache *cache, size_t count, uint64_t now_ns)
{
    struct kafka_session *session =
        kafka_session_cache_new(&cache->sessions, count, now_ns, now_ns * 31 + 5);
    if (!session)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct kafka_session_want want = {.topic = SLICE_LITERAL("t"), .index = (int32_t)i};
        assert_true(kafka_session_put(session, &want));
    }
    kafka_session_unref(session);
    return session;
}

static struct kafka_session_partition *first_of(struct kafka_session *session)
{
    return LIST_ENTRY(list_first(&session->partitions), struct kafka_session_partition, node);
}

static void a_session_is_found_until_it_is_dropped(void **state)
{
    struct cache cache;
    cache_open(&cache, 10);
    struct kafka_session *session = session_of(&cache, 2, 1);
    int32_t id = session->id;
    assert_true(id > 0);
    assert_int_equal(session->epoch, 1);
    assert_ptr_equal(kafka_session_cache_find(&cache.sessions, id), session);
    assert_null(kafka_session_cache_find(&cache.sessions, id + 1));
    kafka_session_ref(session);
    kafka_session_drop(session);
    kafka_session_drop(session);
    assert_null(kafka_session_cache_find(&cache.sessions, id));
    assert_int_equal(session->count, 2);
    kafka_session_unref(session);
    cache_close(&cache);
}

static void the_epoch_wraps_to_one(void **state)
{
    struct cache cache;
    cache_open(&cache, 1);
    struct kafka_session *session = session_of(&cache, 1, 1);
    session->epoch = INT32_MAX - 1;
    kafka_session_use(session, 2);
    assert_int_equal(session->epoch, INT32_MAX);
    kafka_session_use(session, 3);
    assert_int_equal(session->epoch, 1);
    cache_close(&cache);
}

static void a_partition_is_changed_not_doubled(void **state)
{
    struct cache cache;
    cache_open(&cache, 1);
    struct kafka_session *session = session_of(&cache, 1, 1);
    struct kafka_session_want want = {.topic = SLICE_LITERAL("t"), .offset = 42};
    assert_true(kafka_session_put(session, &want));
    assert_int_equal(session->count, 1);
    assert_int_equal(first_of(session)->want.offset, 42);
    want.index = 1;
    assert_true(kafka_session_put(session, &want));
    assert_int_equal(session->count, 2);
    want.index = 0;
    kafka_session_forget(session, &want);
    kafka_session_forget(session, &want);
    assert_int_equal(session->count, 1);
    assert_int_equal(first_of(session)->want.index, 1);
    cache_close(&cache);
}

static void ids_and_names_are_different_partitions(void **state)
{
    struct cache cache;
    cache_open(&cache, 1);
    struct kafka_session *session = session_of(&cache, 0, 1);
    struct kafka_session_want a = {.topic_id = {{1}}}, b = {.topic_id = {{2}}};
    assert_true(kafka_session_put(session, &a) && kafka_session_put(session, &b));
    assert_int_equal(session->count, 2);
    kafka_session_forget(session, &a);
    assert_true(uuid_equal(&first_of(session)->want.topic_id, &b.topic_id));
    cache_close(&cache);
}

static void only_news_are_told(void **state)
{
    struct cache cache;
    cache_open(&cache, 1);
    struct kafka_session *session = session_of(&cache, 1, 1);
    struct kafka_session_partition *partition = first_of(session);
    struct kafka_session_news news = {.high_watermark = 5, .log_start = 0};
    assert_true(kafka_session_tell(session, partition, &news));
    assert_false(kafka_session_tell(session, partition, &news));
    news.high_watermark = 6;
    assert_true(kafka_session_tell(session, partition, &news));
    news.log_start = 1;
    assert_true(kafka_session_tell(session, partition, &news));
    assert_false(kafka_session_tell(session, partition, &news));
    struct kafka_session_news error = {.error = 3, .high_watermark = -1, .log_start = -1};
    assert_true(kafka_session_tell(session, partition, &error));
    assert_true(kafka_session_tell(session, partition, &error));
    assert_true(kafka_session_tell(session, partition, &news)); /* the error has gone */
    news.has_records = true;
    assert_true(kafka_session_tell(session, partition, &news));
    assert_true(kafka_session_tell(session, partition, &news));
    cache_close(&cache);
}

static void who_had_records_comes_last_next_time(void **state)
{
    struct cache cache;
    cache_open(&cache, 1);
    struct kafka_session *session = session_of(&cache, 3, 1);
    struct kafka_session_news news = {.has_records = true};
    assert_int_equal(first_of(session)->want.index, 0);
    kafka_session_tell(session, first_of(session), &news);
    assert_int_equal(first_of(session)->want.index, 1);
    kafka_session_tell(session, first_of(session), &news);
    assert_int_equal(first_of(session)->want.index, 2);
    kafka_session_tell(session, first_of(session), &news);
    assert_int_equal(first_of(session)->want.index, 0);
    cache_close(&cache);
}

static void a_full_cache_gives_up_who_is_idle(void **state)
{
    struct cache cache;
    cache_open(&cache, 2);
    struct kafka_session *a = session_of(&cache, 1, SECOND);
    struct kafka_session *b = session_of(&cache, 1, 2 * SECOND);
    int32_t a_id = a->id, b_id = b->id;
    assert_null(session_of(&cache, 1, 3 * SECOND));
    assert_null(session_of(&cache, 9, 100 * SECOND)); /* larger, but nobody is old */
    kafka_session_use(a, 110 * SECOND);
    assert_non_null(session_of(&cache, 1, 125 * SECOND));
    assert_non_null(kafka_session_cache_find(&cache.sessions, a_id));
    assert_null(kafka_session_cache_find(&cache.sessions, b_id));
    cache_close(&cache);
}

static void a_full_cache_prefers_the_larger_of_the_old(void **state)
{
    struct cache cache;
    cache_open(&cache, 2);
    struct kafka_session *small = session_of(&cache, 2, SECOND);
    struct kafka_session *large = session_of(&cache, 8, 2 * SECOND);
    int32_t small_id = small->id;
    kafka_session_use(small, 190 * SECOND);
    kafka_session_use(large, 190 * SECOND);
    assert_null(session_of(&cache, 2, 200 * SECOND)); /* not larger than any */
    small->busy = true;
    assert_null(session_of(&cache, 3, 200 * SECOND));
    small->busy = false;
    assert_non_null(session_of(&cache, 3, 200 * SECOND));
    assert_null(kafka_session_cache_find(&cache.sessions, small_id));
    cache_close(&cache);
}

static void without_slots_or_memory_there_is_no_session(void **state)
{
    struct cache cache;
    cache_open(&cache, 0);
    assert_null(session_of(&cache, 1, 1));
    cache_close(&cache);
    cache_open(&cache, 1);
    struct kafka_session *session = session_of(&cache, 0, 1);
    struct kafka_session_want want = {.topic = SLICE_LITERAL("t")};
    bool ok = true;
    for (; ok && want.index < 100000; want.index++)
        ok = kafka_session_put(session, &want);
    assert_false(ok);
    assert_true(session->count > 1000);
    cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_found_until_it_is_dropped),
        cmocka_unit_test(the_epoch_wraps_to_one),
        cmocka_unit_test(a_partition_is_changed_not_doubled),
        cmocka_unit_test(ids_and_names_are_different_partitions),
        cmocka_unit_test(only_news_are_told),
        cmocka_unit_test(who_had_records_comes_last_next_time),
        cmocka_unit_test(a_full_cache_gives_up_who_is_idle),
        cmocka_unit_test(a_full_cache_prefers_the_larger_of_the_old),
        cmocka_unit_test(without_slots_or_memory_there_is_no_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
