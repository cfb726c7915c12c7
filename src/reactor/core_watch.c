// Descriptors in the poll set of a core: events find their owner by slot and generation.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <sys/epoll.h>

#include "reactor/core_state.h"

static bool slots_grow(struct core *core)
{
    uint32_t count = core->slot_count ? core->slot_count * 2 : 64;
    struct core_slot_entry *slots = NULL;
    if (count > core->slot_count)
        slots = realloc(core->slots, (size_t)count * sizeof(*slots));
    if (!slots)
        return false;
    for (uint32_t i = count; i-- > core->slot_count;) {
        slots[i] = (struct core_slot_entry){NULL, 0, core->slot_free};
        core->slot_free = i;
    }
    core->slots = slots;
    core->slot_count = count;
    return true;
}

static uint64_t slot_tag(const struct core *core, uint32_t slot)
{
    return (uint64_t)core->slots[slot].generation << 32 | slot;
}

static void slot_release(struct core *core, uint32_t slot)
{
    core->slots[slot].watch = NULL;
    core->slots[slot].generation++;
    core->slots[slot].next_free = core->slot_free;
    core->slot_free = slot;
}

enum err core_watch_add(struct core *core, struct core_watch *watch, uint32_t events)
{
    if (core->slot_free == UINT32_MAX && !slots_grow(core))
        return ERR_NO_MEMORY;
    uint32_t slot = core->slot_free;
    core->slot_free = core->slots[slot].next_free;
    core->slots[slot].watch = watch;
    watch->slot = slot;
    int error = core->os->ops->poll_set(core->os, core->poll_fd, watch->fd, events,
                                        slot_tag(core, slot), true);
    if (error == 0)
        return ERR_OK;
    slot_release(core, slot);
    return err_from_errno(-error);
}

/* The kernel always reports errors; asking for nothing else keeps the descriptor in the set. */
enum err core_watch_set(struct core *core, struct core_watch *watch, uint32_t events)
{
    int error = core->os->ops->poll_set(core->os, core->poll_fd, watch->fd,
                                        events ? events : (uint32_t)EPOLLERR,
                                        slot_tag(core, watch->slot), false);
    return error == 0 ? ERR_OK : err_from_errno(-error);
}

void core_watch_remove(struct core *core, struct core_watch *watch)
{
    CHECK(watch->slot < core->slot_count && core->slots[watch->slot].watch == watch);
    core->os->ops->poll_set(core->os, core->poll_fd, watch->fd, 0, 0, false);
    slot_release(core, watch->slot);
}

void core_watch_dispatch(struct core *core, int count)
{
    for (int i = 0; i < count; i++) {
        uint32_t slot = (uint32_t)core->events[i].tag;
        uint32_t generation = (uint32_t)(core->events[i].tag >> 32);
        CHECK(slot < core->slot_count);
        struct core_watch *watch = core->slots[slot].watch;
        if (watch && core->slots[slot].generation == generation)
            watch->run(core, watch, core->events[i].events);
    }
}
