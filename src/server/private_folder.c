// A data folder that lives as long as the process: for a server that keeps nothing.
// SPDX-License-Identifier: Apache-2.0
#include "server/private_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct entry *next;
    bool is_directory;
    char path[];
};

struct listing {
    const char *folder;
    struct entry *entries;
};

enum err server_private_folder_make(const char *parent, char *out, size_t size)
{
    int length = snprintf(out, size, "%s/leatd-XXXXXX", parent);
    if (length < 0 || (size_t)length >= size)
        return ERR_LIMIT;
    return mkdtemp(out) ? ERR_OK : err_from_errno(errno);
}

static void list_found(void *arg, const char *name, bool is_directory)
{
    struct listing *listing = arg;
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
