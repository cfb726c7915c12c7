// Compaction of a log: what its files share. The outline stands at the head of compact.c.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "record/codec.h"
#include "store/compact_keys.h"
#include "store/log.h"
#include "store/read_file.h"

/* A sealed segment that takes part. */
struct compact_input {
    int64_t base;
    int64_t offset_end; /* base of the next segment */
    uint32_t size;
    bool is_wanted; /* to be rewritten */
    bool is_left;   /* stays as it is: damaged, or its output would be too large */
};

struct compact_transactions {
    struct aborted_entry *aborted; /* a copy: by producer, then by marker */
    uint32_t aborted_count;
    struct map seen; /* producers with batches since their last marker */
    int64_t *over;   /* markers of aborted transactions without batches, rising */
    size_t over_count;
    bool is_blind; /* a segment was passed over: any marker may be in use */
};

void compact_transactions_init(struct compact_transactions *self);
void compact_transactions_deinit(struct compact_transactions *self);
NODISCARD enum err compact_transactions_take(struct compact_transactions *self,
                                             const struct transactions *transactions,
                                             uint64_t seed);
bool compact_transactions_is_aborted(const struct compact_transactions *self,
                                     const struct batch_header *header);
/* A batch with records was met, or a control batch; in the order of offsets. ERR_NO_MEMORY. */
NODISCARD enum err compact_transactions_batch(struct compact_transactions *self,
                                              const struct batch_header *header);
NODISCARD enum err compact_transactions_marker(struct compact_transactions *self,
                                               const struct batch_header *header, bool *out_in_use);

/* What decides on records; one thread at a time. */
struct compact_judge {
    const struct compact_keys *keys; /* NULL: only holes and what is past its horizon goes */
    bool is_compact;
    bool is_left; /* something was passed over: keys that it has may need their tombstones */
    int64_t end;  /* records at and behind it stay */
    int64_t now_ms;
    int64_t horizon_ms; /* for tombstones that have none yet */
    struct holes holes; /* a copy */
    struct compact_transactions transactions;
    /* out */
    int64_t horizon_min_ms; /* of what stays; -1: none */
    bool is_hole_left;      /* a hole lies in a batch that could not be decoded */
    struct codec_output plain;
    struct codec_output rebuilt;
    uint8_t *bits;
    size_t bits_size;
};

enum compact_verdict { COMPACT_AS_IS, COMPACT_REBUILT, COMPACT_GONE };

void compact_judge_init(struct compact_judge *judge);
void compact_judge_deinit(struct compact_judge *judge);
/* A whole batch with the right CRC. REBUILT: in judge->rebuilt, until the next call. ERR_NO_MEMORY,
 * ERR_TOO_LARGE (what is left does not fit into a batch). */
NODISCARD enum err compact_judge_batch(struct compact_judge *judge,
                                       const struct batch_header *header, struct slice batch,
                                       enum compact_verdict *out);
/* Puts the keys of a batch; *out_end: the first offset that found no room, or unchanged. */
NODISCARD enum err compact_judge_keys(struct compact_judge *judge, struct compact_keys *keys,
                                      struct slice batch, int64_t *out_end);

/* The segment that takes the place of others. */
struct compact_output {
    struct os *os;
    const char *dir;           /* borrowed */
    struct segment_file *file; /* one reference; NULL: none is being written */
    int64_t base;
    int64_t offset_end; /* of the last input */
    uint32_t index_interval;
    uint32_t size_max;
    uint64_t written; /* bytes in the file; those in buffer follow */
    uint64_t synced;
    struct codec_output buffer;
    struct index index;
    struct batch_header gap; /* dropped batches that nothing stands for yet: offsets and epoch */
    bool has_gap;
    bool is_changed; /* not just what the inputs have */
};

void compact_output_init(struct compact_output *output, struct os *os, const char *dir);
/* Frees it; the file stays. */
void compact_output_deinit(struct compact_output *output);
/* All on a helper. Begins "<base>.cleaned". ERR_TOO_LARGE of those that add: beyond size_max. */
NODISCARD enum err compact_output_open(struct compact_output *output, int64_t base);
NODISCARD enum err compact_output_add(struct compact_output *output,
                                      const struct batch_header *header, struct slice batch);
/* The batch is gone: an empty one will stand for its offsets, and for those around it. */
NODISCARD enum err compact_output_drop(struct compact_output *output,
                                       const struct batch_header *header);
uint64_t compact_output_size(const struct compact_output *output);
/* Everything is in the file, durably. */
NODISCARD enum err compact_output_finish(struct compact_output *output);
/* Forgets the file and removes it. */
void compact_output_discard(struct compact_output *output);

/* The finished output takes the place of the segments with these bases; the first is its own.
 * *out_is_begun: a failure leaves it to the next opening of the log to end this. On a helper. */
NODISCARD enum err compact_swap_run(struct compact_output *output, const int64_t *bases,
                                    uint32_t count, bool *out_is_begun);
/* Is this name one that a swap, or a rewrite that was broken off, left behind? */
bool compact_swap_is_remnant(const char *name);
/* Ends what was begun and removes what was not, before the folder is looked at. On a helper. */
NODISCARD enum err compact_swap_recover(struct os *os, const char *dir);

enum compact_phase {
    COMPACT_OPEN,    /* the log wakes */
    COMPACT_MAP,     /* the dirty part is read for its keys */
    COMPACT_REWRITE, /* inputs become outputs */
    COMPACT_SWAP,    /* an output is ready */
    COMPACT_DISCARD, /* called off: the output is removed */
    COMPACT_END,
};

/* One cleaning of a log. A slice of it runs on a helper, the rest on the log's core; never both. */
struct compact_run {
    struct core_work work;
    struct core_timer timer; /* the next slice */
    struct store_log *log;
    struct log_core *home;
    enum compact_phase phase;
    bool is_at_work; /* on a helper */
    bool is_cancelled;
    bool is_over;   /* something below is past its horizon: to be judged in any case */
    bool is_judged; /* all was */
    bool is_swap_begun;
    enum err err;   /* of the last slice */
    enum err cause; /* why it ends early */
    struct compact_input *inputs;
    uint32_t input_count;
    uint32_t at;    /* input that is read */
    uint32_t group; /* first input of the output */
    int64_t dirty;  /* first offset whose key is to be put */
    int64_t end;    /* all below is clean afterwards */
    uint32_t segment_size_bytes;
    int64_t lag_min_ms;
    struct compact_keys keys;
    struct compact_judge judge;
    struct compact_output output;
    struct read_scope scope;
    struct read_window window;
    struct read_step step;
    struct segment_file *file; /* of the input that is read */
    int64_t damage_first;      /* -1: none in this slice */
    int64_t damage_next;
    uint64_t slice_bytes; /* read and written by this slice */
    uint64_t slice_ns;
    uint64_t owed_ns; /* time that the next slice has to wait for */
    uint64_t bytes_before;
    uint64_t bytes_after;
    uint64_t started_ns;
    char *dir;
};

/* compact_slice.c: on a helper, about a mebibyte of MAP or REWRITE. */
void compact_slice_run(struct compact_run *run);

/* compact_plan.c: which log is to be cleaned, and what of it. */
/* Greater is more urgent; 0: nothing to do. */
uint64_t compact_plan_urgency(struct store_log *log);
/* Fills the run's inputs of an open log; ERR_NOT_FOUND: there is nothing to do after all. */
NODISCARD enum err compact_plan_make(struct compact_run *run);
