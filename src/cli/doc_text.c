// Documents for people: aligned columns, no boxes.
// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdlib.h>

#include "cli/doc.h"
#include "cli/escape.h"
#include "cli/stamp.h"

#define COLUMN_COUNT_MAX 32

static bool is_shown(const struct cli_doc *doc, const struct cli_doc_style *style)
{
    return !doc->hidden && (style->wide || !doc->wide);
}

static bool is_number(const struct cli_doc *doc)
{
    return doc->kind == CLI_DOC_NUMBER || doc->kind == CLI_DOC_BYTES ||
           doc->kind == CLI_DOC_DURATION;
}

static void add_words(struct slice words, const struct cli_doc_style *style, struct text *out)
{
    if (style->escape)
        cli_escape_add(out, words, CLI_ESCAPE_WORD);
    else
        text_add(out, words);
}

static void add_value(const struct cli_doc *doc, const struct cli_doc_style *style,
                      struct text *out)
{
    switch (doc->kind) {
    case CLI_DOC_NULL:
        text_add_text(out, "-");
        break;
    case CLI_DOC_BOOL:
        text_add_text(out, doc->number ? "yes" : "no");
        break;
    case CLI_DOC_NUMBER:
        text_add_format(out, "%" PRId64, doc->number);
        break;
    case CLI_DOC_BYTES:
        cli_stamp_add_size(out, doc->number);
        break;
    case CLI_DOC_TIME:
        cli_stamp_add_time(out, doc->number);
        break;
    case CLI_DOC_DURATION:
        cli_stamp_add_duration(out, doc->number);
        break;
    case CLI_DOC_TEXT:
        if (doc->text.size == 0)
            text_add_text(out, "-");
        add_words(doc->text, style, out);
        break;
    case CLI_DOC_LIST:
    case CLI_DOC_RECORD:
        if (!doc->first)
            text_add_text(out, "-");
        for (const struct cli_doc *child = doc->first; child; child = child->next) {
            add_value(child, style, out);
            if (child->next)
                text_add_text(out, ",");
        }
    }
}

/* Units at the end of a name are said by the value. */
static size_t title_size(const struct cli_doc *doc)
{
    static const char *const units[] = {"_bytes", "_ms"};
    size_t size = strlen(doc->name);
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        size_t unit_size = strlen(units[i]);
        if (size > unit_size && strcmp(doc->name + size - unit_size, units[i]) == 0)
            return size - unit_size;
    }
    return size;
}

