// leat group why: gathers, watches for a moment, and says the one reason.
// SPDX-License-Identifier: Apache-2.0
#include "cli/doc.h"
#include "cli/facts.h"
#include "cli/group.h"
#include "cli/stamp.h"

#define WATCH_STEP_MS 250
#define WATCH_MAX_MS  600000

static bool is_worth_watching(const struct cli_why_answer *answer)
{
    return answer->reason == CLI_WHY_NOT_COMMITTING || answer->reason == CLI_WHY_NEVER_COMMITTED ||
           answer->reason == CLI_WHY_NOT_ASSIGNED || answer->reason == CLI_WHY_OPEN_TRANSACTION ||
           answer->reason == CLI_WHY_BELOW_START || answer->reason == CLI_WHY_NOT_ACKNOWLEDGED ||
           (answer->reason == CLI_WHY_NOTHING_READ && answer->partition);
}

/* Looks again and again until offsets move or the time is over. */
static enum cli_exit watch(struct cli *cli, int64_t watch_ms, struct cli_facts *facts,
                           struct cli_why_answer *answer)
{
    enum cli_exit result = CLI_OK;
    while (!result && facts->why.watched_ms < watch_ms && is_worth_watching(answer)) {
        int64_t step_ms = MIN(WATCH_STEP_MS, watch_ms - facts->why.watched_ms);
        cli_pause(step_ms);
        facts->why.watched_ms += step_ms;
        result = cli_facts_look_again(cli, facts);
        if (!result && cli_why_decide(&facts->why, &cli->arena, answer))
            result = cli_fail(cli, CLI_FAILED, NULL, "out of memory");
    }
    return result;
}

static enum cli_exit print(struct cli *cli, const struct cli_facts *facts,
                           const struct cli_why_answer *answer)
{
    if (cli->format == CLI_FORMAT_TEXT || cli->format == CLI_FORMAT_WIDE) {
        struct cli_doc *lines = cli_doc_list(cli);
        cli_doc_push_text(cli, lines, slice_text(answer->what));
        if (answer->fix)
            cli_doc_push_text(cli, lines, slice_text(cli_words(cli, "Next: %s", answer->fix)));
        return cli_doc_print(cli, lines);
    }
    struct cli_doc *doc = cli_doc_record(cli);
    const struct cli_why_partition *p = answer->partition;
    cli_doc_add_text(cli, doc, "group", facts->why.group);
    cli_doc_add_text(cli, doc, "reason", slice_text(cli_why_name(answer->reason)));
    cli_doc_add(cli, doc, "stuck", CLI_DOC_BOOL, answer->stuck);
    cli_doc_add(cli, doc, "lag", CLI_DOC_NUMBER, answer->lag);
    cli_doc_add_text(cli, doc, "state", facts->state);
    cli_doc_add_text(cli, doc, "topic", p ? p->topic : SLICE_NULL);
    cli_doc_add(cli, doc, "partition", p && p->partition >= 0 ? CLI_DOC_NUMBER : CLI_DOC_NULL,
                p ? p->partition : 0);
    cli_doc_add_text(cli, doc, "member", answer->member ? answer->member->id : SLICE_NULL);
    cli_doc_add_text(cli, doc, "what", slice_text(answer->what));
    cli_doc_add_text(cli, doc, "fix", slice_text(answer->fix));
    return cli_doc_print(cli, doc);
}

enum cli_exit cli_group_why(struct cli *cli)
{
    struct slice group = slice_text(cli->arguments[0]);
    struct slice topic = cli->argument_count > 1 ? slice_text(cli->arguments[1]) : SLICE_NULL;
    const char *watch_text = cli_flags_text(&cli->flags, CLI_FLAG_WATCH, "3s");
    int64_t watch_ms;
    if (!cli_stamp_parse_duration(slice_text(watch_text), &watch_ms) || watch_ms > WATCH_MAX_MS)
        return cli_fail(cli, CLI_USAGE, "write it as 500ms, 3s or 1m; at most 10m",
                        "'%s' is no time to watch", watch_text);
    struct cli_facts facts;
    struct cli_why_answer answer;
    enum cli_exit result = cli_facts_gather(cli, group, topic, &facts);
    if (!result && facts.why.state == CLI_WHY_MISSING)
        return cli_facts_missing(cli, group);
    if (result)
        return result;
    cli_facts_find_open(cli, &facts);
    cli_facts_find_records(cli, &facts);
    if (cli_why_decide(&facts.why, &cli->arena, &answer))
        return cli_fail(cli, CLI_FAILED, NULL, "out of memory");
    result = watch(cli, watch_ms, &facts, &answer);
    if (!result)
        result = print(cli, &facts, &answer);
    return result ? result : answer.stuck ? CLI_FAILED : CLI_OK;
}
