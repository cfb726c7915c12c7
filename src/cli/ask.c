// A small Kafka client over the generated codecs; everything has a deadline.
// SPDX-License-Identifier: Apache-2.0
#include "cli/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "wire/kafka_api_versions.h"
#include "wire/kafka_apis.h"
#include "wire/kafka_codecs.h"
#include "wire/kafka_request_header.h"
#include "wire/kafka_response_header.h"

#define READ_SIZE           ((size_t)64 << 10)
#define UNSUPPORTED_VERSION 35

struct cli_ask {
    int fd;
    int timeout_ms;
    int32_t correlation_id;
    struct arena arena; /* what the server said about itself */
    struct kafka_api_versions_response versions;
};

bool cli_ask_parse_address(struct slice text, const char *port_default, struct arena *arena,
                           struct cli_ask_address *out)
{
    const uint8_t *end = text.data + text.size;
    struct slice host = text, port = slice_text(port_default);
    bool bracket = text.size > 0 && text.data[0] == '[';
    const uint8_t *close = bracket ? memchr(text.data, ']', text.size) : NULL;
    const uint8_t *colon = bracket ? (close && close + 1 < end ? close + 1 : NULL)
                                   : memrchr(text.data, ':', text.size);
    if (bracket && (!close || (colon && *colon != ':')))
        return false;
    if (colon) {
        host.size = (size_t)(colon - text.data);
        port = slice_make(colon + 1, (size_t)(end - colon - 1));
    }
    if (bracket)
        host = slice_make(text.data + 1, (size_t)(close - text.data - 1));
    uint64_t number;
    if (host.size == 0 || !text_parse_u64(port, &number) || number == 0 || number > UINT16_MAX)
        return false;
    out->host = (const char *)arena_copy(arena, host).data;
    out->port = (const char *)arena_copy(arena, port).data;
    return out->host && out->port;
}

static int64_t monotonic_ms(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for events; ERR_TIMEOUT at the deadline. */
static enum err await(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        int64_t left_ms = deadline_ms - monotonic_ms();
        struct pollfd waiting = {.fd = fd, .events = events};
        int ready = left_ms > 0 ? poll(&waiting, 1, (int)MIN(left_ms, INT32_MAX)) : 0;
        if (ready > 0)
            return ERR_OK;
        if (ready == 0)
            return ERR_TIMEOUT;
        if (errno != EINTR)
            return err_from_errno(errno);
    }
}