/* "log_start" gives "log start" or "LOG-START". */
static void add_title(const struct cli_doc *doc, bool upper, struct text *out)
{
    size_t size = title_size(doc);
    for (size_t i = 0; i < size; i++) {
        char c = doc->name[i];
        if (c == '_')
            c = upper ? '-' : ' ';
        else if (upper && c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        text_add(out, slice_make(&c, 1));
    }
}

static void add_padding(struct text *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        text_add_text(out, " ");
}

struct table {
    const struct cli_doc_style *style;
    struct text *out;
    size_t widths[COLUMN_COUNT_MAX];
    bool numeric[COLUMN_COUNT_MAX];
    size_t column_count;
};

/* One cell, in a text of its own to know its width. */
static void measure(struct table *table, const struct cli_doc *row, bool titles)
{
    size_t column = 0;
    for (const struct cli_doc *cell = row->first; cell; cell = cell->next) {
        if (!is_shown(cell, table->style))
            continue;
        CHECK(column < COLUMN_COUNT_MAX);
        struct text text;
        text_init(&text);
        if (titles)
            add_title(cell, true, &text);
        else
            add_value(cell, table->style, &text);
        table->out->failed |= text.failed;
        table->widths[column] = MAX(table->widths[column], cli_escape_width(text_slice(&text)));
        text_deinit(&text);
        if (titles)
            table->numeric[column] = true;
        else if (!is_number(cell) && cell->kind != CLI_DOC_NULL)
            table->numeric[column] = false;
        column++;
    }
    table->column_count = column;
}

static void add_row(struct table *table, const struct cli_doc *row, bool titles)
{
    size_t column = 0;
    for (const struct cli_doc *cell = row->first; cell; cell = cell->next) {
        if (!is_shown(cell, table->style))
            continue;
        struct text text;
        text_init(&text);
        if (titles)
            add_title(cell, true, &text);
        else
            add_value(cell, table->style, &text);
        size_t width = cli_escape_width(text_slice(&text));
        size_t room = table->widths[column] - MIN(width, table->widths[column]);
        if (column > 0)
            add_padding(table->out, 2);
        if (table->numeric[column])
            add_padding(table->out, room);
        text_add(table->out, text_slice(&text));
        if (!table->numeric[column] && column + 1 < table->column_count)
            add_padding(table->out, room);
        table->out->failed |= text.failed;
        text_deinit(&text);
        column++;
    }
    text_add_text(table->out, "\n");
}

static void add_table(const struct cli_doc *list, const struct cli_doc_style *style,
                      struct text *out)
{
    struct table table = {.style = style, .out = out};
    if (!list->first) {
        if (list->no_rows)
            text_add_format(out, "%s\n", list->no_rows);
        return;
    }
    if (list->first->kind != CLI_DOC_RECORD) {
        for (const struct cli_doc *item = list->first; item; item = item->next) {
            add_value(item, style, out);
            text_add_text(out, "\n");
        }
        return;
    }
    measure(&table, list->first, true);
    for (const struct cli_doc *row = list->first; row; row = row->next)
        measure(&table, row, false);
    if (style->colour)
        text_add_text(out, "\033[1m");
    add_row(&table, list->first, true);
    if (style->colour)
        text_add_text(out, "\033[0m");
    for (const struct cli_doc *row = list->first; row; row = row->next)
        add_row(&table, row, false);
}

static bool is_section(const struct cli_doc *doc)
{
    return doc->kind == CLI_DOC_LIST && (doc->no_rows || (doc->first && doc->first->first));
}

/* Members first, one a line; then a section for each list of records. */
static void add_record(const struct cli_doc *record, const struct cli_doc_style *style,
                       struct text *out)
{
    size_t width = 0;
    for (const struct cli_doc *member = record->first; member; member = member->next)
        if (is_shown(member, style) && !is_section(member))
            width = MAX(width, title_size(member));
    bool first = true;
    for (const struct cli_doc *member = record->first; member; member = member->next) {
        if (!is_shown(member, style) || is_section(member))
            continue;
        size_t start = out->size;
        add_title(member, false, out);
        add_padding(out, width - MIN(width, out->size - start) + 2);
        add_value(member, style, out);
        text_add_text(out, "\n");
        first = false;
    }
    for (const struct cli_doc *member = record->first; member; member = member->next) {
        if (!is_shown(member, style) || !is_section(member))
            continue;
        if (!first)
            text_add_text(out, "\n");
        if (!member->first) {
            add_table(member, style, out);
        } else {
            text_add_text(out, style->colour ? "\033[1m" : "");
            add_title(member, false, out);
            text_add_text(out, style->colour ? "\033[0m\n" : "\n");
            add_table(member, style, out);
        }
        first = false;
    }
}

void cli_doc_text(const struct cli_doc *doc, const struct cli_doc_style *style, struct text *out)
{
    if (doc->kind == CLI_DOC_RECORD) {
        add_record(doc, style, out);
        return;
    }
    bool records = false;
    for (const struct cli_doc *row = doc->first; row && !records; row = row->next)
        for (const struct cli_doc *cell = row->first; cell; cell = cell->next)
            records |= is_section(cell) && is_shown(cell, style);
    if (doc->kind != CLI_DOC_LIST || !records) {
        add_table(doc, style, out);
        return;
    }
    for (const struct cli_doc *row = doc->first; row; row = row->next) {
        add_record(row, style, out);
        if (row->next)
            text_add_text(out, "\n");
    }
}
