// Two maps: from a topic's name to its number, from that and a partition to a place.
// SPDX-License-Identifier: Apache-2.0
#include "cli/lookup.h"

#include "cli/cli.h"

/* Values of a map are pointers and never NULL: what is counted from 0 is stored from 1 on. */
static void *pack(size_t index)
{
    return (void *)(uintptr_t)(index + 1);
}

static size_t unpack(const void *value)
{
    return (size_t)(uintptr_t)value - 1;
}

static uint64_t key_of(size_t topic, int32_t partition)
{
    return (uint64_t)topic << 32 | (uint32_t)partition;
}

void cli_lookup_init(struct cli_lookup *lookup, uint64_t seed)
{
    lookup->topic_count = 0;
    map_init(&lookup->topics, seed);
    map_init(&lookup->places, seed);
}

void cli_lookup_deinit(struct cli_lookup *lookup)
{
    map_deinit(&lookup->topics);
    map_deinit(&lookup->places);
}

size_t cli_lookup_topic(struct cli_lookup *lookup, struct slice topic)
{
    const void *known = map_get(&lookup->topics, topic);
    if (known)
        return unpack(known);
    if (!map_put(&lookup->topics, topic, pack(lookup->topic_count), NULL))
        cli_out_of_memory();
    return lookup->topic_count++;
}

void cli_lookup_put(struct cli_lookup *lookup, struct slice topic, int32_t partition, size_t index)
{
    uint64_t key = key_of(cli_lookup_topic(lookup, topic), partition);
    if (!map_put_u64(&lookup->places, key, pack(index), NULL))
        cli_out_of_memory();
}

bool cli_lookup_find(const struct cli_lookup *lookup, struct slice topic, int32_t partition,
                     size_t *out_index)
{
    const void *number = map_get(&lookup->topics, topic);
    if (!number)
        return false;
    const void *index = map_get_u64(&lookup->places, key_of(unpack(number), partition));
    if (index)
        *out_index = unpack(index);
    return index != NULL;
}
