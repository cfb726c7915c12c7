// Documents as JSON, YAML and CSV.
// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>

#include "cli/doc.h"

static bool is_scalar(const struct cli_doc *doc)
{
    return doc->kind != CLI_DOC_LIST && doc->kind != CLI_DOC_RECORD;
}

static void add_indent(struct text *out, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        text_add_text(out, "  ");
}

static void add_scalar(const struct cli_doc *doc, struct text *out)
{
    if (doc->kind == CLI_DOC_NULL)
        text_add_text(out, "null");
    else if (doc->kind == CLI_DOC_BOOL)
        text_add_text(out, doc->number ? "true" : "false");
    else if (doc->kind == CLI_DOC_TEXT)
        text_add_json(out, doc->text);
    else
        text_add_format(out, "%" PRId64, doc->number);
}

static bool holds_scalars(const struct cli_doc *doc)
{
    for (const struct cli_doc *child = doc->first; child; child = child->next)
        if (!is_scalar(child))
            return false;
    return true;
}

/* Depth is that of what the program builds: a handful. */
static void add_json(const struct cli_doc *doc, bool pretty, size_t depth, struct text *out)
{
    if (is_scalar(doc)) {
        add_scalar(doc, out);
        return;
    }
    bool is_list = doc->kind == CLI_DOC_LIST;
    bool lines = pretty && doc->first && !(is_list && holds_scalars(doc));
    text_add_text(out, is_list ? "[" : "{");
    for (const struct cli_doc *child = doc->first; child; child = child->next) {
        if (lines) {
            text_add_text(out, "\n");
            add_indent(out, depth + 1);
        }
        if (!is_list) {
            text_add_json(out, slice_text(child->name));
            text_add_text(out, pretty ? ": " : ":");
        }
        add_json(child, pretty, depth + 1, out);
        if (child->next)
            text_add_text(out, pretty && !lines ? ", " : ",");
    }
    if (lines) {
        text_add_text(out, "\n");
        add_indent(out, depth);
    }
    text_add_text(out, is_list ? "]" : "}");
}

void cli_doc_json(const struct cli_doc *doc, bool pretty, struct text *out)
{
    add_json(doc, pretty, 0, out);
    text_add_text(out, "\n");
}

/* A text in JSON's quotes is a text in YAML, too. */
static void add_yaml(const struct cli_doc *doc, size_t depth, struct text *out)
{
    bool first = true;
    for (const struct cli_doc *child = doc->first; child; child = child->next) {
        if (doc->kind == CLI_DOC_LIST || !first || depth > 0)
            add_indent(out, first && doc->kind != CLI_DOC_LIST ? 0 : depth);
        first = false;
        if (doc->kind == CLI_DOC_LIST)
            text_add_text(out, "- ");
        else
            text_add_format(out, "%s:", child->name);
        const char *blank = doc->kind == CLI_DOC_LIST ? "" : " ";
        if (is_scalar(child)) {
            text_add_text(out, blank);
            add_scalar(child, out);
            text_add_text(out, "\n");
        } else if (!child->first) {
            text_add_text(out, blank);
            text_add_text(out, child->kind == CLI_DOC_LIST ? "[]\n" : "{}\n");
        } else if (doc->kind == CLI_DOC_LIST) {
            add_yaml(child, depth + 1, out);
        } else {
            text_add_text(out, "\n");
            if (child->kind != CLI_DOC_LIST)
                add_indent(out, depth + 1);
            add_yaml(child, depth + 1, out);
        }
    }
}

void cli_doc_yaml(const struct cli_doc *doc, struct text *out)
{
    if (is_scalar(doc) || !doc->first)
        cli_doc_json(doc, true, out);
    else
        add_yaml(doc, 0, out);
}

static void add_cell(struct slice text, struct text *out)
{
    bool quote = memchr(text.data, ',', text.size) || memchr(text.data, '"', text.size) ||
                 memchr(text.data, '\n', text.size) || memchr(text.data, '\r', text.size);
    if (!quote) {
        text_add(out, text);
        return;
    }
    text_add_text(out, "\"");
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            text_add_text(out, "\"");
        text_add(out, slice_make(text.data + i, 1));
    }
    text_add_text(out, "\"");
}

static void add_csv_value(const struct cli_doc *doc, struct text *out)
{
    if (doc->kind == CLI_DOC_NULL)
        return;
    if (doc->kind == CLI_DOC_TEXT) {
        if (doc->text.size > 0)
            add_cell(doc->text, out);
        return;
    }
    struct text inner;
    text_init(&inner);
    add_json(doc, false, 0, &inner);
    if (!inner.failed)
        add_cell(text_slice(&inner), out);
    out->failed |= inner.failed;
    text_deinit(&inner);
}

static void add_csv_line(const struct cli_doc *record, bool names, struct text *out)
{
    for (const struct cli_doc *member = record->first; member; member = member->next) {
        if (names)
            add_cell(slice_text(member->name), out);
        else
            add_csv_value(member, out);
        text_add_text(out, member->next ? "," : "\n");
    }
}

void cli_doc_csv(const struct cli_doc *doc, struct text *out)
{
    const struct cli_doc *first = doc->kind == CLI_DOC_LIST ? doc->first : doc;
    if (!first)
        return;
    if (first->kind != CLI_DOC_RECORD) {
        for (const struct cli_doc *row = first; row; row = row->next) {
            add_csv_value(row, out);
            text_add_text(out, "\n");
        }
        return;
    }
    add_csv_line(first, true, out);
    for (const struct cli_doc *row = first; row; row = row->next)
        add_csv_line(row, false, out);
}
