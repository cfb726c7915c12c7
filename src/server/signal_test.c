// Tests of nats-server's --signal: who is meant, what is sent, and the words when nobody is.
// SPDX-License-Identifier: Apache-2.0
#include "server/signal.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A machine whose processes and files the test makes up. */
struct machine {
    struct os os;
    struct os_ops ops;
    const char *const (*files)[2]; /* path, content; NULL ends them */
    char sent[128];                /* "pid:number " for each signal */
};

static int machine_open(struct os *os, const char *path, unsigned flags)
{
    const struct machine *machine = CONTAINER_OF(os, struct machine, os);
    for (int i = 0; machine->files[i][0]; i++)
        if (strcmp(machine->files[i][0], path) == 0)
            return i;
    return -ENOENT;
}

static int machine_close(struct os *os, int fd)
{
    return 0;
}

/* In the contents a blank stands for the zero between arguments. */
static ssize_t machine_pread(struct os *os, int fd, void *data, size_t size, uint64_t offset)
{
    const struct machine *machine = CONTAINER_OF(os, struct machine, os);
    const char *content = machine->files[fd][1];
    size_t count = MIN(strlen(content) + 1, size);
    memcpy(data, content, count);
    for (size_t i = 0; i < count; i++)
        if (content[i] == ' ')
            ((char *)data)[i] = 0;
    bool is_process = strncmp(machine->files[fd][0], "/proc/", 6) == 0;
    return (ssize_t)(is_process ? count : count - 1);
}

static int machine_list(struct os *os, const char *path, os_list_fn fn, void *arg)
{
    const struct machine *machine = CONTAINER_OF(os, struct machine, os);
    assert_string_equal(path, "/proc");
    fn(arg, "self", true);
    for (int i = 0; machine->files[i][0]; i++) {
        char pid[32];
        if (sscanf(machine->files[i][0], "/proc/%31[0-9]/cmdline", pid) == 1)
            fn(arg, pid, true);
    }
    return 0;
}

static int machine_signal(struct os *os, int64_t pid, int number)
{
    struct machine *machine = CONTAINER_OF(os, struct machine, os);
    size_t size = strlen(machine->sent);
    if (pid == 999)
        return -ESRCH;
    (void)snprintf(machine->sent + size, sizeof(machine->sent) - size, "%d:%d ", (int)pid, number);
    return 0;
}

/* words: NULL when it is to succeed, and then sent is what went out. */
static void check(const char *const (*files)[2], const char *command, const char *words,
                  const char *sent)
{
    struct machine machine = {.files = files};
    struct diag diag = {""};
    machine.ops = (struct os_ops){.open = machine_open,
                                  .close = machine_close,
                                  .pread = machine_pread,
                                  .list = machine_list,
                                  .process_signal = machine_signal};
    machine.os.ops = &machine.ops;
    enum err err = server_signal_send(&machine.os, slice_text(command), 7, &diag);
    assert_int_equal(err, words ? ERR_INVALID : ERR_OK);
    assert_string_equal(diag.text, words ? words : "");
    char expected[128] = "";
    (void)snprintf(expected, sizeof(expected), "%s", sent);
    assert_string_equal(machine.sent, expected);
}

static const char *const one[][2] = {{"/proc/7/cmdline", "leatd nats-server"},
                                     {"/proc/31/cmdline", "/usr/bin/leatd nats-server -p"},
                                     {"/proc/32/cmdline", "leatd --cores"},
                                     {"/proc/33/cmdline", "vi nats-server"},
                                     {"/run/nats.pid", "32\n"},
                                     {NULL, NULL}};
static const char *const two[][2] = {{"/proc/31/cmdline", "leatd nats-server"},
                                     {"/proc/41/cmdline", "/opt/nats-server -c"},
                                     {NULL, NULL}};
static const char *const none[][2] = {{NULL, NULL}};

static void the_only_server_is_meant(void **state)
{
    check(one, "reload", NULL, "31:1 ");
    check(one, "stop", NULL, "31:9 ");
    check(one, "quit", NULL, "31:2 ");
    check(one, "reopen", NULL, "31:10 ");
    check(one, "ldm", NULL, "31:12 ");
    check(one, "term=", NULL, "31:15 ");
    check(none, "stop", "no nats-server processes running", "");
    check(two, "stop", "multiple nats-server processes running:\n31\n41", "");
}

static void a_number_or_a_file_names_one(void **state)
{
    check(two, "term=5", NULL, "5:15 ");
    check(one, "term=/run/nats.pid", NULL, "32:15 ");
    check(two, "term=/run/nats.pid", "invalid pid: /run/nats.pid", "");
    check(two, "term=-1", "invalid pid: -1", "");
    check(two, "term=0", "invalid pid: 0", "");
    check(two, "term=999", "signal \"term\" 999: No such process", "");
    check(two, "term=9999999999999999999", "invalid pid: 9999999999999999999", "");
}

static void a_star_means_all(void **state)
{
    check(two, "term=*", NULL, "31:15 41:15 ");
    check(two, "term=3*", NULL, "31:15 ");
    check(two, "term=5*", "no nats-server processes running", "");
}

static void unknown_signals_are_named(void **state)
{
    check(one, "hup=5", "unknown signal \"hup\"", "");
    check(one, "hup", "unknown signal \"hup\"", "");
    check(one, "", "unknown signal \"\"", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_only_server_is_meant),
        cmocka_unit_test(a_number_or_a_file_names_one),
        cmocka_unit_test(a_star_means_all),
        cmocka_unit_test(unknown_signals_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
