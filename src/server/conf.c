// Parses the configuration language: pairs, maps, arrays, variables and included files.
// SPDX-License-Identifier: Apache-2.0
#include "server/conf.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "server/conf_cursor.h"
#include "server/conf_scalar.h"

#define KEY_SHOWN 64

/* The map being read and those around it: where variables are looked for. */
struct scope {
    struct scope *outer;
    struct server_conf_pair *first;
    struct server_conf_pair *last;
};

/* Environment variables being read, to see cycles. */
struct variable {
    struct variable *outer;
    const char *name;
};

struct parser {
    const struct server_conf_source *source;
    struct arena *arena;
    struct diag *diag;
    struct server_conf_cursor *cursor;
    struct scope *scope;
    struct variable *variable;
    unsigned depth;
    unsigned variable_depth;
    unsigned include_depth;
    unsigned file_count;
};

static enum err parse_text(struct parser *parser, const char *name, struct slice bytes);
static enum err parse_file(struct parser *parser, const char *path);
static enum err parse_pairs(struct parser *parser, bool *out_closed);
static enum err parse_value(struct parser *parser, struct server_conf_value *out);

enum err server_conf_parse(const struct server_conf_text *text,
                           const struct server_conf_source *source, struct arena *arena,
                           struct server_conf_value *out, struct diag *diag)
{
    struct scope scope = {0};
    struct parser parser = {
        .source = source,
        .arena = arena,
        .diag = diag,
        .scope = &scope,
    };
    enum err err = parse_text(&parser, text->name, text->bytes);
    if (err)
        return err;
    *out = (struct server_conf_value){
        .type = SERVER_CONF_MAP,
        .place = {.file = text->name, .line = 1, .column = 1},
        .pairs = scope.first,
    };
    return ERR_OK;
}

enum err server_conf_parse_file(const char *path, const struct server_conf_source *source,
                                struct arena *arena, struct server_conf_value *out,
                                struct diag *diag)
{
    struct server_conf_text text = {.name = path};
    enum err err = source->read(source->arg, path, arena, &text.bytes, diag);
    return err ? err : server_conf_parse(&text, source, arena, out, diag);
}

bool server_conf_key_equal(struct slice key, const char *name)
{
    if (key.size != strlen(name))
        return false;
    for (size_t i = 0; i < key.size; i++)
        if (tolower(key.data[i]) != tolower((unsigned char)name[i]))
            return false;
    return true;
}

const struct server_conf_value *server_conf_get(const struct server_conf_value *map,
                                                const char *key)
{
    const struct server_conf_value *found = NULL;
    CHECK(map->type == SERVER_CONF_MAP);
    for (const struct server_conf_pair *pair = map->pairs; pair; pair = pair->next)
        if (server_conf_key_equal(pair->key, key))
            found = &pair->value;
    return found;
}

const char *server_conf_type_name(enum server_conf_type type)
{
    static const char *const names[] = {
        [SERVER_CONF_STRING] = "a string", [SERVER_CONF_INTEGER] = "an integer",
        [SERVER_CONF_FLOAT] = "a float",   [SERVER_CONF_BOOL] = "a boolean",
        [SERVER_CONF_TIME] = "a time",     [SERVER_CONF_ARRAY] = "an array",
        [SERVER_CONF_MAP] = "a map",
    };
    CHECK(type < COUNT_OF(names));
    return names[type];
}

