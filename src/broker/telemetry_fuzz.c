// Fuzz target: subscriptions that are read from a fact, or whose pattern is taken, can be used.
// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "broker/telemetry_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_make(data, size);
    struct broker_telemetry_rule rule = {.match = all};
    struct broker_telemetry_client client = {.keys = {all, all, all, all, all, all},
                                             .steps = 100000};
    struct diag diag = {""};
    if (!broker_telemetry_match_check(all, &diag))
        (void)broker_telemetry_matches(&rule, &client);
    if (!broker_telemetry_facts_decode(all, &rule)) {
        struct text again;
        text_init(&again);
        broker_telemetry_facts_encode(&rule, &again);
        CHECK(slice_equal(text_slice(&again), all));
        text_deinit(&again);
    }
    return 0;
}
