// The subject of a record, and the names under which partitions are seen as subjects.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"
#include "record/batch.h"

enum broker_subject_limit {
    BROKER_SUBJECT_PREFIX_SIZE_MAX = 64,
    /* prefix, topic with every byte escaped, partition, two dots */
    BROKER_SUBJECT_VIEW_SIZE_MAX = BROKER_SUBJECT_PREFIX_SIZE_MAX + 3 * 249 + 10 + 2,
    /* Longer keys are no subjects. */
    BROKER_SUBJECT_SIZE_MAX = 1024,
};

/* The record header that names a record's subject when its key does not. */
#define BROKER_SUBJECT_HEADER "Leat-Subject"

/* One token without wildcards, at most BROKER_SUBJECT_PREFIX_SIZE_MAX bytes of printable ASCII. */
bool broker_subject_prefix_is_legal(struct slice prefix);

/* Writes "<prefix>.<topic>.<partition>" ('.' of the topic as %2E) to out, which has
 * BROKER_SUBJECT_VIEW_SIZE_MAX bytes; partition < 0: "<prefix>.<topic>". The prefix is legal and
 * the topic's name too. */
struct slice broker_subject_view(struct slice prefix, struct slice topic, int32_t partition,
                                 uint8_t *out);

enum broker_subject_kind {
    BROKER_SUBJECT_OTHER,     /* not below the prefix */
    BROKER_SUBJECT_TOPIC,     /* <prefix>.<topic> */
    BROKER_SUBJECT_PARTITION, /* <prefix>.<topic>.<partition> */
    BROKER_SUBJECT_NOTHING,   /* below the prefix, but neither: nothing has this name */
};

/* What a literal subject names. The topic's name goes to topic (BROKER_SUBJECT_VIEW_SIZE_MAX
 * bytes) and *out_topic; only the one spelling that _view writes is taken. */
enum broker_subject_kind broker_subject_parse(struct slice prefix, struct slice subject,
                                              uint8_t *topic, struct slice *out_topic,
                                              int32_t *out_partition);
/* The first token of a subject or filter is the prefix, and there are more. */
bool broker_subject_is_view(struct slice prefix, struct slice subject);

/* A record's place, and the filters that are bound to its topic. */
struct broker_subject_place {
    struct slice prefix;
    struct slice topic;
    int32_t partition;
    const struct slice *bound; /* valid filters */
    size_t bound_count;
};

/* A literal subject that the filters catch: no server's own, and not in the view. */
bool broker_subject_is_bound(const struct broker_subject_place *place, struct slice subject);
/* The subject bound to the topic that a record which passed batch_check_records has: a null slice
 * when it has only its partition's. Points into the record. What is a server's own, or lies in the
 * view, is not bound. prefix may be null. */
struct slice broker_subject_bound(const struct broker_subject_place *place,
                                  const struct record *record);
/* The one subject of a record that passed batch_check_records: the first header Leat-Subject when
 * it is a literal subject bound to the topic, else the key when that is one, else its partition's.
 * The result points into the record, or into scratch (BROKER_SUBJECT_VIEW_SIZE_MAX bytes). */
struct slice broker_subject_of(const struct broker_subject_place *place,
                               const struct record *record, uint8_t *scratch);
