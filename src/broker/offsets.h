// The records of __consumer_offsets, as Kafka writes them.
// SPDX-License-Identifier: Apache-2.0
//
// All integers big-endian; a string is its length (i16, -1: null) and UTF-8, bytes are their length
// (i32) and data. A key begins with its version, which is its kind as well; a value with its own.
//   key 0, 1: group string, topic string, partition i32         a committed offset
//     value 0, 2: offset i64, metadata string, committed i64 (ms)
//     value 1:    the same, expires i64 (ms, -1: by the broker's rule)
//     value 3:    offset i64, leader epoch i32, metadata string, committed i64
//     value 4:    the same, flexible (form.h), tag 0: the topic's id, 16 bytes, unless it is zero
//   key 2: group string                                          a group
//     value 3: protocol type string, generation i32, protocol string?, leader string?,
//              in this state since i64 (ms), members i32 and each: member id string,
//              instance id string?, client id string, client host string, rebalance timeout i32,
//              session timeout i32, subscription bytes, assignment bytes
//     value 2: without instance id; 1: without "since"; 0: without rebalance timeout
// A null value is a tombstone. Written are key 1 with value 4 (or 1 with an expiry), and key 2 with
// value 3.
#pragma once

#include "broker/group_state.h"
#include "record/codec.h"

/* A string's length is an i16. */
#define OFFSETS_STRING_SIZE_MAX 32767

struct offsets_key {
    bool is_group;
    struct slice group;
    struct slice topic; /* of a committed offset */
    int32_t partition;
};

struct offsets_value {
    int64_t offset;
    int32_t leader_epoch; /* -1: none */
    struct slice metadata;
    int64_t commit_ms;
    int64_t expire_ms;    /* -1: by the broker's rule */
    struct uuid topic_id; /* zero: not known */
};

struct offsets_group {
    int16_t version;
    struct slice protocol_type;
    int32_t generation;
    struct slice protocol;  /* may be null */
    struct slice leader;    /* may be null */
    int64_t state_since_ms; /* -1: not known */
    int32_t member_count;
    struct slice members; /* for broker_offsets_member_read */
};

/* Append to out; ERR_TOO_LARGE: a string is too long. ERR_NO_MEMORY. */
NODISCARD enum err broker_offsets_key_write(struct codec_output *out,
                                            const struct offsets_key *key);
NODISCARD enum err broker_offsets_value_write(struct codec_output *out,
                                              const struct offsets_value *value);
/* proposed: with the assignments that the leader just made. */
NODISCARD enum err broker_offsets_group_write(struct codec_output *out, const struct group *group,
                                              bool proposed);

/* ERR_UNSUPPORTED: a version that is not known, to be passed over; ERR_TRUNCATED, ERR_CORRUPT. */
NODISCARD enum err broker_offsets_key_read(struct slice bytes, struct offsets_key *out);
NODISCARD enum err broker_offsets_value_read(struct slice bytes, struct offsets_value *out);
NODISCARD enum err broker_offsets_group_read(struct slice bytes, struct offsets_group *out);
/* Steps group->members; member_count times. leader is set for the leader. */
NODISCARD enum err broker_offsets_member_read(struct offsets_group *group,
                                              struct group_restored *out);
/* Whether a consumer's subscription (i16 version, i32 count, topic names as strings, more) names
 * topic; *out_known is false when it cannot be read. */
bool broker_offsets_subscription_has(struct slice subscription, struct slice topic,
                                     bool *out_known);
