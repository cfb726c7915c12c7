// One blocking connection to a Kafka server: a request goes out, its answer comes back.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/arena.h"
#include "base/err.h"

/* A longer answer is refused. */
#define CLI_ASK_SIZE_MAX ((size_t)256 << 20)

struct cli_ask;

struct cli_ask_address {
    const char *host; /* without the brackets of an IPv6 address */
    const char *port;
};

/* "HOST:PORT", "[HOST]:PORT", "HOST" (then port_default) in the arena; false: none of these. */
NODISCARD bool cli_ask_parse_address(struct slice text, const char *port_default,
                                     struct arena *arena, struct cli_ask_address *out);

/* Connects, each address of the name in turn. ERR_NOT_FOUND: the name does not resolve;
 * ERR_CLOSED: refused; ERR_TIMEOUT; ERR_IO. diag says which and why. */
NODISCARD enum err cli_ask_connect(const struct cli_ask_address *address, int timeout_ms,
                                   int *out_fd, struct diag *diag);
/* Connects and learns which versions the server speaks. Also ERR_PROTOCOL: what answers there is no
 * Kafka server; diag says what it seems to be. */
NODISCARD enum err cli_ask_open(const struct cli_ask_address *address, int timeout_ms,
                                struct cli_ask **out, struct diag *diag);
void cli_ask_close(struct cli_ask *ask);

struct cli_ask_call {
    int16_t key;         /* KAFKA_API_... */
    int16_t version_max; /* 0: the newest that both know */
    const void *request; /* the generated structs of that API */
    void *response;
    struct arena *arena; /* for what response points to */
};

/* ERR_UNSUPPORTED: the server does not know the API, or no version that we know. ERR_TIMEOUT,
 * ERR_CLOSED, ERR_IO, ERR_CORRUPT, ERR_TOO_LARGE: the connection is of no use any more. */
NODISCARD enum err cli_ask_call(struct cli_ask *ask, const struct cli_ask_call *call,
                                struct diag *diag);
/* The newest version that both know; -1: none. */
int16_t cli_ask_version(const struct cli_ask *ask, int16_t key);
/* What the server said about itself. */
const struct kafka_api_versions_response *cli_ask_versions(const struct cli_ask *ask);

/* Reads one line (without its end) of at most size - 1 bytes, as a NATS server greets. */
NODISCARD enum err cli_ask_read_line(int fd, int timeout_ms, char *line, size_t size);
void cli_ask_disconnect(int fd);
