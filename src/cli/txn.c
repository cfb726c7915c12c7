// ListTransactions, DescribeTransactions, DescribeProducers.
// SPDX-License-Identifier: Apache-2.0
#include "cli/txn.h"

#include "cli/doc.h"
#include "cli/error.h"
#include "wire/kafka_describe_producers.h"
#include "wire/kafka_describe_transactions.h"
#include "wire/kafka_list_transactions.h"

static enum cli_exit list_on(struct cli *cli, int32_t node,
                             const struct kafka_list_transactions_request *request, bool quiet,
                             struct kafka_list_transactions_response *out)
{
    struct cli_cluster_call call = {.node = node,
                                    .key = KAFKA_API_LIST_TRANSACTIONS,
                                    .request = request,
                                    .response = out,
                                    .quiet = quiet};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (!result && out->error_code)
        result =
            quiet ? CLI_FAILED : cli_error_say(cli, "transactions", out->error_code, SLICE_NULL);
    return result;
}

static struct slice with_capital(struct cli *cli, const char *text)
{
    char *copy = cli_alloc(cli, strlen(text) + 1, 1);
    memcpy(copy, text, strlen(text));
    if (copy[0] >= 'a' && copy[0] <= 'z')
        copy[0] = (char)(copy[0] - 32);
    return slice_text(copy);
}

enum cli_exit cli_txn_list(struct cli *cli)
{
    struct kafka_list_transactions_request request;
    struct kafka_list_transactions_response response;
    kafka_list_transactions_request_init(&request);
    request.state_filters = cli_alloc(cli, cli->flags.count + 1, sizeof(*request.state_filters));
    size_t position = 0;
    const char *state;
    while ((state = cli_flags_next(&cli->flags, CLI_FLAG_STATE, &position)) != NULL)
        request.state_filters[request.state_filters_count++] = with_capital(cli, state);
    enum cli_exit result = cli_cluster_open(cli);
    struct cli_doc *list = cli_doc_list(cli);
    list->no_rows = request.state_filters_count > 0
                        ? "No transactional id is in that state; without --state all are listed."
                        : "There are no transactional ids.";
    for (size_t n = 0; !result && n < cli->cluster->node_count; n++) {
        int32_t node = cli->cluster->nodes[n].id;
        result = list_on(cli, node, &request, false, &response);
        for (size_t i = 0; !result && i < response.unknown_state_filters_count; i++)
            result = cli_fail(cli, CLI_USAGE, "such as Empty, Ongoing, CompleteCommit",
                              "there is no state '%s'",
                              cli_string(cli, response.unknown_state_filters[i]));
        for (size_t i = 0; !result && i < response.transaction_states_count; i++) {
            const struct kafka_list_transactions_response_state *found =
                &response.transaction_states[i];
            struct cli_doc *row = cli_doc_row(cli, list);
            cli_doc_add_text(cli, row, "transactional_id", found->transactional_id);
            cli_doc_add_text(cli, row, "state", found->transaction_state);
            cli_doc_add(cli, row, "producer_id", CLI_DOC_NUMBER, found->producer_id);
            cli_doc_add(cli, row, "coordinator", CLI_DOC_NUMBER, node)->wide = true;
        }
    }
    return result ? result : cli_doc_print(cli, list);
}

static void add_state(struct cli *cli, struct cli_doc *record,
                      const struct kafka_describe_transactions_response_state *state)
{
    int64_t start = state->transaction_start_time_ms;
    bool began = start >= 0; /* the last one: it may have ended */
    bool open = began;
    static const char *const ended[] = {"Empty", "CompleteCommit", "CompleteAbort", "Dead"};
    for (size_t i = 0; i < COUNT_OF(ended); i++)
        open = open && !slice_equal_text(state->transaction_state, ended[i]);
    cli_doc_add_text(cli, record, "transactional_id", state->transactional_id);
    cli_doc_add_text(cli, record, "state", state->transaction_state);
    cli_doc_add(cli, record, "producer_id", CLI_DOC_NUMBER, state->producer_id);
    cli_doc_add(cli, record, "producer_epoch", CLI_DOC_NUMBER, state->producer_epoch);
    cli_doc_add(cli, record, "timeout_ms", CLI_DOC_DURATION, state->transaction_timeout_ms);
    cli_doc_add(cli, record, "started_ms", began ? CLI_DOC_TIME : CLI_DOC_NULL, start);
    cli_doc_add(cli, record, "open_for_ms", open ? CLI_DOC_DURATION : CLI_DOC_NULL,
                MAX(cli_now_ms() - start, 0));
    struct cli_doc *list = cli_doc_add_list(cli, record, "partitions");
    list->no_rows = "It holds no partitions.";
    for (size_t t = 0; t < state->topics_count; t++) {
        for (size_t p = 0; p < state->topics[t].partitions_count; p++) {
            struct cli_doc *row = cli_doc_row(cli, list);
            cli_doc_add_text(cli, row, "topic", state->topics[t].topic);
            cli_doc_add(cli, row, "partition", CLI_DOC_NUMBER, state->topics[t].partitions[p]);
        }
    }
}

