// Loads the catalogue: the newest good snapshot and all changes since.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/endian.h"
#include "store/catalogue_state.h"

struct numbers {
    uint64_t *items;
    size_t count;
    size_t capacity;
};

struct load {
    struct catalogue *catalogue;
    struct journal_scan scan;
    struct numbers snapshots;
    struct numbers changes;
    struct diag *diag;
    uint64_t expected;    /* sequence of the next change */
    uint64_t number_last; /* of the changes file with the last group */
    uint64_t entry_count;
    enum err err;
};

static void number_add(struct load *load, struct numbers *numbers, uint64_t number)
{
    if (number == 0)
        return;
    if (numbers->count == numbers->capacity) {
        size_t capacity = numbers->capacity ? numbers->capacity * 2 : 16;
        uint64_t *items = realloc(numbers->items, capacity * sizeof(*items));
        if (!items) {
            load->err = ERR_NO_MEMORY;
            return;
        }
        numbers->items = items;
        numbers->capacity = capacity;
    }
    numbers->items[numbers->count++] = number;
}

static void file_found(void *arg, const char *name, bool is_directory)
{
    struct load *load = arg;
    if (is_directory)
        return;
    number_add(load, &load->snapshots, catalogue_number(name, "snapshot"));
    number_add(load, &load->changes, catalogue_number(name, "changes"));
}

static int number_compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void numbers_sort(struct numbers *numbers)
{
    if (numbers->count > 0)
        qsort(numbers->items, numbers->count, sizeof(*numbers->items), number_compare);
}

/* ERR_CORRUPT when the body is not what its head says. */
static enum err group_apply(struct load *load, const struct journal_scan_step *step)
{
    struct slice body = step->body;
    for (uint32_t i = 0; i < step->head.entry_count; i++) {
        if (body.size < CATALOGUE_ENTRY_HEAD_SIZE)
            return ERR_CORRUPT;
        uint64_t key_size = le32_get(body.data);
        uint64_t value_size = le32_get(body.data + 4);
        bool is_deleted = value_size == CATALOGUE_VALUE_DELETED;
        uint64_t size = CATALOGUE_ENTRY_HEAD_SIZE + key_size + (is_deleted ? 0 : value_size);
        if (key_size == 0 || size > body.size)
            return ERR_CORRUPT;
        const uint8_t *key = body.data + CATALOGUE_ENTRY_HEAD_SIZE;
        struct slice value = is_deleted ? SLICE_NULL : slice_make(key + key_size, value_size);
        struct catalogue_item *item = catalogue_item_new(slice_make(key, key_size), value);
        if (!item)
            return ERR_NO_MEMORY;
        enum err err = catalogue_apply(load->catalogue, item);
        if (err != ERR_OK)
            return err;
        body = slice_make(body.data + size, body.size - size);
        load->entry_count++;
    }
    return body.size == 0 ? ERR_OK : ERR_CORRUPT;
}

static enum err corrupt(struct load *load, const char *path, const struct journal_scan_step *step)
{
    diag_set(load->diag, "catalogue file %s is damaged: bytes %llu to %llu, groups %llu to %llu",
             path, (unsigned long long)step->begin, (unsigned long long)step->end,
             (unsigned long long)step->sequence, (unsigned long long)step->sequence_next);
    return ERR_CORRUPT;
}

/* Groups without a gap from 1 on, and the last says how many entries there were. */
static enum err snapshot_scan(struct load *load, const char *path)
{
    struct journal_scan *scan = &load->scan;
    struct journal_scan_step step = {.kind = JOURNAL_SCAN_END};
    bool is_whole = false;
    if (!scan->has_head || scan->head.sequence != 1)
        return corrupt(load, path, &step);
    load->entry_count = 0;
    load->expected = scan->head.body_size;
    for (;;) {
        enum err err = journal_scan_next(scan, &step);
        if (err != ERR_OK)
            return err;
        if (step.kind == JOURNAL_SCAN_END && is_whole && load->expected > 0)
            return ERR_OK;
        if (step.kind != JOURNAL_SCAN_GROUP || is_whole)
            return corrupt(load, path, &step);
        if (step.head.entry_count == 0) {
            is_whole = step.body.size == 8 && le64_get(step.body.data) == load->entry_count;
            if (!is_whole)
                return corrupt(load, path, &step);
            continue;
        }
        err = group_apply(load, &step);
        if (err != ERR_OK)
            return err == ERR_CORRUPT ? corrupt(load, path, &step) : err;
    }
}

/* A good group that is not the one expected, or the damage before it, means that changes are
 * missing. Nothing good at the end is what a crash leaves. */
static enum err changes_scan(struct load *load, const char *path)
{
    struct journal_scan *scan = &load->scan;
    struct journal_scan_step step;
    enum err err;
    while ((err = journal_scan_next(scan, &step)) == ERR_OK) {
        if (step.kind == JOURNAL_SCAN_END)
            return step.is_unreadable ? corrupt(load, path, &step) : ERR_OK;
        if (step.sequence < load->expected && step.kind == JOURNAL_SCAN_GROUP)
            return corrupt(load, path, &step);
        bool is_next = step.kind == JOURNAL_SCAN_GROUP && step.sequence == load->expected;
        bool is_before_next = step.kind == JOURNAL_SCAN_BAD && step.sequence + 1 == load->expected;
        if (is_next) {
            err = group_apply(load, &step);
            load->expected++;
            load->number_last = scan->number;
        } else if (step.kind == JOURNAL_SCAN_BAD && step.sequence == load->expected &&
                   step.head.magic != 0) {
            /* the head is good, the body is not: torn, if nothing comes behind it */
            continue;
        } else if (!is_before_next) {
            return corrupt(load, path, &step);
        }
        if (err != ERR_OK)
            return err == ERR_CORRUPT ? corrupt(load, path, &step) : err;
    }
    return err;
}

