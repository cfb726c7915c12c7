// Quotas where the Kafka conversation meets them: counted, told in answers, refused.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kafka/request.h"

/* An answer is about to leave: counts what the request took, and notes in the response and the
 * request how long its connection is not read. response NULL: there is none. */
void kafka_quota_answer(struct kafka_request *request, void *response);
/* True: these bytes of records are more than the client may have now; the answer has none. */
bool kafka_quota_fetch(struct kafka_request *request, size_t size);
/* These bytes of records leave, be they too many: the client waits afterwards. For records that it
 * would not be given again. */
void kafka_quota_fetched(struct kafka_request *request, size_t size);
/* The most bytes of records that one answer may have, of those that the limits allow. */
size_t kafka_quota_fetch_max(struct kafka_request *request, size_t size_max);
/* Partitions that are made or deleted. True: too many; the change must not be made. Versions from
 * strict_version on know the error THROTTLING_QUOTA_EXCEEDED, older ones only wait afterwards. */
bool kafka_quota_change(struct kafka_request *request, size_t count, int16_t strict_version);
/* How long a new connection stays before it is closed because its address has too many; else 0. */
uint64_t kafka_quota_connect(struct conn *conn);
