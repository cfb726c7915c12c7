// Fetch: which partitions (with sessions, KIP-227), what was found, and the answer.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/error.h"
#include "kafka/fetch_state.h"
#include "kafka/handlers.h"
#include "kafka/quota.h"
#include "kafka/state.h"

#define FETCH_BY_ID_VERSION 13

static bool by_id(const struct kafka_request *request)
{
    return request->version >= FETCH_BY_ID_VERSION;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void answer_error(struct kafka_request *request, int16_t code)
{
    struct kafka_fetch_response response;
    kafka_fetch_response_init(&response);
    response.error_code = code;
    kafka_request_answer(request, fetch, &response);
}

/* False: out of memory. Without its list no record can be given to a reader of committed ones. */
static bool part_answer_aborted(const struct fetch *fetch, const struct fetch_part *part,
                                struct kafka_fetch_response_partition *out)
{
    static const struct kafka_fetch_response_aborted_transaction none;
    uint32_t count = part->chunks.count ? part->read.store.aborted_count : 0;
    if (fetch->asked.isolation_level != 1)
        return true;
    /* empty, not null */
    out->aborted_transactions = (struct kafka_fetch_response_aborted_transaction *)&none;
    if (count == 0)
        return true;
    struct kafka_fetch_response_aborted_transaction *list =
        arena_alloc_array(&fetch->request->arena, count, sizeof(*list));
    if (!list)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        kafka_fetch_response_aborted_transaction_init(&list[i]);
        list[i].producer_id = part->read.store.aborted[i].producer_id;
        list[i].first_offset = part->read.store.aborted[i].first_offset;
    }
    out->aborted_transactions = list;
    out->aborted_transactions_count = count;
    return true;
}

static void part_answer(const struct fetch *fetch, struct fetch_part *part,
                        struct kafka_fetch_response_partition *out)
{
    kafka_fetch_response_partition_init(out);
    out->partition_index = part->want.index;
    out->error_code = part->error;
    out->high_watermark = -1;
    out->records.bytes = SLICE_LITERAL("");
    if (part->error)
        return;
    out->high_watermark = part->read.high_watermark;
    out->last_stable_offset = part->read.last_stable;
    out->log_start_offset = part->read.log_start;
    out->diverging_epoch = part->diverging;
    if (!part_answer_aborted(fetch, part, out)) {
        out->error_code = kafka_error_of_read(ERR_NO_MEMORY);
        return;
    }
    if (part->chunks.count) {
        out->records.size = part->read.store.size;
        out->records.gap = &part->chunks;
    }
}

static bool part_is_told(const struct fetch *fetch, const struct fetch_part *part,
                         const struct kafka_fetch_response_partition *out)
{
    if (!fetch->session)
        return true;
    struct kafka_session_news news = {
        .error = out->error_code,
        .has_records = part->chunks.count > 0,
        .diverges = part->diverging.epoch >= 0,
        .high_watermark = out->high_watermark,
        .log_start = out->log_start_offset,
    };
    return kafka_session_tell(fetch->session, part->cached, &news) || !fetch->incremental;
}

static bool same_topic(const struct kafka_session_want *a, const struct kafka_session_want *b)
{
    return uuid_equal(&a->topic_id, &b->topic_id) && slice_equal(a->topic, b->topic);
}

/* More than the client may have now: nothing comes, and it fetches the same again (KIP-219). */
static void fetch_answer_later(struct kafka_request *request)
{
    const struct fetch *fetch = request->state;
    struct kafka_fetch_response response;
    kafka_fetch_response_init(&response);
    if (fetch->session && fetch->incremental && !fetch->session->dropped)
        response.session_id = fetch->session->id;
    else if (fetch->session)
        kafka_session_drop(fetch->session);
    kafka_request_answer(request, fetch, &response);
}

static void fetch_answer(struct kafka_request *request)
{
    struct fetch *fetch = request->state;
    if (kafka_quota_fetch(request, fetch->size)) {
        fetch_answer_later(request);
        return;
    }
    struct kafka_fetch_response response;
    kafka_fetch_response_init(&response);
    response.session_id = fetch->session && !fetch->session->dropped ? fetch->session->id : 0;
    struct kafka_fetch_response_partition *outs =
        kafka_request_alloc(request, fetch->part_count, sizeof(*outs));
    if (!outs)
        return;
    response.responses =
        kafka_request_alloc(request, fetch->part_count, sizeof(*response.responses));
    if (!response.responses)
        return;
    struct kafka_fetch_response_topic *topic = NULL;
    const struct kafka_session_want *last = NULL;
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct fetch_part *part = &fetch->parts[i];
        part_answer(fetch, part, outs);
        if (!part_is_told(fetch, part, outs))
            continue;
        if (!last || !same_topic(last, &part->want)) {
            topic = &response.responses[response.responses_count++];
            kafka_fetch_response_topic_init(topic);
            topic->topic = part->want.topic;
            topic->topic_id = part->want.topic_id;
            topic->partitions = outs;
        }
        last = &part->want;
        topic->partitions_count++;
        outs++;
    }
    kafka_request_answer(request, fetch, &response);
}