enum cli_exit cli_txn_describe(struct cli *cli)
{
    struct cli_doc *docs = cli_doc_list(cli);
    enum cli_exit result = CLI_OK;
    for (size_t i = 0; !result && i < cli->argument_count; i++) {
        struct slice id = slice_text(cli->arguments[i]);
        struct kafka_describe_transactions_request request = {.transactional_ids = &id,
                                                              .transactional_ids_count = 1};
        struct kafka_describe_transactions_response response;
        int32_t node;
        result = cli_cluster_coordinator(cli, id, 1, &node);
        if (result)
            return result;
        struct cli_cluster_call call = {.node = node,
                                        .key = KAFKA_API_DESCRIBE_TRANSACTIONS,
                                        .request = &request,
                                        .response = &response};
        result = cli_cluster_call(cli, &call);
        for (size_t s = 0; !result && s < response.transaction_states_count; s++) {
            const struct kafka_describe_transactions_response_state *state =
                &response.transaction_states[s];
            if (state->error_code)
                result = cli_error_say(cli, cli->arguments[i], state->error_code, SLICE_NULL);
            else
                add_state(cli, cli_doc_row(cli, docs), state);
        }
    }
    return result ? result : cli_doc_print(cli, docs);
}

static enum cli_exit fetch_producers(struct cli *cli, const struct cli_place *place, bool quiet,
                                     struct kafka_describe_producers_response_partition *out)
{
    int32_t partition = place->partition;
    struct kafka_describe_producers_request_topic topic = {
        .name = place->topic, .partition_indexes = &partition, .partition_indexes_count = 1};
    struct kafka_describe_producers_request request = {.topics = &topic, .topics_count = 1};
    struct kafka_describe_producers_response response;
    struct cli_cluster_call call = {.node = place->leader,
                                    .key = KAFKA_API_DESCRIBE_PRODUCERS,
                                    .request = &request,
                                    .response = &response,
                                    .quiet = quiet};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (result)
        return result;
    if (response.topics_count != 1 || response.topics[0].partitions_count != 1)
        return quiet ? CLI_FAILED
                     : cli_fail(cli, CLI_FAILED, NULL, "the server's answer has no producers");
    *out = response.topics[0].partitions[0];
    if (!out->error_code)
        return CLI_OK;
    return quiet ? CLI_FAILED
                 : cli_error_say(cli, cli_string(cli, place->topic), out->error_code,
                                 out->error_message);
}

enum cli_exit cli_txn_producers(struct cli *cli)
{
    struct slice name = slice_text(cli->arguments[0]);
    struct kafka_metadata_response topics;
    struct cli_place *places;
    size_t count;
    enum cli_exit result = cli_topics_require(cli, &name, 1, &topics);
    if (!result)
        result = cli_topics_places(cli, &topics, &places, &count);
    struct cli_doc *list = cli_doc_list(cli);
    list->no_rows = "No producer with an id has written there lately.";
    for (size_t i = 0; !result && i < count; i++) {
        struct kafka_describe_producers_response_partition found = {0};
        result = fetch_producers(cli, &places[i], false, &found);
        for (size_t p = 0; !result && p < found.active_producers_count; p++) {
            const struct kafka_describe_producers_response_producer *producer =
                &found.active_producers[p];
            struct cli_doc *row = cli_doc_row(cli, list);
            bool open = producer->current_txn_start_offset >= 0;
            cli_doc_add(cli, row, "partition", CLI_DOC_NUMBER, places[i].partition);
            cli_doc_add(cli, row, "producer_id", CLI_DOC_NUMBER, producer->producer_id);
            cli_doc_add(cli, row, "epoch", CLI_DOC_NUMBER, producer->producer_epoch);
            cli_doc_add(cli, row, "last_sequence", CLI_DOC_NUMBER, producer->last_sequence);
            cli_doc_add(cli, row, "last_time_ms",
                        producer->last_timestamp < 0 ? CLI_DOC_NULL : CLI_DOC_TIME,
                        producer->last_timestamp);
            cli_doc_add(cli, row, "open_since", open ? CLI_DOC_NUMBER : CLI_DOC_NULL,
                        producer->current_txn_start_offset);
        }
    }
    return result ? result : cli_doc_print(cli, list);
}

bool cli_txn_oldest(struct cli *cli, const struct cli_place *place, struct cli_txn_open *out)
{
    struct kafka_describe_producers_response_partition found = {0};
    if (fetch_producers(cli, place, true, &found))
        return false;
    bool any = false;
    for (size_t p = 0; p < found.active_producers_count; p++) {
        const struct kafka_describe_producers_response_producer *producer =
            &found.active_producers[p];
        int64_t offset = producer->current_txn_start_offset;
        if (offset < 0 || (any && offset >= out->offset))
            continue;
        *out = (struct cli_txn_open){producer->producer_id, offset, producer->last_timestamp};
        any = true;
    }
    return any;
}

struct slice cli_txn_id_of(struct cli *cli, int64_t producer_id)
{
    struct kafka_list_transactions_request request;
    kafka_list_transactions_request_init(&request);
    request.producer_id_filters = &producer_id;
    request.producer_id_filters_count = 1;
    for (size_t n = 0; n < cli->cluster->node_count; n++) {
        struct kafka_list_transactions_response response;
        if (!list_on(cli, cli->cluster->nodes[n].id, &request, true, &response) &&
            response.transaction_states_count > 0)
            return response.transaction_states[0].transactional_id;
    }
    return SLICE_NULL;
}
