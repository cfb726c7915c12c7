// The server: opens every room in order, runs, drains and closes them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/log.h"
#include "os/os.h"
#include "server/settings.h"

struct server;

struct server_options {
    struct os *os;
    struct logger *logger;
    const struct server_settings *settings; /* lives as long as the server */
    const char *data_dir;                   /* absolute */
    unsigned core_count;
    unsigned open_files_max; /* descriptors that the process may have */
    unsigned pid;            /* of this process */
    uint64_t started_ns;     /* on the os's mono_ns clock */
    /* Gets the line that says where the server listens. */
    void (*say)(void *arg, const char *line);
    /* SIGHUP: the configuration is to be read again. On core 0. */
    void (*reload)(void *arg);
    /* SIGUSR1: the log file has been moved away. On core 0. */
    void (*reopen)(void *arg);
    void *arg;
};

/* Everything up to listening. Words about a failure go to diag. Blocks SIGINT, SIGTERM, SIGHUP,
 * SIGUSR1, SIGUSR2 and SIGPIPE in the calling thread: before it starts others. */
NODISCARD enum err server_open(const struct server_options *options, struct server **out,
                               struct diag *diag);
/* Serves until SIGTERM or SIGINT, then drains: accepts no more, answers what is in flight, writes a
 * checkpoint. False: a second signal ended it before all was done. */
bool server_run(struct server *server);
/* After server_run: why it ended although nobody had asked it to; NULL: somebody had. */
const char *server_failure(const struct server *server);
/* Core 0: puts what can change while the server runs into force. take_settings: from malloc. */
void server_reload(struct server *server, struct server_settings *take_settings);
void server_close(struct server *server);
