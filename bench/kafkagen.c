// Loads a Kafka broker, or the floor, over raw sockets from one thread, and measures it.
// SPDX-License-Identifier: Apache-2.0
//
// Requests are built beforehand and only patched, so that the generator costs next to nothing.
// Every answer's correlation id is looked at, and its error codes too unless the peer is the floor;
// the first one that is wrong ends the program. The options stand in options.h.
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/endian.h"
#include "bench/frames.h"
#include "bench/groups.h"
#include "bench/link.h"
#include "bench/options.h"
#include "bench/stats.h"
#include "bench/transactions.h"

#define TRAIN_SIZE        (64 * 1024) /* of requests that may go out in one write */
#define EVENTS_MAX        64
#define CORRELATION_SIZE  4
#define FLOOR_ANSWER_SIZE 60    /* without its length; records follow */
#define ANSWER_WAIT_MS    30000 /* then the server has stalled */
#define FETCH_WAIT_MS     10000
#define SETUP_WAIT_NS     30000000000ull
#define PROBE_FILE_SIZE   (64u << 20)
#define PROBE_BLOCK_SIZE  4096
#define BATCH_LENGTH_AT   8
#define BATCH_PREFIX      12

/* One connection under load. */
struct lane {
    struct link link;
    uint32_t id_send; /* correlation id of the next request */
    uint32_t id_answer;
    uint32_t first;     /* partition of the next request */
    uint64_t *sent_ns;  /* by id % in_flight */
    uint8_t *train;     /* produce: requests behind each other; fetch: the one */
    const uint8_t *out; /* what is not sent yet */
    size_t out_left;
    bool is_blocked; /* epoll watches for EPOLLOUT */
    int64_t offset;
    uint64_t passes;
    size_t fetched; /* bytes of records in the answer that is being read */
};

struct gen {
    struct options options;
    bool is_kafka;
    bool is_fetch;
    uint32_t spread;
    uint32_t train_count;
    struct frames_produce produce;
    struct frames_fetch fetch;
    struct lane *lanes;
    int poll;
    struct arena arena;
    struct stats_run run;
    uint64_t left;        /* requests to send; UINT64_MAX: no limit */
    uint64_t deadline_ns; /* 0: none */
    uint64_t waiting;     /* answers */
};

static void check_code(int code, const char *what)
{
    if (code)
        stats_die_of("%s: %s (%d)", what, frames_error_name(code), code);
}

static struct frames_shape shape_of(const struct gen *gen)
{
    const struct options *options = &gen->options;
    return (struct frames_shape){
        .topic = options->topic,
        .spread = gen->spread,
        .record_bytes = (uint32_t)options->record_bytes,
        .batch_bytes = (uint32_t)options->batch_bytes,
        .batch_records = (uint32_t)options->batch_records,
        .acks = -1,
    };
}

// --- the topic -----------------------------------------------------------------------------------

static void link_open_or_die(struct link *link, const struct options *options, bool blocking)
{
    if (!link_open(link, (uint16_t)options->port, blocking))
        stats_die("connect");
}

static void topic_create(struct gen *gen, struct link *link)
{
    const struct options *options = &gen->options;
    const char *config = *options->config ? options->config : NULL;
    struct frames_bytes create =
        frames_create_new(options->topic, (int32_t)options->partitions, config);
    struct slice body = link_call(link, create.bytes, create.size);
    check_code(body.data ? frames_create_check(body, &gen->arena) : FRAMES_MALFORMED,
               "CreateTopics");
    free(create.bytes);
}

/* Waits until all partitions have a leader. */
static void topic_await(struct gen *gen, struct link *link)
{
    struct frames_bytes metadata = frames_metadata_new(gen->options.topic);
    uint64_t until_ns = stats_now_ns() + SETUP_WAIT_NS;
    int code = -1;
    while (code && stats_now_ns() < until_ns) {
        arena_reset(&gen->arena);
        struct slice body = link_call(link, metadata.bytes, metadata.size);
        int32_t count = (int32_t)gen->options.partitions;
        code = body.data ? frames_metadata_check(body, count, &gen->arena) : FRAMES_MALFORMED;
        if (code)
            poll(NULL, 0, 10);
    }
    check_code(code, "Metadata");
    free(metadata.bytes);
}

