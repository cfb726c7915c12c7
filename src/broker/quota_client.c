// What a client may still do: finds its rules once, then counts.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/quota_state.h"

#define MS_NS 1000000ull

/* The order in which rules are looked for; the first that limits a key is the one. */
enum quota_who { QUOTA_NOBODY, QUOTA_NAMED, QUOTA_DEFAULT };
struct quota_level {
    enum quota_who user;
    enum quota_who client;
};
static const struct quota_level quota_levels[] = {
    {QUOTA_NAMED, QUOTA_NAMED},   {QUOTA_NAMED, QUOTA_DEFAULT},   {QUOTA_NAMED, QUOTA_NOBODY},
    {QUOTA_DEFAULT, QUOTA_NAMED}, {QUOTA_DEFAULT, QUOTA_DEFAULT}, {QUOTA_DEFAULT, QUOTA_NOBODY},
    {QUOTA_NOBODY, QUOTA_NAMED},  {QUOTA_NOBODY, QUOTA_DEFAULT},
};

static const struct quota_table *table_of(const struct core *core)
{
    return broker_quota_core(core)->table;
}

bool broker_quota_is_set(struct core *core, enum broker_quota_key key)
{
    const struct quota_table *table = table_of(core);
    return table && table->set & 1u << key;
}

bool broker_quota_any(struct core *core)
{
    return table_of(core) != NULL;
}

/* --- whose rule ------------------------------------------------------------------------------- */

/* Names that are longer than any rule's are metered by their beginning. */
static struct slice name_cut(struct slice name)
{
    return slice_make(name.data ? name.data : (const uint8_t *)"",
                      MIN(name.size, (size_t)BROKER_QUOTA_NAME_SIZE_MAX));
}

static void part_set(struct broker_quota_entity *entity, enum broker_quota_part part,
                     enum quota_who who, struct slice name)
{
    entity->has[part] = who != QUOTA_NOBODY;
    entity->names[part] = who == QUOTA_NAMED ? name_cut(name) : SLICE_NULL;
}

static const struct quota_rule *level_find(const struct quota_table *table,
                                           const struct quota_level *level, struct slice user,
                                           struct slice id)
{
    struct broker_quota_entity entity = {0};
    bool is_long = (level->user == QUOTA_NAMED && user.size > BROKER_QUOTA_NAME_SIZE_MAX) ||
                   (level->client == QUOTA_NAMED && id.size > BROKER_QUOTA_NAME_SIZE_MAX);
    part_set(&entity, BROKER_QUOTA_USER, level->user, user);
    part_set(&entity, BROKER_QUOTA_CLIENT, level->client, id);
    return is_long ? NULL : broker_quota_table_find(table, &entity);
}

/* The meter of those that share a limit: its key is who they are, and what is metered. */
static struct quota_local *local_of(struct core *core, struct broker_quota_entity *who,
                                    enum broker_quota_key key)
{
    uint8_t bytes[QUOTA_KEY_SIZE_MAX + 1];
    size_t size = broker_quota_facts_key(who, bytes);
    bytes[size++] = (uint8_t)key;
    return broker_quota_local_get(core, slice_make(bytes, size));
}

static struct quota_local *level_local(struct core *core, const struct quota_level *level,
                                       const struct broker_quota_client *client, struct slice user,
                                       enum broker_quota_key key)
{
    struct broker_quota_entity who = {0};
    struct slice id = slice_make(client->id, client->id_size);
    part_set(&who, BROKER_QUOTA_USER, level->user ? QUOTA_NAMED : QUOTA_NOBODY, user);
    part_set(&who, BROKER_QUOTA_CLIENT, level->client ? QUOTA_NAMED : QUOTA_NOBODY, id);
    return local_of(core, &who, key);
}

static void client_forget(struct broker_quota_client *client)
{
    for (unsigned i = 0; i < BROKER_QUOTA_COUNT; i++) {
        if (client->shares[i].local)
            client->shares[i].local->users--;
        client->shares[i].local = NULL;
        client->shares[i].limit = 0;
    }
    client->generation = 0;
}

void broker_quota_client_deinit(struct core *core, struct broker_quota_client *client)
{
    if (broker_core(core)) /* else the meters have gone already */
        client_forget(client);
    free(client->id);
    *client = (struct broker_quota_client){.generation = 0};
}

static bool client_rename(struct broker_quota_client *client, struct slice id)
{
    char *copy = malloc(id.size + 1);
    if (!copy)
        return false;
    if (id.size > 0)
        memcpy(copy, id.data, id.size);
    free(client->id);
    client->id = copy;
    client->id_size = id.size;
    return true;
}

void broker_quota_client_set(struct core *core, struct broker_quota_client *client,
                             struct slice user, struct slice id)
{
    const struct quota_table *table = table_of(core);
    bool is_same = client->id && slice_equal(slice_make(client->id, client->id_size), id);
    if (is_same && client->generation == (table ? table->generation : 0))
        return;
    client_forget(client);
    if (!table || (!is_same && !client_rename(client, id)))
        return;
    for (size_t i = 0; i < COUNT_OF(quota_levels); i++) {
        const struct quota_rule *rule = level_find(table, &quota_levels[i], user, id);
        for (unsigned key = 0; rule && key < BROKER_QUOTA_COUNT; key++) {
            if (!(rule->face.set & 1u << key) || client->shares[key].limit > 0)
                continue;
            client->shares[key].limit = rule->face.limits[key];
            client->shares[key].local =
                level_local(core, &quota_levels[i], client, user, (enum broker_quota_key)key);
            if (client->shares[key].local)
                client->shares[key].local->users++;
        }
    }
    client->generation = table->generation;
}