static enum err file_load(struct load *load, const char *kind, uint64_t number)
{
    struct catalogue *catalogue = load->catalogue;
    struct os *os = catalogue->os;
    bool is_snapshot = strcmp(kind, "snapshot") == 0;
    const uint32_t magics[2] = {is_snapshot ? JOURNAL_MAGIC_SNAPSHOT : JOURNAL_MAGIC_CHANGES,
                                is_snapshot ? JOURNAL_MAGIC_SNAPPED : JOURNAL_MAGIC_CHANGE};
    char *path = catalogue_path(catalogue->dir, kind, number);
    if (!path)
        return ERR_NO_MEMORY;
    int fd = os->ops->open(os, path, OS_OPEN_READ);
    enum err err = fd < 0 ? err_from_errno(-fd) : ERR_OK;
    /* what only the cache of a killed process has must be durable before anybody acts on it */
    if (err == ERR_OK && os->ops->fdatasync(os, fd) < 0)
        err = ERR_IO;
    if (err == ERR_OK)
        err = journal_scan_start(&load->scan, fd, number, magics);
    if (err == ERR_OK) {
        uint64_t size = load->scan.file_size;
        err = is_snapshot ? snapshot_scan(load, path) : changes_scan(load, path);
        catalogue->snapshot_bytes = is_snapshot ? size : catalogue->snapshot_bytes;
        catalogue->changes_bytes += is_snapshot ? 0 : MIN(size, load->scan.position);
        catalogue->changes_count += !is_snapshot;
    } else {
        diag_set(load->diag, "catalogue file %s: %s", path, err_text(err));
    }
    if (fd >= 0)
        os->ops->close(os, fd);
    free(path);
    return err;
}

/* The snapshot (0: none) and what came after it. */
static enum err load_from(struct load *load, uint64_t snapshot)
{
    struct catalogue *catalogue = load->catalogue;
    uint64_t seed = core_random(catalogue->core);
    catalogue_clear(catalogue);
    map_init(&catalogue->map, seed);
    catalogue->snapshot_number = snapshot;
    catalogue->snapshot_bytes = catalogue->changes_bytes = 0;
    catalogue->changes_count = 0;
    load->expected = 1;
    load->number_last = 0;
    enum err err = snapshot ? file_load(load, "snapshot", snapshot) : ERR_OK;
    for (size_t i = 0; i < load->changes.count && err == ERR_OK; i++) {
        if (load->changes.items[i] >= snapshot)
            err = file_load(load, "changes", load->changes.items[i]);
    }
    return err;
}

/* From the newest snapshot, or from the one before when that is damaged. A snapshot is made when
 * its changes file has a group: what does not reach that far is not all. */
static enum err load_best(struct load *load, struct diag *diag)
{
    struct logger *logger = core_logger(load->catalogue->core);
    size_t count = load->snapshots.count;
    uint64_t newest = count > 0 ? load->snapshots.items[count - 1] : 0;
    struct diag words = {{0}};
    enum err err = ERR_CORRUPT;
    load->diag = &words;
    for (size_t i = count + 1; i > 0 && err == ERR_CORRUPT; i--) {
        err = load_from(load, i > 1 ? load->snapshots.items[i - 2] : 0);
        if (err == ERR_OK && load->number_last < newest) {
            diag_set(&words, "catalogue: changes-%016llx is missing or damaged",
                     (unsigned long long)newest);
            err = ERR_CORRUPT;
        }
        if (err != ERR_OK)
            log_error(logger, "store", "%s", words.text);
        if (err != ERR_OK && i == count + 1)
            diag_set(diag, "%s", words.text);
        else if (err == ERR_OK && i <= count)
            log_warn(logger, "store", "catalogue recovered without its newest snapshot");
    }
    load->diag = NULL;
    return err;
}

enum err catalogue_load(struct catalogue *catalogue, struct diag *diag)
{
    struct load load = {.catalogue = catalogue, .scan = {.os = catalogue->os}, .diag = diag};
    struct os *os = catalogue->os;
    int error = os->ops->list(os, catalogue->dir, file_found, &load);
    enum err err = error < 0 ? err_from_errno(-error) : load.err;
    if (err != ERR_OK) {
        diag_set(diag, "catalogue %s: %s", catalogue->dir, err_text(err));
        goto out;
    }
    numbers_sort(&load.snapshots);
    numbers_sort(&load.changes);
    err = load_best(&load, diag);
    if (err != ERR_OK)
        goto out;
    catalogue->sequence_next = load.expected;
    catalogue->number_next = 1;
    if (load.snapshots.count > 0)
        catalogue->number_next = load.snapshots.items[load.snapshots.count - 1] + 1;
    if (load.changes.count > 0)
        catalogue->number_next =
            MAX(catalogue->number_next, load.changes.items[load.changes.count - 1] + 1);
out:
    free(load.scan.buffer);
    free(load.snapshots.items);
    free(load.changes.items);
    return err;
}