static void topic_set_up(struct gen *gen)
{
    const char *setup = gen->options.setup;
    if (!gen->is_kafka || !strcmp(setup, "none"))
        return;
    struct link link;
    link_open_or_die(&link, &gen->options, true);
    if (!strcmp(setup, "create"))
        topic_create(gen, &link);
    else if (strcmp(setup, "metadata") != 0)
        stats_die_of("--setup: create, metadata or none, not '%s'", setup);
    topic_await(gen, &link);
    link_close(&link);
}

// --- sending -------------------------------------------------------------------------------------

static void lane_watch(struct gen *gen, struct lane *lane, bool is_blocked)
{
    if (lane->is_blocked == is_blocked)
        return;
    lane->is_blocked = is_blocked;
    struct epoll_event event = {.events = is_blocked ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = lane};
    if (epoll_ctl(gen->poll, EPOLL_CTL_MOD, lane->link.fd, &event))
        stats_die("epoll_ctl");
}

static void lane_produce(struct gen *gen, struct lane *lane, uint32_t count, uint64_t now_ns)
{
    const struct frames_produce *produce = &gen->produce;
    uint32_t slot = lane->id_send % gen->train_count;
    uint8_t *frame = lane->train + slot * produce->size;
    lane->out = frame;
    lane->out_left = count * produce->size;
    for (uint32_t i = 0; i < count; i++, frame += produce->size) {
        frames_produce_patch(produce, frame, lane->id_send, lane->first);
        lane->sent_ns[lane->id_send % gen->options.in_flight] = now_ns;
        lane->id_send++;
        uint64_t step = gen->spread * gen->options.connections;
        lane->first = (uint32_t)((lane->first + step) % gen->options.partitions);
    }
}

static void lane_fetch(struct gen *gen, struct lane *lane, uint64_t now_ns)
{
    frames_fetch_patch(&gen->fetch, lane->id_send, lane->offset);
    memcpy(lane->train, gen->fetch.bytes, gen->fetch.size);
    lane->out = lane->train;
    lane->out_left = gen->fetch.size;
    lane->sent_ns[0] = now_ns;
    lane->id_send++;
}

/* Prepares what may be sent now; false when nothing may. */
static bool lane_load(struct gen *gen, struct lane *lane)
{
    uint64_t now_ns = stats_now_ns();
    if (gen->deadline_ns && now_ns >= gen->deadline_ns)
        gen->left = 0;
    if (gen->is_fetch && gen->options.passes && lane->passes >= gen->options.passes)
        return false;
    uint64_t count = gen->options.in_flight - (lane->id_send - lane->id_answer);
    count = MIN(count, gen->left);
    if (!gen->is_fetch)
        count = MIN(count, gen->train_count - lane->id_send % gen->train_count);
    if (count == 0)
        return false;
    if (gen->is_fetch)
        lane_fetch(gen, lane, now_ns);
    else
        lane_produce(gen, lane, (uint32_t)count, now_ns);
    if (gen->left != UINT64_MAX)
        gen->left -= count;
    gen->waiting += count;
    return true;
}

static void lane_send(struct gen *gen, struct lane *lane)
{
    while (lane->out_left || lane_load(gen, lane)) {
        size_t n = link_send_some(&lane->link, lane->out, lane->out_left);
        if (n == 0)
            break;
        lane->out += n;
        lane->out_left -= n;
    }
    lane_watch(gen, lane, lane->out_left > 0);
}

// --- answers -------------------------------------------------------------------------------------

static void lane_answered(struct gen *gen, struct lane *lane, uint64_t bytes, uint64_t records)
{
    uint64_t sent_ns = lane->sent_ns[lane->id_answer % gen->options.in_flight];
    stats_times_add(&gen->run.times, stats_now_ns() - sent_ns);
    lane->id_answer++;
    gen->waiting--;
    gen->run.requests++;
    gen->run.bytes += bytes;
    gen->run.records += records;
}

static struct slice body_of(const struct lane *lane, struct slice frame)
{
    uint32_t id = be32_get(frame.data);
    if (id != lane->id_answer)
        stats_die_of("an answer with correlation id %u, not %u", id, lane->id_answer);
    return slice_make(frame.data + CORRELATION_SIZE, frame.size - CORRELATION_SIZE);
}

