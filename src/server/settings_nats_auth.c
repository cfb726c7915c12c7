// Reads users, passwords, tokens and permissions.
// SPDX-License-Identifier: Apache-2.0
#include "server/settings_nats_auth.h"

#include "base/nearest.h"
#include "base/subject.h"
#include "server/conf_scalar.h"

#define RESPONSES_MAX       1      /* as nats-server */
#define RESPONSE_TTL_MS     120000 /* likewise */
#define AUTH_TIMEOUT_MAX_MS 3600000

struct auth {
    struct nats_config *config;
    struct diag *diag;
    struct slice user;
    struct slice password;
    const struct server_conf_value *users;
    const struct security_permissions *default_permissions;
};

static bool is_key(const struct server_conf_pair *pair, const char *name, const char *other)
{
    return server_conf_key_equal(pair->key, name) ||
           (other && server_conf_key_equal(pair->key, other));
}

/* A word that is near to one that is taken is told as a slip, any other as nats-server's own. */
static enum err unknown(struct auth *auth, const struct server_conf_pair *pair, const char *where)
{
    static const char *const taken[] = {"allow",         "allow_responses",
                                        "authorization", "default_permissions",
                                        "deny",          "expires",
                                        "max",           "password",
                                        "permissions",   "publish",
                                        "subscribe",     "timeout",
                                        "token",         "user",
                                        "users"};
    if (pair->is_used)
        return ERR_OK;
    struct nearest nearest;
    nearest_init(&nearest, pair->key);
    for (size_t i = 0; i < COUNT_OF(taken); i++)
        nearest_offer(&nearest, slice_text(taken[i]));
    if (nearest.best.data)
        return server_conf_complain(
            auth->diag, &pair->place, "unknown field '%s' in %s, did you mean '%s'?",
            (const char *)pair->key.data, where, (const char *)nearest.best.data);
    return server_conf_complain(auth->diag, &pair->place, "'%s' in %s is not implemented in Leat",
                                (const char *)pair->key.data, where);
}

static enum err copy_text(struct auth *auth, const struct server_conf_value *value,
                          struct slice *out)
{
    if (value->type == SERVER_CONF_MAP || value->type == SERVER_CONF_ARRAY)
        return server_conf_complain(auth->diag, &value->place, "a text is expected");
    *out = arena_copy(&auth->config->arena, value->text);
    return out->data ? ERR_OK : ERR_NO_MEMORY;
}

static enum err expect_map(struct auth *auth, const struct server_conf_value *value,
                           const char *what)
{
    if (value->type == SERVER_CONF_MAP)
        return ERR_OK;
    return server_conf_complain(auth->diag, &value->place, "%s is a map", what);
}

/* --- permissions ------------------------------------------------------------------------------ */

/* "subject" or "subject queue". */
static enum err read_rule(struct auth *auth, const struct server_conf_value *value,
                          bool allows_queue, struct security_rule *out)
{
    struct slice text;
    if (value->type == SERVER_CONF_MAP || value->type == SERVER_CONF_ARRAY)
        return server_conf_complain(auth->diag, &value->place, "a subject is expected");
    enum err err = copy_text(auth, value, &text);
    if (err)
        return err;
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    while (text.size > 0 && text.data[0] == ' ')
        text = slice_make(text.data + 1, text.size - 1);
    const uint8_t *space = memchr(text.data, ' ', text.size);
    *out = (struct security_rule){.subject = text};
    if (space && allows_queue) {
        out->subject.size = (size_t)(space - text.data);
        while (*space == ' ')
            space++;
        out->queue = slice_make(space, (size_t)(text.data + text.size - space));
    }
    if (subject_is_valid(out->subject) && (!out->queue.data || subject_is_valid(out->queue)))
        return ERR_OK;
    return server_conf_complain(auth->diag, &value->place, "'%s' is no valid subject",
                                (const char *)value->text.data);
}