static enum err connect_one(const struct addrinfo *to, int64_t deadline_ms, int *out_fd)
{
    int fd = socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    int error = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    enum err err = ERR_OK;
    if (error == EINPROGRESS) {
        err = await(fd, POLLOUT, deadline_ms);
        socklen_t size = sizeof(error);
        if (!err && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
            error = errno;
    }
    if (!err && error)
        err = error == ECONNREFUSED ? ERR_CLOSED : error == ETIMEDOUT ? ERR_TIMEOUT : ERR_IO;
    if (err) {
        close(fd);
        errno = error;
        return err;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *out_fd = fd;
    return ERR_OK;
}

enum err cli_ask_connect(const struct cli_ask_address *address, int timeout_ms, int *out_fd,
                         struct diag *diag)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int problem = getaddrinfo(address->host, address->port, &hints, &found);
    if (problem != 0) {
        diag_set(diag, "the name '%s' does not resolve: %s", address->host, gai_strerror(problem));
        return ERR_NOT_FOUND;
    }
    int64_t deadline_ms = monotonic_ms() + timeout_ms;
    enum err err = ERR_IO;
    for (const struct addrinfo *to = found; to && err && err != ERR_TIMEOUT; to = to->ai_next)
        err = connect_one(to, deadline_ms, out_fd);
    if (err == ERR_CLOSED)
        diag_set(diag, "connection refused: nobody listens there");
    else if (err == ERR_TIMEOUT)
        diag_set(diag, "no answer in %d ms", timeout_ms);
    else if (err)
        diag_set(diag, "%s", strerror(errno));
    freeaddrinfo(found);
    return err;
}

void cli_ask_disconnect(int fd)
{
    close(fd);
}

static enum err send_all(int fd, struct slice bytes, int64_t deadline_ms)
{
    while (bytes.size > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes = slice_make(bytes.data + sent, bytes.size - (size_t)sent);
            continue;
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : err_from_errno(errno);
        enum err err = await(fd, POLLOUT, deadline_ms);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err receive_some(int fd, void *data, size_t size, int64_t deadline_ms, size_t *out)
{
    for (;;) {
        ssize_t got = recv(fd, data, size, 0);
        if (got > 0) {
            *out = (size_t)got;
            return ERR_OK;
        }
        if (got == 0 || errno == ECONNRESET)
            return ERR_CLOSED;
        if (errno != EAGAIN && errno != EINTR)
            return err_from_errno(errno);
        enum err err = await(fd, POLLIN, deadline_ms);
        if (err)
            return err;
    }
}

static enum err receive_all(int fd, uint8_t *data, size_t size, int64_t deadline_ms)
{
    size_t got;
    enum err err = ERR_OK;
    for (size_t done = 0; !err && done < size; done += got) {
        got = 0;
        err = receive_some(fd, data + done, MIN(size - done, READ_SIZE), deadline_ms, &got);
    }
    return err;
}

enum err cli_ask_read_line(int fd, int timeout_ms, char *line, size_t size)
{
    int64_t deadline_ms = monotonic_ms() + timeout_ms;
    for (size_t at = 0; at + 1 < size; at++) {
        enum err err = receive_all(fd, (uint8_t *)line + at, 1, deadline_ms);
        if (err)
            return err;
        if (line[at] == '\n') {
            line[at > 0 && line[at - 1] == '\r' ? at - 1 : at] = '\0';
            return ERR_OK;
        }
    }
    return ERR_TOO_LARGE;
}

/* Someone else's first bytes, read as a length. */
static const char *stranger(uint32_t length)
{
    uint8_t bytes[4];
    be32_put(bytes, length);
    if (memcmp(bytes, "INFO", 4) == 0 || memcmp(bytes, "-ERR", 4) == 0)
        return "a NATS server answers there; the port of Kafka clients is another one";
    if (memcmp(bytes, "HTTP", 4) == 0)
        return "a web server answers there, not a Kafka server";
    if ((bytes[0] == 0x15 || bytes[0] == 0x16) && bytes[1] == 3)
        return "the server wants TLS there, which this command does not speak";
    if (memcmp(bytes, "SSH-", 4) == 0)
        return "an SSH server answers there, not a Kafka server";
    return NULL;
}

/* The next frame without its length, in the arena; the pages of a long one are touched as its
 * bytes come. */
static enum err receive_frame(struct cli_ask *ask, int64_t deadline_ms, struct arena *arena,
                              struct slice *out, struct diag *diag)
{
    uint8_t head[4];
    enum err err = receive_all(ask->fd, head, sizeof(head), deadline_ms);
    if (err)
        return err;
    uint32_t length = be32_get(head);
    const char *who = stranger(length);
    if (who || length > CLI_ASK_SIZE_MAX) {
        diag_set(diag, "%s", who ? who : "the answer is too long, or no answer of a Kafka server");
        return who ? ERR_PROTOCOL : ERR_TOO_LARGE;
    }
    uint8_t *data = arena_alloc(arena, length);
    if (!data)
        return ERR_NO_MEMORY;
    *out = slice_make(data, length);
    return receive_all(ask->fd, data, length, deadline_ms);
}

static const struct kafka_codec *codec_of(int16_t key, bool is_response)
{
    for (size_t i = 0; i < kafka_codecs_count; i++)
        if (kafka_codecs[i].key == key && kafka_codecs[i].is_response == is_response)
            return &kafka_codecs[i];
    return NULL;
}

static enum err send_request(struct cli_ask *ask, const struct cli_ask_call *call, int16_t version,
                             int64_t deadline_ms)
{
    const struct kafka_api *api = kafka_api_find(call->key);
    struct kafka_request_header header = {.request_api_key = call->key,
                                          .request_api_version = version,
                                          .correlation_id = ++ask->correlation_id,
                                          .client_id = SLICE_LITERAL("leat")};
    struct wire_writer w;
    wire_writer_init_growing(&w);
    wire_writer_int32(&w, 0);
    kafka_request_header_encode(&header, kafka_api_request_header_version(api, version), &w);
    codec_of(call->key, false)->encode(call->request, version, &w);
    enum err err = w.error;
    if (!err && w.size - 4 > INT32_MAX)
        err = ERR_TOO_LARGE;
    if (!err) {
        be32_put(w.data, (uint32_t)(w.size - 4));
        err = send_all(ask->fd, wire_writer_output(&w), deadline_ms);
    }
    wire_writer_deinit(&w);
    return err;
}

static enum err call_version(struct cli_ask *ask, const struct cli_ask_call *call, int16_t version,
                             struct diag *diag)
{
    const struct kafka_api *api = kafka_api_find(call->key);
    int64_t deadline_ms = monotonic_ms() + ask->timeout_ms;
    enum err err = send_request(ask, call, version, deadline_ms);
    struct slice frame = SLICE_NULL;
    if (!err)
        err = receive_frame(ask, deadline_ms, call->arena, &frame, diag);
    if (err)
        return err;
    struct wire_reader r;
    wire_reader_init(&r, frame, call->arena);
    struct kafka_response_header header;
    kafka_response_header_read(&r, kafka_api_response_header_version(api, version), &header);
    if (!r.error && header.correlation_id != ask->correlation_id)
        return ERR_CORRUPT;
    /* A server that does not know the version of ApiVersions answers in version 0. */
    bool old = call->key == KAFKA_API_API_VERSIONS && wire_reader_left(&r) >= 2 &&
               be16_get(r.at) == UNSUPPORTED_VERSION;
    codec_of(call->key, true)->read(&r, old ? 0 : version, call->response);
    return r.error ? ERR_CORRUPT : ERR_OK;
}

static void describe(enum err err, const struct cli_ask *ask, struct diag *diag)
{
    if (err == ERR_TIMEOUT)
        diag_set(diag, "no answer in %d ms", ask->timeout_ms);
    else if (err == ERR_CLOSED)
        diag_set(diag, "the server closed the connection");
    else if (err == ERR_CORRUPT)
        diag_set(diag, "the answer is none of a Kafka server");
    else if (err && err != ERR_PROTOCOL && err != ERR_TOO_LARGE)
        diag_set(diag, "%s", err_text(err));
}

static enum err learn_versions(struct cli_ask *ask, struct diag *diag)
{
    struct kafka_api_versions_request request = {.client_software_name = SLICE_LITERAL("leat"),
                                                 .client_software_version =
                                                     SLICE_LITERAL(LEAT_VERSION)};
    struct cli_ask_call call = {.key = KAFKA_API_API_VERSIONS,
                                .request = &request,
                                .response = &ask->versions,
                                .arena = &ask->arena};
    enum err err = call_version(ask, &call, 3, diag);
    if (!err && ask->versions.error_code == UNSUPPORTED_VERSION)
        err = call_version(ask, &call, 0, diag);
    if (!err && ask->versions.error_code != 0)
        err = ERR_UNSUPPORTED;
    if (err == ERR_CORRUPT || err == ERR_TOO_LARGE || err == ERR_CLOSED) {
        if (err != ERR_TOO_LARGE)
            describe(err, ask, diag);
        return err == ERR_CLOSED ? err : ERR_PROTOCOL;
    }
    describe(err, ask, diag);
    return err;
}

enum err cli_ask_open(const struct cli_ask_address *address, int timeout_ms, struct cli_ask **out,
                      struct diag *diag)
{
    struct cli_ask *ask = calloc(1, sizeof(*ask));
    if (!ask)
        return ERR_NO_MEMORY;
    arena_init(&ask->arena, 0);
    ask->timeout_ms = timeout_ms;
    ask->fd = -1;
    enum err err = cli_ask_connect(address, timeout_ms, &ask->fd, diag);
    if (!err)
        err = learn_versions(ask, diag);
    if (err)
        cli_ask_close(ask);
    else
        *out = ask;
    return err;
}

void cli_ask_close(struct cli_ask *ask)
{
    if (ask->fd >= 0)
        close(ask->fd);
    arena_deinit(&ask->arena);
    free(ask);
}

int16_t cli_ask_version(const struct cli_ask *ask, int16_t key)
{
    const struct kafka_api *api = kafka_api_find(key);
    for (size_t i = 0; api && i < ask->versions.api_keys_count; i++) {
        const struct kafka_api_versions_response_api_version *known = &ask->versions.api_keys[i];
        if (known->api_key != key)
            continue;
        int16_t version = MIN(known->max_version, api->version_max);
        return version >= MAX(known->min_version, api->version_min) ? version : -1;
    }
    return -1;
}

const struct kafka_api_versions_response *cli_ask_versions(const struct cli_ask *ask)
{
    return &ask->versions;
}

enum err cli_ask_call(struct cli_ask *ask, const struct cli_ask_call *call, struct diag *diag)
{
    int16_t version = cli_ask_version(ask, call->key);
    if (call->version_max > 0)
        version = MIN(version, call->version_max);
    if (version < 0) {
        const struct kafka_api *api = kafka_api_find(call->key);
        diag_set(diag, "the server does not answer %s", api ? api->name : "this");
        return ERR_UNSUPPORTED;
    }
    enum err err = call_version(ask, call, version, diag);
    describe(err, ask, diag);
    return err;
}