static void lane_produced(struct gen *gen, struct lane *lane)
{
    if (link_read(&lane->link, LINK_READ_SIZE) < 0)
        stats_die_of("the server closed the connection");
    for (;;) {
        struct slice frame = link_frame(&lane->link, 0, NULL);
        if (!frame.data)
            return;
        struct slice body = body_of(lane, frame);
        if (gen->is_kafka) {
            arena_reset(&gen->arena);
            check_code(frames_produce_check(body, gen->spread, &gen->arena, NULL), "Produce");
        }
        link_take(&lane->link);
        const struct frames_produce *produce = &gen->produce;
        lane_answered(gen, lane, produce->batch_size * gen->spread,
                      (uint64_t)produce->batch_records * gen->spread);
    }
}

/* Whole batches count; the offset moves behind them. records: as far as they were kept. */
static void lane_advance(struct gen *gen, struct lane *lane, size_t size, struct slice records)
{
    size_t batch_size = gen->produce.batch_size;
    int64_t count = (int64_t)(size / batch_size);
    if (count == 0 || records.size < BATCH_PREFIX)
        stats_die_of("no batch at offset %lld (%zu bytes)", (long long)lane->offset, size);
    int64_t base = (int64_t)be64_get(records.data);
    size_t first_size = BATCH_PREFIX + (size_t)be32_get(records.data + BATCH_LENGTH_AT);
    if (base != lane->offset || first_size != batch_size)
        stats_die_of("a batch of %zu bytes at %lld, not one of %zu at %lld", first_size,
                     (long long)base, batch_size, (long long)lane->offset);
    int64_t next = lane->offset + count * (int64_t)gen->produce.batch_records;
    if (!strcmp(gen->options.verify, "crc") && frames_fetch_check(records, base) != next)
        stats_die_of("damaged batches from offset %lld on", (long long)base);
    lane->offset = next;
    lane->fetched = (size_t)count * batch_size;
    if (lane->offset >= (int64_t)gen->options.to) {
        lane->offset = (int64_t)gen->options.from;
        lane->passes++;
    }
}

/* The kept beginning of an answer is there. */
static void lane_fetch_head(struct gen *gen, struct lane *lane, struct slice frame, size_t size)
{
    struct slice body = body_of(lane, frame);
    if (!gen->is_kafka) {
        lane->fetched = size - FLOOR_ANSWER_SIZE;
        return;
    }
    struct slice start = slice_make(body.data, MIN(body.size, FRAMES_FETCH_HEAD_MAX));
    struct frames_fetched fetched = frames_fetch_read(start);
    check_code(fetched.error, "Fetch");
    if (gen->options.to == 0)
        gen->options.to = (uint64_t)fetched.visible_end;
    size_t kept = MIN(body.size - fetched.records_at, fetched.records_size);
    lane_advance(gen, lane, fetched.records_size, slice_make(body.data + fetched.records_at, kept));
}

static void lane_fetched(struct gen *gen, struct lane *lane)
{
    struct link *link = &lane->link;
    bool is_whole = !strcmp(gen->options.verify, "crc");
    size_t kept_max = is_whole ? 0 : CORRELATION_SIZE + FRAMES_FETCH_HEAD_MAX;
    if (link->skip_left == 0) {
        size_t size_max = is_whole ? gen->options.fetch_bytes : kept_max;
        if (link_read(link, size_max) < 0)
            stats_die_of("the server closed the connection");
        size_t size;
        struct slice frame = link_frame(link, kept_max, &size);
        if (!frame.data)
            return;
        lane_fetch_head(gen, lane, frame, size);
        link_take(link);
    }
    if (!link_skip(link))
        return;
    uint64_t batches = lane->fetched / gen->produce.batch_size;
    lane_answered(gen, lane, lane->fetched, batches * gen->produce.batch_records);
}

// --- produce and fetch ---------------------------------------------------------------------------

static void lanes_open(struct gen *gen)
{
    const struct options *options = &gen->options;
    gen->poll = epoll_create1(EPOLL_CLOEXEC);
    gen->lanes = calloc(options->connections, sizeof(*gen->lanes));
    if (gen->poll < 0 || !gen->lanes)
        stats_die("lanes");
    for (uint64_t i = 0; i < options->connections; i++) {
        struct lane *lane = &gen->lanes[i];
        link_open_or_die(&lane->link, options, false);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = lane};
        if (epoll_ctl(gen->poll, EPOLL_CTL_ADD, lane->link.fd, &event))
            stats_die("epoll_ctl");
        lane->sent_ns = calloc(options->in_flight, sizeof(*lane->sent_ns));
        struct frames_shape shape = shape_of(gen);
        lane->train = gen->is_fetch ? malloc(gen->fetch.size)
                                    : frames_produce_new(&shape, gen->train_count).bytes;
        if (!lane->sent_ns || !lane->train)
            stats_die("lanes");
        lane->first = (uint32_t)(i * gen->spread % options->partitions);
        lane->offset = (int64_t)options->from;
    }
}

