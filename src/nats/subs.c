// SUB and UNSUB: the subscriptions of a connection.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/subject.h"
#include "nats/bound.h"
#include "nats/move.h"
#include "nats/view_live.h"

/* Queue groups of this name are the server's own. */
#define SYSTEM_QUEUE "_sys_"

_Static_assert((unsigned)NATS_CONFIG_CONTROL_LINE_MAX <= INTEREST_QUEUE_SIZE_MAX,
               "a SUB fits into a subscription");

#define SUBSCRIBE_VIOLATION "Permissions Violation for Subscription to"

static struct nats_sub *sub_new(struct nats_conn *conn, const struct wire_nats_request *request)
{
    size_t size =
        nats_conn_sub_size(request->sid.size + request->subject.size + request->queue.size);
    struct budget *budget = reactor_budget(core_reactor(conn->home->core));
    if (!budget_charge(budget, size))
        return NULL;
    struct nats_sub *sub = malloc(size);
    if (!sub) {
        budget_release(budget, size);
        return NULL;
    }
    *sub = (struct nats_sub){.conn = conn};
    uint8_t *at = sub->text;
    memcpy(at, request->sid.data, request->sid.size);
    at += request->sid.size;
    memcpy(at, request->subject.data, request->subject.size);
    if (request->queue.data)
        memcpy(at + request->subject.size, request->queue.data, request->queue.size);
    broker_interest_set(&sub->interest, slice_make(at, request->subject.size), request->queue.size);
    return sub;
}

void nats_subs_free(struct nats_sub *sub)
{
    struct budget *budget = reactor_budget(core_reactor(sub->conn->home->core));
    budget_release(budget, nats_conn_sub_size(nats_conn_sub_text_size(sub)));
    free(sub);
}

/* Readers of partitions serve it. */
static bool is_fed(struct nats_core *home, struct slice filter)
{
    return nats_view_has(home, filter) || nats_bound_meets(home, filter);
}

static void sub_remove(struct nats_sub *sub)
{
    struct nats_conn *conn = sub->conn;
    if (is_fed(conn->home, broker_interest_subject(&sub->interest)))
        nats_view_live_recheck(conn->home);
    nats_sids_remove(&conn->subs, sub);
    metric_add(&conn->home->counters.subscriptions, (uint64_t)-1);
    conn->is_unsynced |= conn->home->listener_count > 0;
    if (nats_move_keep_ghost(sub))
        return;
    broker_interest_remove(nats_view_interest(conn->home, broker_interest_subject(&sub->interest)),
                           &sub->interest);
    nats_subs_free(sub);
}

/* ERR_EXISTS: the sid is taken, and the first one stays. */
static enum err sub_insert(struct nats_conn *conn, const struct wire_nats_request *request)
{
    if (nats_sids_get(&conn->subs, request->sid))
        return ERR_EXISTS;
    struct nats_sub *sub = sub_new(conn, request);
    if (!sub)
        return ERR_NO_MEMORY;
    if (!nats_sids_put(&conn->subs, sub)) {
        nats_subs_free(sub);
        return ERR_NO_MEMORY;
    }
    enum err err =
        broker_interest_add(nats_view_interest(conn->home, request->subject), &sub->interest);
    if (err) {
        nats_sids_remove(&conn->subs, sub);
        nats_subs_free(sub);
        return err;
    }
    metric_add(&conn->home->counters.subscriptions, 1);
    conn->is_unsynced |= conn->home->listener_count > 0;
    if (conn->user)
        sub->is_filtered =
            security_permissions_filters(conn->user->permissions, request->subject, request->queue);
    return ERR_OK;
}

static bool may_subscribe(struct nats_conn *conn, const struct wire_nats_request *request)
{
    const struct security_permissions *permissions = conn->user ? conn->user->permissions : NULL;
    bool is_system = request->queue.data && slice_equal_text(request->queue, SYSTEM_QUEUE);
    if (is_system ||
        !security_permissions_subscribe(permissions, request->subject, request->queue)) {
        nats_conn_fail_subject(conn, SUBSCRIBE_VIOLATION, request->subject, request->queue, "");
        return false;
    }
    unsigned tokens_max = conn->config->subscription_tokens_max;
    if (tokens_max > 0 && subject_token_count(request->subject) > tokens_max) {
        nats_conn_fail_subject(conn, SUBSCRIBE_VIOLATION, request->subject, SLICE_NULL,
                               ", too many tokens");
        return false;
    }
    if (conn->config->subscriptions_max > 0 &&
        conn->subs.count >= conn->config->subscriptions_max) {
        nats_conn_fail(conn, NATS_ERROR_MAX_SUBSCRIPTIONS);
        return false;
    }
    return true;
}

void nats_subs_add(struct nats_conn *conn, const struct wire_nats_request *request)
{
    if (!may_subscribe(conn, request))
        return;
    enum err err = sub_insert(conn, request);
    if (err == ERR_INVALID)
        nats_conn_fail(conn, NATS_ERROR_INVALID_SUBJECT);
    else if (err == ERR_NO_MEMORY)
        nats_conn_end(conn, NATS_REASON_OUT_OF_MEMORY);
    else if (conn->connect.verbose)
        nats_conn_send(conn, "+OK\r\n");
    if (!err && is_fed(conn->home, request->subject))
        nats_view_live_subscribe(conn, request->subject);
}

void nats_subs_unsub(struct nats_conn *conn, const struct wire_nats_request *request)
{
    struct nats_sub *sub = nats_sids_get(&conn->subs, request->sid);
    if (sub && request->unsub_max > sub->delivered)
        sub->max = request->unsub_max;
    else if (sub)
        sub_remove(sub);
    if (conn->connect.verbose)
        nats_conn_send(conn, "+OK\r\n");
}

void nats_subs_remove_all(struct nats_conn *conn)
{
    struct nats_sids_walk at_sub = {0};
    struct nats_sub *sub;
    while ((sub = nats_sids_next(&conn->subs, &at_sub)) != NULL)
        sub_remove(sub);
    nats_sids_deinit(&conn->subs);
}

void nats_subs_recheck(struct nats_conn *conn)
{
    const struct security_permissions *permissions = conn->user ? conn->user->permissions : NULL;
    struct nats_sids_walk at_sub = {0};
    struct nats_sub *sub;
    while ((sub = nats_sids_next(&conn->subs, &at_sub)) != NULL) {
        struct slice subject = broker_interest_subject(&sub->interest);
        struct slice queue = broker_interest_queue(&sub->interest);
        sub->is_filtered = security_permissions_filters(permissions, subject, queue);
        if (security_permissions_subscribe(permissions, subject, queue))
            continue;
        nats_conn_fail_removed(conn, sub);
        sub_remove(sub);
    }
}

void nats_subs_remove_finished(struct nats_core *home)
{
    struct nats_sub *sub;
    while ((sub = home->finished) != NULL) {
        home->finished = sub->next_finished;
        sub_remove(sub);
    }
}
