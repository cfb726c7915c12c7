// Files, directories and their names on the fake disk, and which names survive a loss of power.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>

#include "os/fake_names.h"

/* References to all nodes: none is freed, nor moved in the array, until their release. */
static struct os_fake_node **nodes_hold(const struct os_fake_disk *disk, size_t *out_count)
{
    struct os_fake_node **nodes = calloc(disk->node_count, sizeof(struct os_fake_node *));
    CHECK(nodes);
    for (size_t i = 0; i < disk->node_count; i++) {
        nodes[i] = disk->nodes[i];
        nodes[i]->refs++;
    }
    *out_count = disk->node_count;
    return nodes;
}

static void nodes_release(struct os_fake_disk *disk, struct os_fake_node **nodes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        os_fake_names_unref(disk, nodes[i]);
    free(nodes);
}

static struct os_fake_node *node_new(struct os_fake_disk *disk, bool is_directory)
{
    struct os_fake_node *node = calloc(1, sizeof(*node));
    CHECK(node);
    if (disk->node_count == disk->node_capacity) {
        disk->node_capacity = MAX(16, disk->node_capacity * 2);
        disk->nodes = realloc(disk->nodes, disk->node_capacity * sizeof(*disk->nodes));
        CHECK(disk->nodes);
    }
    node->index = disk->node_count;
    node->id = disk->id_next++;
    node->is_directory = is_directory;
    node->lock_fd = -1;
    os_fake_pages_init(&node->pages);
    disk->nodes[disk->node_count++] = node;
    return node;
}

/* Takes a node from where it hangs in a view; the place's reference goes to the caller. */
static void unhang(struct os_fake_node *node, enum os_fake_view view)
{
    struct os_fake_place *place = &node->places[view];
    struct os_fake_children *children = &place->parent->children[view];
    size_t at = 0;
    while (children->items[at] != node)
        at++;
    children->count--;
    memmove(&children->items[at], &children->items[at + 1],
            (children->count - at) * sizeof(*children->items));
    free(place->name);
    *place = (struct os_fake_place){0};
}

void os_fake_names_unref(struct os_fake_disk *disk, struct os_fake_node *node)
{
    CHECK(node->refs > 0);
    if (--node->refs > 0)
        return;
    for (enum os_fake_view view = 0; view < OS_FAKE_VIEW_COUNT; view++) {
        struct os_fake_children *children = &node->children[view];
        while (children->count > 0) {
            struct os_fake_node *child = children->items[children->count - 1];
            unhang(child, view);
            os_fake_names_unref(disk, child);
        }
        free(children->items);
    }
    struct os_fake_node *last = disk->nodes[--disk->node_count];
    last->index = node->index;
    disk->nodes[node->index] = last;
    os_fake_pages_deinit(&node->pages);
    free(node->bad_ranges);
    free(node);
}

static struct os_fake_node *child_find(const struct os_fake_node *directory, enum os_fake_view view,
                                       const char *name)
{
    const struct os_fake_children *children = &directory->children[view];
    for (size_t i = 0; i < children->count; i++) {
        if (strcmp(children->items[i]->places[view].name, name) == 0)
            return children->items[i];
    }
    return NULL;
}

static void take_away(struct os_fake_disk *disk, struct os_fake_node *node, enum os_fake_view view)
{
    if (!node->places[view].parent)
        return;
    unhang(node, view);
    os_fake_names_unref(disk, node);
}

/* Hangs a node under a name of a view, away from where it was, in place of what had the name. */
static void hang(struct os_fake_disk *disk, struct os_fake_node *node, enum os_fake_view view,
                 struct os_fake_place place)
{
    struct os_fake_node *replaced = child_find(place.parent, view, place.name);
    if (replaced == node)
        return;
    char *name = strdup(place.name); /* the place may be the node's own */
    CHECK(name);
    node->refs++;
    if (replaced)
        take_away(disk, replaced, view);
    take_away(disk, node, view);
    struct os_fake_children *children = &place.parent->children[view];
    if (children->count == children->capacity) {
        children->capacity = MAX(8, children->capacity * 2);
        children->items = realloc(children->items, children->capacity * sizeof(*children->items));
        CHECK(children->items);
    }
    children->items[children->count++] = node;
    node->places[view] = (struct os_fake_place){place.parent, name};
}

static struct os_fake_place place_copy(struct os_fake_place from)
{
    struct os_fake_place place = {from.parent, NULL};
    if (!from.parent)
        return place;
    from.parent->refs++;
    place.name = strdup(from.name);
    CHECK(place.name);
    return place;
}

