// Log lines, pid file and ports file in nats-server's form.
// SPDX-License-Identifier: Apache-2.0
#include "server/nats.h"

#include <netinet/in.h>
#include <time.h>

static void say(const struct server_options *options, const char *level, const char *words)
{
    int64_t now_ms = options->os->ops->wall_ms(options->os);
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm date;
    struct text line;
    char when[32];
    gmtime_r(&seconds, &date);
    strftime(when, sizeof(when), "%Y/%m/%d %H:%M:%S", &date);
    text_init(&line);
    text_add_format(&line, "[%u] %s.%06u [%s] %s", options->pid, when,
                    (unsigned)(now_ms % 1000) * 1000, level, words);
    if (!line.failed)
        options->say(options->arg, line.data);
    text_deinit(&line);
}

static void say_address(const struct server_options *options, const char *what,
                        const struct listener *listener)
{
    struct sockaddr_storage bound;
    struct text words;
    text_init(&words);
    text_add_text(&words, what);
    listener_address(listener, &bound);
    server_address_add(&words, &bound);
    if (!words.failed)
        say(options, "INF", words.data);
    text_deinit(&words);
}

void server_nats_say(const struct server_options *options, const struct listener *listener,
                     const struct listener *http)
{
    if (http)
        say_address(options, "Starting http monitor on ", http);
    say_address(options, "Listening for client connections on ", listener);
    say(options, "INF", "Server is ready");
}

void server_nats_say_fatal(const struct server_options *options, const char *words)
{
    say(options, "FTL", words);
}

static void add_ports_path(const struct server_options *options, struct text *path)
{
    text_add_format(path, "%s/nats-server_%u.ports", options->settings->ports_file_dir,
                    options->pid);
}

static enum err write_file(const struct server_options *options, const char *path,
                           const struct text *content, struct diag *diag)
{
    struct os *os = options->os;
    struct iovec part = {content->data, content->size};
    int fd = os->ops->open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE);
    ssize_t written = fd < 0 ? fd : os->ops->pwritev(os, fd, &part, 1, 0);
    if (fd >= 0)
        os->ops->close(os, fd);
    if (written == (ssize_t)content->size)
        return ERR_OK;
    enum err err = written < 0 ? err_from_errno((int)-written) : ERR_IO;
    diag_set(diag, "cannot write %s: %s", path, err_text(err));
    return err;
}

static void add_url(struct text *content, const char *before, const struct listener *listener)
{
    struct sockaddr_storage bound;
    listener_address(listener, &bound);
    text_add_text(content, before);
    server_address_add(content, &bound);
    text_add_text(content, "\"]");
}

static enum err write_ports(const struct server_options *options, const struct listener *listener,
                            const struct listener *http, struct diag *diag)
{
    struct text path;
    struct text content;
    text_init(&path);
    text_init(&content);
    add_ports_path(options, &path);
    add_url(&content, "{\"nats\":[\"nats://", listener);
    if (http)
        add_url(&content, ",\"monitoring\":[\"http://", http);
    text_add_text(&content, "}");
    enum err err = path.failed || content.failed ? ERR_NO_MEMORY
                                                 : write_file(options, path.data, &content, diag);
    text_deinit(&path);
    text_deinit(&content);
    return err;
}

enum err server_nats_write_files(const struct server_options *options,
                                 const struct listener *listener, const struct listener *http,
                                 struct diag *diag)
{
    enum err err = ERR_OK;
    if (options->settings->pid_file) {
        struct text content;
        text_init(&content);
        text_add_format(&content, "%u", options->pid);
        err = content.failed ? ERR_NO_MEMORY
                             : write_file(options, options->settings->pid_file, &content, diag);
        text_deinit(&content);
    }
    if (!err && options->settings->ports_file_dir && listener)
        err = write_ports(options, listener, http, diag);
    return err;
}

void server_nats_remove_files(const struct server_options *options)
{
    struct os *os = options->os;
    struct text path;
    if (options->settings->pid_file)
        (void)os->ops->unlink(os, options->settings->pid_file);
    if (!options->settings->ports_file_dir)
        return;
    text_init(&path);
    add_ports_path(options, &path);
    if (!path.failed)
        (void)os->ops->unlink(os, path.data);
    text_deinit(&path);
}
