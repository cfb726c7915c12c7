// A data folder that lives as long as the process: for a server that keeps nothing.
// SPDX-License-Identifier: Apache-2.0
#include "server/private_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE_MAX 4096
#define NAME_BEGIN    "leatd-"
/* Who finds it in an unlocked folder knows that nobody will miss the folder. */
#define MARK "private"

struct entry {
    struct entry *next;
    bool is_directory;
    char path[];
};

struct listing {
    const char *folder;
    const char *prefix; /* of the names; NULL: all */
    struct entry *entries;
};

static void list_found(void *arg, const char *name, bool is_directory)
{
    struct listing *listing = arg;
    if (listing->prefix && strncmp(name, listing->prefix, strlen(listing->prefix)) != 0)
        return;
    size_t size = strlen(listing->folder) + strlen(name) + 2;
    struct entry *entry = malloc(sizeof(*entry) + size);
    if (!entry)
        return;
    (void)snprintf(entry->path, size, "%s/%s", listing->folder, name);
    entry->is_directory = is_directory;
    entry->next = listing->entries;
    listing->entries = entry;
}

void server_private_folder_remove(struct os *os, const char *path)
{
    struct listing listing = {.folder = path};
    (void)os->ops->list(os, path, list_found, &listing);
    while (listing.entries) {
        struct entry *entry = listing.entries;
        listing.entries = entry->next;
        if (entry->is_directory)
            server_private_folder_remove(os, entry->path);
        else
            (void)os->ops->unlink(os, entry->path);
        free(entry);
    }
    (void)os->ops->rmdir(os, path);
}

/* Removes what a server that was killed has left: marked, this user's alone, and not locked. */
static void sweep_one(struct os *os, const char *path)
{
    char inner[PATH_SIZE_MAX];
    struct os_stat stat;
    if (os->ops->stat(os, path, &stat) != 0 || !stat.is_directory || !stat.is_private ||
        snprintf(inner, sizeof(inner), "%s/" MARK, path) >= (int)sizeof(inner) ||
        os->ops->stat(os, inner, &stat) != 0)
        return;
    (void)snprintf(inner, sizeof(inner), "%s/lock", path);
    int fd = os->ops->open(os, inner, OS_OPEN_WRITE);
    if (fd < 0)
        return;
    if (os->ops->lock(os, fd) == 0)
        server_private_folder_remove(os, path);
    os->ops->close(os, fd);
}

static void sweep(struct os *os, const char *parent)
{
    struct listing listing = {.folder = parent, .prefix = NAME_BEGIN};
    (void)os->ops->list(os, parent, list_found, &listing);
    while (listing.entries) {
        struct entry *entry = listing.entries;
        listing.entries = entry->next;
        if (entry->is_directory)
            sweep_one(os, entry->path);
        free(entry);
    }
}

enum err server_private_folder_make(struct os *os, const char *parent, char *out, size_t size)
{
    int length = snprintf(out, size, "%s/" NAME_BEGIN "XXXXXX", parent);
    if (length < 0 || (size_t)length >= size)
        return ERR_LIMIT;
    sweep(os, parent);
    return mkdtemp(out) ? ERR_OK : err_from_errno(errno);
}

void server_private_folder_mark(struct os *os, const char *path)
{
    char mark[PATH_SIZE_MAX];
    if (snprintf(mark, sizeof(mark), "%s/" MARK, path) >= (int)sizeof(mark))
        return;
    int fd = os->ops->open(os, mark, OS_OPEN_WRITE | OS_OPEN_CREATE);
    if (fd >= 0)
        os->ops->close(os, fd);
}
