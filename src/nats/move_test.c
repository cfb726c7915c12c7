// Tests connections with subscriptions, and readers, that change cores all the time under load.
// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_fixture.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "nats/nats.h"
#include "reactor/balance.h"

#define CORES        3
#define PEERS        4
#define LOT          20     /* messages of each kind in a round */
#define ROUNDS       400    /* of each peer, at least */
#define MOVES        1000   /* likewise, of connections */
#define VISIT_ROUNDS 8      /* from one visitor to the next */
#define WAIT_S       60     /* for what must come */
#define HOP_NS       700000 /* between two moves of everything on a core */
#define INPUT_MAX    65536

/* A client that takes all that all of them send, and a share of what goes to a group. */
struct peer {
    struct crowd *crowd;
    pthread_t thread;
    unsigned index;
    int fd;
    uint64_t sent;
    uint64_t plain[PEERS]; /* next number of each sender */
    uint64_t group[PEERS];
    uint64_t view;
    uint64_t once; /* messages of the subscription that ends by itself */
    uint8_t input[INPUT_MAX];
    size_t input_size;
    const char *fault;
    char line[600]; /* where it was seen */
};

struct crowd {
    struct fixture *f;
    struct nats *nats;
    struct listener *listener;
    struct peer peers[PEERS];
    struct core_timer hops[CORES];
    struct core_task starts[CORES];
    _Atomic uint64_t grouped;     /* messages that members got */
    _Atomic uint64_t grouped_sum; /* of their numbers */
    _Atomic bool has_enough;
    _Atomic unsigned reader_moves;
};

static struct crowd crowd;

/* --- what moves them -------------------------------------------------------------------------- */

static void partition_hop(struct core *core)
{
    const struct broker_topic *topic = broker_topic_find(core, SLICE_LITERAL("v"));
    struct broker_partition *partition = topic ? broker_partition_at(topic, 0) : NULL;
    unsigned to = (unsigned)(core_random(core) % CORES);
    if (partition && to != core_id(core) && broker_partition_home(partition) == core_id(core) &&
        core_random(core) % 8 == 0 && broker_move_start(core, partition, to))
        atomic_fetch_add(&crowd.reader_moves, 1);
}

static void hop_run(struct core *core, struct core_timer *timer)
{
    unsigned to = (unsigned)(core_random(core) % CORES);
    if (to != core_id(core))
        (void)balance_hand_over(core, to, true);
    partition_hop(core);
    core_timer_set(core, timer, core_now_ns(core) + HOP_NS);
}

static void hop_start(struct core *core, struct core_task *task)
{
    core_timer_init(&crowd.hops[core_id(core)], hop_run);
    hop_run(core, &crowd.hops[core_id(core)]);
}

static uint64_t moves(void)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < CORES; i++)
        count += metric_get(&core_metrics(reactor_core(crowd.f->reactor, i))->moved_in);
    return count;
}

/* --- a peer ----------------------------------------------------------------------------------- */

static void peer_fail(struct peer *peer, const char *fault, const char *line)
{
    if (peer->fault)
        return;
    peer->fault = fault;
    (void)snprintf(peer->line, sizeof(peer->line), "%s", line);
}

static void peer_send(struct peer *peer, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(peer->fd, text, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            peer_fail(peer, "cannot send", "");
            return;
        }
        text += sent;
        size -= (size_t)sent;
    }
}

static void peer_say(struct peer *peer, const char *text)
{
    peer_send(peer, text, strlen(text));
}

static bool peer_recv(struct peer *peer)
{
    ssize_t got =
        recv(peer->fd, peer->input + peer->input_size, sizeof(peer->input) - peer->input_size, 0);
    if (got <= 0)
        peer_fail(peer, got == 0 ? "closed" : "nothing comes", "");
    else
        peer->input_size += (size_t)got;
    return got > 0;
}

static void peer_forget(struct peer *peer, size_t size)
{
    peer->input_size -= size;
    memmove(peer->input, peer->input + size, peer->input_size);
}

/* Numbers of one sender come one after another where all are wanted, rise where a share is. */
static void peer_count(struct peer *peer, const char *subject, const char *payload)
{
    char *end;
    unsigned long sender = strtoul(payload, &end, 10);
    unsigned long long number = strtoull(end, &end, 10);
    if (subject[0] == 'u') {
        peer->once++;
    } else if (*end || end == payload || sender >= PEERS) {
        peer_fail(peer, "strange payload", payload);
    } else if (subject[0] == 'k') {
        if (number != peer->view++)
            peer_fail(peer, "the view is out of order", payload);
    } else if (subject[0] == 's') {
        if (number != peer->plain[sender]++)
            peer_fail(peer, "out of order", payload);
    } else {
        if (number < peer->group[sender])
            peer_fail(peer, "the group's is out of order", payload);
        peer->group[sender] = number + 1;
        atomic_fetch_add(&crowd.grouped, 1);
        atomic_fetch_add(&crowd.grouped_sum, number);
    }
}

