// What the handlers of transactions share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kafka/request.h"

/* The code of an error of a transaction call; what comes from the log means "ask again".
 * knows_fence: the version of the request has PRODUCER_FENCED, older ones INVALID_PRODUCER_EPOCH.
 */
int16_t kafka_transaction_error(enum err err, bool knows_fence);