/* --- what goes by ----------------------------------------------------------------------------- */

/* In the units that are counted: percent of a core's time are nanoseconds a second. */
static double limit_per_s(double limit, enum broker_quota_key key)
{
    return key == BROKER_QUOTA_REQUEST ? limit * 1e7 : limit;
}

/* Nobody knows what went by: the client goes slowly until there is memory for its meter. */
static uint64_t delay_blind_ms(const struct quota_windows *windows)
{
    return windows->size_ns / MS_NS;
}

static uint64_t local_add(struct core *core, struct quota_local *local, double limit,
                          uint64_t amount)
{
    struct quota_windows windows = broker_quota_local_windows(core);
    struct quota_moment at = {core_id(core), core_now_ns(core)};
    uint64_t span_ns;
    if (!local)
        return delay_blind_ms(&windows);
    local->used_ns = at.now_ns;
    broker_quota_meter_add(local->meter, &windows, at, amount);
    uint64_t sum = broker_quota_meter_sum(local->meter, &windows, at.now_ns, &span_ns);
    return broker_quota_meter_delay_ms(sum, span_ns, limit);
}

uint64_t broker_quota_client_add(struct core *core, struct broker_quota_client *client,
                                 enum broker_quota_key key, uint64_t amount)
{
    double limit = limit_per_s(client->shares[key].limit, key);
    if (limit <= 0)
        return 0;
    uint64_t delay_ms = local_add(core, client->shares[key].local, limit, amount);
    if (key != BROKER_QUOTA_REQUEST)
        return delay_ms;
    /* As Kafka: no longer than a window, because a client that waits does not heartbeat. */
    struct quota_windows windows = broker_quota_local_windows(core);
    return MIN(delay_ms, windows.size_ns / MS_NS);
}

static void local_take_back(struct core *core, struct quota_local *local, uint64_t amount)
{
    struct quota_windows windows = broker_quota_local_windows(core);
    struct quota_moment at = {core_id(core), core_now_ns(core)};
    if (local)
        broker_quota_meter_take_back(local->meter, &windows, at, amount);
}

uint64_t broker_quota_client_try(struct core *core, struct broker_quota_client *client,
                                 enum broker_quota_key key, uint64_t amount, bool *out_refused)
{
    uint64_t delay_ms = broker_quota_client_add(core, client, key, amount);
    struct quota_local *local = client->shares[key].local;
    uint64_t span_ns;
    *out_refused = false;
    if (delay_ms == 0 || amount == 0 || !local)
        return delay_ms;
    struct quota_windows windows = broker_quota_local_windows(core);
    uint64_t sum = broker_quota_meter_sum(local->meter, &windows, core_now_ns(core), &span_ns);
    if (sum <= amount) /* nothing else went by */
        return delay_ms;
    local_take_back(core, local, amount);
    *out_refused = true;
    return delay_ms;
}

uint64_t broker_quota_client_burst(struct core *core, const struct broker_quota_client *client,
                                   enum broker_quota_key key)
{
    struct quota_windows windows = broker_quota_local_windows(core);
    double limit = limit_per_s(client->shares[key].limit, key);
    double burst = limit * (double)MAX(windows.count - 1, 1u) * (double)windows.size_ns / 1e9;
    return limit <= 0 || burst >= 0x1p63 ? UINT64_MAX : (uint64_t)burst + 1;
}

uint64_t broker_quota_client_change(struct core *core, struct broker_quota_client *client,
                                    uint64_t count, bool strict, bool *out_refused)
{
    const struct broker_settings *settings = broker_settings_now(core);
    struct quota_local *local = client->shares[BROKER_QUOTA_CHANGE].local;
    struct quota_bucket bucket = {
        .rate_per_s = client->shares[BROKER_QUOTA_CHANGE].limit,
        .burst_ns = (uint64_t)settings->controller_quota_window_num *
                    (uint64_t)settings->controller_quota_window_size_seconds * 1000 * MS_NS,
        .strict = strict,
    };
    *out_refused = false;
    if (bucket.rate_per_s <= 0)
        return 0;
    if (!local) {
        *out_refused = strict;
        return 1000;
    }
    local->used_ns = core_now_ns(core);
    return broker_quota_meter_draw(local->meter, &bucket, core_now_ns(core), count, out_refused);
}

uint64_t broker_quota_connect(struct core *core, struct slice address)
{
    const struct quota_table *table = table_of(core);
    struct broker_quota_entity who = {.has[BROKER_QUOTA_ADDRESS] = true};
    const unsigned bit = 1u << BROKER_QUOTA_CONNECT;
    if (!table || !(table->set & bit))
        return 0;
    who.names[BROKER_QUOTA_ADDRESS] = address;
    const struct quota_rule *rule = broker_quota_table_find(table, &who);
    if (!rule) {
        who.names[BROKER_QUOTA_ADDRESS] = SLICE_NULL;
        rule = broker_quota_table_find(table, &who);
        who.names[BROKER_QUOTA_ADDRESS] = address;
    }
    if (!rule || !(rule->face.set & bit))
        return 0;
    struct quota_local *local = local_of(core, &who, BROKER_QUOTA_CONNECT);
    uint64_t delay_ms = local_add(core, local, rule->face.limits[BROKER_QUOTA_CONNECT], 1);
    if (delay_ms > 0)
        local_take_back(core, local, 1);
    return delay_ms;
}
