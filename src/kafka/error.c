// Maps our errors to Kafka's codes.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/error.h"

#define KAFKA_ERROR(name, code)                                                                    \
    _Static_assert((code) >= KAFKA_ERROR_CODE_MIN && (code) <= KAFKA_ERROR_CODE_MAX,               \
                   "KAFKA_ERROR_CODE_MAX is too small");
#include "kafka/error.def"
#undef KAFKA_ERROR

const char *kafka_error_name(int16_t code)
{
    static const char *const names[] = {
#define KAFKA_ERROR(name, code) [(code)-KAFKA_ERROR_CODE_MIN] = #name,
#include "kafka/error.def"
#undef KAFKA_ERROR
    };
    int at = code - KAFKA_ERROR_CODE_MIN;
    return at >= 0 && (size_t)at < COUNT_OF(names) ? names[at] : NULL;
}

int16_t kafka_error_of(enum err err)
{
    static const int16_t codes[ERR_COUNT] = {
        [ERR_OK] = KAFKA_NONE,
        [ERR_NO_MEMORY] = KAFKA_REQUEST_TIMED_OUT, /* retriable: memory comes back */
        [ERR_BUSY] = KAFKA_REQUEST_TIMED_OUT,
        [ERR_AGAIN] = KAFKA_REQUEST_TIMED_OUT,
        [ERR_INVALID] = KAFKA_INVALID_REQUEST,
        [ERR_CORRUPT] = KAFKA_CORRUPT_MESSAGE,
        [ERR_TRUNCATED] = KAFKA_CORRUPT_MESSAGE,
        [ERR_TOO_LARGE] = KAFKA_MESSAGE_TOO_LARGE,
        [ERR_UNSUPPORTED] = KAFKA_UNSUPPORTED_VERSION,
        [ERR_NOT_FOUND] = KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
        [ERR_EXISTS] = KAFKA_TOPIC_ALREADY_EXISTS,
        [ERR_IO] = KAFKA_KAFKA_STORAGE_ERROR,
        [ERR_DISK_FULL] = KAFKA_KAFKA_STORAGE_ERROR, /* retriable for every client */
        [ERR_OFFLINE] = KAFKA_KAFKA_STORAGE_ERROR,
        [ERR_CLOSED] = KAFKA_NOT_LEADER_OR_FOLLOWER, /* going down: try again elsewhere or later */
        [ERR_TIMEOUT] = KAFKA_REQUEST_TIMED_OUT,
        [ERR_CANCELLED] = KAFKA_REQUEST_TIMED_OUT,
        [ERR_OUT_OF_RANGE] = KAFKA_OFFSET_OUT_OF_RANGE,
        [ERR_ACCESS] = KAFKA_TOPIC_AUTHORIZATION_FAILED,
        [ERR_SEQUENCE] = KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER,
        [ERR_DUPLICATE] = KAFKA_NONE, /* the original is there */
        [ERR_FENCED] = KAFKA_INVALID_PRODUCER_EPOCH,
        [ERR_EPOCH_UNKNOWN] = KAFKA_UNKNOWN_LEADER_EPOCH,
        [ERR_PRODUCER_UNKNOWN] = KAFKA_UNKNOWN_PRODUCER_ID,
        [ERR_UNVERIFIED] = KAFKA_INVALID_TXN_STATE,
        [ERR_TXN_STATE] = KAFKA_INVALID_TXN_STATE,
        [ERR_COORDINATOR_FENCED] = KAFKA_TRANSACTION_COORDINATOR_FENCED,
        [ERR_CONCURRENT] = KAFKA_CONCURRENT_TRANSACTIONS,
        [ERR_PRODUCER_MAPPING] = KAFKA_INVALID_PRODUCER_ID_MAPPING,
        [ERR_TXN_TIMEOUT] = KAFKA_INVALID_TRANSACTION_TIMEOUT,
        [ERR_TXN_ABORTABLE] = KAFKA_TRANSACTION_ABORTABLE,
        [ERR_UNSTABLE] = KAFKA_UNSTABLE_OFFSET_COMMIT,
        [ERR_TIMESTAMP] = KAFKA_INVALID_TIMESTAMP,
        [ERR_RECORD_INVALID] = KAFKA_INVALID_RECORD,
        [ERR_LIMIT] = KAFKA_POLICY_VIOLATION,
        [ERR_LOADING] = KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
        [ERR_REBALANCE] = KAFKA_REBALANCE_IN_PROGRESS,
        [ERR_GENERATION] = KAFKA_ILLEGAL_GENERATION,
        [ERR_MEMBER_UNKNOWN] = KAFKA_UNKNOWN_MEMBER_ID,
        [ERR_MEMBER_ID_REQUIRED] = KAFKA_MEMBER_ID_REQUIRED,
        [ERR_PROTOCOL] = KAFKA_INCONSISTENT_GROUP_PROTOCOL,
        [ERR_SESSION_TIMEOUT] = KAFKA_INVALID_SESSION_TIMEOUT,
        [ERR_GROUP_ID] = KAFKA_INVALID_GROUP_ID,
        [ERR_GROUP_FULL] = KAFKA_GROUP_MAX_SIZE_REACHED,
        [ERR_NOT_EMPTY] = KAFKA_NON_EMPTY_GROUP,
        [ERR_EPOCH_FENCED] = KAFKA_FENCED_MEMBER_EPOCH,
        [ERR_EPOCH_STALE] = KAFKA_STALE_MEMBER_EPOCH,
        [ERR_INSTANCE_HELD] = KAFKA_UNRELEASED_INSTANCE_ID,
        [ERR_ASSIGNOR] = KAFKA_UNSUPPORTED_ASSIGNOR,
        [ERR_REGEX] = KAFKA_INVALID_REGULAR_EXPRESSION,
        [ERR_MOVED] = KAFKA_NOT_LEADER_OR_FOLLOWER,
    };
    return (unsigned)err < ERR_COUNT ? codes[err] : KAFKA_UNKNOWN_SERVER_ERROR;
}

int16_t kafka_error_of_append(enum err err)
{
    switch (err) {
    case ERR_INVALID:
    case ERR_RECORD_INVALID:
        return KAFKA_INVALID_RECORD;
    case ERR_UNSUPPORTED:
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    case ERR_ACCESS:
        return KAFKA_INVALID_TOPIC_EXCEPTION; /* an internal topic */
    default:
        return kafka_error_of(err);
    }
}

int16_t kafka_error_of_read(enum err err)
{
    switch (err) {
    case ERR_FENCED:
        return KAFKA_FENCED_LEADER_EPOCH;
    default:
        return kafka_error_of(err);
    }
}

int16_t kafka_error_of_change(enum err err)
{
    switch (err) {
    case ERR_INVALID:
    case ERR_UNSUPPORTED:
        return KAFKA_INVALID_CONFIG;
    default:
        return kafka_error_of(err);
    }
}