static void lanes_run(struct gen *gen, uint64_t count, uint64_t seconds)
{
    gen->left = count ? count : UINT64_MAX;
    gen->deadline_ns = seconds ? stats_now_ns() + seconds * 1000000000u : 0;
    stats_run_start(&gen->run, (int)gen->options.pid);
    for (uint64_t i = 0; i < gen->options.connections; i++)
        lane_send(gen, &gen->lanes[i]);
    while (gen->waiting) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(gen->poll, events, EVENTS_MAX, ANSWER_WAIT_MS);
        if (ready == 0)
            stats_die_of("no answer for %d ms to %llu requests, after %llu answers", ANSWER_WAIT_MS,
                         (unsigned long long)gen->waiting, (unsigned long long)gen->run.requests);
        for (int i = 0; i < ready; i++) {
            struct lane *lane = events[i].data.ptr;
            if (events[i].events & ~(uint32_t)EPOLLOUT) {
                if (gen->is_fetch)
                    lane_fetched(gen, lane);
                else
                    lane_produced(gen, lane);
            }
            lane_send(gen, lane);
        }
    }
    stats_run_end(&gen->run);
}

static void run_load(struct gen *gen)
{
    const struct options *options = &gen->options;
    if (options->partitions % gen->spread || (gen->is_fetch && options->in_flight != 1))
        stats_die_of("--spread divides --partitions, and fetching is --in-flight 1");
    struct frames_shape shape = shape_of(gen);
    gen->produce = frames_produce_new(&shape, 1);
    gen->train_count = (uint32_t)MIN(MAX(TRAIN_SIZE / gen->produce.size, 1), options->in_flight);
    if (gen->is_fetch)
        gen->fetch = frames_fetch_new(options->topic, FETCH_WAIT_MS, (int32_t)options->fetch_bytes);
    lanes_open(gen);
    if (options->warm)
        lanes_run(gen, options->warm, 0);
    for (uint64_t i = 0; i < options->connections; i++)
        gen->lanes[i].passes = 0;
    lanes_run(gen, options->count, options->seconds);
    stats_run_print(&gen->run, options->json);
}

// --- how long a record takes from a producer to a waiting consumer -------------------------------

struct tail {
    struct gen *gen;
    struct link producer;
    struct link consumer;
    struct stats_run arrivals;
    struct stats_run acks;
    uint32_t id;
    int64_t offset; /* of the record that comes next */
};

static void tail_send(struct link *link, const uint8_t *bytes, size_t size)
{
    if (!link_send(link, bytes, size))
        stats_die_of("the server closed the connection");
}

static void tail_produce(struct tail *tail)
{
    const struct frames_produce *produce = &tail->gen->produce;
    frames_produce_patch(produce, produce->bytes, ++tail->id, 0);
    tail_send(&tail->producer, produce->bytes, produce->size);
}

static void tail_fetch(struct tail *tail)
{
    const struct frames_fetch *fetch = &tail->gen->fetch;
    frames_fetch_patch(fetch, tail->id, tail->offset);
    tail_send(&tail->consumer, fetch->bytes, fetch->size);
}

/* A whole answer's body when it is there. */
static struct slice tail_read(struct link *link)
{
    if (link_read(link, LINK_READ_SIZE) < 0)
        stats_die_of("the server closed the connection");
    struct slice frame = link_frame(link, 0, NULL);
    if (!frame.data)
        return frame;
    link_take(link);
    return slice_make(frame.data + CORRELATION_SIZE, frame.size - CORRELATION_SIZE);
}

static bool tail_is_acked(struct tail *tail, int64_t *out_offset)
{
    struct slice body = tail_read(&tail->producer);
    if (!body.data)
        return false;
    arena_reset(&tail->gen->arena);
    check_code(frames_produce_check(body, 1, &tail->gen->arena, out_offset), "Produce");
    return true;
}

