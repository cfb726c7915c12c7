// Tests of CONNECT: what a client says of itself decides whether it comes in, and as whom.
// SPDX-License-Identifier: Apache-2.0
#include "nats/nats_fixture.h"

/* bcrypt's hash of "secret", of the lowest cost. */
#define HASH "$2a$04$CCCCCCCCCCCCCCCCCCCCC.4K7lyz.nKATbsiu/RcZjqWyDNnj87qG"

static void with_users(struct peer *p)
{
    static const struct security_permissions permissions = {.publish_allow.is_set = true};
    static struct nats_user users[] = {
        {.name = SLICE_LITERAL("ann"), .password = SLICE_LITERAL("plain")},
        {.name = SLICE_LITERAL("bob"), .password = SLICE_LITERAL(HASH)},
        {.name = SLICE_LITERAL("mute"), .password = SLICE_LITERAL(""), .permissions = &permissions},
    };
    p->config->users = users;
    p->config->user_count = COUNT_OF(users);
}

static void with_a_silent_user(struct peer *p)
{
    with_users(p);
    p->config->no_auth_user = &p->config->users[2];
}

static void with_a_token(struct peer *p)
{
    p->config->token = SLICE_LITERAL("t0ken");
}

/* The client that comes in with these options hears the answer to its PING. */
static void assert_let_in(struct peer *p, const char *connect)
{
    char line[512];
    snprintf(line, sizeof(line), "CONNECT %s\r\nPING\r\n", connect);
    peer_redial(p);
    peer_send(p, line);
    peer_expect(p, "PONG");
}

static void assert_refused(struct peer *p, const char *connect, const char *words)
{
    char line[512];
    snprintf(line, sizeof(line), "CONNECT %s\r\nPING\r\n", connect);
    peer_redial(p);
    peer_send(p, line);
    if (words)
        peer_expect(p, words);
    assert_true(peer_is_closed(p));
}

static void options_that_nobody_can_have_are_refused(void **state)
{
    struct peer *p = peer_new(NULL);
    assert_let_in(p, "{\"verbose\":false,\"name\":\"x\",\"user\":\"who\",\"pass\":\"ever\"}");
    assert_let_in(p, "{\"verbose\":false,\"colour\":{\"a\":[1,null]}}");
    assert_refused(p, "{\"verbose\":false,\"protocol\":2}", "-ERR 'invalid client protocol'");
    assert_refused(p, "{\"verbose\":false,\"protocol\":-1}", "-ERR 'invalid client protocol'");
    assert_refused(p, "{\"verbose\":false,\"no_responders\":true}",
                   "-ERR 'no responders requires headers support'");
    assert_let_in(p, "{\"verbose\":false,\"no_responders\":true,\"headers\":true}");
    assert_refused(p, "{\"verbose\":false,\"account\":\"A\"}", "-ERR 'Authorization Violation'");
    assert_refused(p, "{\"verbose\":false,\"new_account\":true}", "-ERR 'Authorization Violation'");
    assert_refused(p, "{\"verbose\":7}", NULL);
    assert_refused(p, "{\"name\":\"x\"", NULL);
    assert_refused(p, "", NULL);
    peer_free(p);
}

static void options_change_what_is_said(void **state)
{
    struct peer *p = peer_new(NULL);
    peer_send(p, "PING\r\n"); /* before CONNECT: verbose, and no second INFO */
    peer_expect(p, "PONG");
    peer_send(p, "SUB a 1\r\n");
    peer_expect(p, "+OK");
    peer_send(p, "CONNECT {\"verbose\":true,\"protocol\":1}\r\nPING\r\n");
    peer_expect(p, "+OK");
    peer_expect(p, "PONG");
    const char *info = peer_line_of(p, p->fd);
    assert_true(info && strstr(info, "\"connect_info\":true") && strstr(info, "\"$G\""));
    peer_send(p, "PUB a 1\r\nx\r\n");
    peer_expect(p, "+OK");
    peer_expect(p, "MSG a 1 1");
    peer_expect(p, "x");
    /* Another CONNECT takes the subscriptions with it. */
    peer_send(p, "CONNECT {\"verbose\":false}\r\nPUB a 1\r\nx\r\nPING\r\n");
    peer_expect(p, "PONG");
    peer_send(p, "CONNECT {\"echo\":false}\r\nSUB a 3\r\nPUB a 1\r\nx\r\nPING\r\n");
    peer_expect(p, "PONG");
    peer_free(p);
}

static void who_comes_in_is_known_by_name_and_password(void **state)
{
    struct peer *p = peer_new(with_users);
    const char *const no = "-ERR 'Authorization Violation'";
    assert_let_in(p, "{\"verbose\":false,\"user\":\"ann\",\"pass\":\"plain\"}");
    assert_let_in(p, "{\"verbose\":false,\"user\":\"bob\",\"pass\":\"secret\"}");
    assert_let_in(p, "{\"verbose\":false,\"user\":\"mute\"}");
    assert_refused(p, "{\"verbose\":false,\"user\":\"ann\",\"pass\":\"secret\"}", no);
    assert_refused(p, "{\"verbose\":false,\"user\":\"bob\",\"pass\":\"" HASH "\"}", no);
    assert_refused(p, "{\"verbose\":false,\"user\":\"bob\"}", no);
    assert_refused(p, "{\"verbose\":false,\"user\":\"eve\",\"pass\":\"plain\"}", no);
    assert_refused(p, "{\"verbose\":false,\"auth_token\":\"plain\"}", no);
    assert_refused(p, "{\"verbose\":false}", no);
    assert_non_null(strstr(p->logged.data, "authentication failed"));
    assert_null(strstr(p->logged.data, "secret"));
    peer_redial(p);
    peer_send(p, "SUB a 1\r\n"); /* nothing before CONNECT */
    peer_expect(p, no);
    assert_true(peer_is_closed(p));
    peer_redial(p);
    peer_send(p, "CONNECT {\"verbose\":false,\"user\":\"mute\"}\r\nPUB a 0\r\n\r\n");
    peer_expect(p, "-ERR 'Permissions Violation for Publish to \"a\"'");
    peer_send(p, "CONNECT {\"user\":\"ann\",\"pass\":\"plain\"}\r\nPUB a 0\r\n\r\nPING\r\n");
    peer_expect(p, "PONG");
    peer_free(p);
}

static void tokens_and_those_who_say_nothing(void **state)
{
    struct peer *p = peer_new(with_a_token);
    const char *const no = "-ERR 'Authorization Violation'";
    assert_let_in(p, "{\"verbose\":false,\"auth_token\":\"t0ken\"}");
    assert_refused(p, "{\"verbose\":false,\"auth_token\":\"token\"}", no);
    assert_refused(p, "{\"verbose\":false,\"user\":\"t0ken\"}", no);
    peer_free(p);
    p = peer_new(with_a_silent_user);
    assert_let_in(p, "{\"verbose\":false}");
    assert_refused(p, "{\"verbose\":false,\"user\":\"mute\",\"pass\":\"x\"}", no);
    peer_redial(p);
    peer_send(p, "PUB a 0\r\n\r\n");
    peer_expect(p, "-ERR 'Permissions Violation for Publish to \"a\"'");
    peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_that_nobody_can_have_are_refused),
        cmocka_unit_test(options_change_what_is_said),
        cmocka_unit_test(who_comes_in_is_known_by_name_and_password),
        cmocka_unit_test(tokens_and_those_who_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
