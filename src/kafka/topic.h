// Topics as Kafka sees them: rules of names, and who may do what.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kafka/request.h"

#define KAFKA_TOPIC_NAME_SIZE_MAX 249

/* Bits by Kafka's AclOperation codes: everything, as without an authorizer. */
#define KAFKA_OPERATIONS_TOPIC   0x0df8
#define KAFKA_OPERATIONS_CLUSTER 0x1fa0

/* NULL when name is a legal topic name, else words that say why not. */
const char *kafka_topic_name_fault(struct slice name);
/* Names that only the server makes topics of. */
bool kafka_topic_name_is_internal(struct slice name);
/* An error message that lives as long as the request; null when there are no words. */
struct slice kafka_topic_words(struct kafka_request *request, const struct diag *diag);
