// The header block of a NATS message: status line, fields, end.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/err.h"
#include "base/slice.h"
#include "wire/writer.h"

/* "NATS/1.0[ <status>[ <description>]]\r\n" then "Name: value\r\n"... then "\r\n". */
struct wire_nats_headers {
    struct slice block;       /* the whole of it */
    struct slice rest;        /* what _next has not seen yet */
    int status;               /* three digits; 0: none */
    struct slice description; /* null: none */
};

/* value is without the blanks around it. line is the whole field with its line end. */
struct wire_nats_header {
    struct slice name;
    struct slice value;
    struct slice line;
};

/* Checks the first line and readies *out for _next. ERR_INVALID when it is none of a header block.
 * The fields are looked at by _next alone. */
NODISCARD enum err wire_nats_headers_start(struct slice block, struct wire_nats_headers *out);
/* The next field in order; false at the end, and at a line that is no field. */
bool wire_nats_headers_next(struct wire_nats_headers *headers, struct wire_nats_header *out);
/* ERR_INVALID unless every line is a field with an RFC 7230 name and a value without control bytes
 * (tab is allowed), and the empty line ends the block exactly. nats-server does not check that. */
NODISCARD enum err wire_nats_headers_check(struct slice block);
/* Value of the first field of that name, compared byte by byte as nats-server does; false: none. */
bool wire_nats_headers_find(struct slice block, const char *name, struct slice *out_value);
/* Copies the block without the fields whose name is name (or begins with it, if is_prefix) to out,
 * which has block.size bytes and may be block.data. The new size; 0 when neither a field nor a
 * status is left, as nats-server then drops the block. */
size_t wire_nats_headers_strip(struct slice block, struct slice name, bool is_prefix, uint8_t *out);

/* Building: begin, any number of adds, end. Errors stick in the writer. status 0: none;
 * description null: none. An add whose name or value
 * _check would refuse sets ERR_INVALID. */
void wire_nats_headers_begin(struct wire_writer *writer, int status, struct slice description);
void wire_nats_headers_add(struct wire_writer *writer, struct slice name, struct slice value);
void wire_nats_headers_end(struct wire_writer *writer);
