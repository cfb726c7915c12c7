// Every message in every version: there and back, cut short, lied to, and with unknown tags.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/kafka_apis.h"
#include "wire/kafka_codecs.h"
#include "wire/kafka_fill.h"

#define ROUNDS    24
#define CUT_ROUND 4 /* every so many rounds the message is also cut at every byte */

/* One message in one version under one seed. */
struct probe {
    const struct kafka_codec *codec;
    int16_t version;
    struct arena arena;
    struct wire_writer out;
};

static void probe_start(struct probe *p, size_t index, int16_t version, struct wire_fill fill)
{
    p->codec = &kafka_codecs[index];
    p->version = version;
    arena_init(&p->arena, 0);
    fill.arena = &p->arena;
    void *message = arena_alloc(&p->arena, p->codec->size);
    kafka_fills[index](&fill, version, message);
    struct wire_writer counting;
    wire_writer_init_counting(&counting);
    p->codec->encode(message, version, &counting);
    wire_writer_init_growing(&p->out);
    p->codec->encode(message, version, &p->out);
    assert_int_equal(p->out.error, ERR_OK);
    assert_int_equal(p->out.size, counting.size);
}

static void probe_stop(struct probe *p)
{
    wire_writer_deinit(&p->out);
    arena_deinit(&p->arena);
}

/* Decodes from an exact copy on the heap, so that a sanitizer sees the first byte beyond it. */
static enum err probe_decode(struct probe *p, struct slice input, struct wire_writer *again)
{
    uint8_t *copy = malloc(input.size + 1);
    assert_non_null(copy);
    uint8_t *start = copy + 1;
    if (input.size > 0)
        memcpy(start, input.data, input.size);
    struct wire_reader r;
    wire_reader_init(&r, slice_make(start, input.size), &p->arena);
    void *message = arena_alloc(&p->arena, p->codec->size);
    p->codec->read(&r, p->version, message);
    if (r.error == ERR_OK && again) {
        assert_int_equal(wire_reader_left(&r), 0);
        p->codec->encode(message, p->version, again);
    }
    free(copy);
    return r.error;
}

static void check_round_trip(struct probe *p)
{
    struct wire_writer again;
    wire_writer_init_growing(&again);
    assert_int_equal(probe_decode(p, wire_writer_output(&p->out), &again), ERR_OK);
    assert_int_equal(again.size, p->out.size);
    if (again.size > 0)
        assert_memory_equal(again.data, p->out.data, again.size);
    wire_writer_deinit(&again);
}

static void check_cut_short(struct probe *p)
{
    for (size_t size = 0; size < p->out.size; size++) {
        enum err err = probe_decode(p, slice_make(p->out.data, size), NULL);
        if (err == ERR_OK)
            print_error("%s v%d cut at %zu of %zu\n", p->codec->name, p->version, size,
                        p->out.size);
        assert_int_not_equal(err, ERR_OK);
    }
}

/* Puts 7f ff ff ff (and its compact form) at every place: an error or a message, never much memory
 * and never a byte beyond the input. */
static void check_giant_counts(struct probe *p)
{
    static const uint8_t giants[][5] = {{0x7f, 0xff, 0xff, 0xff, 0xff},
                                        {0xff, 0xff, 0xff, 0xff, 0x07},
                                        {0xff, 0xff, 0xff, 0xff, 0x0f}};
    uint8_t *copy = malloc(p->out.size + sizeof(giants[0]));
    assert_non_null(copy);
    for (size_t at = 0; at + 5 <= p->out.size; at++) {
        memcpy(copy, p->out.data, p->out.size);
        memcpy(copy + at, giants[at % COUNT_OF(giants)], sizeof(giants[0]));
        struct arena mine = p->arena;
        arena_init(&p->arena, p->out.size * 256 + 65536);
        enum err err = probe_decode(p, slice_make(copy, p->out.size), NULL);
        assert_int_not_equal(err, ERR_NO_MEMORY);
        arena_deinit(&p->arena);
        p->arena = mine;
    }
    free(copy);
}

static void check_all(void **state)
{
    size_t index = *(const size_t *)*state;
    const struct kafka_codec *codec = &kafka_codecs[index];
    for (int version = codec->version_min; version <= codec->version_max; version++) {
        for (uint64_t round = 0; round < ROUNDS; round++) {
            struct probe p;
            struct wire_fill fill = {.state = round * 1000003 + (uint64_t)version};
            probe_start(&p, index, (int16_t)version, fill);
            check_round_trip(&p);
            if (round % CUT_ROUND == 0) {
                check_cut_short(&p);
                check_giant_counts(&p);
            }
            probe_stop(&p);
        }
    }
}

/* The empty tag section that ends a flexible message becomes one with two unknown fields. */
static void check_unknown_tags(void **state)
{
    static const uint8_t unknown[] = {2, 0x64, 3, 1, 2, 3, 0xe8, 0x07, 0};
    size_t index = *(const size_t *)*state;
    const struct kafka_codec *codec = &kafka_codecs[index];
    const struct kafka_api *api = kafka_api_find(codec->key);
    if (!api)
        return;
    for (int version = codec->version_min; version <= codec->version_max; version++) {
        struct probe p;
        struct wire_fill fill = {.without_tags = true};
        probe_start(&p, index, (int16_t)version, fill);
        if (version >= api->flexible_min) {
            assert_int_equal(p.out.data[p.out.size - 1], 0);
            struct wire_writer longer;
            wire_writer_init_growing(&longer);
            wire_writer_append(&longer, slice_make(p.out.data, p.out.size - 1));
            wire_writer_append(&longer, slice_make(unknown, sizeof(unknown)));
            struct wire_writer again;
            wire_writer_init_growing(&again);
            assert_int_equal(probe_decode(&p, wire_writer_output(&longer), &again), ERR_OK);
            assert_int_equal(again.size, p.out.size);
            assert_memory_equal(again.data, p.out.data, again.size);
            wire_writer_deinit(&again);
            wire_writer_deinit(&longer);
        }
        probe_stop(&p);
    }
}

int main(void)
{
    struct CMUnitTest *tests = calloc(kafka_codecs_count * 2, sizeof(*tests));
    size_t *indices = calloc(kafka_codecs_count, sizeof(*indices));
    assert_non_null(tests);
    assert_non_null(indices);
    for (size_t i = 0; i < kafka_codecs_count; i++) {
        indices[i] = i;
        tests[2 * i] = (struct CMUnitTest){
            .name = kafka_codecs[i].name, .test_func = check_all, .initial_state = &indices[i]};
        tests[2 * i + 1] = (struct CMUnitTest){.name = "  with unknown tags",
                                               .test_func = check_unknown_tags,
                                               .initial_state = &indices[i]};
    }
    int failed = _cmocka_run_group_tests("kafka codecs", tests, kafka_codecs_count * 2, NULL, NULL);
    free(indices);
    free(tests);
    return failed;
}
