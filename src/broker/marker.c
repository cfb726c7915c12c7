// Transaction markers: the control batches that end a transaction in a partition (KIP-98).
// SPDX-License-Identifier: Apache-2.0
//
// One record. Its key: version i16 = 0, type i16 (0: abort, 1: commit); its value: version i16 = 0,
// coordinator epoch i32; big-endian, as Kafka writes them.
#include "base/endian.h"
#include "broker/state.h"

#define MARKER_KEY_SIZE       4
#define MARKER_VALUE_SIZE     6
#define MARKER_BATCH_SIZE_MAX 256

static enum err marker_build(struct core *core, const struct broker_marker *marker,
                             struct codec_output *out)
{
    uint8_t key[MARKER_KEY_SIZE] = {0}, value[MARKER_VALUE_SIZE] = {0};
    struct build build;
    be16_put(key + 2, marker->commit ? 1 : 0);
    be32_put(value + 2, (uint32_t)marker->coordinator_epoch);
    build_init(&build, MARKER_BATCH_SIZE_MAX);
    struct build_record record = {.timestamp_ms = core_wall_ms(core),
                                  .key = slice_make(key, sizeof(key)),
                                  .value = slice_make(value, sizeof(value))};
    enum err err = build_add(&build, &record);
    build.header.attributes = BATCH_CONTROL | BATCH_TRANSACTIONAL;
    build.header.producer_id = marker->producer_id;
    build.header.producer_epoch = marker->epoch;
    build.header.base_sequence = -1;
    if (err == ERR_OK)
        err = build_finish(&build, out);
    build_deinit(&build);
    return err;
}

static void marker_appended(struct broker_call *call)
{
    struct broker_marker *marker = CONTAINER_OF(call, struct broker_marker, append.call);
    marker->offset = marker->append.base_offset;
    marker->call.err = call->err;
    marker->call.done(&marker->call);
}

void broker_marker_write(struct core *core, const struct broker_topic *topic, int32_t partition,
                         struct broker_marker *marker)
{
    struct codec_output bytes;
    codec_output_init(&bytes, MARKER_BATCH_SIZE_MAX);
    marker->offset = -1;
    enum err err = marker_build(core, marker, &bytes);
    struct buf *buf = err == ERR_OK ? buf_pool_get(core_buffers(core), bytes.size) : NULL;
    if (!buf) {
        codec_output_deinit(&bytes);
        broker_call_fail(core, &marker->call, err != ERR_OK ? err : ERR_NO_MEMORY);
        return;
    }
    memcpy(buf->data, bytes.data, bytes.size);
    marker->append = (struct broker_append){
        .call.done = marker_appended,
        .batch = {buf, 0, (uint32_t)bytes.size},
        .internal = true,
        .store.marker_strict = marker->transaction_version >= 2,
    };
    codec_output_deinit(&bytes);
    broker_append(core, topic, partition, &marker->append);
    buf_unref(buf);
}
