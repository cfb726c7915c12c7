// An entry's bytes in a group: its head, and the checksum that lets it be judged alone.
// SPDX-License-Identifier: Apache-2.0
#include "base/crc32c.h"
#include "base/endian.h"
#include "store/journal_state.h"

#define KNOWN_SIZE_MIN  512 /* smaller ranges are read as quickly */
#define SEARCH_WORK_MAX 8u  /* bytes to look at in a search, for each byte of the group */
#define ENTRY_SALT_SIZE 24u

static uint32_t body_size_of(const struct journal_entry *entry)
{
    size_t size = 0;
    for (size_t i = 0; i < COUNT_OF(entry->parts); i++)
        size += entry->parts[i].size;
    CHECK(size <= INT32_MAX);
    return (uint32_t)size;
}

uint64_t journal_entry_size(const struct journal_entry *entry)
{
    return JOURNAL_ENTRY_HEAD_SIZE + (uint64_t)body_size_of(entry);
}

static void head_put(struct journal_entry *entry, uint32_t body_size)
{
    uint8_t *out = entry->head;
    le32_put(out + JOURNAL_ENTRY_AT_SIZE, body_size);
    le32_put(out + JOURNAL_ENTRY_AT_TYPE, (uint32_t)entry->type);
    le64_put(out + JOURNAL_ENTRY_AT_LSN, entry->lsn);
    memcpy(out + JOURNAL_ENTRY_AT_TOPIC, entry->key.topic.bytes, 16);
    le32_put(out + JOURNAL_ENTRY_AT_PARTITION, entry->key.partition);
}

/* Of the body and then the head, and of the group: neither what lay here before nor a payload can
 * pose as an entry of it. 0 stands for none. */
static uint32_t entry_crc(const struct journal_head *group, const uint8_t *head, uint32_t body_crc)
{
    uint8_t salt[ENTRY_SALT_SIZE];
    le64_put(salt, group->number);
    le64_put(salt + 8, group->run);
    le64_put(salt + 16, group->sequence);
    uint32_t crc = crc32c(body_crc, head, JOURNAL_ENTRY_AT_CRC);
    crc = crc32c(crc, salt, sizeof(salt));
    return crc ? crc : 1;
}

/* Large batches have been looked at when they came. */
static uint32_t last_part_crc(const struct journal_entry *entry, uint32_t crc)
{
    const struct slice *part = &entry->parts[COUNT_OF(entry->parts) - 1];
    if (entry->known_size < KNOWN_SIZE_MIN)
        return crc32c(crc, part->data, part->size);
    size_t at = part->size - entry->known_size;
    DCHECK(crc32c(0, part->data + at, entry->known_size) == entry->known_crc);
    crc = crc32c(crc, part->data, at);
    return crc32c_join(crc, entry->known_crc, entry->known_size);
}

static uint32_t body_crc(const struct journal_entry *entry, uint32_t crc)
{
    for (size_t i = 0; i + 1 < COUNT_OF(entry->parts); i++)
        crc = crc32c(crc, entry->parts[i].data, entry->parts[i].size);
    return last_part_crc(entry, crc);
}

uint32_t journal_entry_seal(struct journal_entry *entry, const struct journal_head *group,
                            uint32_t crc)
{
    uint32_t size = body_size_of(entry);
    head_put(entry, size);
    uint32_t of_body = body_crc(entry, 0);
    le32_put(entry->head + JOURNAL_ENTRY_AT_CRC, entry_crc(group, entry->head, of_body));
    crc = crc32c(crc, entry->head, sizeof(entry->head));
    return size < KNOWN_SIZE_MIN ? body_crc(entry, crc) : crc32c_join(crc, of_body, size);
}

/* --- reading --- */

bool journal_entry_read(struct slice *body, struct journal_found *out)
{
    if (body->size < JOURNAL_ENTRY_HEAD_SIZE)
        return false;
    const uint8_t *head = body->data;
    uint32_t size = le32_get(head + JOURNAL_ENTRY_AT_SIZE);
    uint32_t type = le32_get(head + JOURNAL_ENTRY_AT_TYPE);
    if (size > body->size - JOURNAL_ENTRY_HEAD_SIZE || type == 0 || type >= JOURNAL_TYPE_COUNT)
        return false;
    out->type = (enum journal_type)type;
    out->lsn = le64_get(head + JOURNAL_ENTRY_AT_LSN);
    memcpy(out->key.topic.bytes, head + JOURNAL_ENTRY_AT_TOPIC, 16);
    out->key.partition = le32_get(head + JOURNAL_ENTRY_AT_PARTITION);
    out->body = slice_make(head + JOURNAL_ENTRY_HEAD_SIZE, size);
    body->data += JOURNAL_ENTRY_HEAD_SIZE + size;
    body->size -= JOURNAL_ENTRY_HEAD_SIZE + size;
    return true;
}

/* The whole entry is what was written; advances the body behind it then. */
static bool read_good(const struct journal_head *group, struct slice *body, uint64_t *work,
                      struct journal_found *out)
{
    struct slice rest = *body;
    struct journal_found found = *out;
    if (!journal_entry_read(&rest, &found))
        return false;
    uint32_t crc = le32_get(body->data + JOURNAL_ENTRY_AT_CRC);
    *work += JOURNAL_ENTRY_HEAD_SIZE + found.body.size;
    if (crc == 0 ||
        entry_crc(group, body->data, crc32c(0, found.body.data, found.body.size)) != crc)
        return false;
    *body = rest;
    *out = found;
    return true;
}

bool journal_entry_salvage(const struct journal_head *group, struct slice *body,
                           struct journal_found *out)
{
    uint64_t work = 0;
    uint64_t work_max = (uint64_t)body->size * SEARCH_WORK_MAX;
    out->is_damaged = false;
    if (read_good(group, body, &work, out))
        return true;
    /* its head is believed when it leads to the next one, or to the end */
    struct slice rest = *body;
    struct journal_found found = *out;
    if (journal_entry_read(&rest, &found)) {
        struct journal_found next = found;
        struct slice behind = rest;
        if (rest.size == 0 || read_good(group, &behind, &work, &next)) {
            *body = rest;
            *out = found;
            out->is_damaged = true;
            return true;
        }
    }
    while (body->size > JOURNAL_ENTRY_HEAD_SIZE && work < work_max) {
        *body = slice_make(body->data + 1, body->size - 1);
        if (read_good(group, body, &work, out))
            return true;
    }
    return false;
}
