// What cores tell each other about the subscriptions that they have.
// SPDX-License-Identifier: Apache-2.0
//
// A core asks for the others' interest when its first connection arrives; from then on it is told
// of every change, in order, gathered over a turn. PONG is held back until all of them know what
// the connection subscribed to before.
#include <stdlib.h>

#include "nats/move.h"
#include "nats/view_live.h"

#define ANNOUNCEMENT_SIZE_MIN 4096

struct entry {
    uint32_t count;
    uint32_t subject_size;
    uint32_t queue_size; /* 0: plain */
};

struct nats_announcement {
    struct core_message message;
    uint32_t from;
    bool is_snapshot_end;
    struct nats_move *move; /* to switch for afterwards, or NULL */
    size_t size;
    size_t capacity;
    uint8_t entries[]; /* struct entry, subject, queue */
};

/* --- telling ---------------------------------------------------------------------------------- */

static void announcement_apply(struct nats_core *home, const struct nats_announcement *got)
{
    struct entry entry;
    for (size_t at = 0; at < got->size;) {
        memcpy(&entry, got->entries + at, sizeof(entry));
        at += sizeof(entry);
        struct slice subject = slice_make(got->entries + at, entry.subject_size);
        at += entry.subject_size;
        struct slice queue = SLICE_NULL;
        if (entry.queue_size > 0)
            queue = slice_make(got->entries + at, entry.queue_size);
        at += entry.queue_size;
        entry.count -= MIN(entry.count, nats_move_count(home, got->from, subject, queue));
        enum err err = broker_interest_remote_set(nats_view_interest(home, subject), got->from,
                                                  subject, queue, entry.count);
        if (err)
            log_error(home->nats->options.logger, "nats",
                      "interest of core %u is not known here: %s", got->from, err_text(err));
    }
}

static void snapshot_is_there(struct nats_core *home)
{
    if (--home->snapshots_missing > 0)
        return;
    list_for_each_safe (node, following, &home->conns)
        nats_conn_go_on(LIST_ENTRY(node, struct nats_conn, node), NATS_WAIT_INTEREST);
    nats_view_reader_listening(home);
}

static void announcement_arrives(struct core *core, struct core_message *message)
{
    struct nats_announcement *got = CONTAINER_OF(message, struct nats_announcement, message);
    struct nats_core *home = nats_state_of(core);
    announcement_apply(home, got);
    if (got->move)
        nats_move_switch(home, got->move);
    if (got->is_snapshot_end)
        snapshot_is_there(home);
    free(got);
}

/* The announcement for that core with room for size bytes more; NULL: out of memory. */
static struct nats_announcement *announcement_open(struct nats_core *home, unsigned to, size_t size)
{
    struct nats_announcement *open = home->announcements[to];
    if (open && open->capacity - open->size >= size)
        return open;
    size_t used = open ? open->size : 0;
    size_t capacity = MAX((used + size) * 2, (size_t)ANNOUNCEMENT_SIZE_MIN);
    struct nats_announcement *grown = realloc(open, sizeof(*grown) + capacity);
    if (!grown)
        return NULL;
    grown->message.run = announcement_arrives;
    grown->from = core_id(home->core);
    grown->is_snapshot_end = false;
    grown->move = NULL;
    grown->size = used;
    grown->capacity = capacity;
    home->announcements[to] = grown;
    core_task_post_end(home->core, &home->announce_task, 0);
    return grown;
}

static void announce_to(struct nats_core *home, unsigned to, const struct entry *entry,
                        const uint8_t *const texts[2])
{
    size_t size = sizeof(*entry) + entry->subject_size + entry->queue_size;
    struct nats_announcement *open = announcement_open(home, to, size);
    if (!open) {
        log_error(home->nats->options.logger, "nats", "core %u is not told of a subscription: %s",
                  to, err_text(ERR_NO_MEMORY));
        return;
    }
    uint8_t *at = open->entries + open->size;
    memcpy(at, entry, sizeof(*entry));
    memcpy(at + sizeof(*entry), texts[0], entry->subject_size);
    if (entry->queue_size > 0)
        memcpy(at + sizeof(*entry) + entry->subject_size, texts[1], entry->queue_size);
    open->size += size;
}

void nats_announce_interest(void *arg, struct slice subject, struct slice queue, uint32_t count)
{
    struct nats_core *home = arg;
    struct entry entry = {count, (uint32_t)subject.size, (uint32_t)queue.size};
    const uint8_t *const texts[2] = {subject.data, queue.data};
    if (home->listener_count == 0)
        return;
    for (unsigned to = 0; to < home->nats->core_count; to++)
        if (home->listeners[to])
            announce_to(home, to, &entry, texts);
}

