// Reads the top-level keys of nats-server.conf.
// SPDX-License-Identifier: Apache-2.0
#include "server/settings_nats.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "broker/subject.h"
#include "server/conf_scalar.h"
#include "server/settings_nats_auth.h"

#define ADDRESS_TEXT_MAX 128

enum kind { KIND_SIZE, KIND_COUNT, KIND_FLAG, KIND_DURATION };

struct number {
    const char *key;
    enum kind kind;
    size_t offset; /* in struct nats_config */
    int64_t min;
    int64_t max;
};

static const struct number numbers[] = {
#define NATS_NUMBER(key, kind, field, min, max)                                                    \
    {key, KIND_##kind, offsetof(struct nats_config, field), min, max},
#include "server/nats_settings_known.def"
#undef NATS_NUMBER
};

enum err server_settings_nats_init(struct server_settings *settings, struct diag *diag)
{
    settings->nats = nats_config_new();
    if (!settings->nats)
        return ERR_NO_MEMORY;
    enum err err = server_settings_nats_listen(settings, SLICE_LITERAL("127.0.0.1:4222"), diag);
    settings->nats_is_default = true;
    return err;
}

enum err server_settings_nats_listen(struct server_settings *settings, struct slice text,
                                     struct diag *diag)
{
    settings->nats_is_default = false;
    settings->has_nats = !slice_equal_text(text, "none");
    if (!settings->has_nats)
        return ERR_OK;
    return server_address_parse(text, &settings->nats_address, diag);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static enum err read_number(const struct number *number, const struct server_conf_value *value,
                            int64_t *out, struct diag *diag)
{
    bool is_number = value->type == SERVER_CONF_INTEGER;
    if (number->kind == KIND_FLAG) {
        if (value->type != SERVER_CONF_BOOL)
            return server_conf_complain(diag, &value->place, "'%s' is true or false", number->key);
        *out = value->boolean;
        return ERR_OK;
    }
    if (number->kind == KIND_DURATION) {
        /* nats-server takes a bare number for seconds. */
        if (is_number && !__builtin_mul_overflow(value->integer, 1000, out))
            return ERR_OK;
        if (value->type == SERVER_CONF_STRING &&
            server_conf_scalar_duration_ms(value->text, out) == ERR_OK)
            return ERR_OK;
        return server_conf_complain(diag, &value->place, "'%s' is a time such as \"10s\"",
                                    number->key);
    }
    if (!is_number)
        return server_conf_complain(diag, &value->place, "'%s' is a number", number->key);
    *out = value->integer;
    return ERR_OK;
}

static enum err apply_number(struct server_settings *settings, const struct number *number,
                             const struct server_conf_value *value, struct diag *diag)
{
    int64_t read = 0;
    enum err err = read_number(number, value, &read, diag);
    if (err)
        return err;
    if (read < number->min || read > number->max)
        return server_conf_complain(diag, &value->place, "'%s' must lie between %lld and %lld",
                                    number->key, (long long)number->min, (long long)number->max);
    uint8_t *field = (uint8_t *)settings->nats + number->offset;
    if (number->kind == KIND_SIZE)
        *(size_t *)(void *)field = (size_t)read;
    else if (number->kind == KIND_FLAG)
        *(bool *)field = read != 0;
    else
        *(unsigned *)(void *)field = (unsigned)read;
    return ERR_OK;
}

/* --- addresses -------------------------------------------------------------------------------- */

static enum err text_of(const struct server_conf_value *value, const char *key, struct slice *out,
                        struct diag *diag)
{
    if (value->type == SERVER_CONF_MAP || value->type == SERVER_CONF_ARRAY)
        return server_conf_complain(diag, &value->place, "'%s' is one value", key);
    *out = value->text;
    return ERR_OK;
}

static enum err place_error(const struct server_conf_value *value, enum err err, struct diag *diag)
{
    struct diag why = *diag;
    return err ? server_conf_complain(diag, &value->place, "%s", why.text) : ERR_OK;
}

static void set_port(struct server_address *address, uint16_t port)
{
    if (address->socket.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->socket)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)&address->socket)->sin_port = htons(port);
}

