// Feeds arbitrary text to the configuration parser and checks the tree that comes out.
// SPDX-License-Identifier: Apache-2.0
#include "server/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct slice included;
    char variable[64];
};

static enum err read_included(void *arg, const char *path, struct arena *arena, struct slice *out,
                              struct diag *diag)
{
    const struct input *input = arg;
    diag_set(diag, "%s", path);
    *out = arena_copy(arena, input->included);
    return out->data ? ERR_OK : ERR_NOT_FOUND;
}

static const char *variable(void *arg, const char *name)
{
    struct input *input = arg;
    return name[0] == 'V' ? input->variable : NULL;
}

static void walk(const struct server_conf_value *value, unsigned depth)
{
    CHECK(value->place.file && value->place.line > 0 && value->place.column > 0);
    CHECK(server_conf_type_name(value->type));
    /* A variable may bring a whole tree of its own depth into another. */
    CHECK(depth <= SERVER_CONF_DEPTH_MAX * (SERVER_CONF_DEPTH_MAX + 1));
    if (value->type == SERVER_CONF_MAP) {
        for (const struct server_conf_pair *pair = value->pairs; pair; pair = pair->next)
            CHECK(pair->key.size > 0 && pair->key.data[pair->key.size] == 0);
    } else if (value->type == SERVER_CONF_ARRAY) {
        for (const struct server_conf_item *item = value->items; item; item = item->next)
            CHECK(item->value.place.file);
    } else {
        CHECK(value->text.data && value->text.data[value->text.size] == 0);
    }
    if (value->type == SERVER_CONF_MAP && value->pairs)
        walk(&value->pairs->value, depth + 1);
    if (value->type == SERVER_CONF_ARRAY && value->items)
        walk(&value->items->value, depth + 1);
}

/* What follows the first NUL byte is what every include reads; its head is the variable V. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const uint8_t *split = memchr(data, 0, size);
    size_t first = split ? (size_t)(split - data) : size;
    struct input input = {.included = slice_make(data + first, size - first)};
    if (split)
        input.included = slice_make(split + 1, size - first - 1);
    memcpy(input.variable, input.included.data,
           MIN(input.included.size, sizeof(input.variable) - 1));
    struct server_conf_source source = {.read = read_included, .env = variable, .arg = &input};
    struct arena arena;
    struct diag diag = {0};
    struct server_conf_value map;
    arena_init(&arena, 4 << 20);
    struct server_conf_text text = {.name = "f", .bytes = slice_make(data, first)};
    enum err err = server_conf_parse(&text, &source, &arena, &map, &diag);
    if (err == ERR_OK)
        walk(&map, 0);
    else
        CHECK(err != ERR_INVALID || diag.text[0] != 0);
    arena_deinit(&arena);
    return 0;
}
