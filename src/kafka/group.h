// What the handlers of groups share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kafka/request.h"

/* Bits by Kafka's AclOperation codes (READ, DELETE, DESCRIBE and configs): everything. */
#define KAFKA_OPERATIONS_GROUP 0x0d48

/* The code of an error of a group call: what comes from the log means "ask again". */
int16_t kafka_group_error(enum err err);
/* The client's address as Kafka writes it, "/127.0.0.1"; lives as long as the request. While the
 * connection is there. */
struct slice kafka_group_client_host(struct kafka_request *request);
/* Never null, for fields that cannot be. */
static inline struct slice kafka_group_text(struct slice text)
{
    return text.data ? text : slice_text("");
}
