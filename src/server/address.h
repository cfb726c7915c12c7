// Addresses as people write them: "127.0.0.1:9092", "[::1]:9092", ":9092", "PLAINTEXT://host:9092".
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/text.h"

struct server_address {
    struct sockaddr_storage socket;
    socklen_t socket_size;
};

/* "address:port", "[v6]:port", ":port" and "*:port" (every IPv4 interface), "port" (127.0.0.1),
 * with or without "PLAINTEXT://". The address is numeric or "localhost". Port 0 takes a free one.
 * ERR_INVALID with words in diag; ERR_UNSUPPORTED for a listener that is not plain text. */
NODISCARD enum err server_address_parse(struct slice text, struct server_address *out,
                                        struct diag *diag);
/* "host:port" with or without "PLAINTEXT://": what clients are told; a name is fine. *out_host is
 * in arena and ends with a NUL byte. Errors as above. */
NODISCARD enum err server_address_parse_name(struct slice text, struct arena *arena,
                                             struct slice *out_host, uint16_t *out_port,
                                             struct diag *diag);
/* Adds "address:port" or "[v6]:port". */
void server_address_add(struct text *text, const struct sockaddr_storage *address);
uint16_t server_address_port(const struct sockaddr_storage *address);
