// What monitoring asks the Kafka room: requests by API, as lines of Prometheus' text format.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/text.h"
#include "kafka/kafka.h"

/* Any core. */
void kafka_report_metrics(const struct kafka *kafka, struct text *out);
