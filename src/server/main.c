// leatd: reads the command line, runs the server, speaks to the terminal.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "nats/nats.h"
#include "server/conf_file.h"
#include "server/nats.h"
#include "server/private_folder.h"
#include "server/server.h"
#include "server/settings_changes.h"
#include "server/signal.h"

#define PATH_SIZE_MAX 4096
/* Descriptors that are asked for; fewer do. */
#define OPEN_FILES_WANTED 1048576

struct program {
    struct os *os;
    struct logger logger;
    struct server_conf_file source;
    struct server_settings_input input;
    struct server *server;                  /* NULL: not open yet */
    const char *log_file;                   /* NULL: stderr it is */
    const struct server_settings *settings; /* it was started with */
};

static void log_write(struct logger *logger, struct slice line)
{
    fwrite(line.data, 1, line.size, stderr);
}

static int64_t log_now_ms(struct logger *logger)
{
    struct program *program = CONTAINER_OF(logger, struct program, logger);
    return program->os->ops->wall_ms(program->os);
}

static const char *environment(void *arg, const char *name)
{
    return getenv(name);
}

static void say(void *arg, const char *line)
{
    fprintf(stderr, "%s\n", line);
}

static void reopen(void *arg)
{
    struct program *program = arg;
    if (!program->log_file)
        return;
    if (program->os->ops->stderr_to(program->os, program->log_file) == 0)
        log_info(&program->logger, "server", "the log file is opened again");
    else
        log_error(&program->logger, "server", "the log file cannot be opened again: %s",
                  program->log_file);
}

static bool load_again(struct program *program, struct server_settings *settings)
{
    struct server_conf_source source = server_conf_file_source(&program->source);
    struct server_settings_input input = program->input;
    struct diag diag = {""};
    input.source = &source;
    if (server_settings_load(settings, &input, &diag) == ERR_OK)
        return true;
    log_error(&program->logger, "server", "configuration not reloaded: %s", diag.text);
    return false;
}

static void say_not_reloaded(struct program *program, const struct server_settings *read)
{
    struct text names;
    text_init(&names);
    server_settings_changes(program->settings, read, &names);
    if (names.size > 0)
        log_warn(&program->logger, "server", "in force after a restart only: %.*s", (int)names.size,
                 names.data);
    text_deinit(&names);
}

/* What can change while the server runs, does; a file that is wrong changes nothing. */
static void reload(void *arg)
{
    struct program *program = arg;
    struct server_settings *settings = calloc(1, sizeof(*settings));
    if (!settings) {
        log_error(&program->logger, "server", "configuration not reloaded: out of memory");
        return;
    }
    if (load_again(program, settings)) {
        program->logger.level = settings->log_level;
        log_info(&program->logger, "server",
                 "configuration reloaded: log_level, NATS users, permissions and limits are in "
                 "force, topics will be");
        say_not_reloaded(program, settings);
        server_reload(program->server, settings);
        return;
    }
    server_settings_deinit(settings);
    free(settings);
}

static unsigned open_files_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    rlim_t wanted = MIN(limit.rlim_max, (rlim_t)OPEN_FILES_WANTED);
    if (limit.rlim_cur < wanted) {
        struct rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    return (unsigned)MIN(limit.rlim_cur, (rlim_t)OPEN_FILES_WANTED);
}

static bool absolute(const char *path, char out[PATH_SIZE_MAX])
{
    char folder[PATH_SIZE_MAX];
    const char *rest = strncmp(path, "./", 2) == 0 ? path + 2 : path;
    int size;
    if (path[0] == '/')
        size = snprintf(out, PATH_SIZE_MAX, "%s", path);
    else if (getcwd(folder, sizeof(folder)))
        size = snprintf(out, PATH_SIZE_MAX, "%s/%s", folder, rest);
    else
        return false;
    return size > 0 && size < PATH_SIZE_MAX;
}

/* Those who start a nats-server look for its words. */
static void say_fatal(const struct server_options *options, const char *words)
{
    if (options->settings->is_nats_server)
        server_nats_say_fatal(options, words);
    else
        fprintf(stderr, "leatd: %s\n", words);
}