static uint16_t get_port(const struct server_address *address)
{
    return ntohs(address->socket.ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)&address->socket)->sin6_port
                     : ((const struct sockaddr_in *)&address->socket)->sin_port);
}

/* -1 takes a free one, as in nats-server. */
static enum err read_port(const struct server_conf_value *value, uint16_t *out, struct diag *diag)
{
    if (value->type != SERVER_CONF_INTEGER || value->integer < -1 || value->integer > 65535)
        return server_conf_complain(diag, &value->place, "a port is a number from -1 to 65535");
    *out = value->integer < 0 ? 0 : (uint16_t)value->integer;
    return ERR_OK;
}

static enum err apply_host(struct server_settings *settings, struct slice host, struct diag *diag)
{
    char text[ADDRESS_TEXT_MAX];
    bool is_v6 = host.size > 0 && memchr(host.data, ':', host.size);
    int size = snprintf(text, sizeof(text), is_v6 ? "[%.*s]:%u" : "%.*s:%u", (int)host.size,
                        (const char *)host.data, get_port(&settings->nats_address));
    if (size < 0 || (size_t)size >= sizeof(text)) {
        diag_set(diag, "the host is too long");
        return ERR_INVALID;
    }
    return server_settings_nats_listen(settings, slice_text(text), diag);
}

/* "host:port" or a port alone: every interface. For the monitoring, a port alone is one of the
 * host of NATS clients, as in nats-server. */
static enum err read_address(const struct server_conf_value *value, struct server_address *out,
                             struct diag *diag)
{
    char text[ADDRESS_TEXT_MAX];
    struct slice words = value->text;
    if (value->type == SERVER_CONF_INTEGER) {
        uint16_t port = 0;
        enum err err = read_port(value, &port, diag);
        if (err)
            return err;
        snprintf(text, sizeof(text), ":%u", port);
        words = slice_text(text);
    } else if (value->type != SERVER_CONF_STRING) {
        return server_conf_complain(diag, &value->place, "an address such as 127.0.0.1:4222");
    } else if (words.size > 3 && words.size < sizeof(text) &&
               memcmp(words.data + words.size - 3, ":-1", 3) == 0) {
        snprintf(text, sizeof(text), "%.*s:0", (int)words.size - 3, (const char *)words.data);
        words = slice_text(text);
    }
    return place_error(value, server_address_parse(words, out, diag), diag);
}

static enum err apply_listen(struct server_settings *settings,
                             const struct server_conf_value *value, struct diag *diag)
{
    settings->nats_is_default = false;
    settings->has_nats =
        value->type != SERVER_CONF_STRING || !slice_equal_text(value->text, "none");
    return settings->has_nats ? read_address(value, &settings->nats_address, diag) : ERR_OK;
}

static enum err apply_http(struct server_settings *settings, const struct server_conf_value *value,
                           struct diag *diag)
{
    settings->has_http = true;
    settings->http_is_port =
        value->type == SERVER_CONF_INTEGER || (value->text.size > 0 && value->text.data[0] == ':');
    return read_address(value, &settings->http_address, diag);
}

/* --- all keys --------------------------------------------------------------------------------- */

static bool is_key(const struct server_conf_pair *pair, const char *name, const char *other)
{
    return server_conf_key_equal(pair->key, name) ||
           (other && server_conf_key_equal(pair->key, other));
}

static enum err apply_path(const struct server_conf_value *value, const char *key, const char **out,
                           struct diag *diag)
{
    struct slice text = SLICE_NULL;
    enum err err = text_of(value, key, &text, diag);
    if (!err && (text.size == 0 || memchr(text.data, 0, text.size)))
        err = server_conf_complain(diag, &value->place, "'%s' is a path", key);
    if (!err)
        *out = (const char *)text.data;
    return err;
}