static void change_add(struct os_fake_disk *disk, struct os_fake_node *node,
                       struct os_fake_place from, struct os_fake_place to)
{
    if (disk->change_count == disk->change_capacity) {
        disk->change_capacity = MAX(16, disk->change_capacity * 2);
        disk->changes = realloc(disk->changes, disk->change_capacity * sizeof(*disk->changes));
        CHECK(disk->changes);
    }
    node->refs++;
    disk->changes[disk->change_count++] =
        (struct os_fake_change){node, place_copy(from), place_copy(to)};
}

static void change_drop(struct os_fake_disk *disk, struct os_fake_change *change)
{
    struct os_fake_change dropped = *change;
    *change = (struct os_fake_change){0};
    os_fake_names_unref(disk, dropped.node);
    if (dropped.from.parent)
        os_fake_names_unref(disk, dropped.from.parent);
    if (dropped.to.parent)
        os_fake_names_unref(disk, dropped.to.parent);
    free(dropped.from.name);
    free(dropped.to.name);
}

static void changes_drop_all(struct os_fake_disk *disk)
{
    for (size_t i = 0; i < disk->change_count; i++)
        change_drop(disk, &disk->changes[i]);
    disk->change_count = 0;
}

void os_fake_names_init(struct os_fake_disk *disk)
{
    *disk = (struct os_fake_disk){0};
    disk->root = node_new(disk, true);
    disk->root->refs = 1;
}

void os_fake_names_deinit(struct os_fake_disk *disk)
{
    size_t count;
    struct os_fake_node **nodes = nodes_hold(disk, &count);
    changes_drop_all(disk);
    for (size_t i = 0; i < count; i++) {
        take_away(disk, nodes[i], OS_FAKE_CACHED);
        take_away(disk, nodes[i], OS_FAKE_DURABLE);
    }
    nodes_release(disk, nodes, count);
    os_fake_names_unref(disk, disk->root);
    CHECK(disk->node_count == 0);
    free(disk->nodes);
    free(disk->changes);
    *disk = (struct os_fake_disk){0};
}

static void node_copy(struct os_fake_disk *to, const struct os_fake_node *from)
{
    struct os_fake_node *node = node_new(to, from->is_directory);
    node->id = from->id;
    node->refs = 1;
    node->modified_ms = from->modified_ms;
    os_fake_pages_copy(&node->pages, &from->pages);
    node->bad_range_count = from->bad_range_count;
    if (from->bad_range_count == 0)
        return;
    size_t size = from->bad_range_count * sizeof(*from->bad_ranges);
    node->bad_ranges = malloc(size);
    CHECK(node->bad_ranges);
    memcpy(node->bad_ranges, from->bad_ranges, size);
}

static struct os_fake_place place_mapped(const struct os_fake_disk *to, struct os_fake_place from)
{
    return (struct os_fake_place){from.parent ? to->nodes[from.parent->index] : NULL, from.name};
}

void os_fake_names_copy(struct os_fake_disk *to, const struct os_fake_disk *from)
{
    *to = (struct os_fake_disk){0};
    for (size_t i = 0; i < from->node_count; i++)
        node_copy(to, from->nodes[i]);
    to->id_next = from->id_next;
    to->root = to->nodes[from->root->index];
    to->root->refs++;
    for (size_t i = 0; i < from->node_count; i++) {
        for (enum os_fake_view view = 0; view < OS_FAKE_VIEW_COUNT; view++) {
            const struct os_fake_children *children = &from->nodes[i]->children[view];
            for (size_t at = 0; at < children->count; at++) {
                const struct os_fake_node *child = children->items[at];
                hang(to, to->nodes[child->index], view, place_mapped(to, child->places[view]));
            }
        }
    }
    for (size_t i = 0; i < from->change_count; i++) {
        const struct os_fake_change *change = &from->changes[i];
        change_add(to, to->nodes[change->node->index], place_mapped(to, change->from),
                   place_mapped(to, change->to));
    }
    for (size_t i = to->node_count; i-- > 0;) /* the references of node_copy */
        os_fake_names_unref(to, to->nodes[i]);
}

/* The next part of a path; 0 at its end. */
static int part_next(const char **path, char out[256])
{
    const char *at = *path;
    for (;;) {
        at += strspn(at, "/");
        size_t size = strcspn(at, "/");
        if (size > 255)
            return -ENAMETOOLONG;
        memcpy(out, at, size);
        out[size] = 0;
        at += size;
        *path = at;
        if (strcmp(out, "..") == 0)
            return -EINVAL;
        if (strcmp(out, ".") != 0)
            return (int)size;
    }
}

