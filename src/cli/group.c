// leat group list, describe, lag and delete.
// SPDX-License-Identifier: Apache-2.0
#include "cli/group.h"

#include <stdlib.h>

#include "cli/doc.h"
#include "cli/error.h"
#include "cli/facts.h"
#include "wire/kafka_delete_groups.h"
#include "wire/kafka_list_groups.h"

struct listed {
    struct kafka_list_groups_response_group group;
    int32_t node;
};

static int compare_listed(const void *a, const void *b)
{
    const struct listed *one = a, *other = b;
    return slice_compare(one->group.group_id, other->group.group_id);
}

static bool is_wanted(struct cli *cli, struct slice state)
{
    size_t position = 0;
    const char *text;
    bool any = false;
    while ((text = cli_flags_next(&cli->flags, CLI_FLAG_STATE, &position)) != NULL) {
        any = true;
        if (strlen(text) == state.size &&
            strncasecmp(text, (const char *)state.data, state.size) == 0)
            return true;
    }
    return !any;
}

enum cli_exit cli_group_list(struct cli *cli)
{
    enum cli_exit result = cli_cluster_open(cli);
    struct listed *all = NULL;
    size_t count = 0;
    for (size_t n = 0; !result && n < cli->cluster->node_count; n++) {
        struct kafka_list_groups_request request;
        struct kafka_list_groups_response response;
        kafka_list_groups_request_init(&request);
        int32_t node = cli->cluster->nodes[n].id;
        struct cli_cluster_call call = {
            .node = node, .key = KAFKA_API_LIST_GROUPS, .request = &request, .response = &response};
        result = cli_cluster_call(cli, &call);
        if (!result && response.error_code)
            result = cli_error_say(cli, "groups", response.error_code, SLICE_NULL);
        if (result)
            break;
        struct listed *more = cli_alloc(cli, count + response.groups_count + 1, sizeof(*more));
        if (count > 0)
            memcpy(more, all, count * sizeof(*more));
        all = more;
        for (size_t i = 0; i < response.groups_count; i++)
            all[count++] = (struct listed){response.groups[i], node};
    }
    if (result)
        return result;
    if (count > 1)
        qsort(all, count, sizeof(*all), compare_listed);
    struct cli_doc *list = cli_doc_list(cli);
    list->no_rows = count > 0 ? "No group is in that state; without --state all are listed."
                              : "There are no groups.";
    for (size_t i = 0; i < count; i++) {
        if (!is_wanted(cli, all[i].group.group_state))
            continue;
        struct cli_doc *row = cli_doc_row(cli, list);
        cli_doc_add_text(cli, row, "group", all[i].group.group_id);
        cli_doc_add_text(cli, row, "state", all[i].group.group_state);
        cli_doc_add_text(cli, row, "type", all[i].group.group_type);
        cli_doc_add_text(cli, row, "protocol", all[i].group.protocol_type)->wide = true;
        cli_doc_add(cli, row, "coordinator", CLI_DOC_NUMBER, all[i].node)->wide = true;
    }
    return cli_doc_print(cli, list);
}

/* --- describe --- */

static void add_number(struct cli *cli, struct cli_doc *row, const char *name, int64_t number)
{
    cli_doc_add(cli, row, name, number < 0 ? CLI_DOC_NULL : CLI_DOC_NUMBER, number);
}

static void add_members(struct cli *cli, struct cli_doc *record, const struct cli_why_facts *why)
{
    struct cli_doc *list = cli_doc_add_list(cli, record, "members");
    list->no_rows = "No member is there.";
    for (size_t i = 0; i < why->member_count; i++) {
        const struct cli_why_member *member = &why->members[i];
        struct cli_doc *row = cli_doc_row(cli, list);
        cli_doc_add_text(cli, row, "client", member->client);
        cli_doc_add_text(cli, row, "host", member->host);
        cli_doc_add(cli, row, "partitions", CLI_DOC_NUMBER, (int64_t)member->partition_count);
        if (why->share)
            cli_doc_add_text(cli, row, "assigned", member->assigned);
        struct cli_doc *instance = cli_doc_add_text(cli, row, "instance", member->instance);
        instance->wide = true;
        cli_doc_add_text(cli, row, "member", member->id)->wide = true;
    }
}

static void add_offsets(struct cli *cli, struct cli_doc *record, const struct cli_why_facts *why)
{
    struct cli_doc *list = cli_doc_add_list(cli, record, "offsets");
    list->no_rows = why->share ? "No partition has been read." : "No offsets are committed.";
    for (size_t i = 0; i < why->partition_count; i++) {
        const struct cli_why_partition *p = &why->partitions[i];
        if (p->partition < 0)
            continue;
        struct cli_doc *row = cli_doc_row(cli, list);
        cli_doc_add_text(cli, row, "topic", p->topic);
        cli_doc_add(cli, row, "partition", CLI_DOC_NUMBER, p->partition);
        add_number(cli, row, why->share ? "next" : "committed", p->committed);
        add_number(cli, row, "start", p->start);
        add_number(cli, row, "end", p->end);
        bool unknown = p->shared ? p->told_lag < 0 : p->end < 0;
        cli_doc_add(cli, row, "lag", unknown ? CLI_DOC_NULL : CLI_DOC_NUMBER, cli_why_lag(p));
        if (why->share)
            continue; /* a partition has many readers: the members say what they have */
        cli_doc_add_text(cli, row, "client",
                         p->member >= 0 ? why->members[p->member].client : SLICE_NULL);
    }
}

