// Which topics came, grew or went last: who follows all topics looks at those alone.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/state.h"

#define CHANGES_KEPT  256
#define NAME_SIZE_MAX 249

struct topic_change {
    uint8_t size;
    uint8_t name[NAME_SIZE_MAX];
};

/* The change that made generation g stands at g modulo their number. */
struct topic_changes {
    uint64_t since; /* changes after this generation were noted */
    struct topic_change all[CHANGES_KEPT];
};

void broker_topic_changes_keep(struct core *core)
{
    struct broker_core *here = broker_core(core);
    if (here->topic_changes)
        return;
    here->topic_changes = calloc(1, sizeof(*here->topic_changes));
    if (here->topic_changes)
        here->topic_changes->since = here->topics_generation;
}

void broker_topic_changes_free(struct broker_core *here)
{
    free(here->topic_changes);
    here->topic_changes = NULL;
}

void broker_topic_changes_note(struct broker_core *here, struct slice name)
{
    here->topics_generation++;
    if (!here->topic_changes)
        return;
    struct topic_change *change = &here->topic_changes->all[here->topics_generation % CHANGES_KEPT];
    CHECK(name.size <= sizeof(change->name));
    memcpy(change->name, name.data, name.size);
    change->size = (uint8_t)name.size;
}

struct slice broker_topic_changes_at(struct core *core, uint64_t generation)
{
    const struct broker_core *here = broker_core(core);
    const struct topic_changes *changes = here->topic_changes;
    if (!changes || generation <= changes->since || generation > here->topics_generation ||
        here->topics_generation - generation >= CHANGES_KEPT)
        return SLICE_NULL;
    const struct topic_change *change = &changes->all[generation % CHANGES_KEPT];
    return slice_make(change->name, change->size);
}