static bool tail_has_arrived(struct tail *tail)
{
    struct slice body = tail_read(&tail->consumer);
    if (!body.data)
        return false;
    struct frames_fetched fetched =
        frames_fetch_read(slice_make(body.data, MIN(body.size, FRAMES_FETCH_HEAD_MAX)));
    check_code(fetched.error, "Fetch");
    if (fetched.records_size == 0) {
        tail_fetch(tail);
        return false;
    }
    struct slice records = slice_make(body.data + fetched.records_at, fetched.records_size);
    if (fetched.records_at + fetched.records_size > body.size ||
        frames_fetch_check(records, tail->offset) !=
            tail->offset + tail->gen->produce.batch_records)
        stats_die_of("not the record with offset %lld", (long long)tail->offset);
    return true;
}

static void tail_round(struct tail *tail)
{
    uint64_t sent_ns = stats_now_ns();
    tail_produce(tail);
    bool is_acked = false, has_arrived = false;
    while (!is_acked || !has_arrived) {
        struct pollfd fds[2] = {{tail->consumer.fd, POLLIN, 0}, {tail->producer.fd, POLLIN, 0}};
        if (poll(fds, 2, ANSWER_WAIT_MS) == 0)
            stats_die_of("%s for %d ms", is_acked ? "a record did not arrive" : "no answer",
                         ANSWER_WAIT_MS);
        if (fds[0].revents && !has_arrived && tail_has_arrived(tail)) {
            stats_times_add(&tail->arrivals.times, stats_now_ns() - sent_ns);
            has_arrived = true;
        }
        if (fds[1].revents && !is_acked && tail_is_acked(tail, NULL)) {
            stats_times_add(&tail->acks.times, stats_now_ns() - sent_ns);
            is_acked = true;
        }
    }
    tail->arrivals.requests++;
    tail->arrivals.records += tail->gen->produce.batch_records;
    tail->arrivals.bytes += tail->gen->produce.batch_size;
    tail->offset += tail->gen->produce.batch_records;
    tail_fetch(tail);
}

/* Prints two lines: until the record arrived, and until it was acknowledged. */
static void run_tail(struct gen *gen)
{
    const struct options *options = &gen->options;
    static struct tail tail;
    tail.gen = gen;
    struct frames_shape shape = shape_of(gen);
    shape.spread = 1;
    gen->produce = frames_produce_new(&shape, 1);
    gen->fetch = frames_fetch_new(options->topic, FETCH_WAIT_MS, (int32_t)options->fetch_bytes);
    link_open_or_die(&tail.producer, options, false);
    link_open_or_die(&tail.consumer, options, false);
    tail_produce(&tail);
    struct pollfd fd = {tail.producer.fd, POLLIN, 0};
    while (!tail_is_acked(&tail, &tail.offset))
        poll(&fd, 1, -1);
    tail.offset += gen->produce.batch_records;
    tail_fetch(&tail);
    for (uint64_t i = 0; i < options->warm; i++)
        tail_round(&tail);
    stats_run_start(&tail.arrivals, (int)options->pid);
    tail.acks = (struct stats_run){0};
    uint64_t end_ns =
        options->seconds ? tail.arrivals.started_ns + options->seconds * 1000000000u : UINT64_MAX;
    uint64_t count = options->count ? options->count : UINT64_MAX;
    while (tail.arrivals.requests < count && stats_now_ns() < end_ns)
        tail_round(&tail);
    stats_run_end(&tail.arrivals);
    stats_run_print(&tail.arrivals, options->json);
    tail.acks.taken_ns = tail.arrivals.taken_ns;
    tail.acks.requests = tail.arrivals.requests;
    stats_run_print(&tail.acks, options->json);
}

// --- how long a start takes, and a sync ----------------------------------------------------------

/* 0, an error code, or FRAMES_MALFORMED when there is no answer (yet). */
static int ready_try(struct gen *gen, struct link *link, bool is_produce)
{
    static struct frames_bytes versions;
    if (!versions.bytes)
        versions = frames_api_versions_new();
    if (!is_produce) {
        struct slice body = link_call(link, versions.bytes, versions.size);
        return body.size >= 2 ? (int16_t)be16_get(body.data) : FRAMES_MALFORMED;
    }
    struct slice body = link_call(link, gen->produce.bytes, gen->produce.size);
    arena_reset(&gen->arena);
    return body.data ? frames_produce_check(body, 1, &gen->arena, NULL) : FRAMES_MALFORMED;
}

