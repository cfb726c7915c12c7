// The Kafka conversation on one connection: frames in, handlers, answers out in order.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/quota.h"
#include "kafka/request.h"
#include "reactor/conn.h"

struct kafka; /* what all connections share: kafka/kafka.h */

/* Requests outstanding on one connection; above it input waits. */
#define KAFKA_CONN_REQUESTS_MAX 1024

extern const struct conn_ops kafka_conn_ops; /* listener arg: struct kafka * */

/* Sends what is answered at the head of the line, then lets input go on. */
void kafka_conn_advance(struct kafka_conn *conn);
struct kafka *kafka_conn_kafka(const struct kafka_conn *conn);
struct conn *kafka_conn_conn(const struct kafka_conn *conn);
/* A number that no other connection of this core has had; names sessions and logs. */
uint64_t kafka_conn_id(const struct kafka_conn *conn);
/* What the quotas of this connection's clients are counted by. */
struct broker_quota_client *kafka_conn_quota(struct kafka_conn *conn);
/* Since when the handler at work has been running; 0: none is, or nobody asks. */
uint64_t kafka_conn_began_ns(const struct kafka_conn *conn);

/* What ends its share sessions when it goes, made when first asked for; its client is a number that
 * no other connection has. NULL: out of memory. */
struct share_gone;
struct share_gone *kafka_conn_share(struct kafka_conn *conn);

/* Longer names of software are not kept. */
#define KAFKA_SOFTWARE_SIZE_MAX 64
/* What the client said that it is, in ApiVersions; empty when it did not. */
struct kafka_software {
    char name[KAFKA_SOFTWARE_SIZE_MAX + 1];
    char version[KAFKA_SOFTWARE_SIZE_MAX + 1];
};
struct kafka_software *kafka_conn_software(struct kafka_conn *conn);