static void fetch_release(struct kafka_request *request)
{
    struct fetch *fetch = request->state;
    kafka_fetch_read_release(fetch);
    for (size_t i = 0; i < fetch->topic_count; i++)
        broker_topic_unref(fetch->topics[i]);
    if (fetch->session) {
        fetch->session->busy = false;
        kafka_session_unref(fetch->session);
    }
}

static void fetch_cancel(struct kafka_request *request)
{
    kafka_fetch_read_expire(request->state);
}

/* --- partitions of the request or session ----------------------------------------------------- */

static struct kafka_session_want want_of(const struct kafka_request *request,
                                         const struct kafka_fetch_request_topic *topic,
                                         const struct kafka_fetch_request_partition *partition)
{
    return (struct kafka_session_want){
        .topic = by_id(request) ? SLICE_NULL : topic->topic,
        .topic_id = topic->topic_id,
        .index = partition->partition,
        .leader_epoch = partition->current_leader_epoch,
        .last_epoch = partition->last_fetched_epoch,
        .size_max_bytes = partition->partition_max_bytes,
        .offset = partition->fetch_offset,
    };
}

static size_t asked_count(const struct kafka_fetch_request *asked)
{
    size_t count = 0;
    for (size_t i = 0; i < asked->topics_count; i++)
        count += asked->topics[i].partitions_count;
    return count;
}

static bool fetch_parts_alloc(struct fetch *fetch, size_t count)
{
    fetch->parts = kafka_request_alloc(fetch->request, count, sizeof(*fetch->parts));
    if (!fetch->parts)
        return false;
    fetch->topics = kafka_request_alloc(fetch->request, count, sizeof(*fetch->topics));
    return fetch->topics != NULL;
}

/* False: the request has been rejected. */
static bool parts_from_request(struct fetch *fetch)
{
    const struct kafka_fetch_request *asked = &fetch->asked;
    if (!fetch_parts_alloc(fetch, asked_count(asked)))
        return false;
    for (size_t i = 0; i < asked->topics_count; i++)
        for (size_t j = 0; j < asked->topics[i].partitions_count; j++)
            fetch->parts[fetch->part_count++].want =
                want_of(fetch->request, &asked->topics[i], &asked->topics[i].partitions[j]);
    return true;
}

static bool parts_from_session(struct fetch *fetch)
{
    if (!fetch_parts_alloc(fetch, fetch->session->count))
        return false;
    list_for_each (node, &fetch->session->partitions) {
        struct kafka_session_partition *cached =
            LIST_ENTRY(node, struct kafka_session_partition, node);
        struct fetch_part *part = &fetch->parts[fetch->part_count++];
        part->want = cached->want;
        part->cached = cached;
    }
    return true;
}

static bool is_follower(const struct kafka_request *request)
{
    const struct fetch *fetch = request->state;
    return (request->version >= 15 ? fetch->asked.replica_state.replica_id
                                   : fetch->asked.replica_id) >= 0;
}

static void part_resolve(struct fetch *fetch, struct fetch_part *part,
                         const struct broker_topic *topic)
{
    part->request = fetch->request;
    part->diverging = (struct kafka_fetch_response_epoch_end_offset){-1, -1};
    struct broker_partition *partition =
        topic ? broker_partition_at(topic, part->want.index) : NULL;
    if (!partition)
        part->error = by_id(fetch->request) && !topic ? KAFKA_UNKNOWN_TOPIC_ID
                                                      : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (is_follower(fetch->request))
        part->error = KAFKA_NOT_LEADER_OR_FOLLOWER; /* there are no followers */
    else
        part->partition = partition;
}

static void fetch_resolve(struct fetch *fetch)
{
    struct core *core = fetch->request->core;
    const struct broker_topic *topic = NULL;
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct fetch_part *part = &fetch->parts[i];
        if (i == 0 || !same_topic(&part->want, &fetch->parts[i - 1].want)) {
            topic = by_id(fetch->request) ? broker_topic_find_id(core, &part->want.topic_id)
                                          : broker_topic_find(core, part->want.topic);
            if (topic)
                fetch->topics[fetch->topic_count++] = broker_topic_ref(topic);
        }
        part_resolve(fetch, part, topic);
    }
}

/* --- sessions --------------------------------------------------------------------------------- */

static void session_hold(struct fetch *fetch, struct kafka_session *session)
{
    fetch->session = session;
    session->busy = true;
}

