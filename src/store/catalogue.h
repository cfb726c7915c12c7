// The catalogue: small durable facts and each log's checkpoint, as snapshot and changes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/store.h"

struct catalogue;

/* Reads snapshot and changes from <data>/catalogue; makes an empty one when there is none. Damage
 * in the torn end is cut; damage elsewhere is an error with words. Lives on core 0. */
NODISCARD enum err catalogue_open(struct core *core, const char *dir, struct catalogue **out,
                                  struct diag *diag);
void catalogue_close(struct catalogue *catalogue);

/* One change; memory of the caller until done. Many changes share one fdatasync. Keys are bytes;
 * the store prefixes: 'f' facts of the broker, 'c' + store_log_key checkpoints. value null deletes.
 */
struct catalogue_change {
    struct list node;
    struct slice key;
    struct slice value;
    void (*done)(struct catalogue_change *change, enum err err); /* on core 0, in order */
};
/* On core 0. Uses the reserve when the disk is full (P7). */
void catalogue_put(struct catalogue *catalogue, struct catalogue_change *change);
/* Current value, valid until the next change of that key; SLICE_NULL when absent. On core 0. */
struct slice catalogue_get(const struct catalogue *catalogue, struct slice key);
typedef void (*catalogue_each_fn)(void *arg, struct slice key, struct slice value);
void catalogue_each(const struct catalogue *catalogue, catalogue_each_fn fn, void *arg);
