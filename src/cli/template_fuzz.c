// Any text as a format, and any bytes as input that is read by it.
// SPDX-License-Identifier: Apache-2.0
#include "cli/template.h"

#define ARENA_SIZE_MAX ((size_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_by(const struct cli_template *format, struct arena *arena, struct slice bytes)
{
    struct cli_template_input input;
    struct diag diag;
    FILE *file = bytes.size > 0 ? fmemopen((void *)bytes.data, bytes.size, "rb") : NULL;
    if (!file)
        return;
    cli_template_input_init(&input, file);
    enum err err = ERR_OK;
    for (size_t count = 0; !err && count <= bytes.size; count++) {
        struct cli_record record = {.partition = -1, .timestamp_ms = -1};
        struct text out;
        err = cli_template_read(format, &input, arena, &record, &diag);
        text_init(&out);
        if (!err)
            cli_template_render_json(&record, &out);
        text_deinit(&out);
    }
    /* Every record takes something from the input: it ends. */
    CHECK(err);
    cli_template_input_deinit(&input);
    fclose(file);
}

/* The first line is the format, the rest is input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t format_size = end ? (size_t)(end - data) : size;
    struct slice rest = end ? slice_make(end + 1, size - format_size - 1) : SLICE_NULL;
    struct cli_template format;
    struct arena arena;
    struct diag diag;
    arena_init(&arena, ARENA_SIZE_MAX);
    bool kcat = size > 0 && data[size - 1] == 'k';
    if (!cli_template_parse(slice_make(data, format_size), kcat, &arena, &format, &diag)) {
        struct cli_record record = {.topic = SLICE_LITERAL("t"), .key = rest, .value = rest};
        struct text out;
        text_init(&out);
        cli_template_render(&format, &record, &out);
        text_deinit(&out);
        if (format.json || !cli_template_check_read(&format, &diag))
            read_by(&format, &arena, rest);
    }
    arena_deinit(&arena);
    return 0;
}
