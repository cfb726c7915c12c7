// What a command found, as a tree that is printed as text, JSON, YAML or CSV.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cli.h"

enum cli_doc_kind {
    CLI_DOC_NULL,
    CLI_DOC_BOOL,
    CLI_DOC_NUMBER,
    CLI_DOC_BYTES,    /* a number; text: "1.5 MiB" */
    CLI_DOC_TIME,     /* ms since 1970; text: "2026-01-02T03:04:05.678Z" */
    CLI_DOC_DURATION, /* ms; text: "3 min 20 s" */
    CLI_DOC_TEXT,
    CLI_DOC_LIST,
    CLI_DOC_RECORD,
};

/* A node; its children are linked. Lists hold scalars or records, records named members. */
struct cli_doc {
    enum cli_doc_kind kind;
    bool wide;           /* text shows it in --format wide alone */
    bool hidden;         /* text does not show it at all */
    const char *name;    /* of a member; "size_bytes" is headed SIZE in text */
    const char *no_rows; /* of a list: what text says when it is empty; NULL: nothing */
    struct slice text;
    int64_t number;
    struct cli_doc *first;
    struct cli_doc *last;
    struct cli_doc *next;
};

/* All nodes lie in the arena of cli. */
struct cli_doc *cli_doc_record(struct cli *cli);
struct cli_doc *cli_doc_list(struct cli *cli);
/* A new record at the end of a list. */
struct cli_doc *cli_doc_row(struct cli *cli, struct cli_doc *list);
/* Members of a record, in their order; name is a literal. The member is given back, so that wide or
 * hidden can be set. */
struct cli_doc *cli_doc_add(struct cli *cli, struct cli_doc *record, const char *name,
                            enum cli_doc_kind kind, int64_t number);
struct cli_doc *cli_doc_add_text(struct cli *cli, struct cli_doc *record, const char *name,
                                 struct slice text);
struct cli_doc *cli_doc_add_list(struct cli *cli, struct cli_doc *record, const char *name);
/* Scalars at the end of a list. */
void cli_doc_push_text(struct cli *cli, struct cli_doc *list, struct slice text);
void cli_doc_push_number(struct cli *cli, struct cli_doc *list, int64_t number);

/* Prints it on stdout as --format says. */
enum cli_exit cli_doc_print(struct cli *cli, const struct cli_doc *doc);
/* Each adds the rendered document, which ends with a line end. */
void cli_doc_json(const struct cli_doc *doc, bool pretty, struct text *out);
void cli_doc_yaml(const struct cli_doc *doc, struct text *out);
void cli_doc_csv(const struct cli_doc *doc, struct text *out);
struct cli_doc_style {
    bool wide;
    bool colour;
    bool escape; /* control characters */
};
void cli_doc_text(const struct cli_doc *doc, const struct cli_doc_style *style, struct text *out);
