// Fuzz target of the NATS line protocol: any chunking gives the same operations.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "wire/nats_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OPS_MAX 64

static void check_inside(struct slice part, const uint8_t *data, size_t size)
{
    CHECK(!part.data || (part.data >= data && part.data + part.size <= data + size));
}

static bool is_same_part(struct slice a, struct slice b)
{
    return (a.data == NULL) == (b.data == NULL) && slice_equal(a, b);
}

/* A PUB is read in one pass where it is plain; with a tab behind the verb it never is. */
static void check_other_way(const uint8_t *data, size_t size, const struct wire_nats_limits *limits,
                            enum wire_nats_status status, const struct wire_nats_request *seen)
{
    struct wire_nats_request other;
    if (size < 4 || memcmp(data, "PUB ", 4) != 0)
        return;
    uint8_t *copy = malloc(size);
    CHECK(copy);
    memcpy(copy, data, size);
    copy[3] = '\t';
    CHECK(wire_nats_parser_next(slice_make(copy, size), limits, &other) == status);
    CHECK(other.wanted == seen->wanted);
    if (status == WIRE_NATS_COMPLETE)
        CHECK(other.consumed == seen->consumed && is_same_part(other.subject, seen->subject) &&
              is_same_part(other.reply, seen->reply) &&
              is_same_part(other.size_text, seen->size_text) &&
              is_same_part(other.payload, seen->payload));
    free(copy);
}

static enum wire_nats_status parse_exact(const uint8_t *data, size_t size,
                                         const struct wire_nats_limits *limits,
                                         struct wire_nats_request *out)
{
    uint8_t *copy = malloc(size + !size);
    CHECK(copy);
    memcpy(copy, data, size);
    enum wire_nats_status status = wire_nats_parser_next(slice_make(copy, size), limits, out);
    const struct slice parts[] = {out->subject,   out->reply,       out->queue, out->sid,
                                  out->size_text, out->header_text, out->args,  out->payload};
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        check_inside(parts[i], copy, size);
    check_other_way(copy, size, limits, status, out);
    free(copy);
    if (status == WIRE_NATS_COMPLETE) {
        CHECK(out->consumed > 0 && out->consumed <= size && out->op < WIRE_NATS_OP_COUNT);
        CHECK(out->header_size <= out->payload.size && out->payload.size <= limits->payload_max);
    }
    if (status == WIRE_NATS_INCOMPLETE && out->wanted) {
        CHECK(out->wanted > size);
        CHECK(out->wanted <= 2 * (size_t)limits->control_line_max + limits->payload_max + 16);
    }
    return status;
}

/* Feeds as a connection would: each step shows step bytes more, or all that is wanted. */
static enum wire_nats_status run(struct slice input, size_t step,
                                 const struct wire_nats_limits *limits, uint64_t ops[OPS_MAX + 1])
{
    size_t start = 0;
    size_t shown = 0;
    size_t count = 0;
    struct wire_nats_request request;
    for (;;) {
        enum wire_nats_status status =
            parse_exact(input.data + start, shown - start, limits, &request);
        if (status == WIRE_NATS_COMPLETE) {
            if (count < OPS_MAX)
                ops[count++] = (uint64_t)request.op << 32 | (uint64_t)request.consumed;
            ops[OPS_MAX] = count;
            start += request.consumed;
            continue;
        }
        if (status != WIRE_NATS_INCOMPLETE || shown == input.size)
            return status;
        shown = MIN(input.size, shown + step);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 4096)
        return 0;
    struct wire_nats_limits limits = {.control_line_max = 16 + (data[0] & 0x3f),
                                      .payload_max = 1024,
                                      .headers = (data[0] & 0x40) != 0,
                                      .connect_first = (data[0] & 0x80) != 0};
    uint64_t whole[OPS_MAX + 1] = {0};
    uint64_t pieces[OPS_MAX + 1] = {0};
    struct slice input = slice_make(data + 2, size - 2);
    enum wire_nats_status first = run(input, SIZE_MAX / 2, &limits, whole);
    enum wire_nats_status second = run(input, 1 + (size_t)data[1] % 64, &limits, pieces);
    CHECK(first == second && memcmp(whole, pieces, sizeof(whole)) == 0);
    return 0;
}
