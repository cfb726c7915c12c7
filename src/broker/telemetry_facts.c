// Subscriptions to client metrics as facts of the catalogue, byte by byte.
// SPDX-License-Identifier: Apache-2.0
//
// Numbers are big-endian.
//   key    "client-metrics/" name
//   value  version u8 (1), set u8 (1 interval, 2 metrics, 4 match; not 0), interval u32 (ms),
//          metrics size u16, metrics, match size u16, match
#include "base/endian.h"
#include "base/text.h"
#include "broker/telemetry_state.h"

#define TELEMETRY_FACT_VERSION 1
#define TELEMETRY_FIXED_SIZE   6

static void add_sized(struct text *out, struct slice bytes)
{
    uint8_t size[2];
    be16_put(size, (uint16_t)bytes.size);
    text_add(out, slice_make(size, sizeof(size)));
    text_add(out, bytes);
}

void broker_telemetry_facts_encode(const struct broker_telemetry_rule *rule, struct text *out)
{
    uint8_t fixed[TELEMETRY_FIXED_SIZE] = {TELEMETRY_FACT_VERSION, (uint8_t)rule->set};
    be32_put(fixed + 2, (uint32_t)rule->interval_ms);
    text_add(out, slice_make(fixed, sizeof(fixed)));
    add_sized(out, rule->metrics);
    add_sized(out, rule->match);
}

static bool take_sized(struct slice *in, struct slice *out)
{
    size_t size = in->size >= 2 ? be16_get(in->data) : 0;
    if (in->size < 2 || size > in->size - 2)
        return false;
    *out = slice_make(in->data + 2, size);
    *in = slice_make(in->data + 2 + size, in->size - 2 - size);
    return true;
}

enum err broker_telemetry_facts_decode(struct slice value, struct broker_telemetry_rule *out)
{
    if (value.size < TELEMETRY_FIXED_SIZE || value.data[0] != TELEMETRY_FACT_VERSION ||
        value.data[1] == 0 || value.data[1] >= 1 << TELEMETRY_COUNT ||
        be32_get(value.data + 2) > INT32_MAX)
        return ERR_CORRUPT;
    struct slice rest =
        slice_make(value.data + TELEMETRY_FIXED_SIZE, value.size - TELEMETRY_FIXED_SIZE);
    out->set = value.data[1];
    out->interval_ms = (int32_t)be32_get(value.data + 2);
    if (!take_sized(&rest, &out->metrics) || !take_sized(&rest, &out->match) || rest.size > 0)
        return ERR_CORRUPT;
    return ERR_OK;
}
