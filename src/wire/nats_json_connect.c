// CONNECT read from JSON, INFO written as JSON.
// SPDX-License-Identifier: Apache-2.0
#include <strings.h>

#include "wire/nats_json.h"

enum member_kind { MEMBER_BOOL, MEMBER_INT, MEMBER_STRING };

struct member {
    const char *name;
    enum member_kind kind;
    size_t offset;
};

#define MEMBER(name, kind)                                                                         \
    {                                                                                              \
#name, kind, offsetof(struct wire_nats_connect, name)                                      \
    }

static const struct member MEMBERS[] = {
    MEMBER(verbose, MEMBER_BOOL),
    MEMBER(pedantic, MEMBER_BOOL),
    MEMBER(echo, MEMBER_BOOL),
    MEMBER(tls_required, MEMBER_BOOL),
    MEMBER(headers, MEMBER_BOOL),
    MEMBER(no_responders, MEMBER_BOOL),
    MEMBER(new_account, MEMBER_BOOL),
    MEMBER(protocol, MEMBER_INT),
    MEMBER(nkey, MEMBER_STRING),
    MEMBER(jwt, MEMBER_STRING),
    MEMBER(sig, MEMBER_STRING),
    MEMBER(auth_token, MEMBER_STRING),
    MEMBER(user, MEMBER_STRING),
    MEMBER(pass, MEMBER_STRING),
    MEMBER(name, MEMBER_STRING),
    MEMBER(lang, MEMBER_STRING),
    MEMBER(version, MEMBER_STRING),
    MEMBER(account, MEMBER_STRING),
    MEMBER(remote_account, MEMBER_STRING),
    MEMBER(proxy_sig, MEMBER_STRING),
};

void wire_nats_json_connect_init(struct wire_nats_connect *connect)
{
    *connect = (struct wire_nats_connect){.verbose = true, .pedantic = true, .echo = true};
}

static const struct member *find_member(struct slice key)
{
    for (size_t i = 0; i < COUNT_OF(MEMBERS); i++)
        if (strlen(MEMBERS[i].name) == key.size &&
            strncasecmp(MEMBERS[i].name, (const char *)key.data, key.size) == 0)
            return &MEMBERS[i];
    return NULL;
}

static enum err set_member(const struct member *member, const struct wire_nats_json_token *token,
                           struct arena *arena, struct wire_nats_connect *connect)
{
    void *field = (char *)connect + member->offset;
    if (token->kind == WIRE_NATS_JSON_NULL)
        return ERR_OK;
    switch (member->kind) {
    case MEMBER_BOOL:
        if (token->kind != WIRE_NATS_JSON_TRUE && token->kind != WIRE_NATS_JSON_FALSE)
            return ERR_INVALID;
        *(bool *)field = token->kind == WIRE_NATS_JSON_TRUE;
        return ERR_OK;
    case MEMBER_INT:
        if (token->kind != WIRE_NATS_JSON_NUMBER || !text_parse_i64(token->raw, field))
            return ERR_INVALID;
        return ERR_OK;
    default:
        if (token->kind != WIRE_NATS_JSON_STRING)
            return ERR_INVALID;
        return wire_nats_json_unescape(token, arena, field);
    }
}

static enum err decode_member(struct wire_nats_json *json, const struct wire_nats_json_token *key,
                              struct arena *arena, struct wire_nats_connect *connect)
{
    struct wire_nats_json_token value;
    struct slice name;
    enum err err = wire_nats_json_unescape(key, arena, &name);
    if (!err)
        err = wire_nats_json_next(json, &value);
    if (err)
        return err;
    const struct member *member = find_member(name);
    return member ? set_member(member, &value, arena, connect) : wire_nats_json_skip(json, &value);
}

enum err wire_nats_json_connect_decode(struct slice input, struct arena *arena,
                                       struct wire_nats_connect *connect)
{
    struct wire_nats_json json;
    struct wire_nats_json_token token;
    wire_nats_json_init(&json, input);
    enum err err = wire_nats_json_next(&json, &token);
    if (err)
        return err;
    if (token.kind == WIRE_NATS_JSON_NULL)
        return wire_nats_json_next(&json, &token);
    if (token.kind != WIRE_NATS_JSON_OBJECT)
        return ERR_INVALID;
    for (;;) {
        err = wire_nats_json_next(&json, &token);
        if (!err && token.kind == WIRE_NATS_JSON_END)
            return wire_nats_json_next(&json, &token);
        if (!err)
            err = decode_member(&json, &token, arena, connect);
        if (err)
            return err;
    }
}

static void add_name(struct text *out, const char *name)
{
    if (out->size > 0 && out->data[out->size - 1] != '{')
        text_add_text(out, ",");
    text_add_format(out, "\"%s\":", name);
}

static void add_string(struct text *out, const char *name, struct slice value)
{
    add_name(out, name);
    text_add_json(out, value);
}

static void add_string_or_none(struct text *out, const char *name, struct slice value)
{
    if (value.size > 0)
        add_string(out, name, value);
}

static void add_number(struct text *out, const char *name, uint64_t value)
{
    add_name(out, name);
    text_add_format(out, "%llu", (unsigned long long)value);
}

static void add_number_or_none(struct text *out, const char *name, uint64_t value)
{
    if (value > 0)
        add_number(out, name, value);
}

static void add_true_or_none(struct text *out, const char *name, bool value)
{
    if (!value)
        return;
    add_name(out, name);
    text_add_text(out, "true");
}

static void add_urls(struct text *out, const struct wire_nats_info *info)
{
    if (info->connect_urls_count == 0)
        return;
    add_name(out, "connect_urls");
    for (size_t i = 0; i < info->connect_urls_count; i++) {
        text_add_text(out, i == 0 ? "[" : ",");
        text_add_json(out, info->connect_urls[i]);
    }
    text_add_text(out, "]");
}

void wire_nats_json_info_encode(const struct wire_nats_info *info, struct text *out)
{
    text_add_text(out, "INFO {");
    add_string(out, "server_id", info->server_id);
    add_string(out, "server_name", info->server_name);
    add_string(out, "version", info->version);
    add_number(out, "proto", (uint64_t)MAX(info->proto, 0));
    add_string_or_none(out, "git_commit", info->git_commit);
    add_string(out, "go", info->go);
    add_string(out, "host", info->host);
    add_number(out, "port", info->port);
    add_name(out, "headers");
    text_add_text(out, info->headers ? "true" : "false");
    add_true_or_none(out, "auth_required", info->auth_required);
    add_true_or_none(out, "tls_required", info->tls_required);
    add_true_or_none(out, "tls_verify", info->tls_verify);
    add_true_or_none(out, "tls_available", info->tls_available);
    add_number(out, "max_payload", info->max_payload);
    add_true_or_none(out, "jetstream", info->jetstream);
    add_string_or_none(out, "ip", info->ip);
    add_number_or_none(out, "client_id", info->client_id);
    add_string_or_none(out, "client_ip", info->client_ip);
    add_string_or_none(out, "nonce", info->nonce);
    add_string_or_none(out, "cluster", info->cluster);
    add_string_or_none(out, "domain", info->domain);
    add_urls(out, info);
    add_true_or_none(out, "ldm", info->ldm);
    add_true_or_none(out, "connect_info", info->connect_info);
    add_string_or_none(out, "remote_account", info->remote_account);
    add_true_or_none(out, "acc_is_sys", info->acc_is_sys);
    add_number_or_none(out, "api_lvl", info->api_lvl);
    add_string_or_none(out, "xkey", info->xkey);
    text_add_text(out, "} \r\n");
}
