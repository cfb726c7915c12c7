// PUB and HPUB: may it, who takes it, and what the publisher hears when nobody does.
// SPDX-License-Identifier: Apache-2.0
#include "nats/conn.h"

#include "base/subject.h"
#include "nats/bound.h"
#include "nats/view.h"

#define PUBLISH_VIOLATION "Permissions Violation for Publish to"
#define REPLY_VIOLATION   "Permissions Violation for Publish with Reply of"

static bool begins_with(struct slice subject, const char *prefix)
{
    size_t size = strlen(prefix);
    return subject.size >= size && memcmp(subject.data, prefix, size) == 0;
}

/* Subjects that servers alone may use; refused as nats-server does, though nothing here uses them.
 */
static bool is_reserved(struct slice subject)
{
    return begins_with(subject, "$NRG.") || begins_with(subject, "_GR_.");
}

static bool is_reserved_reply(struct slice reply)
{
    return begins_with(reply, "$JS.ACK.") || begins_with(reply, "_R_.") ||
           begins_with(reply, "_GR_.");
}

static bool is_special(struct slice subject)
{
    return subject.size > 0 && (subject.data[0] == '$' || subject.data[0] == '_');
}

bool nats_publish_is_allowed(struct nats_conn *conn, struct slice subject)
{
    return !conn->user || !conn->user->permissions ||
           security_permissions_publish(conn->user->permissions, subject) ||
           nats_replies_allow(conn, subject);
}

static bool may_publish(struct nats_conn *conn, struct slice subject, struct slice reply)
{
    if (is_special(subject) && is_reserved(subject)) {
        nats_conn_fail_subject(conn, PUBLISH_VIOLATION, subject, SLICE_NULL, "");
        return false;
    }
    if (!nats_publish_is_allowed(conn, subject)) {
        nats_conn_fail_subject(conn, PUBLISH_VIOLATION, subject, SLICE_NULL, "");
        return false;
    }
    if (is_special(reply) && is_reserved_reply(reply)) {
        nats_conn_fail_subject(conn, REPLY_VIOLATION, reply, SLICE_NULL, "");
        return false;
    }
    return true;
}

/* One member of the group gets it: on the core that chance says, or else wherever one can. */
static bool publish_to_group(struct nats_core *home, struct nats_message *message,
                             const struct interest_group *group)
{
    struct interest_choice choice = broker_interest_pick(group, core_random(home->core));
    if (!choice.is_local)
        return nats_parcel_add(home, choice.core, message, group->name);
    if (nats_deliver_group(home, message, group, choice.index))
        return true;
    if (group->remote_count == 0)
        return nats_deliver_group_last(home, message, group);
    uint32_t to = group->remotes[core_random(home->core) % group->remote_count].core;
    return nats_parcel_add(home, to, message, group->name);
}

/* To all of the match, which is not used afterwards. False: none of them took it. */
static bool spread(struct nats_core *home, struct nats_message *message,
                   const struct interest_match *match)
{
    bool is_taken = match->plain_count > 0 && nats_deliver_plain(home, message, match) > 0;
    for (uint32_t i = 0; i < match->core_count; i++)
        is_taken |= nats_parcel_add(home, match->cores[i], message, SLICE_NULL);
    for (uint32_t i = 0; i < match->group_count; i++)
        is_taken |= publish_to_group(home, message, &match->groups[i]);
    if (home->finished)
        nats_subs_remove_finished(home);
    return is_taken;
}

bool nats_publish_spread(struct nats_core *home, struct nats_message *message)
{
    const struct interest_match *match;
    if (broker_interest_match(nats_view_interest(home, message->subject), message->subject,
                              &match) == ERR_OK)
        return spread(home, message, match);
    metric_add(&home->counters.dropped, 1);
    return true; /* whether anybody wanted it is not known */
}

/* The requester's own subscription to the reply hears that nobody is there. */
static void say_no_responders(struct nats_conn *conn, struct slice subject, struct slice reply)
{
    const struct interest_match *match;
    if (broker_interest_match(nats_view_interest(conn->home, reply), reply, &match) != ERR_OK)
        return;
    const struct nats_sub *sub = NULL;
    for (uint32_t i = 0; i < match->plain_count && !sub; i++) {
        const struct nats_sub *other = CONTAINER_OF(match->plain[i], struct nats_sub, interest);
        sub = other->conn == conn ? other : NULL;
    }
    if (!sub)
        return;
    struct text text;
    size_t size = sizeof("NATS/1.0 503\r\nNats-Subject: \r\n\r\n") - 1 + subject.size;
    text_init(&text);
    text_add_text(&text, "HMSG ");
    text_add(&text, reply);
    text_add_text(&text, " ");
    text_add(&text, nats_conn_sid(sub));
    text_add_format(&text, " %zu %zu\r\nNATS/1.0 503\r\nNats-Subject: ", size, size);
    text_add(&text, subject);
    text_add_text(&text, "\r\n\r\n\r\n");
    if (!text.failed)
        (void)conn_write(conn->conn, text_slice(&text));
    text_deinit(&text);
}

/* To everybody of the match; false: nobody took it. */
static bool publish(struct nats_conn *conn, const struct wire_nats_request *request,
                    struct buf *buf, const struct interest_match *match)
{
    struct nats_message message; /* every field is set: clearing it first is what would cost most */
    message.publisher = conn;
    message.source = NULL;
    message.subject = request->subject;
    message.reply = request->reply;
    message.size_text = request->size_text;
    message.header_text = request->header_text;
    message.header_size = request->header_size;
    message.also_size = 0;
    message.payload = (struct buf_range){buf, (uint32_t)(request->payload.data - buf->data),
                                         (uint32_t)request->payload.size};
    message.met_full = false;
    message.hops = 0;
    return spread(conn->home, &message, match);
}

/* What most clients never ask for. False: the message goes nowhere. */
static bool may_go_on(struct nats_conn *conn, const struct wire_nats_request *request)
{
    if (conn->connect.pedantic && !subject_is_literal(request->subject))
        nats_conn_fail(conn, NATS_ERROR_INVALID_PUBLISH_SUBJECT);
    if (!may_publish(conn, request->subject, request->reply))
        return false;
    if (conn->connect.verbose)
        nats_conn_send(conn, "+OK\r\n");
    return true;
}

void nats_publish_handle(struct nats_conn *conn, const struct wire_nats_request *request,
                         struct buf *buf)
{
    struct nats_core *home = conn->home;
    conn->in_messages++;
    conn->in_bytes += request->payload.size;
    if ((is_special(request->subject) || is_special(request->reply) || conn->user ||
         conn->connect.pedantic || conn->connect.verbose) &&
        !may_go_on(conn, request))
        return;
    if (nats_view_has(home, request->subject)) {
        nats_view_publish_handle(conn, request, buf);
        return;
    }
    const struct interest_match *match;
    if (broker_interest_match(home->interest, request->subject, &match) != ERR_OK) {
        metric_add(&home->counters.dropped, 1);
        return;
    }
    const struct nats_bound *bound = match->tap;
    bool is_taken = (match->plain_count | match->core_count | match->group_count) != 0 &&
                    publish(conn, request, buf, match);
    if (bound)
        nats_view_publish_bound(conn, request, bound->topic);
    else if (!is_taken && request->reply.data && conn->connect.no_responders)
        say_no_responders(conn, request->subject, request->reply);
}