/* Opens a session with what is asked for; without room there is none, which is fine. */
static bool session_open(struct fetch *fetch)
{
    struct kafka_request *request = fetch->request;
    struct kafka_session *session =
        kafka_session_cache_new(&kafka_core(request->core)->sessions, asked_count(&fetch->asked),
                                core_now_ns(request->core), core_random(request->core));
    if (!session)
        return parts_from_request(fetch);
    session->by_id = by_id(request);
    for (size_t i = 0; i < fetch->asked.topics_count; i++) {
        const struct kafka_fetch_request_topic *topic = &fetch->asked.topics[i];
        for (size_t j = 0; j < topic->partitions_count; j++) {
            struct kafka_session_want want = want_of(request, topic, &topic->partitions[j]);
            if (!kafka_session_put(session, &want)) {
                kafka_session_drop(session);
                kafka_session_unref(session);
                return parts_from_request(fetch);
            }
        }
    }
    session_hold(fetch, session);
    return parts_from_session(fetch);
}

/* False: no memory; the session is gone. */
static bool session_change(struct fetch *fetch, struct kafka_session *session)
{
    const struct kafka_fetch_request *asked = &fetch->asked;
    for (size_t i = 0; i < asked->topics_count; i++)
        for (size_t j = 0; j < asked->topics[i].partitions_count; j++) {
            struct kafka_session_want want =
                want_of(fetch->request, &asked->topics[i], &asked->topics[i].partitions[j]);
            if (!kafka_session_put(session, &want)) {
                kafka_session_drop(session);
                return false;
            }
        }
    for (size_t i = 0; i < asked->forgotten_topics_data_count; i++) {
        const struct kafka_fetch_request_forgotten_topic *topic = &asked->forgotten_topics_data[i];
        for (size_t j = 0; j < topic->partitions_count; j++) {
            struct kafka_session_want want = {.topic = session->by_id ? SLICE_NULL : topic->topic,
                                              .topic_id = topic->topic_id,
                                              .index = topic->partitions[j]};
            kafka_session_forget(session, &want);
        }
    }
    return true;
}

/* Of the session that is asked for; NULL: there is none. */
static int16_t session_fault(struct fetch *fetch, const struct kafka_session *session)
{
    if (!session)
        return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    if (session->busy || session->epoch != fetch->asked.session_epoch)
        return KAFKA_INVALID_FETCH_SESSION_EPOCH;
    return session->by_id == by_id(fetch->request) ? KAFKA_NONE
                                                   : KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
}

/* False: answered with an error, or rejected. */
static bool session_continue(struct fetch *fetch)
{
    struct kafka_request *request = fetch->request;
    struct kafka_session *session =
        kafka_session_cache_find(&kafka_core(request->core)->sessions, fetch->asked.session_id);
    int16_t code = session_fault(fetch, session);
    if (!code && !session_change(fetch, session))
        code = KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    if (code) {
        answer_error(request, code);
        return false;
    }
    if (session->count == 0) {
        kafka_session_drop(session);
        return parts_from_request(fetch);
    }
    fetch->incremental = true;
    kafka_session_use(session, core_now_ns(request->core));
    session_hold(fetch, kafka_session_ref(session));
    return parts_from_session(fetch);
}

static bool fetch_parts(struct fetch *fetch)
{
    const struct kafka_fetch_request *asked = &fetch->asked;
    bool whole = asked->session_epoch == KAFKA_SESSION_EPOCH_INITIAL ||
                 asked->session_epoch == KAFKA_SESSION_EPOCH_FINAL;
    if (!whole)
        return session_continue(fetch);
    struct kafka_session *old =
        asked->session_id ? kafka_session_cache_find(&kafka_core(fetch->request->core)->sessions,
                                                     asked->session_id)
                          : NULL;
    if (old)
        kafka_session_drop(old);
    return asked->session_epoch == KAFKA_SESSION_EPOCH_FINAL ? parts_from_request(fetch)
                                                             : session_open(fetch);
}

/* --- the request ------------------------------------------------------------------------------ */

void kafka_fetch_handle(struct kafka_request *request)
{
    struct fetch *fetch = kafka_request_alloc(request, 1, sizeof(*fetch));
    request->state = fetch;
    if (!fetch || !kafka_request_decode(request, fetch, &fetch->asked))
        return;
    fetch->request = request;
    fetch->done = fetch_answer;
    fetch->size_max = (size_t)MAX(
        MIN(fetch->asked.max_bytes, broker_settings_now(request->core)->fetch_max_bytes), 0);
    fetch->size_max = kafka_quota_fetch_max(request, fetch->size_max);
    fetch->deadline_ns =
        core_now_ns(request->core) + (uint64_t)MAX(fetch->asked.max_wait_ms, 0) * 1000000;
    request->release = fetch_release;
    request->cancel = fetch_cancel;
    if (!fetch_parts(fetch))
        return;
    fetch_resolve(fetch);
    kafka_fetch_read_start(fetch);
}
