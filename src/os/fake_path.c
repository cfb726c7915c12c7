// Operations of the fake disk that name a path: open, stat, unlink, rename, list and their kin.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "os/fake_state.h"

/* The size that space() reports when there is no limit. */
#define ENDLESS_BYTES (1ULL << 50)

static int path_enter(struct os_fake *fake, enum os_fake_kind kind, const char *path,
                      struct os_fake_target *out)
{
    int result = os_fake_gate_enter(fake, (struct os_fake_gate){.kind = kind, .path = path}, NULL);
    return result < 0 ? result : os_fake_names_find(&fake->disk, OS_FAKE_CACHED, path, out);
}

static bool ends_in_slash(const char *path)
{
    size_t size = strlen(path);
    return size > 0 && path[size - 1] == '/';
}

static int open_check(const struct os_fake_target *target, const char *path, unsigned flags)
{
    const struct os_fake_node *node = target->node;
    if (!node && !(flags & OS_OPEN_CREATE))
        return -ENOENT;
    if (!node)
        return ends_in_slash(path) || flags & OS_OPEN_DIRECTORY ? -EISDIR : 0;
    if ((flags & OS_OPEN_CREATE) && (flags & OS_OPEN_EXCLUSIVE))
        return -EEXIST;
    if (node->is_directory && flags & (OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE))
        return -EISDIR;
    if (!node->is_directory && (flags & OS_OPEN_DIRECTORY || ends_in_slash(path)))
        return -ENOTDIR;
    return 0;
}

int os_fake_path_open(struct os *os, const char *path, unsigned flags)
{
    struct os_fake *fake = os_fake_of(os);
    struct os_fake_target target;
    int result = path_enter(fake, OS_FAKE_OPEN, path, &target);
    if (result == 0)
        result = open_check(&target, path, flags);
    if (result < 0)
        return result;
    bool is_created = !target.node;
    bool is_cut = target.node && flags & OS_OPEN_TRUNCATE && target.node->pages.size > 0;
    if (is_created || is_cut) {
        result = os_fake_gate_change(fake);
        if (result < 0)
            return result;
    }
    if (is_created)
        target.node = os_fake_names_create(&fake->disk, &target, false);
    if (is_cut)
        os_fake_pages_truncate(&target.node->pages, 0);
    if (is_created || is_cut) {
        target.node->modified_ms = os->ops->wall_ms(os);
        result = (int)os_fake_gate_leave(fake, 0);
        if (result < 0)
            return result;
    }
    int fd = os_fake_fd_new(fake, OS_FAKE_FD_FILE);
    if (!(flags & OS_OPEN_WRITE))
        flags |= OS_OPEN_READ; /* as open(2) with O_RDONLY */
    fake->fds[fd].flags = flags;
    fake->fds[fd].node = target.node;
    target.node->refs++;
    target.node->fd_count++;
    return fd;
}

int os_fake_path_stat(struct os *os, const char *path, struct os_stat *out)
{
    struct os_fake_target target;
    int result = path_enter(os_fake_of(os), OS_FAKE_STAT, path, &target);
    if (result < 0)
        return result;
    if (!target.node)
        return -ENOENT;
    *out = (struct os_stat){.size_bytes = target.node->pages.size,
                            .modified_ms = target.node->modified_ms,
                            .is_directory = target.node->is_directory};
    return 0;
}

static int remove_node(struct os_fake *fake, struct os_fake_node *node)
{
    int result = os_fake_gate_change(fake);
    if (result < 0)
        return result;
    os_fake_names_remove(&fake->disk, node);
    return (int)os_fake_gate_leave(fake, 0);
}

int os_fake_path_unlink(struct os *os, const char *path)
{
    struct os_fake *fake = os_fake_of(os);
    struct os_fake_target target;
    int result = path_enter(fake, OS_FAKE_NAME, path, &target);
    if (result < 0)
        return result;
    if (!target.node)
        return -ENOENT;
    return target.node->is_directory ? -EISDIR : remove_node(fake, target.node);
}

