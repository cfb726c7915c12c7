// An idempotent producer, with transactions or without.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdbool.h>

#include "bench/options.h"

/* Runs the mode "exact" and prints one line; false: it is another one. One connection to a topic
 * that is there, every partition in every request, in_flight requests. With transaction_ms each
 * transaction is as long, and its beginning and end are waited for. */
bool transactions_run(const struct options *options);