int os_fake_names_find(struct os_fake_disk *disk, enum os_fake_view view, const char *path,
                       struct os_fake_target *out)
{
    struct os_fake_target target = {.node = disk->root};
    if (*path != '/')
        return *path ? -EINVAL : -ENOENT;
    char part[256];
    int size;
    while ((size = part_next(&path, part)) > 0) {
        if (!target.node)
            return -ENOENT;
        if (!target.node->is_directory)
            return -ENOTDIR;
        target.parent = target.node;
        memcpy(target.name, part, sizeof(part));
        target.node = child_find(target.parent, view, part);
    }
    if (size < 0)
        return size;
    *out = target;
    return 0;
}

void os_fake_names_path(const struct os_fake_node *node, char *out, size_t size)
{
    const struct os_fake_node *parents[64];
    size_t depth = 0;
    for (; node->places[OS_FAKE_CACHED].parent && depth < COUNT_OF(parents); depth++) {
        parents[depth] = node;
        node = node->places[OS_FAKE_CACHED].parent;
    }
    size_t at = 0;
    while (depth-- > 0) {
        const char *name = parents[depth]->places[OS_FAKE_CACHED].name;
        size_t length = strlen(name);
        if (at + length + 2 > size)
            break;
        out[at++] = '/';
        memcpy(out + at, name, length);
        at += length;
    }
    out[at] = 0;
}

static bool view_is_inside(const struct os_fake_node *node, const struct os_fake_node *directory,
                           enum os_fake_view view)
{
    while (node && node != directory)
        node = node->places[view].parent;
    return node != NULL;
}

bool os_fake_names_is_inside(const struct os_fake_node *node, const struct os_fake_node *directory)
{
    return view_is_inside(node, directory, OS_FAKE_CACHED);
}

static struct os_fake_place target_place(const struct os_fake_target *target)
{
    return (struct os_fake_place){target->parent, (char *)(uintptr_t)target->name};
}

struct os_fake_node *os_fake_names_create(struct os_fake_disk *disk,
                                          const struct os_fake_target *target, bool is_directory)
{
    CHECK(target->parent && !target->node);
    struct os_fake_node *node = node_new(disk, is_directory);
    struct os_fake_place place = target_place(target);
    hang(disk, node, OS_FAKE_CACHED, place);
    change_add(disk, node, (struct os_fake_place){0}, place);
    return node;
}

void os_fake_names_remove(struct os_fake_disk *disk, struct os_fake_node *node)
{
    change_add(disk, node, node->places[OS_FAKE_CACHED], (struct os_fake_place){0});
    take_away(disk, node, OS_FAKE_CACHED);
}

void os_fake_names_move(struct os_fake_disk *disk, struct os_fake_node *node,
                        const struct os_fake_target *target)
{
    struct os_fake_place place = target_place(target);
    if (target->node == node)
        return;
    change_add(disk, node, node->places[OS_FAKE_CACHED], place);
    hang(disk, node, OS_FAKE_CACHED, place);
}

/* Makes the durable names of a directory those that the process sees. */
static void directory_settle(struct os_fake_disk *disk, struct os_fake_node *directory)
{
    struct os_fake_children *durable = &directory->children[OS_FAKE_DURABLE];
    while (durable->count > 0)
        take_away(disk, durable->items[durable->count - 1], OS_FAKE_DURABLE);
    const struct os_fake_children *cached = &directory->children[OS_FAKE_CACHED];
    for (size_t i = 0; i < cached->count; i++)
        hang(disk, cached->items[i], OS_FAKE_DURABLE, cached->items[i]->places[OS_FAKE_CACHED]);
}

static bool change_concerns(const struct os_fake_change *change, const bool *is_member)
{
    return (change->from.parent && is_member[change->from.parent->index]) ||
           (change->to.parent && is_member[change->to.parent->index]);
}

/* Adds the directories that moves bind to the members, and those above the new place, else the
 * moved node would have no durable name at all; true when there were any. */
static bool members_grow(const struct os_fake_disk *disk, bool *is_member)
{
    bool has_grown = false;
    for (size_t i = 0; i < disk->change_count; i++) {
        const struct os_fake_change *change = &disk->changes[i];
        if (!change->from.parent || !change->to.parent || !change_concerns(change, is_member) ||
            change->from.parent == change->to.parent)
            continue;
        has_grown |= !is_member[change->from.parent->index];
        is_member[change->from.parent->index] = true;
        const struct os_fake_node *above = change->to.parent;
        for (; above; above = above->places[OS_FAKE_CACHED].parent) {
            has_grown |= !is_member[above->index];
            is_member[above->index] = true;
        }
    }
    return has_grown;
}