static void ready_await(struct gen *gen, bool is_produce, uint64_t until_ns)
{
    struct link link;
    int code = FRAMES_MALFORMED;
    bool is_open = false;
    while (code) {
        if (stats_now_ns() > until_ns)
            stats_die_of("not ready in time: %s (%d)",
                         is_open ? frames_error_name(code) : "no connection", code);
        if (!is_open)
            is_open = link_open(&link, (uint16_t)gen->options.port, true);
        if (is_open)
            code = ready_try(gen, &link, is_produce);
        if (is_open && code == FRAMES_MALFORMED) {
            link_close(&link);
            is_open = false;
        }
        if (code)
            poll(NULL, 0, 1);
    }
    link_close(&link);
}

/* Prints when ApiVersions was answered, and when a record was acknowledged (0: none was sent), by
 * the monotonic clock. */
static void run_ready(struct gen *gen)
{
    const struct options *options = &gen->options;
    uint64_t produced_ns = 0, until_ns = UINT64_MAX;
    if (options->seconds)
        until_ns = stats_now_ns() + options->seconds * 1000000000u;
    struct frames_shape shape = shape_of(gen);
    shape.spread = 1;
    gen->produce = frames_produce_new(&shape, 1);
    ready_await(gen, false, until_ns);
    uint64_t answered_ns = stats_now_ns();
    if (strcmp(options->topic, "-") != 0) {
        if (!strcmp(options->setup, "metadata"))
            topic_set_up(gen);
        ready_await(gen, true, until_ns);
        produced_ns = stats_now_ns();
    }
    printf("{\"answers_at_ns\": %llu, \"produces_at_ns\": %llu}\n", (unsigned long long)answered_ns,
           (unsigned long long)produced_ns);
}

/* Rewrites 4 KiB blocks of a file that was written before, with an fdatasync each. */
static void run_fsync(struct gen *gen)
{
    const struct options *options = &gen->options;
    static uint8_t block[1 << 20];
    int fd = open(options->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        stats_die(options->file);
    for (off_t at = 0; at < PROBE_FILE_SIZE; at += sizeof(block)) {
        if (pwrite(fd, block, sizeof(block), at) != sizeof(block))
            stats_die(options->file);
    }
    if (fsync(fd))
        stats_die(options->file);
    stats_run_start(&gen->run, getpid());
    uint64_t end_ns =
        options->seconds ? gen->run.started_ns + options->seconds * 1000000000u : UINT64_MAX;
    uint64_t count = options->count ? options->count : UINT64_MAX, now_ns = gen->run.started_ns;
    for (off_t at = 0; gen->run.requests < count && now_ns < end_ns; gen->run.requests++) {
        uint64_t start_ns = stats_now_ns();
        if (pwrite(fd, block, PROBE_BLOCK_SIZE, at) != PROBE_BLOCK_SIZE || fdatasync(fd))
            stats_die(options->file);
        now_ns = stats_now_ns();
        stats_times_add(&gen->run.times, now_ns - start_ns);
        at = (at + PROBE_BLOCK_SIZE) % PROBE_FILE_SIZE;
    }
    stats_run_end(&gen->run);
    stats_run_print(&gen->run, options->json);
}

int main(int argc, char **argv)
{
    static struct gen gen;
    gen.options = options_read(argc, argv);
    struct options *options = &gen.options;
    gen.is_kafka = strcmp(options->peer, "floor") != 0;
    gen.is_fetch = !strcmp(options->mode, "fetch");
    gen.spread = (uint32_t)(options->spread ? options->spread : options->partitions);
    if (!options->partitions || !options->connections || !options->in_flight || !options->port)
        stats_die_of("port, partitions, connections and in-flight begin with 1");
    if (options->record_bytes > INT32_MAX / 2 || options->batch_bytes > INT32_MAX / 2 ||
        options->fetch_bytes > INT32_MAX / 2 || options->partitions > INT32_MAX / 2)
        stats_die_of("a size or count is beyond what the protocol can say");
    arena_init(&gen.arena, 0);
    if (!strcmp(options->mode, "commit") || !strcmp(options->mode, "exact"))
        topic_set_up(&gen);
    if (groups_run(options) || transactions_run(options))
        return 0;
    if (!strcmp(options->mode, "ready") || !strcmp(options->mode, "fsync")) {
        (options->mode[0] == 'r' ? run_ready : run_fsync)(&gen);
        return 0;
    }
    if (strcmp(options->mode, "produce") != 0 && strcmp(options->mode, "tail") != 0 &&
        !gen.is_fetch)
        stats_die_of("--mode: no '%s'; --help tells them", options->mode);
    topic_set_up(&gen);
    (!strcmp(options->mode, "tail") ? run_tail : run_load)(&gen);
    return 0;
}
