// Builds documents and prints them in the format that was asked for.
// SPDX-License-Identifier: Apache-2.0
#include "cli/doc.h"

static struct cli_doc *node(struct cli *cli, enum cli_doc_kind kind, const char *name)
{
    struct cli_doc *made = cli_alloc(cli, 1, sizeof(*made));
    made->kind = kind;
    made->name = name;
    return made;
}

static struct cli_doc *append(struct cli_doc *parent, struct cli_doc *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    return child;
}

struct cli_doc *cli_doc_record(struct cli *cli)
{
    return node(cli, CLI_DOC_RECORD, NULL);
}

struct cli_doc *cli_doc_list(struct cli *cli)
{
    return node(cli, CLI_DOC_LIST, NULL);
}

struct cli_doc *cli_doc_row(struct cli *cli, struct cli_doc *list)
{
    return append(list, node(cli, CLI_DOC_RECORD, NULL));
}

struct cli_doc *cli_doc_add(struct cli *cli, struct cli_doc *record, const char *name,
                            enum cli_doc_kind kind, int64_t number)
{
    struct cli_doc *member = append(record, node(cli, kind, name));
    member->number = number;
    return member;
}

struct cli_doc *cli_doc_add_text(struct cli *cli, struct cli_doc *record, const char *name,
                                 struct slice text)
{
    struct cli_doc *member = node(cli, text.data ? CLI_DOC_TEXT : CLI_DOC_NULL, name);
    member->text = text;
    return append(record, member);
}

struct cli_doc *cli_doc_add_list(struct cli *cli, struct cli_doc *record, const char *name)
{
    return append(record, node(cli, CLI_DOC_LIST, name));
}

void cli_doc_push_text(struct cli *cli, struct cli_doc *list, struct slice text)
{
    struct cli_doc *item = node(cli, text.data ? CLI_DOC_TEXT : CLI_DOC_NULL, NULL);
    item->text = text;
    append(list, item);
}

void cli_doc_push_number(struct cli *cli, struct cli_doc *list, int64_t number)
{
    struct cli_doc *item = node(cli, CLI_DOC_NUMBER, NULL);
    item->number = number;
    append(list, item);
}

static void render(struct cli *cli, const struct cli_doc *doc, struct text *out)
{
    struct cli_doc_style style = {.wide = cli->format == CLI_FORMAT_WIDE,
                                  .colour = cli->out_colour,
                                  .escape = cli->out_is_terminal};
    switch (cli->format) {
    case CLI_FORMAT_JSON:
        cli_doc_json(doc, true, out);
        break;
    case CLI_FORMAT_JSONL:
        if (doc->kind == CLI_DOC_LIST)
            for (const struct cli_doc *row = doc->first; row; row = row->next)
                cli_doc_json(row, false, out);
        else
            cli_doc_json(doc, false, out);
        break;
    case CLI_FORMAT_YAML:
        cli_doc_yaml(doc, out);
        break;
    case CLI_FORMAT_CSV:
        cli_doc_csv(doc, out);
        break;
    default:
        cli_doc_text(doc, &style, out);
    }
}

enum cli_exit cli_doc_print(struct cli *cli, const struct cli_doc *doc)
{
    struct text out;
    text_init(&out);
    render(cli, doc, &out);
    enum cli_exit result = CLI_OK;
    if (out.failed)
        result = cli_fail(cli, CLI_FAILED, NULL, "out of memory");
    else
        (void)cli_write(text_slice(&out));
    text_deinit(&out);
    return result;
}
