// A fetch on its way: its partitions, its reads, its wait. Shared by fetch.c and fetch_read.c.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/kafka_fetch.h"

#include "kafka/request.h"
#include "kafka/session.h"

/* Reads started at the same time, so that many idle partitions do not cost a turn each. */
#define KAFKA_FETCH_READS_MAX 64

struct fetch_part {
    struct kafka_session_want want;
    struct kafka_session_partition *cached; /* NULL without a session */
    struct broker_partition *partition;     /* NULL: unknown */
    struct kafka_request *request;
    int16_t error;
    bool watched;
    struct kafka_fetch_response_epoch_end_offset diverging; /* epoch -1: none */
    struct broker_read read;
    struct broker_epoch_end epoch;
    struct kafka_chunks chunks;
};

struct fetch_watch {
    struct broker_watch watch;
    struct fetch_part *part;
};

struct fetch {
    struct kafka_fetch_request asked;
    struct kafka_request *request;
    struct kafka_session *session; /* held; NULL: none */
    bool incremental;
    struct fetch_part *parts;
    size_t part_count;
    const struct broker_topic **topics; /* references held */
    size_t topic_count;
    /* reading */
    size_t size_max;
    size_t size;    /* found so far */
    size_t next;    /* part to be read next */
    size_t reading; /* reads in flight */
    bool forced;    /* the one read that may exceed the limits has been made */
    bool cut_short; /* an error, a divergence: do not wait */
    /* waiting */
    uint64_t deadline_ns;
    struct core_timer timer;
    struct fetch_watch *watches;
    size_t watching;
    bool waiting;
    bool expired; /* answer with what there is */
    void (*done)(struct kafka_request *request);
};

/* Reads all partitions, waits until there is enough or the time is over, then calls done once:
 * perhaps inside this call. */
void kafka_fetch_read_start(struct fetch *fetch);
/* Ends the waiting. */
void kafka_fetch_read_expire(struct fetch *fetch);
/* Gives back what was read. */
void kafka_fetch_read_release(struct fetch *fetch);
