// The face of the Kafka room: opens its state on each core and its listeners.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/broker.h"
#include "reactor/conn.h"

struct kafka;

struct kafka_options {
    struct broker *broker;
    struct reactor *reactor;
    struct logger *logger;
    /* "host:port", NULL: the address that the client dialled. */
    const char *advertised_host;
    uint16_t advertised_port;
    const char *data_dir; /* what DescribeLogDirs says */
};

NODISCARD enum err kafka_open(const struct kafka_options *options, struct kafka **out);
/* After the reactor has stopped. */
void kafka_close(struct kafka *kafka);
NODISCARD enum err kafka_listen(struct kafka *kafka, const struct sockaddr_storage *address,
                                socklen_t address_size, struct listener **out, struct diag *diag);