static enum err read_rules(struct auth *auth, const struct server_conf_value *value,
                           bool allows_queue, struct security_rules *out)
{
    size_t count = 0;
    bool is_list = value->type == SERVER_CONF_ARRAY;
    for (const struct server_conf_item *item = value->items; is_list && item; item = item->next)
        count++;
    struct security_rule *rules = arena_alloc_array(
        &auth->config->arena, is_list ? MAX(count, (size_t)1) : 1, sizeof(*rules));
    if (!rules)
        return ERR_NO_MEMORY;
    *out = (struct security_rules){.items = rules, .is_set = true};
    if (!is_list) {
        out->count = 1;
        return read_rule(auth, value, allows_queue, rules);
    }
    for (const struct server_conf_item *item = value->items; item; item = item->next) {
        enum err err = read_rule(auth, &item->value, allows_queue, &rules[out->count++]);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err read_sides(struct auth *auth, const struct server_conf_value *value,
                           bool allows_queue, struct security_rules *allow,
                           struct security_rules *deny)
{
    if (value->type != SERVER_CONF_MAP)
        return read_rules(auth, value, allows_queue, allow);
    for (const struct server_conf_pair *pair = value->pairs; pair; pair = pair->next) {
        enum err err;
        if (is_key(pair, "allow", NULL))
            err = read_rules(auth, &pair->value, allows_queue, allow);
        else if (is_key(pair, "deny", NULL))
            err = read_rules(auth, &pair->value, allows_queue, deny);
        else
            err = unknown(auth, pair, "permissions");
        if (err)
            return err;
    }
    return ERR_OK;
}

/* A time; one below zero has no end, as in nats-server. */
static bool read_ttl(struct slice text, int64_t *out_ms)
{
    bool is_negative = text.size > 1 && text.data[0] == '-';
    if (is_negative)
        text = slice_make(text.data + 1, text.size - 1);
    if (server_conf_scalar_duration_ms(text, out_ms) != ERR_OK)
        return false;
    if (is_negative && *out_ms > 0)
        *out_ms = -1;
    return true;
}

static enum err read_responses(struct auth *auth, const struct server_conf_value *value,
                               struct security_permissions *out)
{
    out->responses_max = RESPONSES_MAX;
    out->response_ttl_ms = RESPONSE_TTL_MS;
    out->has_responses = value->type != SERVER_CONF_BOOL || value->boolean;
    if (value->type == SERVER_CONF_BOOL)
        return ERR_OK;
    if (value->type != SERVER_CONF_MAP)
        return server_conf_complain(auth->diag, &value->place,
                                    "allow_responses is true, false or a map");
    for (const struct server_conf_pair *pair = value->pairs; pair; pair = pair->next) {
        int64_t ttl_ms;
        enum err err = ERR_OK;
        if (is_key(pair, "max", "max_msgs") || is_key(pair, "max_messages", "max_responses")) {
            if (pair->value.type != SERVER_CONF_INTEGER)
                return server_conf_complain(auth->diag, &pair->value.place, "a number is expected");
            out->responses_max = pair->value.integer ? pair->value.integer : RESPONSES_MAX;
        } else if (is_key(pair, "expires", "expiration") || is_key(pair, "ttl", NULL)) {
            if (pair->value.type != SERVER_CONF_STRING || !read_ttl(pair->value.text, &ttl_ms))
                return server_conf_complain(auth->diag, &pair->value.place,
                                            "a time such as \"2m\" is expected");
            out->response_ttl_ms = ttl_ms ? ttl_ms : RESPONSE_TTL_MS;
        } else {
            err = unknown(auth, pair, "allow_responses");
        }
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err read_permissions(struct auth *auth, const struct server_conf_value *value,
                                 const struct security_permissions **out)
{
    struct security_permissions *read = arena_alloc_array(&auth->config->arena, 1, sizeof(*read));
    enum err err = read ? expect_map(auth, value, "permissions") : ERR_NO_MEMORY;
    if (err)
        return err;
    for (const struct server_conf_pair *pair = value->pairs; !err && pair; pair = pair->next) {
        if (is_key(pair, "pub", "publish"))
            err = read_sides(auth, &pair->value, false, &read->publish_allow, &read->publish_deny);
        else if (is_key(pair, "sub", "subscribe"))
            err =
                read_sides(auth, &pair->value, true, &read->subscribe_allow, &read->subscribe_deny);
        else if (is_key(pair, "allow_responses", "publish_allow_responses"))
            err = read_responses(auth, &pair->value, read);
        else
            err = unknown(auth, pair, "permissions");
    }
    /* Who may answer may, without a word on publishing, do nothing else. */
    read->publish_allow.is_set |= read->has_responses;
    *out = read;
    return err;
}

/* --- users ------------------------------------------------------------------------------------ */

static enum err read_user(struct auth *auth, const struct server_conf_value *value,
                          struct nats_user *out)
{
    enum err err = expect_map(auth, value, "a user");
    if (err)
        return err;
    out->permissions = auth->default_permissions;
    for (const struct server_conf_pair *pair = value->pairs; !err && pair; pair = pair->next) {
        if (is_key(pair, "user", "username"))
            err = copy_text(auth, &pair->value, &out->name);
        else if (is_key(pair, "pass", "password"))
            err = copy_text(auth, &pair->value, &out->password);
        else if (is_key(pair, "permission", "permissions") || is_key(pair, "authorization", NULL))
            err = read_permissions(auth, &pair->value, &out->permissions);
        else
            err = unknown(auth, pair, "a user");
    }
    if (err)
        return err;
    if (out->name.size == 0)
        return server_conf_complain(auth->diag, &value->place, "a user needs a name");
    if (nats_config_user(auth->config, out->name))
        return server_conf_complain(auth->diag, &value->place, "user '%s' is there twice",
                                    (const char *)out->name.data);
    return ERR_OK;
}

static enum err read_users(struct auth *auth)
{
    struct nats_config *config = auth->config;
    const struct server_conf_value *value = auth->users;
    size_t count = 0;
    if (value->type != SERVER_CONF_ARRAY)
        return server_conf_complain(auth->diag, &value->place, "users is an array");
    for (const struct server_conf_item *item = value->items; item; item = item->next)
        count++;
    config->users =
        arena_alloc_array(&config->arena, MAX(count, (size_t)1), sizeof(*config->users));
    if (!config->users)
        return ERR_NO_MEMORY;
    for (const struct server_conf_item *item = value->items; item; item = item->next) {
        enum err err = read_user(auth, &item->value, &config->users[config->user_count]);
        if (err)
            return err;
        config->user_count++;
    }
    return ERR_OK;
}

static enum err single_user(struct auth *auth)
{
    struct nats_config *config = auth->config;
    config->users = arena_alloc_array(&config->arena, 1, sizeof(*config->users));
    if (!config->users)
        return ERR_NO_MEMORY;
    config->users[0] = (struct nats_user){
        .name = auth->user,
        .password = auth->password,
        .permissions = auth->default_permissions,
    };
    config->user_count = 1;
    return ERR_OK;
}

static enum err read_timeout(struct auth *auth, const struct server_conf_value *value)
{
    int64_t timeout_ms = -1;
    if (value->type == SERVER_CONF_INTEGER && value->integer < AUTH_TIMEOUT_MAX_MS)
        timeout_ms = value->integer * 1000;
    else if (value->type == SERVER_CONF_FLOAT && value->number < AUTH_TIMEOUT_MAX_MS)
        timeout_ms = (int64_t)(value->number * 1000);
    else if (value->type == SERVER_CONF_STRING &&
             server_conf_scalar_duration_ms(value->text, &timeout_ms) != ERR_OK)
        timeout_ms = -1;
    if (timeout_ms < 1 || timeout_ms > AUTH_TIMEOUT_MAX_MS)
        return server_conf_complain(auth->diag, &value->place,
                                    "timeout is a number of seconds, an hour at most");
    auth->config->auth_timeout_ms = (unsigned)timeout_ms;
    return ERR_OK;
}

static enum err read_pair(struct auth *auth, const struct server_conf_pair *pair)
{
    if (is_key(pair, "user", "username"))
        return copy_text(auth, &pair->value, &auth->user);
    if (is_key(pair, "pass", "password"))
        return copy_text(auth, &pair->value, &auth->password);
    if (is_key(pair, "token", NULL))
        return copy_text(auth, &pair->value, &auth->config->token);
    if (is_key(pair, "timeout", NULL))
        return read_timeout(auth, &pair->value);
    if (is_key(pair, "default_permissions", "default_permission") ||
        is_key(pair, "permissions", NULL))
        return read_permissions(auth, &pair->value, &auth->default_permissions);
    if (!is_key(pair, "users", NULL))
        return unknown(auth, pair, "authorization");
    auth->users = &pair->value;
    return ERR_OK;
}

enum err server_settings_nats_auth(struct nats_config *config,
                                   const struct server_conf_value *value, struct diag *diag)
{
    struct auth auth = {.config = config, .diag = diag};
    enum err err = expect_map(&auth, value, "authorization");
    if (err)
        return err;
    for (const struct server_conf_pair *pair = value->pairs; !err && pair; pair = pair->next)
        err = read_pair(&auth, pair);
    if (err)
        return err;
    bool is_single = auth.user.data || auth.password.data;
    if ((is_single && (auth.users || config->token.data)) || (auth.users && config->token.data))
        return server_conf_complain(diag, &value->place,
                                    "one of user, users and token, not several");
    if (auth.users)
        return read_users(&auth);
    if (auth.password.data && auth.user.size == 0)
        return server_conf_complain(diag, &value->place, "a password needs a user");
    return is_single ? single_user(&auth) : ERR_OK;
}
