// Feeds arbitrary files and command lines to the settings and checks what is accepted.
// SPDX-License-Identifier: Apache-2.0
#include "server/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err read_input(void *arg, const char *path, struct arena *arena, struct slice *out,
                           struct diag *diag)
{
    const struct slice *input = arg;
    diag_set(diag, "%s", path);
    *out = arena_copy(arena, *input);
    return out->data ? ERR_OK : ERR_NO_MEMORY;
}

static void check(const struct server_settings *settings)
{
    CHECK(settings->data && settings->data[0] != 0);
    CHECK(settings->memory_bytes >= SERVER_SETTINGS_MEMORY_MIN_BYTES);
    CHECK(settings->core_count <= SERVER_SETTINGS_CORES_MAX);
    CHECK(settings->kafka_listener_count <= SERVER_SETTINGS_LISTENERS_MAX);
    for (size_t i = 0; i < settings->kafka_listener_count; i++)
        CHECK(settings->kafka_listeners[i].socket_size > 0);
    CHECK(!settings->kafka_advertised_host || settings->kafka_advertised_port > 0);
    CHECK(settings->broker.num_partitions >= 1);
    CHECK(settings->broker.log_retention_ms >= -1);
}

/* The first line is the value of --listen, the rest is the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char listen[64] = "127.0.0.1:9092";
    const uint8_t *end = size > 0 ? memchr(data, '\n', MIN(size, sizeof(listen))) : NULL;
    struct slice input = slice_make(data ? data : (const uint8_t *)"", size);
    if (end) {
        memset(listen, 0, sizeof(listen));
        memcpy(listen, data, (size_t)(end - data));
        input = slice_make(end + 1, size - (size_t)(end - data) - 1);
    }
    const char *const arguments[] = {"leatd", "-c", "f", "--listen", listen};
    struct server_conf_source source = {.read = read_input, .arg = &input};
    struct server_settings_input words = {
        .argument_count = end ? 5 : 3,
        .arguments = arguments,
        .source = &source,
    };
    struct server_settings settings;
    struct diag diag = {0};
    if (server_settings_load(&settings, &words, &diag) == ERR_OK)
        check(&settings);
    else
        CHECK(diag.text[0] != 0);
    server_settings_deinit(&settings);
    return 0;
}
