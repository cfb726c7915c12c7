// What nats-server's option --signal does: sends a signal to a server that runs.
// SPDX-License-Identifier: Apache-2.0
#include "server/signal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define PATH_SIZE_MAX     4096
#define COMMAND_SIZE_MAX  4096
#define PID_FILE_SIZE_MAX 32

struct command {
    const char *name;
    int number;
};

static const struct command commands[] = {
    {"ldm", SIGUSR2},    {"quit", SIGINT},  {"reload", SIGHUP},
    {"reopen", SIGUSR1}, {"stop", SIGKILL}, {"term", SIGTERM},
};

struct search {
    struct os *os;
    int64_t own_pid;
    struct slice prefix; /* of the number */
    int64_t *pids;
    size_t count;
    bool has_failed; /* no memory */
};

/* What fits of a file; size 0: there is none. */
static struct slice read_file(struct os *os, const char *path, uint8_t *data, size_t size)
{
    int fd = os->ops->open(os, path, OS_OPEN_READ);
    ssize_t count = fd < 0 ? 0 : os->ops->pread(os, fd, data, size, 0);
    if (fd >= 0)
        os->ops->close(os, fd);
    return slice_make(data, count > 0 ? (size_t)count : 0);
}

/* Cuts the first word off the arguments of a process, which end in 0 each. */
static struct slice next_word(struct slice *rest)
{
    const uint8_t *end = rest->size > 0 ? memchr(rest->data, 0, rest->size) : NULL;
    struct slice word = slice_make(rest->data, end ? (size_t)(end - rest->data) : rest->size);
    size_t used = word.size + (end ? 1 : 0);
    *rest = slice_make(rest->data + used, rest->size - used);
    return word;
}

static struct slice file_name(struct slice path)
{
    const uint8_t *slash = path.size > 0 ? memrchr(path.data, '/', path.size) : NULL;
    size_t skipped = slash ? (size_t)(slash - path.data) + 1 : 0;
    return slice_make(path.data + skipped, path.size - skipped);
}

/* A program of that name, or "leatd nats-server". */
static bool is_nats_server(struct os *os, const char *pid)
{
    char path[PATH_SIZE_MAX];
    uint8_t data[COMMAND_SIZE_MAX];
    (void)snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
    struct slice rest = read_file(os, path, data, sizeof(data));
    struct slice program = file_name(next_word(&rest));
    struct slice first = next_word(&rest);
    return slice_equal_text(program, "nats-server") ||
           (slice_equal_text(program, "leatd") && slice_equal_text(first, "nats-server"));
}

static void search_entry(void *arg, const char *name, bool is_directory)
{
    struct search *search = arg;
    struct slice text = slice_text(name);
    int64_t pid;
    bool is_wanted = text_parse_i64(text, &pid) && pid > 0 && pid != search->own_pid &&
                     text.size >= search->prefix.size &&
                     slice_equal(slice_make(text.data, search->prefix.size), search->prefix);
    if (!is_wanted || !is_nats_server(search->os, name))
        return;
    int64_t *pids = reallocarray(search->pids, search->count + 1, sizeof(*pids));
    if (!pids) {
        search->has_failed = true;
        return;
    }
    search->pids = pids;
    search->pids[search->count++] = pid;
}

static enum err complain_many(const struct search *search, struct diag *diag)
{
    struct text words;
    text_init(&words);
    for (size_t i = 0; i < search->count; i++)
        text_add_format(&words, "\n%lld", (long long)search->pids[i]);
    diag_set(diag, "multiple nats-server processes running:%.*s", (int)words.size,
             words.size > 0 ? (const char *)words.data : "");
    text_deinit(&words);
    return ERR_INVALID;
}

static enum err signal_one(struct os *os, int64_t pid, const struct command *command,
                           struct diag *diag)
{
    int result = os->ops->process_signal(os, pid, command->number);
    if (result == 0)
        return ERR_OK;
    diag_set(diag, "signal \"%s\" %lld: %s", command->name, (long long)pid, strerror(-result));
    return ERR_INVALID;
}

static const struct command *find_command(struct slice name, struct diag *diag)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (slice_equal_text(name, commands[i].name))
            return &commands[i];
    diag_set(diag, "unknown signal \"%.*s\"", (int)name.size, (const char *)name.data);
    return NULL;
}

/* Those whose numbers begin with prefix; only one is allowed unless many are asked for. */
static enum err signal_found(struct search *search, bool is_many, struct slice name,
                             struct diag *diag)
{
    (void)search->os->ops->list(search->os, "/proc", search_entry, search);
    if (search->has_failed) {
        diag_set(diag, "out of memory");
        return ERR_NO_MEMORY;
    }
    if (search->count > 1 && !is_many)
        return complain_many(search, diag);
    if (search->count == 0) {
        diag_set(diag, "no nats-server processes running");
        return ERR_INVALID;
    }
    const struct command *command = find_command(name, diag);
    enum err err = command ? ERR_OK : ERR_INVALID;
    for (size_t i = 0; command && i < search->count; i++) {
        enum err one = signal_one(search->os, search->pids[i], command, diag);
        err = err ? err : one;
    }
    return err;
}

/* What the file of that name holds, or the name itself. */
static struct slice read_operand(struct os *os, struct slice operand, uint8_t *data, size_t size)
{
    char path[PATH_SIZE_MAX];
    if (operand.size == 0 || operand.size >= sizeof(path))
        return operand;
    memcpy(path, operand.data, operand.size);
    path[operand.size] = 0;
    struct slice text = read_file(os, path, data, size);
    while (text.size > 0 && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == ' '))
        text.size--;
    return text.size > 0 ? text : operand;
}

enum err server_signal_send(struct os *os, struct slice command, unsigned own_pid,
                            struct diag *diag)
{
    uint8_t data[PID_FILE_SIZE_MAX];
    const uint8_t *equals = command.size > 0 ? memchr(command.data, '=', command.size) : NULL;
    struct slice name =
        slice_make(command.data, equals ? (size_t)(equals - command.data) : command.size);
    struct slice pid_text = SLICE_LITERAL("");
    if (equals)
        pid_text = read_operand(os, slice_make(equals + 1, command.size - name.size - 1), data,
                                sizeof(data));
    bool is_many = pid_text.size > 0 && pid_text.data[pid_text.size - 1] == '*';
    struct slice digits = slice_make(pid_text.data, pid_text.size - (is_many ? 1 : 0));
    int64_t pid;
    if (digits.size > 0 && (!text_parse_i64(digits, &pid) || pid <= 0)) {
        diag_set(diag, "invalid pid: %.*s", (int)digits.size, (const char *)digits.data);
        return ERR_INVALID;
    }
    if (digits.size > 0 && !is_many) {
        const struct command *found = find_command(name, diag);
        return found ? signal_one(os, pid, found, diag) : ERR_INVALID;
    }
    struct search search = {.os = os, .own_pid = own_pid, .prefix = digits};
    enum err err = signal_found(&search, is_many, name, diag);
    free(search.pids);
    return err;
}