/* One line, and the payload of a message. True: that was PONG. */
static bool peer_take(struct peer *peer)
{
    uint8_t *end;
    char line[256];
    while (!(end = memmem(peer->input, peer->input_size, "\r\n", 2)))
        if (!peer_recv(peer))
            return true;
    size_t size = (size_t)(end - peer->input);
    bool is_message = size > 4 && peer->input[0] == 'M';
    (void)snprintf(line, sizeof(line), "%.*s", (int)MIN(size, sizeof(line) - 1), peer->input);
    peer_forget(peer, size + 2);
    if (!is_message) {
        if (line[0] == '-')
            peer_fail(peer, "refused", line);
        return strcmp(line, "PONG") == 0;
    }
    char payload[512];
    size_t payload_size = strtoul(strrchr(line, ' ') + 1, NULL, 10);
    while (peer->input_size < payload_size + 2)
        if (!peer_recv(peer))
            return true;
    if (payload_size >= sizeof(payload)) {
        peer_fail(peer, "large payload", line);
        return true;
    }
    memcpy(payload, peer->input, payload_size);
    payload[payload_size] = '\0';
    peer_forget(peer, payload_size + 2);
    peer_count(peer, line + 4, payload);
    return false;
}

static void peer_flush(struct peer *peer)
{
    peer_say(peer, "PING\r\n");
    while (!peer->fault && !peer_take(peer))
        ;
}

static void add(struct text *text, const char *subject, unsigned index, uint64_t number)
{
    char payload[64];
    int size = snprintf(payload, sizeof(payload), "%u %llu", index, (unsigned long long)number);
    text_add_format(text, "PUB %s %d\r\n%s\r\n", subject, size, payload);
}

/* Three of the five that it sends itself on a subject of its own. */
static void add_once(const struct peer *peer, struct text *text)
{
    unsigned long long sid = peer->sent + 100;
    text_add_format(text, "SUB u.%u %llu\r\nUNSUB %llu 3\r\n", peer->index, sid, sid);
    for (int i = 0; i < 5; i++)
        text_add_format(text, "PUB u.%u 1\r\nx\r\n", peer->index);
}

static void peer_round(struct peer *peer)
{
    struct text text;
    char subject[16];
    text_init(&text);
    for (unsigned i = 0; i < LOT; i++, peer->sent++) {
        (void)snprintf(subject, sizeof(subject), "s.%u", peer->index);
        add(&text, subject, peer->index, peer->sent);
        subject[0] = 'g';
        add(&text, subject, peer->index, peer->sent);
        if (peer->index == 0)
            add(&text, "kafka.v", 0, peer->sent);
    }
    peer->once = 0;
    add_once(peer, &text);
    peer_send(peer, text.data, text.size);
    text_deinit(&text);
    peer_flush(peer);
    if (peer->once != 3)
        peer_fail(peer, "not three messages", "");
}

static int dial(void)
{
    struct sockaddr_storage address;
    struct timeval patience = {.tv_sec = WAIT_S};
    int one = 1;
    listener_address(crowd.listener, &address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(struct sockaddr_in)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0)
        abort();
    return fd;
}

/* One more that wants everything, and leaves while it is moved, or is asked to be. */
static void visit(struct peer *peer, int *fd)
{
    static const char words[] = "CONNECT {\"verbose\":false}\r\nSUB s.* 1\r\nSUB g.* visitors 2\r\n"
                                "SUB kafka.v.* 3\r\nSUB g.1 visitors 4\r\n";
    if (*fd >= 0)
        close(*fd);
    *fd = dial();
    if (send(*fd, words, sizeof(words) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(words) - 1)
        peer_fail(peer, "cannot visit", "");
}

static bool peer_has_all(const struct peer *peer)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < PEERS; i++) {
        if (peer->plain[i] < crowd.peers[i].sent)
            return false;
        all += crowd.peers[i].sent;
    }
    return peer->view >= crowd.peers[0].sent && atomic_load(&crowd.grouped) >= all;
}

static void *peer_main(void *arg)
{
    struct peer *peer = arg;
    int visitor = -1;
    for (unsigned i = 0; !peer->fault && !atomic_load(&crowd.has_enough); i++) {
        if (i % VISIT_ROUNDS == 0)
            visit(peer, &visitor);
        peer_round(peer);
        if (peer->index == 0 && i >= ROUNDS && moves() >= MOVES)
            atomic_store(&crowd.has_enough, true);
    }
    if (peer->fault)
        atomic_store(&crowd.has_enough, true);
    close(visitor);
    return NULL;
}