enum err server_conf_complain(struct diag *diag, const struct server_conf_place *place,
                              const char *format, ...)
{
    char words[sizeof(diag->text)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    diag_set(diag, "%s:%u:%u: %s", place->file, place->line, place->column, words);
    return ERR_INVALID;
}

/* --- files ------------------------------------------------------------------------------------ */

static enum err complain_here(struct parser *parser, const char *words)
{
    struct server_conf_place place = server_conf_cursor_place(parser->cursor);
    int byte = server_conf_cursor_peek(parser->cursor);
    if (byte < 0)
        return server_conf_complain(parser->diag, &place, "%s, but the text ends", words);
    if (byte == '\n')
        return server_conf_complain(parser->diag, &place, "%s, but the line ends", words);
    if (isprint(byte))
        return server_conf_complain(parser->diag, &place, "%s, not '%c'", words, byte);
    return server_conf_complain(parser->diag, &place, "%s, not byte 0x%02x", words, byte);
}

/* A whole file into the current scope; braces around everything are fine, as in JSON. */
static enum err parse_text(struct parser *parser, const char *name, struct slice bytes)
{
    struct server_conf_cursor cursor;
    bool closed = false;
    server_conf_cursor_init(&cursor, name, bytes, parser->cursor);
    parser->cursor = &cursor;
    if (server_conf_cursor_sees(&cursor, "\xef\xbb\xbf"))
        server_conf_cursor_advance(&cursor, 3);
    server_conf_cursor_skip_blank(&cursor);
    bool opened = server_conf_cursor_peek(&cursor) == '{';
    if (opened)
        server_conf_cursor_advance(&cursor, 1);
    enum err err = parse_pairs(parser, &closed);
    server_conf_cursor_skip_blank(&cursor);
    if (!err && opened && !closed)
        err = complain_here(parser, "a '}' must close the first '{'");
    if (!err && server_conf_cursor_peek(&cursor) != -1)
        err = complain_here(parser, "nothing may follow the last '}'");
    parser->cursor = cursor.outer;
    return err;
}

/* path as seen from the folder of the including file, "./" removed. */
static struct slice resolve(struct arena *arena, const char *base, struct slice path)
{
    while (path.size > 2 && path.data[0] == '.' && path.data[1] == '/')
        path = slice_make(path.data + 2, path.size - 2);
    const char *slash = strrchr(base, '/');
    size_t folder = slash && path.data[0] != '/' ? (size_t)(slash - base) + 1 : 0;
    char *whole = arena_alloc(arena, folder + path.size + 1);
    if (!whole)
        return SLICE_NULL;
    memcpy(whole, base, folder);
    memcpy(whole + folder, path.data, path.size);
    whole[folder + path.size] = 0;
    return slice_make(whole, folder + path.size);
}

static enum err parse_include(struct parser *parser)
{
    struct server_conf_place place = server_conf_cursor_place(parser->cursor);
    struct slice path;
    enum err err =
        server_conf_cursor_string(parser->cursor, ";,}", parser->arena, &path, parser->diag);
    if (err)
        return err;
    if (path.size == 0 || memchr(path.data, 0, path.size))
        return server_conf_complain(parser->diag, &place, "include needs the path of a file");
    struct slice resolved = resolve(parser->arena, parser->cursor->file, path);
    const char *file = (const char *)resolved.data;
    if (!file)
        return ERR_NO_MEMORY;
    for (struct server_conf_cursor *open = parser->cursor; open; open = open->outer)
        if (strcmp(open->file, file) == 0)
            return server_conf_complain(parser->diag, &place, "'%s' includes itself", file);
    if (parser->include_depth >= SERVER_CONF_INCLUDE_DEPTH_MAX ||
        parser->file_count >= SERVER_CONF_FILES_MAX)
        return server_conf_complain(parser->diag, &place,
                                    "too many includes (%d deep, %d in all are allowed)",
                                    SERVER_CONF_INCLUDE_DEPTH_MAX, SERVER_CONF_FILES_MAX);
    parser->include_depth++;
    parser->file_count++;
    err = parse_file(parser, file);
    parser->include_depth--;
    if (err != ERR_INVALID && err != ERR_OK) {
        struct diag why = *parser->diag;
        server_conf_complain(parser->diag, &place, "cannot include: %s", why.text);
    }
    return err;
}

static enum err parse_file(struct parser *parser, const char *path)
{
    struct slice bytes;
    const struct server_conf_source *source = parser->source;
    enum err err = source->read(source->arg, path, parser->arena, &bytes, parser->diag);
    return err ? err : parse_text(parser, path, bytes);
}

/* --- pairs ------------------------------------------------------------------------------------ */

static enum err parse_key(struct parser *parser, struct slice *out)
{
    struct server_conf_place place = server_conf_cursor_place(parser->cursor);
    enum err err =
        server_conf_cursor_string(parser->cursor, "=:{}[],;", parser->arena, out, parser->diag);
    if (err)
        return err;
    if (memchr(out->data, 0, out->size))
        return server_conf_complain(parser->diag, &place, "a key cannot contain a NUL byte");
    return out->size > 0 ? ERR_OK : complain_here(parser, "a key is expected here");
}

/* Moves from behind a key to its value; the separator may be left out. */
static enum err skip_separator(struct parser *parser, const struct server_conf_pair *pair)
{
    struct server_conf_cursor *cursor = parser->cursor;
    server_conf_cursor_skip_spaces(cursor);
    int byte = server_conf_cursor_peek(cursor);
    if (byte == '=' || byte == ':') {
        server_conf_cursor_advance(cursor, 1);
        if (byte == ':' && server_conf_cursor_sees(cursor, "//"))
            return server_conf_complain(
                parser->diag, &pair->place,
                "'%.*s://' is no key (a ',' within a value needs quotes around it)",
                (int)MIN(pair->key.size, (size_t)KEY_SHOWN), (const char *)pair->key.data);
        server_conf_cursor_skip_lines(cursor);
    } else if (byte == '\n') {
        server_conf_cursor_skip_lines(cursor);
        byte = server_conf_cursor_peek(cursor);
        if (byte != '{' && byte != '[' && byte != '(')
            return server_conf_complain(
                parser->diag, &pair->place,
                "the key '%.*s' has no value on its line (a ',' within a value needs quotes "
                "around it)",
                (int)MIN(pair->key.size, (size_t)KEY_SHOWN), (const char *)pair->key.data);
    }
    return ERR_OK;
}

/* Behind a value: the end of the line, of the map or array, or a separator, which is skipped. */
static enum err skip_value_end(struct parser *parser, const char *separators, int closing)
{
    struct server_conf_cursor *cursor = parser->cursor;
    server_conf_cursor_skip_spaces(cursor);
    int byte = server_conf_cursor_peek(cursor);
    if (byte > 0 && strchr(separators, byte)) {
        server_conf_cursor_advance(cursor, 1);
        return ERR_OK;
    }
    if (byte == -1 || byte == '\n' || byte == closing || server_conf_cursor_sees(cursor, "#") ||
        server_conf_cursor_sees(cursor, "//"))
        return ERR_OK;
    return complain_here(parser, "a new line or a separator must follow the value");
}

static enum err parse_pair(struct parser *parser)
{
    struct server_conf_cursor *cursor = parser->cursor;
    struct server_conf_place place = server_conf_cursor_place(cursor);
    bool is_keyword =
        server_conf_cursor_sees(cursor, "include ") || server_conf_cursor_sees(cursor, "include\t");
    struct slice key;
    enum err err = parse_key(parser, &key);
    if (err)
        return err;
    if (is_keyword) {
        server_conf_cursor_skip_spaces(cursor);
        int byte = server_conf_cursor_peek(cursor);
        if (byte != '=' && byte != ':')
            return parse_include(parser);
    }
    struct server_conf_pair *pair = arena_alloc_array(parser->arena, 1, sizeof(*pair));
    if (!pair)
        return ERR_NO_MEMORY;
    pair->key = key;
    pair->place = place;
    err = skip_separator(parser, pair);
    if (!err)
        err = parse_value(parser, &pair->value);
    if (err)
        return err;
    struct scope *scope = parser->scope;
    if (scope->last)
        scope->last->next = pair;
    else
        scope->first = pair;
    scope->last = pair;
    return ERR_OK;
}

/* Pairs up to the end of the text or behind a '}'. */
static enum err parse_pairs(struct parser *parser, bool *out_closed)
{
    struct server_conf_cursor *cursor = parser->cursor;
    *out_closed = false;
    for (;;) {
        server_conf_cursor_skip_blank(cursor);
        int byte = server_conf_cursor_peek(cursor);
        if (byte == -1)
            return ERR_OK;
        if (byte == '}') {
            server_conf_cursor_advance(cursor, 1);
            *out_closed = true;
            return ERR_OK;
        }
        enum err err = parse_pair(parser);
        if (!err)
            err = skip_value_end(parser, ",;", '}');
        if (err)
            return err;
    }
}

/* --- values ----------------------------------------------------------------------------------- */

static enum err parse_map(struct parser *parser, struct server_conf_value *out)
{
    struct scope scope = {.outer = parser->scope};
    bool closed = false;
    server_conf_cursor_advance(parser->cursor, 1);
    parser->scope = &scope;
    enum err err = parse_pairs(parser, &closed);
    parser->scope = scope.outer;
    if (err)
        return err;
    if (!closed)
        return server_conf_complain(parser->diag, &out->place, "this map has no closing '}'");
    out->type = SERVER_CONF_MAP;
    out->pairs = scope.first;
    return ERR_OK;
}

static enum err parse_array(struct parser *parser, struct server_conf_value *out)
{
    struct server_conf_cursor *cursor = parser->cursor;
    struct server_conf_item **tail = &out->items;
    out->type = SERVER_CONF_ARRAY;
    out->items = NULL;
    server_conf_cursor_advance(cursor, 1);
    for (;;) {
        server_conf_cursor_skip_blank(cursor);
        int byte = server_conf_cursor_peek(cursor);
        if (byte == -1)
            return server_conf_complain(parser->diag, &out->place, "this array has no closing ']'");
        if (byte == ']') {
            server_conf_cursor_advance(cursor, 1);
            return ERR_OK;
        }
        struct server_conf_item *item = arena_alloc_array(parser->arena, 1, sizeof(*item));
        if (!item)
            return ERR_NO_MEMORY;
        enum err err = parse_value(parser, &item->value);
        if (!err)
            err = skip_value_end(parser, ",", ']');
        if (err)
            return err;
        *tail = item;
        tail = &item->next;
    }
}

/* A value from the environment is read as if it stood in the file. */
static enum err parse_variable_text(struct parser *parser, const char *name, const char *text,
                                    struct server_conf_value *out)
{
    struct server_conf_cursor cursor;
    struct server_conf_cursor *outer = parser->cursor;
    size_t size = strlen(name);
    char *file = arena_alloc(parser->arena, size + 2);
    if (!file)
        return ERR_NO_MEMORY;
    file[0] = '$';
    memcpy(file + 1, name, size + 1);
    server_conf_cursor_init(&cursor, file, slice_text(text), outer);
    parser->cursor = &cursor;
    server_conf_cursor_skip_spaces(&cursor);
    enum err err = ERR_OK;
    if (server_conf_cursor_peek(&cursor) != -1)
        err = parse_value(parser, out);
    server_conf_cursor_skip_lines(&cursor);
    if (!err && server_conf_cursor_peek(&cursor) != -1)
        err = complain_here(parser, "the value of a variable ends here (quote it?)");
    parser->cursor = outer;
    return err;
}

static enum err parse_variable_env(struct parser *parser, const char *name,
                                   struct server_conf_value *out)
{
    struct server_conf_place place = out->place;
    const struct server_conf_source *source = parser->source;
    const char *text = source->env ? source->env(source->arg, name) : NULL;
    if (!text)
        return server_conf_complain(parser->diag, &place,
                                    "variable '%s' is neither in the file nor in the environment",
                                    name);
    for (const struct variable *use = parser->variable; use; use = use->outer)
        if (strcmp(use->name, name) == 0)
            return server_conf_complain(parser->diag, &place, "variable '%s' refers to itself",
                                        name);
    if (parser->variable_depth >= SERVER_CONF_VARIABLE_DEPTH_MAX)
        return server_conf_complain(parser->diag, &place, "variables refer too deep (%d allowed)",
                                    SERVER_CONF_VARIABLE_DEPTH_MAX);
    struct variable use = {.outer = parser->variable, .name = name};
    parser->variable = &use;
    parser->variable_depth++;
    out->type = SERVER_CONF_STRING;
    out->text = SLICE_LITERAL("");
    enum err err = parse_variable_text(parser, name, text, out);
    parser->variable_depth--;
    parser->variable = use.outer;
    out->place = place;
    return err;
}

/* Inner maps first, then those around them, the newest pair of each, then the environment. */
static enum err parse_variable(struct parser *parser, struct slice word,
                               struct server_conf_value *out)
{
    struct slice name = slice_make(word.data + 1, word.size - 1);
    struct server_conf_place place = out->place;
    if (name.size == 0 || memchr(name.data, 0, name.size))
        return server_conf_complain(parser->diag, &place, "'$' needs the name of a variable");
    for (struct scope *scope = parser->scope; scope; scope = scope->outer) {
        struct server_conf_pair *found = NULL;
        for (struct server_conf_pair *pair = scope->first; pair; pair = pair->next)
            if (slice_equal(pair->key, name))
                found = pair;
        if (!found)
            continue;
        found->is_used = true;
        *out = found->value;
        out->place = place;
        return ERR_OK;
    }
    return parse_variable_env(parser, (const char *)name.data, out);
}

/* "$2a$" and its kin begin a bcrypt hash, not a variable. */
static bool is_bcrypt(struct slice word)
{
    return word.size > 4 && word.data[1] == '2' && islower(word.data[2]) && word.data[3] == '$';
}

static enum err parse_word(struct parser *parser, struct server_conf_value *out)
{
    int first = server_conf_cursor_peek(parser->cursor);
    bool is_quoted = first == '"' || first == '\'';
    struct slice word;
    if (first == '#' || server_conf_cursor_sees(parser->cursor, "//"))
        return complain_here(parser, "a value is expected here");
    enum err err =
        server_conf_cursor_string(parser->cursor, ";,]}", parser->arena, &word, parser->diag);
    if (err)
        return err;
    if (word.size == 0 && !is_quoted)
        return complain_here(parser, "a value is expected here");
    out->type = SERVER_CONF_STRING;
    out->text = word;
    if (is_quoted || (first == '$' && is_bcrypt(word)))
        return ERR_OK;
    if (first == '$')
        return parse_variable(parser, word, out);
    if (!server_conf_scalar_classify(word, out))
        return server_conf_complain(parser->diag, &out->place, "the number %s is out of range",
                                    (const char *)word.data);
    return ERR_OK;
}

static enum err parse_value(struct parser *parser, struct server_conf_value *out)
{
    out->place = server_conf_cursor_place(parser->cursor);
    int first = server_conf_cursor_peek(parser->cursor);
    if (first == '(') {
        out->type = SERVER_CONF_STRING;
        return server_conf_cursor_block(parser->cursor, parser->arena, &out->text, parser->diag);
    }
    if (first != '{' && first != '[')
        return parse_word(parser, out);
    if (parser->depth >= SERVER_CONF_DEPTH_MAX)
        return server_conf_complain(parser->diag, &out->place,
                                    "maps and arrays lie too deep (%d allowed)",
                                    SERVER_CONF_DEPTH_MAX);
    parser->depth++;
    enum err err = first == '{' ? parse_map(parser, out) : parse_array(parser, out);
    parser->depth--;
    return err;
}
