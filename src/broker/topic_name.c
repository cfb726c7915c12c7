// What a topic may be called.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/owner.h"

#define TOPIC_NAME_SIZE_MAX 249

static bool topic_name_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

enum err broker_topic_name_check(struct slice name, struct diag *diag)
{
    if (name.size == 0 || name.size > TOPIC_NAME_SIZE_MAX) {
        diag_set(diag, "a topic name has 1 to %d characters, not %zu", TOPIC_NAME_SIZE_MAX,
                 name.size);
        return ERR_INVALID;
    }
    if (slice_equal_text(name, ".") || slice_equal_text(name, "..")) {
        diag_set(diag, "a topic name is neither '.' nor '..'");
        return ERR_INVALID;
    }
    for (size_t i = 0; i < name.size; i++) {
        if (!topic_name_char(name.data[i])) {
            diag_set(diag, "a topic name has only ASCII letters, digits, '.', '_' and '-'");
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

bool broker_topic_name_is_internal(struct slice name)
{
    return slice_equal_text(name, "__consumer_offsets") ||
           slice_equal_text(name, "__transaction_state") ||
           slice_equal_text(name, "__share_group_state");
}

/* --- names that differ only in '.' and '_': metrics of Kafka's tools would mix them up ----------
 */

struct name_claim {
    struct slice folded; /* the bytes follow */
    struct slice name;
};

/* False: the name has neither, nothing can be like it. */
static bool topic_name_fold(struct slice name, uint8_t out[TOPIC_NAME_SIZE_MAX])
{
    bool has_some = false;
    for (size_t i = 0; i < name.size; i++) {
        has_some = has_some || name.data[i] == '.' || name.data[i] == '_';
        out[i] = name.data[i] == '.' ? '_' : name.data[i];
    }
    return has_some;
}

enum err broker_topic_name_claim(struct owner *owner, struct slice name, struct diag *diag)
{
    uint8_t folded[TOPIC_NAME_SIZE_MAX];
    if (!topic_name_fold(name, folded))
        return ERR_OK;
    const struct name_claim *other = map_get(&owner->collisions, slice_make(folded, name.size));
    if (other) {
        diag_set(diag, "topic '%.*s' would collide with '%.*s': they differ only in '.' and '_'",
                 (int)name.size, (const char *)name.data, (int)other->name.size,
                 (const char *)other->name.data);
        return ERR_INVALID;
    }
    struct name_claim *claim = malloc(sizeof(*claim) + 2 * name.size);
    if (!claim)
        return ERR_NO_MEMORY;
    uint8_t *bytes = (uint8_t *)(claim + 1);
    memcpy(bytes, folded, name.size);
    memcpy(bytes + name.size, name.data, name.size);
    claim->folded = slice_make(bytes, name.size);
    claim->name = slice_make(bytes + name.size, name.size);
    if (!map_put(&owner->collisions, claim->folded, claim, NULL)) {
        free(claim);
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

void broker_topic_name_release(struct owner *owner, struct slice name)
{
    uint8_t folded[TOPIC_NAME_SIZE_MAX];
    if (topic_name_fold(name, folded))
        free(map_remove(&owner->collisions, slice_make(folded, name.size)));
}

void broker_topic_name_free_all(struct owner *owner)
{
    size_t position = 0;
    struct name_claim *claim;
    while ((claim = map_next(&owner->collisions, &position))) {
        map_remove(&owner->collisions, claim->folded);
        free(claim);
    }
    map_deinit(&owner->collisions);
}