void nats_announce_flush(struct nats_core *home)
{
    if (home->listener_count == 0)
        return;
    for (unsigned to = 0; to < home->nats->core_count; to++) {
        struct nats_announcement *open = home->announcements[to];
        home->announcements[to] = NULL;
        if (open)
            core_send(home->core, to, &open->message);
    }
}

bool nats_announce_reserve(struct nats_core *home, const struct nats_move *move)
{
    size_t size = 0;
    for (uint32_t i = 0; i < move->sub_count; i++)
        size += sizeof(struct entry) + move->subs[i]->interest.subject_size +
                broker_interest_queue_size(&move->subs[i]->interest);
    for (unsigned to = 0; to < home->nats->core_count; to++)
        if (to != core_id(home->core) && !announcement_open(home, to, size))
            return false;
    return true;
}

void nats_announce_move(struct nats_core *home, struct nats_move *move)
{
    for (unsigned to = 0; to < home->nats->core_count; to++) {
        struct nats_announcement *open = home->announcements[to];
        if (to == core_id(home->core))
            continue;
        CHECK(open); /* reserved */
        open->move = move;
        home->announcements[to] = NULL;
        core_send(home->core, to, &open->message);
    }
}

void nats_announce_run(struct core *core, struct core_task *task)
{
    nats_announce_flush(nats_state_of(core));
}

/* --- asking ----------------------------------------------------------------------------------- */

struct request {
    struct core_message message;
    uint32_t from;
};

/* So many members of a queue group under one filter. */
struct members {
    uint32_t count;
    struct slice key;
    const struct nats_sub *sub;
    uint8_t text[];
};

static bool count_member(struct map *groups, const struct nats_sub *sub)
{
    struct slice subject = broker_interest_subject(&sub->interest);
    struct slice queue = broker_interest_queue(&sub->interest);
    struct members *members = malloc(sizeof(*members) + subject.size + queue.size + 1);
    if (!members)
        return false;
    memcpy(members->text, subject.data, subject.size);
    members->text[subject.size] = ' ';
    memcpy(members->text + subject.size + 1, queue.data, queue.size);
    members->key = slice_make(members->text, subject.size + 1 + queue.size);
    members->count = 1;
    members->sub = sub;
    struct members *known = map_get(groups, members->key);
    if (known)
        known->count++;
    if (!known && map_put(groups, members->key, members, NULL))
        return true;
    free(members);
    return known != NULL;
}

static void tell_sub(struct nats_core *home, unsigned to, const struct nats_sub *sub,
                     uint32_t count)
{
    struct slice subject = broker_interest_subject(&sub->interest);
    struct slice queue = broker_interest_queue(&sub->interest);
    struct entry entry = {count, (uint32_t)subject.size, (uint32_t)queue.size};
    announce_to(home, to, &entry, (const uint8_t *const[2]){subject.data, queue.data});
}

static void tell_one(struct nats_core *home, unsigned to, const struct nats_sub *sub,
                     struct map *groups)
{
    if (!broker_interest_is_added(&sub->interest))
        return; /* leaving, and the other core tells of it */
    if (broker_interest_queue_size(&sub->interest) == 0)
        tell_sub(home, to, sub, 1);
    else if (!count_member(groups, sub))
        log_error(home->nats->options.logger, "nats", "core %u is not told of a queue group: %s",
                  to, err_text(ERR_NO_MEMORY));
}

static void tell_all(struct nats_core *home, unsigned to, struct map *groups)
{
    list_for_each (node, &home->conns) {
        const struct nats_conn *conn = LIST_ENTRY(node, struct nats_conn, node);
        struct nats_sids_walk at_sub = {0};
        const struct nats_sub *sub;
        while ((sub = nats_sids_next(&conn->subs, &at_sub)) != NULL)
            tell_one(home, to, sub, groups);
    }
    list_for_each (node, &home->arrivals) {
        const struct nats_move *move = LIST_ENTRY(node, struct nats_move, node);
        for (uint32_t i = 0; i < move->sub_count; i++)
            tell_one(home, to, move->subs[i], groups);
    }
    /* members that ended on their way still count here, and are subtracted there */
    list_for_each (node, &home->leavings) {
        const struct nats_move *move = LIST_ENTRY(node, struct nats_move, leaving);
        for (const struct nats_sub *sub = move->ghosts; sub; sub = sub->next_finished)
            tell_one(home, to, sub, groups);
    }
}

