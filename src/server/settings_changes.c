// Which settings of a file that is read again are in force only after a restart.
// SPDX-License-Identifier: Apache-2.0
#include "server/settings_changes.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_address(const struct server_address *a, const struct server_address *b)
{
    return a->socket_size == b->socket_size && memcmp(&a->socket, &b->socket, a->socket_size) == 0;
}

static void note(struct text *out, bool is_same, const char *name)
{
    if (!is_same)
        text_add_format(out, "%s%s", out->size > 0 ? ", " : "", name);
}

static bool same_listeners(const struct server_settings *a, const struct server_settings *b)
{
    if (a->kafka_listener_count != b->kafka_listener_count)
        return false;
    for (size_t i = 0; i < a->kafka_listener_count; i++)
        if (!same_address(&a->kafka_listeners[i], &b->kafka_listeners[i]))
            return false;
    return true;
}

#define SAME_BOOL(a, b)   ((a) == (b))
#define SAME_INT(a, b)    ((a) == (b))
#define SAME_LONG(a, b)   ((a) == (b))
#define SAME_DOUBLE(a, b) (!((a) < (b)) && !((a) > (b)))
#define SAME_TEXT(a, b)   same_text(a, b)
#define SAME_LIST(a, b)   same_text(a, b)
#define SAME_RESET(a, b)  ((a) == (b))

static void note_kafka(const struct server_settings *a, const struct server_settings *b,
                       struct text *out)
{
    note(out, same_listeners(a, b), "kafka.listen");
    note(out, a->kafka_anonymous == b->kafka_anonymous, "kafka.anonymous");
    note(out,
         same_text(a->kafka_advertised_host, b->kafka_advertised_host) &&
             a->kafka_advertised_port == b->kafka_advertised_port,
         "kafka.advertised.listeners");
#define SETTING(kind, field, name, value, min, max, dynamic, doc)                                  \
    note(out, SAME_##kind(a->broker.field, b->broker.field), "kafka." name);
#include "broker/settings.def"
#undef SETTING
}

void server_settings_changes(const struct server_settings *now, const struct server_settings *read,
                             struct text *out)
{
    note(out, same_text(now->data, read->data), "data");
    note(out, now->core_count == read->core_count, "cores");
    note(out, now->memory_bytes == read->memory_bytes, "memory");
    note(out, now->scrub_bytes_per_second == read->scrub_bytes_per_second, "scrub_rate");
    note(out,
         now->has_nats == read->has_nats &&
             (!now->has_nats || same_address(&now->nats_address, &read->nats_address)),
         "listen");
    note(out,
         now->has_http == read->has_http &&
             (!now->has_http || same_address(&now->http_address, &read->http_address)),
         "http");
    note(out, same_text(now->pid_file, read->pid_file), "pid_file");
    note(out, same_text(now->log_file, read->log_file), "log_file");
    note(out, same_text(now->ports_file_dir, read->ports_file_dir), "ports_file_dir");
    note(out, slice_equal(now->nats->view_prefix, read->nats->view_prefix), "leat_view");
    note_kafka(now, read, out);
}
