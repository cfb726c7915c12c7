// The configuration language: nats-server.conf's, read into a tree of values with their places.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

enum server_conf_limit {
    SERVER_CONF_FILE_SIZE_MAX = 16 << 20,
    SERVER_CONF_TREE_SIZE_MAX = 64 << 20,
    SERVER_CONF_DEPTH_MAX = 64,         /* maps and arrays inside each other */
    SERVER_CONF_INCLUDE_DEPTH_MAX = 16, /* files inside each other */
    SERVER_CONF_FILES_MAX = 1000,
    SERVER_CONF_VARIABLE_DEPTH_MAX = 16, /* environment values that name others */
};

enum server_conf_type {
    SERVER_CONF_STRING,
    SERVER_CONF_INTEGER,
    SERVER_CONF_FLOAT,
    SERVER_CONF_BOOL,
    SERVER_CONF_TIME,
    SERVER_CONF_ARRAY,
    SERVER_CONF_MAP,
};

/* Lines and columns count from 1, columns in bytes. */
struct server_conf_place {
    const char *file;
    uint32_t line;
    uint32_t column;
};

struct server_conf_pair;
struct server_conf_item;

struct server_conf_value {
    enum server_conf_type type;
    struct server_conf_place place;
    struct slice text; /* scalars: as written, escapes resolved, without quotes; ends with NUL */
    union {
        int64_t integer; /* units applied */
        double number;
        bool boolean;
        int64_t time_ms;                /* since 1970 */
        struct server_conf_pair *pairs; /* of a map, as written */
        struct server_conf_item *items; /* of an array */
    };
};

struct server_conf_pair {
    struct server_conf_pair *next;
    struct slice key; /* as written; ends with NUL */
    struct server_conf_place place;
    struct server_conf_value value;
    bool is_used; /* as a variable */
};

struct server_conf_item {
    struct server_conf_item *next;
    struct server_conf_value value;
};

/* Where files and environment variables come from. */
struct server_conf_source {
    /* The whole file in arena memory; words about a failure go to diag. At most
     * SERVER_CONF_FILE_SIZE_MAX. */
    enum err (*read)(void *arg, const char *path, struct arena *arena, struct slice *out,
                     struct diag *diag);
    /* The value of a variable or NULL. */
    const char *(*env)(void *arg, const char *name);
    void *arg;
};

/* Reads path and what it includes. The tree lives in arena as long as that does, *out is a map.
 * ERR_INVALID for what breaks the language, with "file:line:column: words" in diag; the source's
 * error for an unreadable file; ERR_NO_MEMORY. */
NODISCARD enum err server_conf_parse_file(const char *path, const struct server_conf_source *source,
                                          struct arena *arena, struct server_conf_value *out,
                                          struct diag *diag);
/* The same for bytes at hand. */
struct server_conf_text {
    const char *name; /* stands for the file in messages; includes are relative to it */
    struct slice bytes;
};
NODISCARD enum err server_conf_parse(const struct server_conf_text *text,
                                     const struct server_conf_source *source, struct arena *arena,
                                     struct server_conf_value *out, struct diag *diag);

/* The last value written under key, without regard to case; NULL when there is none. */
const struct server_conf_value *server_conf_get(const struct server_conf_value *map,
                                                const char *key);
/* "a string", "an integer" ... for messages. */
const char *server_conf_type_name(enum server_conf_type type);
/* Fills diag with "file:line:column: " and the words; returns ERR_INVALID. */
enum err server_conf_complain(struct diag *diag, const struct server_conf_place *place,
                              const char *format, ...) PRINTF_LIKE(3, 4);
/* Same bytes, ASCII case aside. */
bool server_conf_key_equal(struct slice key, const char *name);
