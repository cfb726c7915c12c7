// The catalogue: small durable facts and each log's checkpoint, as snapshot and changes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/store.h"

struct catalogue;

/* Reads snapshot and changes from dir (<data>/catalogue); makes it when there is none. What a crash
 * tore at the end is cut; damage elsewhere is ERR_CORRUPT with words, unless the snapshot before is
 * still there with all changes since. Lives on core 0. */
NODISCARD enum err catalogue_open(struct core *core, const char *dir, struct catalogue **out,
                                  struct diag *diag);
/* Changes not yet done are forgotten, without a call of done. */
void catalogue_close(struct catalogue *catalogue);

/* One change; memory of the caller until done. Many changes share one fdatasync. Keys are bytes;
 * the store prefixes: 'f' facts of the broker, 'c' + store_log_key checkpoints. value null deletes.
 */
struct catalogue_change {
    struct list node;
    struct slice key;
    struct slice value;
    void (*done)(struct catalogue_change *change, enum err err); /* on core 0, in order */
    /* the catalogue's */
    struct catalogue_item *item;
    enum err result;
};
/* On core 0; done is never called inside. Uses the reserve when the disk is full (P7).
 * ERR_DISK_FULL: nothing happened, a later change may fare better. ERR_OFFLINE: a sync failed. */
void catalogue_put(struct catalogue *catalogue, struct catalogue_change *change);
/* The durable value (a change counts when its done is called), valid until the next change of that
 * key is done; SLICE_NULL when absent. On core 0. */
struct slice catalogue_get(const struct catalogue *catalogue, struct slice key);
typedef void (*catalogue_each_fn)(void *arg, struct slice key, struct slice value);
void catalogue_each(const struct catalogue *catalogue, catalogue_each_fn fn, void *arg);