/* The folder of the settings, or one that goes with the process. */
static bool find_data(const struct program *program, const struct server_settings *settings,
                      char out[PATH_SIZE_MAX])
{
    const char *parent = getenv("TMPDIR");
    if (settings->data) {
        if (absolute(settings->data, out))
            return true;
        fprintf(stderr, "leatd: the path of the data folder is too long: %s\n", settings->data);
        return false;
    }
    parent = parent && parent[0] == '/' ? parent : "/tmp";
    enum err err = server_private_folder_make(program->os, parent, out, PATH_SIZE_MAX);
    if (err != ERR_OK)
        fprintf(stderr, "leatd: no temporary folder in %s: %s\n", parent, err_text(err));
    return err == ERR_OK;
}

static int serve_from(struct program *program, const struct server_settings *settings,
                      const char *data_dir)
{
    struct diag diag = {""};
    struct server *server;
    int cores = get_nprocs();
    if (settings->log_file && program->os->ops->stderr_to(program->os, settings->log_file) != 0) {
        fprintf(stderr, "leatd: cannot write the log file %s\n", settings->log_file);
        return 1;
    }
    program->log_file = settings->log_file;
    struct server_options options = {
        .os = program->os,
        .logger = &program->logger,
        .settings = settings,
        .data_dir = data_dir,
        .core_count = settings->core_count ? settings->core_count : (unsigned)MAX(cores, 1),
        .open_files_max = open_files_raise(),
        .pid = (unsigned)getpid(),
        .started_ns = program->os->ops->mono_ns(program->os),
        .say = say,
        .reload = reload,
        .reopen = reopen,
        .arg = program,
    };
    if (server_open(&options, &server, &diag) != ERR_OK) {
        say_fatal(&options, diag.text);
        return 1;
    }
    if (!settings->data)
        server_private_folder_mark(program->os, data_dir);
    program->server = server;
    bool is_drained = server_run(server);
    bool has_failed = server_failure(server) != NULL;
    if (has_failed)
        say_fatal(&options, server_failure(server));
    if (!is_drained)
        return 1; /* at once: what was not drained is recovered at the next start */
    server_close(server);
    return has_failed;
}

static int serve(struct program *program, const struct server_settings *settings)
{
    char data_dir[PATH_SIZE_MAX];
    if (!find_data(program, settings, data_dir))
        return 1;
    int status = serve_from(program, settings, data_dir);
    if (!settings->data)
        server_private_folder_remove(program->os, data_dir);
    return status;
}

static int send_signal(struct program *program, const struct server_settings *settings)
{
    struct diag diag = {""};
    if (server_signal_send(program->os, slice_text(settings->signal), (unsigned)getpid(), &diag) ==
        ERR_OK)
        return 0;
    fprintf(stderr, "nats-server: %s\n", diag.text);
    return 1;
}

static int act(struct program *program, const struct server_settings *settings)
{
    switch (settings->act) {
    case SERVER_ACT_VERSION:
        puts(settings->is_nats_server ? "nats-server: v" NATS_VERSION " (leatd " LEAT_VERSION ")"
                                      : "leatd " LEAT_VERSION);
        return 0;
    case SERVER_ACT_HELP:
        fputs(settings->is_nats_server ? server_settings_nats_help() : server_settings_help(),
              stdout);
        return 0;
    case SERVER_ACT_CHECK:
        printf("%s: fine\n", settings->file ? settings->file : "no configuration file");
        return 0;
    case SERVER_ACT_SIGNAL:
        return send_signal(program, settings);
    default:
        return serve(program, settings);
    }
}

int main(int argc, char **argv)
{
    struct program program = {.os = os_posix()};
    struct server_settings settings;
    struct diag diag = {""};
    program.logger = (struct logger){LOG_INFO, log_write, log_now_ms};
    program.source = (struct server_conf_file){.os = program.os, .env = environment};
    program.input = (struct server_settings_input){
        .argument_count = argc,
        .arguments = (const char *const *)argv,
    };
    struct server_conf_source source = server_conf_file_source(&program.source);
    program.input.source = &source;
    int status = 2;
    if (server_settings_load(&settings, &program.input, &diag) == ERR_OK) {
        program.logger.level = settings.log_level;
        program.settings = &settings;
        status = act(&program, &settings);
    } else {
        fprintf(stderr, "leatd: %s\n", diag.text);
    }
    server_settings_deinit(&settings);
    return status;
}