static enum cli_exit gather(struct cli *cli, const char *name, struct cli_facts *out)
{
    struct slice group = slice_text(name);
    enum cli_exit result = cli_facts_gather(cli, group, SLICE_NULL, out);
    if (!result && out->why.state == CLI_WHY_MISSING)
        result = cli_facts_missing(cli, group);
    return result;
}

enum cli_exit cli_group_describe(struct cli *cli)
{
    struct cli_doc *docs = cli_doc_list(cli);
    for (size_t i = 0; i < cli->argument_count; i++) {
        struct cli_facts facts;
        enum cli_exit result = gather(cli, cli->arguments[i], &facts);
        if (result)
            return result;
        int64_t lag = 0;
        for (size_t p = 0; p < facts.why.partition_count; p++)
            lag += cli_why_lag(&facts.why.partitions[p]);
        struct cli_doc *record = cli_doc_row(cli, docs);
        cli_doc_add_text(cli, record, "group", facts.why.group);
        cli_doc_add_text(cli, record, "state", facts.state);
        cli_doc_add_text(cli, record, "type",
                         slice_text(facts.why.share    ? "share"
                                    : facts.why.modern ? "consumer"
                                                       : "classic"));
        cli_doc_add_text(cli, record, "assignor", facts.assignor);
        cli_doc_add(cli, record, "coordinator", CLI_DOC_NUMBER, facts.coordinator)->wide = true;
        cli_doc_add(cli, record, "lag", CLI_DOC_NUMBER, lag);
        add_members(cli, record, &facts.why);
        add_offsets(cli, record, &facts.why);
    }
    return cli_doc_print(cli, docs);
}

/* --- lag --- */

enum cli_exit cli_group_lag(struct cli *cli)
{
    struct cli_doc *list = cli_doc_list(cli);
    list->no_rows = "No offsets are committed.";
    for (size_t i = 0; i < cli->argument_count; i++) {
        struct cli_facts facts;
        enum cli_exit result = gather(cli, cli->arguments[i], &facts);
        if (result)
            return result;
        const struct cli_why_facts *why = &facts.why;
        for (size_t p = 0; p < why->partition_count;) {
            struct slice topic = why->partitions[p].topic;
            int64_t lag = 0, count = 0;
            for (; p < why->partition_count && slice_equal(why->partitions[p].topic, topic); p++) {
                count += why->partitions[p].partition >= 0;
                lag += cli_why_lag(&why->partitions[p]);
            }
            struct cli_doc *row = cli_doc_row(cli, list);
            cli_doc_add_text(cli, row, "group", why->group);
            cli_doc_add_text(cli, row, "topic", topic);
            cli_doc_add(cli, row, "partitions", CLI_DOC_NUMBER, count);
            cli_doc_add(cli, row, "lag", CLI_DOC_NUMBER, lag);
        }
    }
    return cli_doc_print(cli, list);
}

/* --- delete --- */

static enum cli_exit send_delete(struct cli *cli, struct slice group, int32_t node)
{
    struct kafka_delete_groups_request request = {.groups_names = &group, .groups_names_count = 1};
    struct kafka_delete_groups_response response;
    struct cli_cluster_call call = {
        .node = node, .key = KAFKA_API_DELETE_GROUPS, .request = &request, .response = &response};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (result)
        return result;
    const char *name = cli_string(cli, group);
    if (response.results_count != 1 || response.results[0].error_code)
        return cli_error_say(cli, name,
                             response.results_count == 1 ? response.results[0].error_code : -1,
                             SLICE_NULL);
    cli_note(cli, "Group %s is deleted.", name);
    return CLI_OK;
}

enum cli_exit cli_group_delete(struct cli *cli)
{
    enum cli_exit result = CLI_OK;
    for (size_t i = 0; !result && i < cli->argument_count; i++) {
        struct cli_facts facts;
        result = gather(cli, cli->arguments[i], &facts);
        if (result)
            return result;
        const char *what =
            cli_words(cli, "delete %sgroup %s and its %soffsets", facts.why.share ? "share " : "",
                      cli->arguments[i], facts.why.share ? "" : "committed ");
        if (cli_flags_has(&cli->flags, CLI_FLAG_DRY_RUN))
            cli_note(cli, "This would %s.", what);
        else if (!cli_confirm(cli, what))
            return CLI_USAGE;
        else
            result = send_delete(cli, facts.why.group, facts.coordinator);
    }
    return result;
}