static enum err apply_name(struct server_settings *settings, const struct server_conf_value *value,
                           struct diag *diag)
{
    struct slice text = SLICE_NULL;
    enum err err = text_of(value, "server_name", &text, diag);
    if (err)
        return err;
    if (text.size == 0 || memchr(text.data, ' ', text.size))
        return server_conf_complain(diag, &value->place, "'server_name' has no spaces");
    settings->nats->server_name = arena_copy(&settings->nats->arena, text);
    return settings->nats->server_name.data ? ERR_OK : ERR_NO_MEMORY;
}

/* The first token of topics as subjects; false: they are none. */
static enum err apply_view(struct server_settings *settings, const struct server_conf_value *value,
                           struct diag *diag)
{
    struct nats_config *config = settings->nats;
    if (value->type == SERVER_CONF_BOOL && !value->boolean) {
        config->view_prefix = SLICE_NULL;
        return ERR_OK;
    }
    if (value->type != SERVER_CONF_STRING || !broker_subject_prefix_is_legal(value->text))
        return server_conf_complain(diag, &value->place,
                                    "'leat_view' is one token of a subject, or false");
    config->view_prefix = arena_copy(&config->arena, value->text);
    return config->view_prefix.data ? ERR_OK : ERR_NO_MEMORY;
}

static enum err apply_place(struct server_settings *settings, const struct server_conf_pair *pair,
                            struct diag *diag)
{
    const struct server_conf_value *value = &pair->value;
    struct slice text = SLICE_NULL;
    uint16_t port = 0;
    if (is_key(pair, "listen", NULL))
        return apply_listen(settings, value, diag);
    if (is_key(pair, "http", NULL) || is_key(pair, "http_port", "monitor_port"))
        return apply_http(settings, value, diag);
    if (is_key(pair, "port", NULL)) {
        enum err err = read_port(value, &port, diag);
        settings->nats_is_default = false;
        set_port(&settings->nats_address, port);
        return err;
    }
    if (!is_key(pair, "host", "net"))
        return ERR_NOT_FOUND;
    enum err err = text_of(value, "host", &text, diag);
    return err ? err : place_error(value, apply_host(settings, text, diag), diag);
}

/* nats-server's ways of saying that there is to be no JetStream. */
static bool asks_for_no_jetstream(const struct server_conf_value *value)
{
    if (value->type == SERVER_CONF_STRING)
        return slice_equal_text(value->text, "disabled") ||
               slice_equal_text(value->text, "disable");
    for (const struct server_conf_pair *pair = value->pairs; value->type == SERVER_CONF_MAP && pair;
         pair = pair->next)
        if (is_key(pair, "enabled", "enable"))
            return pair->value.type == SERVER_CONF_BOOL && !pair->value.boolean;
    return false;
}

/* Keys of which Leat has one value only: the other one is refused. */
static enum err apply_fixed(struct server_settings *settings, const struct server_conf_pair *pair,
                            struct diag *diag)
{
    static const struct {
        const char *key;
        bool value;
    } fixed[] = {
        {"trace", false},
        {"trace_verbose", false},
        {"trace_headers", false},
        {"logtime", true},
        {"logtime_utc", true},
        {"jetstream", false},
        {"syslog", false},
        {"disable_sublist_cache", false},
        {"no_sublist_cache", false},
        {"allow_non_tls", false},
        {"proxy_protocol", false},
    };
    const struct server_conf_value *value = &pair->value;
    if (is_key(pair, "debug", NULL)) {
        if (value->type != SERVER_CONF_BOOL)
            return server_conf_complain(diag, &value->place, "'debug' is true or false");
        if (value->boolean)
            settings->log_level = LOG_DEBUG;
        return ERR_OK;
    }
    if (is_key(pair, "jetstream", NULL) && asks_for_no_jetstream(value))
        return ERR_OK;
    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        if (!server_conf_key_equal(pair->key, fixed[i].key))
            continue;
        if (value->type == SERVER_CONF_BOOL && value->boolean == fixed[i].value)
            return ERR_OK;
        return server_conf_complain(diag, &pair->place,
                                    "nats-server's setting '%s' is not implemented in Leat but "
                                    "for %s",
                                    fixed[i].key, fixed[i].value ? "true" : "false");
    }
    return ERR_NOT_FOUND;
}