int os_fake_path_rmdir(struct os *os, const char *path)
{
    struct os_fake *fake = os_fake_of(os);
    struct os_fake_target target;
    int result = path_enter(fake, OS_FAKE_NAME, path, &target);
    if (result < 0)
        return result;
    if (!target.node)
        return -ENOENT;
    if (!target.node->is_directory)
        return -ENOTDIR;
    if (!target.parent)
        return -EBUSY;
    if (target.node->children[OS_FAKE_CACHED].count > 0)
        return -ENOTEMPTY;
    return remove_node(fake, target.node);
}

static int rename_check(const struct os_fake_target *from, const struct os_fake_target *to)
{
    if (!from->node)
        return -ENOENT;
    if (!from->parent || !to->parent)
        return -EBUSY;
    if (from->node->is_directory && os_fake_names_is_inside(to->parent, from->node))
        return -EINVAL;
    if (!to->node || to->node == from->node)
        return 0;
    if (to->node->is_directory && !from->node->is_directory)
        return -EISDIR;
    if (!to->node->is_directory && from->node->is_directory)
        return -ENOTDIR;
    return to->node->children[OS_FAKE_CACHED].count > 0 ? -ENOTEMPTY : 0;
}

int os_fake_path_rename(struct os *os, const char *from, const char *to)
{
    struct os_fake *fake = os_fake_of(os);
    struct os_fake_target source = {0}, target = {0};
    int result = path_enter(fake, OS_FAKE_NAME, from, &source);
    if (result == 0)
        result = os_fake_names_find(&fake->disk, OS_FAKE_CACHED, to, &target);
    if (result == 0)
        result = rename_check(&source, &target);
    if (result < 0 || source.node == target.node)
        return result;
    result = os_fake_gate_change(fake);
    if (result < 0)
        return result;
    os_fake_names_move(&fake->disk, source.node, &target);
    return (int)os_fake_gate_leave(fake, 0);
}

int os_fake_path_mkdir(struct os *os, const char *path)
{
    struct os_fake *fake = os_fake_of(os);
    struct os_fake_target target;
    int result = path_enter(fake, OS_FAKE_NAME, path, &target);
    if (result < 0)
        return result;
    if (target.node)
        return target.node->is_directory ? 0 : -ENOTDIR;
    result = os_fake_gate_change(fake);
    if (result < 0)
        return result;
    struct os_fake_node *node = os_fake_names_create(&fake->disk, &target, true);
    node->modified_ms = os->ops->wall_ms(os);
    return (int)os_fake_gate_leave(fake, 0);
}

int os_fake_path_list(struct os *os, const char *path, os_list_fn fn, void *arg)
{
    struct os_fake_target target;
    int result = path_enter(os_fake_of(os), OS_FAKE_STAT, path, &target);
    if (result < 0)
        return result;
    if (!target.node)
        return -ENOENT;
    if (!target.node->is_directory)
        return -ENOTDIR;
    const struct os_fake_children *children = &target.node->children[OS_FAKE_CACHED];
    size_t count = children->count;
    for (size_t i = 0; i < count; i++) {
        CHECK(children->count == count); /* fn must not change the directory */
        const struct os_fake_node *child = children->items[i];
        fn(arg, child->places[OS_FAKE_CACHED].name, child->is_directory);
    }
    return 0;
}

int os_fake_path_space(struct os *os, const char *path, struct os_space *out)
{
    struct os_fake *fake = os_fake_of(os);
    struct os_fake_target target;
    int result = path_enter(fake, OS_FAKE_STAT, path, &target);
    if (result < 0)
        return result;
    if (!target.node)
        return -ENOENT;
    bool is_endless = fake->capacity_count == UINT64_MAX;
    out->total_bytes = is_endless ? ENDLESS_BYTES : fake->capacity_count * OS_FAKE_BLOCK_SIZE;
    out->free_bytes =
        is_endless ? ENDLESS_BYTES : os_fake_file_free_count(fake) * OS_FAKE_BLOCK_SIZE;
    return 0;
}
