// The records of __transaction_state, as Kafka writes them.
// SPDX-License-Identifier: Apache-2.0
//
// All integers big-endian. A key: version i16 (0), transactional id (i16 length, bytes). A value
// begins with its version i16; a null value is a tombstone.
//   value 0: producer id i64, epoch i16, timeout i32 (ms), state i8 (enum transaction_state),
//            partitions [topic string, [partition i32]], updated i64 (ms), started i64 (ms, or -1);
//            arrays have an i32 length (-1: null), strings an i16
//   value 1: the same with compact lengths (unsigned varint of the length + 1, 0: null) and tagged
//            fields (unsigned varints: how many; for each its tag, its size; then its bytes) at the
//            end of each partition entry, where none is known, and of the whole:
//            0 previous producer id i64, 1 next producer id i64, 2 version of transactions i16
// Written is version 1. The epoch that the producer had before is not in it, as in Kafka: a retry
// of a claim that crosses a restart is fenced.
#pragma once

#include "broker/transaction_state.h"
#include "record/codec.h"

/* Append to out. ERR_TOO_LARGE, ERR_NO_MEMORY. */
NODISCARD enum err broker_transaction_record_key(struct codec_output *out, struct slice id);
/* proposed: next with all partitions, else what is in force with those that are not new. */
NODISCARD enum err broker_transaction_record_value(struct codec_output *out,
                                                   const struct transaction *transaction,
                                                   bool proposed);

/* ERR_UNSUPPORTED: a version that is not known, to be passed over; ERR_TRUNCATED, ERR_CORRUPT. */
NODISCARD enum err broker_transaction_record_read_key(struct slice bytes, struct slice *out_id);
typedef enum err (*transaction_record_part_fn)(void *arg, struct slice topic, int32_t partition);
/* fn is called for each partition, possibly before an error is found; its errors come back. */
NODISCARD enum err broker_transaction_record_read_value(struct slice bytes,
                                                        struct transaction_value *out,
                                                        transaction_record_part_fn fn, void *arg);
