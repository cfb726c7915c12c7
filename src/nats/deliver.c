// Writes a message to its subscribers of this core.
// SPDX-License-Identifier: Apache-2.0
//
// A payload is copied once for each connection at most: small ones behind their MSG line into the
// connection's output, large ones not at all. What several subscribers get alike, line and all, is
// written once and shared.
#include <stdlib.h>

#include "nats/move.h"

/* One message being delivered, and the text that the last subscriber got. */
struct delivery {
    struct nats_core *home;
    struct nats_message *message;
    const struct nats_sub *sub; /* whose text this is; NULL: nobody's */
    bool has_headers;
    bool is_last;            /* no other member of the group takes it */
    size_t head_size;        /* of the line in home->head; 0: it is in shared */
    struct buf_range shared; /* line and small payload; buf NULL: the payload is large */
};

static uint8_t *put(uint8_t *at, struct slice bytes)
{
    memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

static uint8_t *put_number(uint8_t *at, size_t number)
{
    uint8_t digits[20];
    size_t count = 0;
    do {
        digits[count++] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

/* Memory for a line whose payload is not copied behind it. */
static uint8_t *head_room(struct nats_core *home, size_t size)
{
    if (size <= home->head_capacity)
        return home->head;
    uint8_t *head = realloc(home->head, size * 2);
    if (!head)
        return NULL;
    home->head = head;
    home->head_capacity = size * 2;
    return head;
}

/* Memory that any number of connections can refer to. */
static uint8_t *fill_room(struct nats_core *home, size_t size)
{
    if (home->fill && home->fill->capacity - home->fill_used < size && buf_is_exclusive(home->fill))
        home->fill_used = 0;
    if (!home->fill || home->fill->capacity - home->fill_used < size) {
        struct buf *fill = buf_pool_get(core_buffers(home->core), MAX(size, NATS_FILL_SIZE));
        if (!fill)
            return NULL;
        buf_unref(home->fill);
        home->fill = fill;
        home->fill_used = 0;
    }
    return home->fill->data + home->fill_used;
}

/* "MSG subject sid [reply] size\r\n", or HMSG with the headers' size. */
static uint8_t *put_line(uint8_t *at, const struct delivery *delivery, const struct nats_sub *sub)
{
    const struct nats_message *message = delivery->message;
    at = put(at, delivery->has_headers ? SLICE_LITERAL("HMSG ") : SLICE_LITERAL("MSG "));
    at = put(at, message->subject);
    *at++ = ' ';
    at = put(at, nats_conn_sid(sub));
    *at++ = ' ';
    if (message->reply.data) {
        at = put(at, message->reply);
        *at++ = ' ';
    }
    if (delivery->has_headers) {
        at = put(at, message->header_text);
        *at++ = ' ';
    }
    if (delivery->has_headers || message->header_size == 0)
        at = put(at, message->size_text);
    else
        at = put_number(at, message->payload.size - message->header_size);
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

/* What follows the line: payload and line end, without headers for who cannot take them. */
static struct buf_range body_of(const struct delivery *delivery)
{
    const struct nats_message *message = delivery->message;
    struct buf_range body = message->payload;
    body.size += 2;
    if (message->header_size > 0 && !delivery->has_headers) {
        body.offset += message->header_size;
        body.size -= message->header_size;
    }
    return body;
}

static bool make_text(struct delivery *delivery, const struct nats_sub *sub)
{
    const struct nats_message *message = delivery->message;
    struct nats_core *home = delivery->home;
    delivery->has_headers = message->header_size > 0 && sub->conn->headers;
    struct buf_range body = body_of(delivery);
    bool is_small = body.size <= NATS_COPY_MAX + 2;
    size_t size = message->subject.size + nats_conn_sid(sub).size + message->reply.size +
                  message->size_text.size + message->header_text.size + 64;
    uint8_t *start = is_small ? fill_room(home, size + body.size) : head_room(home, size);
    if (!start)
        return false;
    uint8_t *at = put_line(start, delivery, sub);
    delivery->sub = sub;
    delivery->head_size = (size_t)(at - start);
    delivery->shared = (struct buf_range){NULL, 0, 0};
    if (!is_small)
        return true;
    at = put(at, buf_range_slice(body));
    delivery->head_size = 0;
    delivery->shared = (struct buf_range){home->fill, home->fill_used, (uint32_t)(at - start)};
    home->fill_used += delivery->shared.size;
    return true;
}

static void write_message(struct delivery *delivery, struct conn *conn)
{
    if (delivery->shared.buf)
        (void)conn_write_shared(conn, delivery->shared);
    else if (conn_write(conn, slice_make(delivery->home->head, delivery->head_size)))
        (void)conn_write_shared(conn, body_of(delivery));
}

/* False: it takes no more. The last message that it may get finishes it. */
static bool count_delivery(struct nats_core *home, struct nats_sub *sub)
{
    if (sub->is_finished)
        return false;
    sub->delivered++;
    if (sub->max == 0 || sub->delivered < sub->max)
        return true;
    sub->is_finished = true;
    sub->next_finished = home->finished;
    home->finished = sub;
    return true;
}

static bool is_same_text(const struct delivery *delivery, const struct nats_sub *sub)
{
    bool has_headers = delivery->message->header_size > 0 && sub->conn->headers;
    return delivery->sub && has_headers == delivery->has_headers &&
           slice_equal(nats_conn_sid(sub), nats_conn_sid(delivery->sub));
}

static bool is_denied(const struct nats_sub *sub, const struct nats_message *message)
{
    const struct nats_user *user = sub->conn->user;
    if (!user || !(sub->is_filtered || message->also_size > 0))
        return false;
    struct slice subject = message->subject;
    struct slice also = slice_make(subject.data + subject.size, message->also_size);
    struct slice queue = broker_interest_queue(&sub->interest);
    return !security_permissions_deliver(user->permissions, subject, queue) ||
           (also.size > 0 && !security_permissions_deliver(user->permissions, also, queue));
}

static bool give(struct delivery *delivery, struct nats_sub *sub)
{
    struct nats_message *message = delivery->message;
    struct nats_conn *taker = sub->conn;
    if (!nats_conn_is_open(taker) || (taker == message->publisher && !taker->connect.echo) ||
        is_denied(sub, message))
        return false;
    bool is_full = conn_output_full(taker->conn);
    if (is_full && taker->config->no_stall)
        return false;
    if (!count_delivery(delivery->home, sub))
        return false;
    if (!is_same_text(delivery, sub) && !make_text(delivery, sub)) {
        nats_conn_cut(taker, NATS_REASON_OUT_OF_MEMORY);
        return false;
    }
    size_t size =
        delivery->shared.buf ? delivery->shared.size : delivery->head_size + message->payload.size;
    if (conn_output_size(taker->conn) + size > taker->config->pending_size_max) {
        nats_conn_cut(taker, NATS_REASON_SLOW_CONSUMER_PENDING);
        return false;
    }
    write_message(delivery, taker->conn);
    taker->out_messages++;
    taker->out_bytes += body_of(delivery).size - 2;
    if (message->reply.data && taker->replies)
        nats_replies_track(taker, message->reply);
    if (is_full) {
        message->met_full = true;
        if (message->publisher && message->publisher != taker)
            nats_stall_begin(message->publisher, taker);
    }
    return true;
}

static inline bool deliver_to(struct delivery *delivery, struct nats_sub *sub)
{
    if (!sub->conn->move)
        return give(delivery, sub);
    enum nats_move_fate fate =
        nats_move_meet(delivery->home, sub, delivery->message, delivery->is_last);
    return fate == NATS_MOVE_DELIVER ? give(delivery, sub) : fate == NATS_MOVE_PARKED;
}

static void count_out(struct nats_core *home, const struct nats_message *message, size_t count)
{
    metric_add(&home->counters.out_messages, count);
    metric_add(&home->counters.out_bytes, count * message->payload.size);
}

size_t nats_deliver_plain(struct nats_core *home, struct nats_message *message,
                          const struct interest_match *match)
{
    struct delivery delivery = {.home = home, .message = message};
    size_t count = 0;
    for (uint32_t i = 0; i < match->plain_count; i++)
        count += deliver_to(&delivery, CONTAINER_OF(match->plain[i], struct nats_sub, interest));
    count_out(home, message, count);
    return count;
}

static bool deliver_to_some(struct delivery *delivery, const struct interest_group *group,
                            uint32_t index)
{
    for (uint32_t i = 0; i < group->member_count; i++) {
        struct interest_sub *member = group->members[(index + i) % group->member_count];
        if (!deliver_to(delivery, CONTAINER_OF(member, struct nats_sub, interest)))
            continue;
        count_out(delivery->home, delivery->message, 1);
        return true;
    }
    return false;
}

bool nats_deliver_group(struct nats_core *home, struct nats_message *message,
                        const struct interest_group *group, uint32_t index)
{
    struct delivery delivery = {.home = home, .message = message};
    return deliver_to_some(&delivery, group, index);
}

bool nats_deliver_group_last(struct nats_core *home, struct nats_message *message,
                             const struct interest_group *group)
{
    struct delivery delivery = {.home = home, .message = message, .is_last = true};
    return deliver_to_some(&delivery, group, 0);
}

bool nats_deliver_one(struct nats_core *home, struct nats_message *message, struct nats_sub *sub)
{
    struct delivery delivery = {.home = home, .message = message};
    return deliver_to(&delivery, sub);
}

void nats_deliver_deinit(struct nats_core *home)
{
    buf_unref(home->fill);
    free(home->head);
    home->fill = NULL;
    home->head = NULL;
}
