// Looks into logs: whether what lies before a reader is records, or only marks and aborted ones.
// SPDX-License-Identifier: Apache-2.0
#include "base/endian.h"
#include "cli/facts.h"
#include "wire/kafka_fetch.h"

#define FETCH_BY_NAME       12 /* version 13 knows topics by id alone */
#define FETCH_SIZE          (64 << 10)
#define ROUND_COUNT_MAX     16
#define PARTITION_COUNT_MAX 64
#define HEADER_SIZE         61 /* of a record batch with magic 2 */
#define ATTRIBUTE_TXN       0x10
#define ATTRIBUTE_CONTROL   0x20

static bool is_aborted(const struct kafka_fetch_response_partition *part, int64_t producer,
                       int64_t offset)
{
    for (size_t i = 0; i < part->aborted_transactions_count; i++)
        if (part->aborted_transactions[i].producer_id == producer &&
            part->aborted_transactions[i].first_offset <= offset)
            return true;
    return false;
}

/* The producer's aborted transaction is over. */
static void end_aborted(struct kafka_fetch_response_partition *part, int64_t producer)
{
    for (size_t i = 0; i < part->aborted_transactions_count; i++) {
        if (part->aborted_transactions[i].producer_id == producer) {
            part->aborted_transactions[i] =
                part->aborted_transactions[--part->aborted_transactions_count];
            return;
        }
    }
}

bool cli_facts_has_record(struct kafka_fetch_response_partition *part, int64_t *from)
{
    struct slice rest = part->records.bytes;
    while (rest.size >= HEADER_SIZE) {
        int64_t base = (int64_t)be64_get(rest.data);
        size_t size = (size_t)be32_get(rest.data + 8) + 12;
        uint16_t attributes = be16_get(rest.data + 21);
        int64_t last = base + (int32_t)be32_get(rest.data + 23);
        int64_t producer = (int64_t)be64_get(rest.data + 43);
        /* What is cut off or strange is taken for records: better to wait for nothing than to say
         * that nothing waits. */
        if (size < HEADER_SIZE || size > rest.size || last < base)
            return true;
        bool dead = (attributes & ATTRIBUTE_TXN) && is_aborted(part, producer, base);
        if (attributes & ATTRIBUTE_CONTROL)
            end_aborted(part, producer);
        else if (last >= *from && !dead)
            return true;
        *from = MAX(*from, last + 1);
        rest = slice_make(rest.data + size, rest.size - size);
    }
    return rest.size > 0;
}

static bool fetch(struct cli *cli, const struct cli_why_partition *p, int64_t from,
                  struct kafka_fetch_response_partition *out)
{
    struct kafka_fetch_request_partition partition;
    struct kafka_fetch_request_topic topic;
    struct kafka_fetch_request request;
    struct kafka_fetch_response response;
    kafka_fetch_request_partition_init(&partition);
    kafka_fetch_request_topic_init(&topic);
    kafka_fetch_request_init(&request);
    partition.partition = p->partition;
    partition.fetch_offset = from;
    partition.partition_max_bytes = FETCH_SIZE;
    topic.topic = p->topic;
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.max_bytes = FETCH_SIZE;
    request.isolation_level = 1;
    request.topics = &topic;
    request.topics_count = 1;
    struct cli_cluster_call call = {.node = p->leader,
                                    .key = KAFKA_API_FETCH,
                                    .version_max = FETCH_BY_NAME,
                                    .request = &request,
                                    .response = &response,
                                    .quiet = true};
    if (cli_cluster_call(cli, &call) || response.responses_count != 1 ||
        response.responses[0].partitions_count != 1)
        return false;
    *out = response.responses[0].partitions[0];
    return out->error_code == 0;
}

static bool is_barren(struct cli *cli, const struct cli_why_partition *p, int64_t from)
{
    for (int round = 0; round < ROUND_COUNT_MAX; round++) {
        struct kafka_fetch_response_partition part;
        int64_t before = from;
        if (!fetch(cli, p, from, &part) || cli_facts_has_record(&part, &from))
            return false;
        if (from >= p->stable || from == before)
            return true;
    }
    return false;
}

void cli_facts_find_records(struct cli *cli, struct cli_facts *facts)
{
    size_t asked = 0;
    for (size_t i = 0; i < facts->why.partition_count && asked < PARTITION_COUNT_MAX; i++) {
        struct cli_why_partition *p = &facts->why.partitions[i];
        int64_t from = p->committed >= 0 ? p->committed : p->start;
        if (p->leader < 0 || p->start < 0 || from < p->start || from >= p->stable)
            continue;
        asked++;
        p->barren = is_barren(cli, p, from);
    }
}