/* Forgets the changes that concern the members, in one go after the look at all of them. */
static void changes_settle(struct os_fake_disk *disk, const bool *is_member)
{
    size_t kept = 0;
    size_t done_count = 0;
    struct os_fake_change *done = calloc(disk->change_count + 1, sizeof(*done));
    CHECK(done);
    for (size_t i = 0; i < disk->change_count; i++) {
        if (change_concerns(&disk->changes[i], is_member))
            done[done_count++] = disk->changes[i];
        else
            disk->changes[kept++] = disk->changes[i];
    }
    disk->change_count = kept;
    for (size_t i = 0; i < done_count; i++)
        change_drop(disk, &done[i]);
    free(done);
}

void os_fake_names_sync(struct os_fake_disk *disk, struct os_fake_node *directory)
{
    size_t count;
    struct os_fake_node **nodes = nodes_hold(disk, &count);
    bool *is_member = calloc(count, sizeof(*is_member));
    CHECK(is_member);
    is_member[directory->index] = true;
    while (members_grow(disk, is_member))
        continue;
    for (size_t i = 0; i < count; i++) {
        if (is_member[i])
            directory_settle(disk, nodes[i]);
    }
    changes_settle(disk, is_member);
    nodes_release(disk, nodes, count);
    free(is_member);
}

void os_fake_names_sync_all(struct os_fake_disk *disk)
{
    while (disk->change_count > 0) {
        const struct os_fake_change *change = &disk->changes[0];
        os_fake_names_sync(disk, change->to.parent ? change->to.parent : change->from.parent);
    }
}

/* Does a change on the durable names, as far as it is possible without the ones lost before. */
static void change_apply(struct os_fake_disk *disk, const struct os_fake_change *change)
{
    struct os_fake_node *node = change->node;
    const struct os_fake_place *now = &node->places[OS_FAKE_DURABLE];
    if (!change->to.parent) {
        bool is_there = now->parent == change->from.parent && now->parent &&
                        strcmp(now->name, change->from.name) == 0;
        if (is_there && node->children[OS_FAKE_DURABLE].count == 0)
            take_away(disk, node, OS_FAKE_DURABLE);
        return;
    }
    /* A rename leaves the old or the new name: not into what is nowhere, nor into itself. */
    if (!view_is_inside(change->to.parent, disk->root, OS_FAKE_DURABLE) ||
        view_is_inside(change->to.parent, node, OS_FAKE_DURABLE))
        return;
    struct os_fake_node *there = child_find(change->to.parent, OS_FAKE_DURABLE, change->to.name);
    if (there && there->children[OS_FAKE_DURABLE].count > 0)
        return;
    hang(disk, node, OS_FAKE_DURABLE, change->to);
}

/* The process's names become the durable ones, from this directory down. */
static void view_reset(struct os_fake_disk *disk, struct os_fake_node *directory, bool *is_reached)
{
    is_reached[directory->index] = true;
    struct os_fake_children *durable = &directory->children[OS_FAKE_DURABLE];
    for (size_t i = 0; i < durable->count; i++) {
        struct os_fake_node *child = durable->items[i];
        hang(disk, child, OS_FAKE_CACHED, child->places[OS_FAKE_DURABLE]);
        view_reset(disk, child, is_reached);
    }
}

static bool draw_keep(struct os_fake_random *random, struct os_fake_crash_policy policy)
{
    if (policy.keep + policy.lose == 0)
        return os_fake_random_below(random, 2) == 0;
    return os_fake_random_below(random, (uint64_t)policy.keep + policy.lose) < policy.keep;
}

static void changes_decide(struct os_fake_disk *disk, struct os_fake_random *random,
                           struct os_fake_crash_policy policy)
{
    size_t kept = disk->change_count;
    if (policy.names_in_order && policy.lose + policy.garble > 0)
        kept = policy.keep + policy.garble > 0
                   ? (size_t)os_fake_random_below(random, disk->change_count + 1)
                   : 0;
    for (size_t i = 0; i < kept; i++) {
        if (policy.names_in_order || draw_keep(random, policy))
            change_apply(disk, &disk->changes[i]);
    }
}

void os_fake_names_crash(struct os_fake_disk *disk, struct os_fake_random *random,
                         struct os_fake_crash_policy policy)
{
    changes_decide(disk, random, policy);
    size_t count;
    struct os_fake_node **nodes = nodes_hold(disk, &count);
    bool *is_reached = calloc(count, sizeof(*is_reached));
    CHECK(is_reached);
    changes_drop_all(disk);
    for (size_t i = 0; i < count; i++)
        take_away(disk, nodes[i], OS_FAKE_CACHED);
    view_reset(disk, disk->root, is_reached);
    for (size_t i = 0; i < count; i++) {
        if (!is_reached[i])
            take_away(disk, nodes[i], OS_FAKE_DURABLE);
    }
    nodes_release(disk, nodes, count);
    free(is_reached);
}