static void request_arrives(struct core *core, struct core_message *message)
{
    struct request *request = CONTAINER_OF(message, struct request, message);
    struct nats_core *home = nats_state_of(core);
    unsigned to = request->from;
    struct map groups;
    struct members *members;
    size_t position = 0;
    map_init(&groups, core_random(core));
    nats_announce_flush(home);
    home->listeners[to] = true;
    home->listener_count++;
    tell_all(home, to, &groups);
    while ((members = map_next(&groups, &position)) != NULL) {
        tell_sub(home, to, members->sub, members->count);
        (void)map_remove(&groups, members->key);
        free(members);
    }
    map_deinit(&groups);
    struct nats_announcement *last = announcement_open(home, to, 0);
    CHECK(last); /* an answer must come */
    last->is_snapshot_end = true;
    nats_announce_flush(home);
    free(request);
}

/* True when it has been asked for; it may still be on its way. */
static bool listen_start(struct nats_core *home)
{
    unsigned count = home->nats->core_count;
    struct request **requests = calloc(count, sizeof(*requests));
    bool is_ready = requests != NULL;
    for (unsigned i = 0; is_ready && i < count; i++)
        is_ready = (requests[i] = malloc(sizeof(**requests))) != NULL;
    for (unsigned i = 0; requests && i < count; i++) {
        if (!is_ready || i == core_id(home->core)) {
            free(requests[i]);
            continue;
        }
        *requests[i] =
            (struct request){.message.run = request_arrives, .from = core_id(home->core)};
        core_send(home->core, i, &requests[i]->message);
    }
    free(requests);
    home->is_listening = is_ready;
    home->snapshots_missing = is_ready ? count - 1 : 0;
    return is_ready;
}

void nats_announce_listen(struct nats_core *home, struct nats_conn *conn)
{
    if (!home->is_listening && !listen_start(home))
        nats_conn_end(conn, NATS_REASON_OUT_OF_MEMORY);
    else if (home->snapshots_missing > 0)
        nats_conn_wait(conn, NATS_WAIT_INTEREST);
}

bool nats_announce_is_heard(struct nats_core *home)
{
    return (home->is_listening || listen_start(home)) && home->snapshots_missing == 0;
}

/* --- fences ----------------------------------------------------------------------------------- */

struct post {
    struct core_message message;
    struct nats_fence *fence;
};

struct nats_fence {
    struct nats_conn *conn; /* NULL: it is gone */
    uint32_t home;
    unsigned missing;
    struct post posts[];
};

static void post_returns(struct core *core, struct core_message *message)
{
    struct nats_fence *fence = CONTAINER_OF(message, struct post, message)->fence;
    struct nats_conn *conn = fence->conn;
    if (--fence->missing > 0)
        return;
    free(fence);
    if (!conn)
        return;
    conn->fence = NULL;
    conn_release(conn->conn);
    nats_conn_pong(conn);
    nats_conn_go_on(conn, NATS_WAIT_FENCE);
}

static void post_arrives(struct core *core, struct core_message *message)
{
    message->run = post_returns;
    core_send(core, CONTAINER_OF(message, struct post, message)->fence->home, message);
}

bool nats_announce_fence(struct nats_conn *conn)
{
    struct nats_core *home = conn->home;
    if (!conn->is_unsynced || home->listener_count == 0)
        return false;
    unsigned count = home->nats->core_count;
    struct nats_fence *fence = malloc(sizeof(*fence) + count * sizeof(fence->posts[0]));
    if (!fence) {
        nats_conn_end(conn, NATS_REASON_OUT_OF_MEMORY);
        return true;
    }
    fence->conn = conn;
    fence->home = core_id(home->core);
    fence->missing = home->listener_count;
    conn->fence = fence;
    conn->is_unsynced = false;
    conn_hold(conn->conn);
    nats_conn_wait(conn, NATS_WAIT_FENCE);
    nats_announce_flush(home);
    for (unsigned to = 0; to < count; to++) {
        if (!home->listeners[to])
            continue;
        fence->posts[to] = (struct post){.message.run = post_arrives, .fence = fence};
        core_send(home->core, to, &fence->posts[to].message);
    }
    return true;
}

void nats_announce_forget(struct nats_conn *conn)
{
    if (conn->fence)
        conn->fence->conn = NULL;
    conn->fence = NULL;
}

void nats_announce_deinit(struct nats_core *home)
{
    for (unsigned to = 0; home->announcements && to < home->nats->core_count; to++)
        free(home->announcements[to]);
    free(home->announcements);
    free(home->listeners);
}
