// Compresses batches anew or looks into them where a topic demands it; each partition keeps order.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/state.h"

#define RECODE_COUNT_MAX 4                  /* at work for one core */
#define RECODE_SIZE_MAX  ((size_t)64 << 20) /* of the records, decompressed */

struct broker_recode {
    struct core_work work;
    struct broker_append *append;
    struct slice in;
    struct codec_output out;
    enum batch_codec codec;
    int level;
    enum err err;
    bool at_work;
    bool want_keys;  /* of a compacted topic */
    bool want_codec; /* in: another one */
    int32_t keyless; /* out: first record without a key; -1: none */
};

bool broker_recode_keys_are_there(struct slice records, int32_t *out_index)
{
    struct record record;
    for (int32_t i = 0; record_next(&records, &record) == ERR_OK; i++) {
        if (record.key.data)
            continue;
        *out_index = i;
        return false;
    }
    return true;
}

static enum err recode_keys(struct broker_recode *recode)
{
    struct codec_output scratch;
    struct batch_header header;
    struct slice records;
    codec_output_init(&scratch, RECODE_SIZE_MAX);
    enum err err = batch_header_read(recode->in, &header);
    if (err == ERR_OK)
        err = codec_batch_records(recode->in, &scratch, &records);
    if (err == ERR_OK)
        err = batch_check_records(&header, records);
    if (err == ERR_OK && !broker_recode_keys_are_there(records, &recode->keyless))
        err = ERR_RECORD_INVALID;
    codec_output_deinit(&scratch);
    return err;
}

static void recode_run(struct core_work *work)
{
    struct broker_recode *recode = CONTAINER_OF(work, struct broker_recode, work);
    recode->err = recode->want_keys ? recode_keys(recode) : ERR_OK;
    if (recode->err == ERR_OK && recode->want_codec)
        recode->err = build_recompressed(recode->in, recode->codec, recode->level, &recode->out);
}

static bool recode_is_behind(struct broker_core *here, const struct broker_append *append)
{
    list_for_each (node, &here->recodes) {
        struct broker_call *call = LIST_ENTRY(node, struct broker_call, node);
        if (call == &append->call)
            return false;
        if (call->partition == append->call.partition)
            return true;
    }
    return false;
}

/* Replaces the batch by what came out. */
static enum err recode_adopt(struct core *core, struct broker_recode *recode)
{
    struct broker_append *append = recode->append;
    struct buf *buf = buf_pool_get(core_buffers(core), recode->out.size);
    if (!buf)
        return ERR_NO_MEMORY;
    memcpy(buf->data, recode->out.data, recode->out.size);
    struct slice bytes = slice_make(buf->data, recode->out.size);
    enum err err = batch_header_read(bytes, &append->store.header);
    if (err) {
        buf_unref(buf);
        return err;
    }
    buf_unref(append->store.batch.buf);
    append->store.batch = (struct buf_range){buf, 0, (uint32_t)recode->out.size};
    return ERR_OK;
}

static void recode_free(struct broker_recode *recode)
{
    codec_output_deinit(&recode->out);
    free(recode);
}

/* Starts what may start, sends off what is ready and first of its partition. */
static void recode_advance(struct core *core)
{
    struct broker_core *here = broker_core(core);
    list_for_each_safe (node, following, &here->recodes) {
        struct broker_append *append =
            CONTAINER_OF(LIST_ENTRY(node, struct broker_call, node), struct broker_append, call);
        struct broker_recode *recode = append->recode;
        if (!recode && !recode_is_behind(here, append)) {
            list_remove(node);
            broker_append_route(core, append);
        } else if (recode && !recode->at_work && here->recode_count < RECODE_COUNT_MAX) {
            recode->at_work = true;
            here->recode_count++;
            core_work_submit(core, CORE_LANE_BULK, &recode->work);
        }
    }
}

static void recode_done(struct core *core, struct core_work *work)
{
    struct broker_recode *recode = CONTAINER_OF(work, struct broker_recode, work);
    struct broker_append *append = recode->append;
    enum err err = recode->err;
    if (!err && recode->want_codec)
        err = recode_adopt(core, recode);
    bool is_keyless = err && recode->keyless >= 0;
    append->error_record = is_keyless ? recode->keyless : -1;
    broker_core(core)->recode_count--;
    append->recode = NULL;
    recode_free(recode);
    if (err) {
        list_remove(&append->call.node);
        if (is_keyless)
            diag_set(&append->call.diag, BROKER_KEY_MISSING_TEXT);
        else
            diag_set(&append->call.diag, "the batch cannot be unpacked: %s", err_text(err));
        broker_call_finish(core, &append->call, err == ERR_TRUNCATED ? ERR_CORRUPT : err);
    }
    recode_advance(core);
}

bool broker_recode_take(struct core *core, struct broker_append *append)
{
    struct broker_core *here = broker_core(core);
    const struct topic_settings *settings = broker_topic_version_of(append->topic)->settings;
    const struct batch_header *header = &append->store.header;
    bool want_codec =
        settings->recode && !append->internal && batch_codec(header) != settings->codec;
    bool want_keys =
        settings->log.compact && !append->internal && batch_codec(header) != BATCH_CODEC_NONE;
    bool is_needed = want_codec || want_keys;
    if (!is_needed && !recode_is_behind(here, append))
        return false;
    if (is_needed) {
        struct broker_recode *recode = calloc(1, sizeof(*recode));
        if (!recode) {
            broker_call_finish(core, &append->call, ERR_NO_MEMORY);
            return true;
        }
        recode->work = (struct core_work){.run = recode_run, .done = recode_done};
        recode->append = append;
        recode->want_codec = want_codec;
        recode->want_keys = want_keys;
        recode->keyless = -1;
        recode->in = buf_range_slice(append->store.batch);
        recode->codec = settings->codec;
        recode->level = settings->level;
        codec_output_init(&recode->out, RECODE_SIZE_MAX);
        append->recode = recode;
    }
    list_push_back(&here->recodes, &append->call.node);
    recode_advance(core);
    return true;
}
