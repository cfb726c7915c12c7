// Reads whole configuration files through the os table.
// SPDX-License-Identifier: Apache-2.0
#include "server/conf_file.h"

static enum err complain(struct diag *diag, const char *path, enum err err)
{
    diag_set(diag, "%s: %s", path, err_text(err));
    return err;
}

static enum err read_all(struct os *os, int fd, uint8_t *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = os->ops->pread(os, fd, bytes + done, size - done, done);
        if (got < 0)
            return err_from_errno((int)-got);
        if (got == 0)
            return ERR_TRUNCATED;
        done += (size_t)got;
    }
    return ERR_OK;
}

static enum err read_open(struct os *os, int fd, struct arena *arena, struct slice *out)
{
    struct os_stat stat;
    int result = os->ops->fstat(os, fd, &stat);
    if (result < 0)
        return err_from_errno(-result);
    if (stat.is_directory)
        return ERR_INVALID;
    if (stat.size_bytes > SERVER_CONF_FILE_SIZE_MAX)
        return ERR_TOO_LARGE;
    uint8_t *bytes = arena_alloc(arena, stat.size_bytes);
    if (!bytes)
        return ERR_NO_MEMORY;
    *out = slice_make(bytes, stat.size_bytes);
    return read_all(os, fd, bytes, stat.size_bytes);
}

static enum err source_read(void *arg, const char *path, struct arena *arena, struct slice *out,
                            struct diag *diag)
{
    struct server_conf_file *file = arg;
    int fd = file->os->ops->open(file->os, path, OS_OPEN_READ);
    if (fd < 0)
        return complain(diag, path, err_from_errno(-fd));
    enum err err = read_open(file->os, fd, arena, out);
    file->os->ops->close(file->os, fd);
    if (err == ERR_INVALID) {
        diag_set(diag, "%s: is a folder, a file is expected", path);
        return err;
    }
    return err ? complain(diag, path, err) : ERR_OK;
}

static const char *source_env(void *arg, const char *name)
{
    struct server_conf_file *file = arg;
    return file->env ? file->env(file->env_arg, name) : NULL;
}

struct server_conf_source server_conf_file_source(struct server_conf_file *file)
{
    return (struct server_conf_source){.read = source_read, .env = source_env, .arg = file};
}