/* --- the whole -------------------------------------------------------------------------------- */

static void server_start(struct fixture *f)
{
    struct diag diag = {0};
    struct reactor_options options = {.os = os_posix(),
                                      .budget = &f->budget,
                                      .core_count = CORES,
                                      .helper_count = 1,
                                      .buffers_keep_bytes = 1 << 20};
    assert_int_equal(reactor_open(&options, &f->reactor), ERR_OK);
    struct broker_options broker = {.reactor = f->reactor,
                                    .store = fixture_store_open(f),
                                    .os = os_posix(),
                                    .settings = &f->settings,
                                    .view_prefix = SLICE_LITERAL("kafka"),
                                    .data_dir = "/"};
    assert_int_equal(broker_open(&broker, &f->broker, &diag), ERR_OK);
    struct nats_config *config = nats_config_new();
    struct nats_options nats = {.reactor = f->reactor, .config = config, .software = "test"};
    assert_int_equal(nats_open(&nats, &crowd.nats), ERR_OK);
    nats_config_unref(config);
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    v4->sin_family = AF_INET;
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(nats_listen(crowd.nats, &address, sizeof(*v4), &crowd.listener, &diag),
                     ERR_OK);
    for (unsigned i = 0; i < CORES; i++) {
        core_task_init(&crowd.starts[i], hop_start);
        core_task_post(reactor_core(f->reactor, i), &crowd.starts[i]);
    }
    assert_int_equal(pthread_create(&f->thread, NULL, fixture_main, f), 0);
}

static void peer_connect(struct peer *peer, unsigned index)
{
    peer->index = index;
    peer->fd = dial();
    peer_say(peer, "CONNECT {\"verbose\":false,\"protocol\":0,\"headers\":false}\r\n"
                   "SUB s.* 1\r\nSUB g.* workers 2\r\nSUB kafka.v.* 3\r\n");
    peer_flush(peer);
}

static void peers_run(void)
{
    for (unsigned i = 0; i < PEERS; i++)
        peer_connect(&crowd.peers[i], i);
    for (unsigned i = 0; i < PEERS; i++)
        assert_int_equal(pthread_create(&crowd.peers[i].thread, NULL, peer_main, &crowd.peers[i]),
                         0);
    for (unsigned i = 0; i < PEERS; i++)
        pthread_join(crowd.peers[i].thread, NULL);
    struct os *os = os_posix();
    uint64_t until_ns = os->ops->mono_ns(os) + WAIT_S * UINT64_C(1000000000);
    for (unsigned i = 0; i < PEERS; i++)
        while (!crowd.peers[i].fault && !peer_has_all(&crowd.peers[i]) &&
               os->ops->mono_ns(os) < until_ns)
            for (unsigned k = 0; k < PEERS; k++)
                peer_flush(&crowd.peers[k]);
}

static void check_all(void)
{
    uint64_t count = 0;
    uint64_t sum = 0;
    for (unsigned i = 0; i < PEERS; i++) {
        const struct peer *peer = &crowd.peers[i];
        if (peer->fault)
            fail_msg("peer %u: %s: %s", i, peer->fault, peer->line);
        for (unsigned k = 0; k < PEERS; k++)
            assert_int_equal(peer->plain[k], crowd.peers[k].sent);
        assert_int_equal(peer->view, crowd.peers[0].sent);
        count += peer->sent;
        sum += peer->sent * (peer->sent - 1) / 2;
    }
    assert_int_equal(atomic_load(&crowd.grouped), count);
    assert_int_equal(atomic_load(&crowd.grouped_sum), sum);
    assert_true(atomic_load(&crowd.reader_moves) > 0);
}

static void nothing_is_lost_doubled_or_out_of_order(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    budget_init(&f->budget, 256 << 20);
    broker_settings_init(&f->settings);
    fixture_store_init(&f->store);
    crowd.f = f;
    server_start(f);
    peers_run();
    for (unsigned i = 0; i < PEERS; i++)
        close(crowd.peers[i].fd);
    reactor_stop(f->reactor);
    pthread_join(f->thread, NULL);
    nats_close(crowd.nats);
    broker_close(f->broker);
    reactor_close(f->reactor);
    print_message("%u moves of the partition\n", atomic_load(&crowd.reader_moves));
    assert_int_equal(budget_used(&f->budget), 0);
    fixture_store_deinit(&f->store);
    free(f);
    check_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_doubled_or_out_of_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
