// The cache of fetch sessions of a core.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/session.h"

#include <stdlib.h>

#include "base/endian.h"

/* --- the cache -------------------------------------------------------------------------------- */

void kafka_session_cache_init(struct kafka_sessions *sessions, struct budget *budget,
                              size_t count_max, uint64_t seed)
{
    *sessions = (struct kafka_sessions){.budget = budget, .count_max = count_max};
    map_init(&sessions->map, seed);
    list_init(&sessions->list);
}

void kafka_session_cache_deinit(struct kafka_sessions *sessions)
{
    struct list *node;
    while ((node = list_first(&sessions->list)) != NULL)
        kafka_session_drop(LIST_ENTRY(node, struct kafka_session, node));
    map_deinit(&sessions->map);
}

struct kafka_session *kafka_session_cache_find(struct kafka_sessions *sessions, int32_t id)
{
    return map_get_u64(&sessions->map, (uint64_t)id);
}

/* Who goes for a new session of count partitions: one that nobody uses, else an old one that is
 * smaller. */
static struct kafka_session *sessions_victim(struct kafka_sessions *sessions, size_t count,
                                             uint64_t now_ns)
{
    struct kafka_session *victim = NULL;
    list_for_each (node, &sessions->list) {
        struct kafka_session *session = LIST_ENTRY(node, struct kafka_session, node);
        if (session->busy)
            continue;
        if (now_ns - session->used_ns > KAFKA_SESSION_IDLE_NS)
            return session;
        if (now_ns - session->created_ns > KAFKA_SESSION_IDLE_NS && session->count < count &&
            (!victim || session->count < victim->count))
            victim = session;
    }
    return victim;
}

struct kafka_session *kafka_session_cache_new(struct kafka_sessions *sessions, size_t count,
                                              uint64_t now_ns, uint64_t random)
{
    if (sessions->count >= sessions->count_max) {
        struct kafka_session *victim = sessions_victim(sessions, count, now_ns);
        if (!victim)
            return NULL;
        kafka_session_drop(victim);
    }
    int32_t id = (int32_t)(random & INT32_MAX);
    while (id == 0 || kafka_session_cache_find(sessions, id))
        id = id == INT32_MAX ? 1 : id + 1;
    if (!budget_charge(sessions->budget, sizeof(struct kafka_session)))
        return NULL;
    struct kafka_session *session = calloc(1, sizeof(*session));
    if (!session || !map_put_u64(&sessions->map, (uint64_t)id, session, NULL)) {
        budget_release(sessions->budget, sizeof(*session));
        free(session);
        return NULL;
    }
    *session = (struct kafka_session){.sessions = sessions,
                                      .id = id,
                                      .epoch = 1,
                                      .refs = 2,
                                      .charged = sizeof(*session),
                                      .created_ns = now_ns,
                                      .used_ns = now_ns};
    map_init(&session->map, random);
    list_init(&session->partitions);
    list_push_back(&sessions->list, &session->node);
    sessions->count++;
    return session;
}

/* --- one session ------------------------------------------------------------------------------ */

struct kafka_session *kafka_session_ref(struct kafka_session *session)
{
    session->refs++;
    return session;
}

void kafka_session_unref(struct kafka_session *session)
{
    if (--session->refs > 0)
        return;
    struct list *node;
    while ((node = list_pop_front(&session->partitions)) != NULL)
        free(LIST_ENTRY(node, struct kafka_session_partition, node));
    map_deinit(&session->map);
    budget_release(session->sessions->budget, session->charged);
    free(session);
}

void kafka_session_drop(struct kafka_session *session)
{
    if (session->dropped)
        return;
    session->dropped = true;
    list_remove(&session->node);
    session->sessions->count--;
    CHECK(map_remove_u64(&session->sessions->map, (uint64_t)session->id) == session);
    kafka_session_unref(session);
}

void kafka_session_use(struct kafka_session *session, uint64_t now_ns)
{
    session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
    session->used_ns = now_ns;
    if (session->dropped)
        return;
    list_remove(&session->node);
    list_push_back(&session->sessions->list, &session->node);
}

/* --- partitions ------------------------------------------------------------------------------- */

#define KEY_NAME_SIZE_MAX INT16_MAX

/* A partition's key: index, then id or name. */
static size_t key_size(const struct kafka_session_want *want)
{
    return 4 + (want->topic.size ? want->topic.size : sizeof(want->topic_id.bytes));
}

static void key_write(const struct kafka_session_want *want, uint8_t *out)
{
    be32_put(out, (uint32_t)want->index);
    if (want->topic.size)
        memcpy(out + 4, want->topic.data, want->topic.size);
    else
        memcpy(out + 4, want->topic_id.bytes, sizeof(want->topic_id.bytes));
}

static size_t partition_cost(size_t size)
{
    return sizeof(struct kafka_session_partition) + size + 2 * sizeof(void *) * 4;
}

static struct kafka_session_partition *partition_find(struct kafka_session *session,
                                                      const struct kafka_session_want *want)
{
    uint8_t key[4 + KEY_NAME_SIZE_MAX];
    if (want->topic.size > KEY_NAME_SIZE_MAX)
        return NULL;
    key_write(want, key);
    return map_get(&session->map, slice_make(key, key_size(want)));
}

bool kafka_session_put(struct kafka_session *session, const struct kafka_session_want *want)
{
    struct kafka_session_partition *partition = partition_find(session, want);
    if (partition) {
        struct slice topic = partition->want.topic;
        partition->want = *want;
        partition->want.topic = topic;
        return true;
    }
    size_t size = key_size(want), cost = partition_cost(size);
    if (want->topic.size > KEY_NAME_SIZE_MAX || !budget_charge(session->sessions->budget, cost))
        return false;
    partition = malloc(sizeof(*partition) + size);
    if (!partition) {
        budget_release(session->sessions->budget, cost);
        return false;
    }
    *partition = (struct kafka_session_partition){
        .want = *want, .high_watermark = -1, .log_start = -1, .key_size = size};
    key_write(want, partition->key);
    partition->want.topic = slice_make(partition->key + 4, want->topic.size);
    if (!map_put(&session->map, slice_make(partition->key, size), partition, NULL)) {
        budget_release(session->sessions->budget, cost);
        free(partition);
        return false;
    }
    list_push_back(&session->partitions, &partition->node);
    session->charged += cost;
    session->count++;
    return true;
}

void kafka_session_forget(struct kafka_session *session, const struct kafka_session_want *want)
{
    struct kafka_session_partition *partition = partition_find(session, want);
    if (!partition)
        return;
    size_t cost = partition_cost(partition->key_size);
    map_remove(&session->map, slice_make(partition->key, partition->key_size));
    list_remove(&partition->node);
    session->charged -= cost;
    session->count--;
    budget_release(session->sessions->budget, cost);
    free(partition);
}

bool kafka_session_tell(struct kafka_session *session, struct kafka_session_partition *partition,
                        const struct kafka_session_news *news)
{
    bool tell = news->has_records || news->diverges ||
                news->high_watermark != partition->high_watermark ||
                news->log_start != partition->log_start;
    partition->high_watermark = news->high_watermark;
    partition->log_start = news->log_start;
    if (news->error) {
        partition->high_watermark = -1; /* told again when the error is gone */
        tell = true;
    }
    if (news->has_records) {
        list_remove(&partition->node);
        list_push_back(&session->partitions, &partition->node);
    }
    return tell;
}