enum err server_settings_nats_apply(struct server_settings *settings,
                                    const struct server_conf_pair *pair, struct diag *diag)
{
    const struct server_conf_value *value = &pair->value;
    enum err fixed = apply_fixed(settings, pair, diag);
    if (fixed != ERR_NOT_FOUND)
        return fixed;
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        if (server_conf_key_equal(pair->key, numbers[i].key))
            return apply_number(settings, &numbers[i], value, diag);
    if (is_key(pair, "server_name", NULL))
        return apply_name(settings, value, diag);
    if (is_key(pair, "leat_view", NULL))
        return apply_view(settings, value, diag);
    if (is_key(pair, "pid_file", "pidfile"))
        return apply_path(value, "pid_file", &settings->pid_file, diag);
    if (is_key(pair, "log_file", "logfile"))
        return apply_path(value, "log_file", &settings->log_file, diag);
    if (is_key(pair, "ports_file_dir", NULL))
        return apply_path(value, "ports_file_dir", &settings->ports_file_dir, diag);
    if (is_key(pair, "authorization", NULL))
        return server_settings_nats_auth(settings->nats, value, diag);
    if (is_key(pair, "no_auth_user", NULL)) {
        struct slice text;
        enum err err = text_of(value, "no_auth_user", &text, diag);
        if (!err)
            settings->nats->no_auth_name = arena_copy(&settings->nats->arena, text);
        return err;
    }
    return apply_place(settings, pair, diag);
}

enum err server_settings_nats_finish(struct server_settings *settings, struct diag *diag)
{
    struct nats_config *config = settings->nats;
    if (settings->http_is_port) {
        uint16_t port = get_port(&settings->http_address);
        settings->http_address = settings->nats_address;
        set_port(&settings->http_address, port);
    }
    if (config->payload_size_max > config->pending_size_max) {
        diag_set(diag, "max_payload cannot be higher than max_pending");
        return ERR_INVALID;
    }
    if (!config->no_auth_name.data)
        return ERR_OK;
    config->no_auth_user = nats_config_user(config, config->no_auth_name);
    if (config->no_auth_user)
        return ERR_OK;
    diag_set(diag, "no_auth_user: \"%s\" is none of the users",
             (const char *)config->no_auth_name.data);
    return ERR_INVALID;
}

enum err server_settings_nats_set(struct server_settings *settings, const char *key,
                                  struct slice text, struct diag *diag)
{
    static const char *const numeric[] = {"port", "http_port"};
    struct server_conf_pair pair = {
        .key = slice_text(key),
        .place = {.file = "command line"},
        .value = {.type = SERVER_CONF_STRING, .text = text, .place = {.file = "command line"}},
    };
    for (size_t i = 0; i < COUNT_OF(numeric); i++) {
        if (strcmp(key, numeric[i]) != 0)
            continue;
        if (server_conf_scalar_integer(text, &pair.value.integer) != ERR_OK) {
            diag_set(diag, "a port is a number from -1 to 65535");
            return ERR_INVALID;
        }
        pair.value.type = SERVER_CONF_INTEGER;
    }
    return server_settings_nats_apply(settings, &pair, diag);
}

enum err server_settings_nats_login(struct server_settings *settings, struct slice user,
                                    struct slice password, struct slice token, struct diag *diag)
{
    struct nats_config *config = settings->nats;
    if (user.data ? !password.data || token.data : !token.data) {
        diag_set(diag, "user and pass, or auth, but not both");
        return ERR_INVALID;
    }
    config->token = token.data ? arena_copy(&config->arena, token) : SLICE_NULL;
    config->user_count = 0;
    if (token.data)
        return config->token.data ? ERR_OK : ERR_NO_MEMORY;
    config->users = arena_alloc_array(&config->arena, 1, sizeof(*config->users));
    if (!config->users)
        return ERR_NO_MEMORY;
    config->users[0] = (struct nats_user){
        .name = arena_copy(&config->arena, user),
        .password = arena_copy(&config->arena, password),
    };
    config->user_count = 1;
    return ERR_OK;
}
