// Opens every room in order, runs them, and drains them in the opposite order.
// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/text.h"
#include "kafka/kafka.h"
#include "nats/nats.h"
#include "reactor/balance.h"
#include "server/nats.h"
#include "server/pages.h"
#include "server/topics.h"

#define SERVER_DRAIN_MS 10000 /* for connections to finish what is in flight */
#define SERVER_HELPERS  2
/* Shares of the memory budget. */
#define SERVER_COMPACT_SHARE       8
#define SERVER_CACHE_SHARE         8 /* who is behind it reads files, and the page cache */
#define SERVER_BUFFERS_SHARE       16
#define SERVER_JOURNAL_SIZE_MAX    ((size_t)128 << 20)
#define SERVER_JOURNAL_PIECE_BYTES ((size_t)8 << 20)
#define SERVER_DIRECT_SIZE_MIN     ((size_t)1 << 20)
#define SERVER_FREE_SPACE_MIN      ((uint64_t)64 << 20)

struct server {
    struct server_options options;
    struct budget budget;
    struct reactor *reactor;
    struct store *store;
    struct broker *broker;
    struct kafka *kafka;
    struct listener *listeners[SERVER_SETTINGS_LISTENERS_MAX];
    size_t listener_count;
    struct nats *nats;
    struct listener *nats_listener; /* NULL: none */
    struct admin *admin;            /* NULL: no monitoring */
    struct listener *http_listener;
    struct server_pages pages;
    struct core_watch signals;
    struct server_topics topics;
    struct diag failure; /* why it ends although nobody asked it to; empty: it does not */
    bool is_waiting;     /* clients are not let in yet */
    bool has_files;      /* pid and ports are written */
    bool watching;
    bool draining;
    bool sending_away; /* draining, or before that as a lame duck */
    bool drained;
};

/* --- going down ------------------------------------------------------------------------------- */

static void store_is_drained(void *arg)
{
    struct server *server = arg;
    server->drained = true;
    reactor_stop(server->reactor);
}

static void broker_is_drained(void *arg)
{
    struct server *server = arg;
    store_drain(server->store, store_is_drained, server);
}

static void conns_are_closed(void *arg)
{
    struct server *server = arg;
    broker_drain(server->broker, broker_is_drained, server);
}

static void close_listeners(struct server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        listener_close(server->listeners[i]);
    server->listener_count = 0;
    if (server->nats_listener)
        listener_close(server->nats_listener);
    server->nats_listener = NULL;
    if (server->http_listener)
        listener_close(server->http_listener);
    server->http_listener = NULL;
}

static void server_stop(struct server *server)
{
    if (server->draining) {
        log_warn(server->options.logger, "server", "stopped by a second signal");
        reactor_stop(server->reactor);
        return;
    }
    log_info(server->options.logger, "server", "draining");
    server->draining = server->sending_away = true;
    close_listeners(server);
    conn_shutdown_all(server->reactor, SERVER_DRAIN_MS, conns_are_closed, server);
}

static void nats_is_gone(void *arg)
{
    struct server *server = arg;
    if (!server->draining)
        server_stop(server);
}

/* Clients are told to go elsewhere and leave little by little; then the server stops. */
static void server_go_lame(struct server *server)
{
    if (!server->nats_listener || server->draining)
        return;
    log_info(server->options.logger, "server", "lame duck: no more NATS clients are let in");
    server->sending_away = true;
    listener_close(server->nats_listener);
    server->nats_listener = NULL;
    nats_lame_duck(server->nats, nats_is_gone, server);
}

static void server_signal(struct core *core, struct core_watch *watch, uint32_t events)
{
    struct server *server = CONTAINER_OF(watch, struct server, signals);
    struct os *os = server->options.os;
    int number;
    while ((number = os->ops->signal_read(os, watch->fd)) > 0) {
        if (number == SIGHUP)
            server->options.reload(server->options.arg);
        else if (number == SIGUSR2)
            server_go_lame(server);
        else if (number == SIGUSR1)
            server->options.reopen(server->options.arg);
        else
            server_stop(server);
    }
}

/* --- coming up -------------------------------------------------------------------------------- */

static enum err open_signals(struct server *server, struct diag *diag)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    struct os *os = server->options.os;
    int fd = os->ops->signal_create(os, numbers, COUNT_OF(numbers));
    if (fd < 0) {
        diag_set(diag, "cannot watch for signals: %s", err_text(err_from_errno(-fd)));
        return err_from_errno(-fd);
    }
    server->signals = (struct core_watch){.run = server_signal, .fd = fd};
    enum err err = core_watch_add(reactor_core(server->reactor, 0), &server->signals, EPOLLIN);
    server->watching = err == ERR_OK;
    if (err) {
        diag_set(diag, "cannot watch for signals: %s", err_text(err));
        os->ops->close(os, fd);
    }
    return err;
}

static enum err open_reactor(struct server *server, struct diag *diag)
{
    const struct server_options *options = &server->options;
    budget_init(&server->budget, options->settings->memory_bytes);
    struct reactor_options reactor = {
        .os = options->os,
        .logger = options->logger,
        .budget = &server->budget,
        .core_count = options->core_count,
        .helper_count = SERVER_HELPERS,
        .buffers_keep_bytes =
            options->settings->memory_bytes / SERVER_BUFFERS_SHARE / options->core_count,
    };
    enum err err = reactor_open(&reactor, &server->reactor);
    if (err)
        diag_set(diag, "cannot start: %s", err_text(err));
    return err;
}

static enum err open_store(struct server *server, struct diag *diag)
{
    const struct server_options *options = &server->options;
    const struct broker_settings *kafka = &options->settings->broker;
    struct store_options store = {
        .reactor = server->reactor,
        .os = options->os,
        .logger = options->logger,
        .data_dir = options->data_dir,
        .journal_size_max_bytes = SERVER_JOURNAL_SIZE_MAX,
        .journal_piece_bytes = SERVER_JOURNAL_PIECE_BYTES,
        .direct_size_min_bytes = SERVER_DIRECT_SIZE_MIN,
        .cache_size_max_bytes = options->settings->memory_bytes / SERVER_CACHE_SHARE,
        .free_space_min_bytes = SERVER_FREE_SPACE_MIN,
        .scrub_bytes_per_second =
            (options->settings->scrub_bytes_per_second + options->core_count - 1) /
            options->core_count,
        .open_files_max = options->open_files_max / 2,
        .compact_backoff_ms = MAX(1, kafka->log_cleaner_backoff_ms),
        .compact_keys_bytes_max =
            (size_t)MIN((uint64_t)kafka->log_cleaner_dedupe_buffer_size,
                        options->settings->memory_bytes / SERVER_COMPACT_SHARE),
        .compact_bytes_per_s = kafka->log_cleaner_io_max_bytes_per_second,
    };
    enum err err = store_open(&store, &server->store, diag);
    if (err && !diag->text[0])
        diag_set(diag, "cannot open %s: %s", options->data_dir, err_text(err));
    return err;
}

static enum err open_broker(struct server *server, struct diag *diag)
{
    const struct server_options *options = &server->options;
    struct broker_options broker = {
        .reactor = server->reactor,
        .store = server->store,
        .os = options->os,
        .logger = options->logger,
        .view_prefix = options->settings->nats->view_prefix,
        .data_dir = options->data_dir,
        .settings = &options->settings->broker,
    };
    enum err err = broker_open(&broker, &server->broker, diag);
    if (err && !diag->text[0])
        diag_set(diag, "cannot start: %s", err_text(err));
    return err;
}

/* Puts the address before the words of why nobody can listen there. */
static void name_listener(const char *protocol, const struct server_address *address,
                          struct diag *diag)
{
    struct diag why = *diag;
    struct text name;
    text_init(&name);
    server_address_add(&name, &address->socket);
    if (!name.failed)
        diag_set(diag, "cannot listen for %s on %s: %s", protocol, name.data, why.text);
    text_deinit(&name);
}

static enum err open_kafka(struct server *server, struct diag *diag)
{
    const struct server_settings *settings = server->options.settings;
    struct kafka_options kafka = {
        .broker = server->broker,
        .reactor = server->reactor,
        .logger = server->options.logger,
        .advertised_host = settings->kafka_advertised_host,
        .advertised_port = settings->kafka_advertised_port,
        .data_dir = server->options.data_dir,
    };
    enum err err = kafka_open(&kafka, &server->kafka);
    if (err)
        diag_set(diag, "cannot start: %s", err_text(err));
    for (size_t i = 0; !err && i < settings->kafka_listener_count; i++) {
        const struct server_address *address = &settings->kafka_listeners[i];
        err = kafka_listen(server->kafka, &address->socket, address->socket_size,
                           &server->listeners[i], diag);
        server->listener_count += err == ERR_OK;
        if (err)
            name_listener("Kafka", address, diag);
    }
    return err;
}

static enum err open_nats(struct server *server, struct diag *diag)
{
    const struct server_settings *settings = server->options.settings;
    struct nats_options nats = {
        .reactor = server->reactor,
        .logger = server->options.logger,
        .config = settings->nats,
        .software = "leat " LEAT_VERSION,
    };
    enum err err = nats_open(&nats, &server->nats);
    if (err)
        diag_set(diag, "cannot start: %s", err_text(err));
    if (err || !settings->has_nats)
        return err;
    const struct server_address *address = &settings->nats_address;
    err = nats_listen(server->nats, &address->socket, address->socket_size, &server->nats_listener,
                      diag);
    if (!err)
        return ERR_OK;
    name_listener("NATS", address, diag);
    if (!settings->nats_is_default)
        return err;
    log_warn(server->options.logger, "server", "%s; NATS clients are not served", diag->text);
    diag->text[0] = 0;
    return ERR_OK;
}

static enum err open_http(struct server *server, struct diag *diag)
{
    const struct server_settings *settings = server->options.settings;
    const struct server_address *address = &settings->http_address;
    if (!settings->has_http)
        return ERR_OK;
    struct admin_options admin = {
        .reactor = server->reactor,
        .pages = server->pages.pages,
        .page_count = COUNT_OF(server->pages.pages),
    };
    enum err err = admin_open(&admin, &server->admin);
    if (err)
        diag_set(diag, "cannot start: %s", err_text(err));
    if (err)
        return err;
    err = admin_listen(server->admin, &address->socket, address->socket_size,
                       &server->http_listener, diag);
    if (err) {
        name_listener("HTTP", address, diag);
        return err;
    }
    struct sockaddr_storage bound;
    listener_address(server->http_listener, &bound);
    struct server_pages_options pages = {
        .reactor = server->reactor,
        .store = server->store,
        .broker = server->broker,
        .kafka = server->kafka,
        .nats = server->nats,
        .draining = &server->sending_away,
        .starting = &server->is_waiting,
        .http_port = server_address_port(&bound),
        .started_ns = server->options.started_ns,
    };
    server_pages_init(&server->pages, &pages);
    return ERR_OK;
}

/* The first place of a kind, or one more of it. */
static void add_place(struct text *line, struct listener *listener, const char *kind)
{
    struct sockaddr_storage bound;
    listener_address(listener, &bound);
    text_add_text(line, kind);
    server_address_add(line, &bound);
}

static void add_listeners(struct server *server, struct text *line)
{
    const char *between = "";
    for (size_t i = 0; i < server->listener_count; i++)
        add_place(line, server->listeners[i], i == 0 ? "Kafka on " : ", ");
    if (server->listener_count > 0)
        between = "; ";
    if (server->nats_listener) {
        text_add_text(line, between);
        add_place(line, server->nats_listener, "NATS on ");
        between = "; ";
    }
    if (server->http_listener) {
        text_add_text(line, between);
        add_place(line, server->http_listener, "HTTP on ");
    } else if (*between == 0) {
        text_add_text(line, "listening to nobody");
    }
}

static void say_ready(struct server *server)
{
    const struct server_options *options = &server->options;
    uint64_t ns = options->os->ops->mono_ns(options->os) - options->started_ns;
    struct text line;
    text_init(&line);
    text_add_format(&line, "leatd %s ready in %llu ms: ", LEAT_VERSION,
                    (unsigned long long)(ns / 1000000));
    add_listeners(server, &line);
    text_add_format(&line, ", data in %s", options->data_dir);
    if (!line.failed)
        options->say(options->arg, line.data);
    text_deinit(&line);
    if (options->settings->is_nats_server && server->nats_listener)
        server_nats_say(options, server->nats_listener, server->http_listener);
}

static enum err listeners_each(struct server *server, enum err (*act)(struct listener *listener))
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < server->listener_count && !err; i++)
        err = act(server->listeners[i]);
    if (!err && server->nats_listener)
        err = act(server->nats_listener);
    return err;
}

/* The files that say where it listens appear when clients may come. */
static enum err let_in(struct server *server, struct diag *diag)
{
    server->has_files = true;
    enum err err = server_nats_write_files(&server->options, server->nats_listener,
                                           server->http_listener, diag);
    if (!err && server->is_waiting) {
        err = listeners_each(server, listener_release);
        if (err)
            diag_set(diag, "cannot start: %s", err_text(err));
    }
    server->is_waiting = false;
    return err;
}

/* --- topics of the configuration, before anybody comes in ------------------------------------- */

static void topics_are_there(void *arg, const char *words)
{
    struct server *server = arg;
    if (server->draining)
        return;
    if (words)
        diag_set(&server->failure, "%s", words);
    else if (let_in(server, &server->failure) == ERR_OK)
        say_ready(server);
    if (server->failure.text[0])
        server_stop(server);
}

/* Without them clients are let in at once. */
static enum err open_topics(struct server *server, struct diag *diag)
{
    const struct server_settings *settings = server->options.settings;
    if (settings->plan.count == 0)
        return let_in(server, diag);
    enum err err = listeners_each(server, listener_hold);
    if (err) {
        diag_set(diag, "cannot start: %s", err_text(err));
        return err;
    }
    server->is_waiting = true;
    server->topics.settings = settings;
    server->topics.done = topics_are_there;
    server->topics.arg = server;
    server_topics_start(&server->topics, reactor_core(server->reactor, 0));
    return ERR_OK;
}

void server_reload(struct server *server, struct server_settings *take_settings)
{
    if (server->nats && nats_reload(server->nats, take_settings->nats) != ERR_OK)
        log_error(server->options.logger, "server", "NATS configuration not reloaded: %s",
                  err_text(ERR_NO_MEMORY));
    server_topics_reload(&server->topics, reactor_core(server->reactor, 0), take_settings);
}

enum err server_open(const struct server_options *options, struct server **out, struct diag *diag)
{
    static enum err (*const steps[])(struct server *, struct diag *) = {
        open_reactor, open_signals, open_store, open_broker,
        open_kafka,   open_nats,    open_http,  open_topics,
    };
    struct server *server = calloc(1, sizeof(*server));
    if (!server) {
        diag_set(diag, "cannot start: %s", err_text(ERR_NO_MEMORY));
        return ERR_NO_MEMORY;
    }
    server->options = *options;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        enum err err = steps[i](server, diag);
        if (err) {
            server_close(server);
            return err;
        }
    }
    balance_start(server->reactor, NULL);
    *out = server;
    return ERR_OK;
}

bool server_run(struct server *server)
{
    if (!server->is_waiting)
        say_ready(server);
    reactor_run(server->reactor);
    if (server->drained)
        log_info(server->options.logger, "server", "stopped");
    return server->drained;
}

const char *server_failure(const struct server *server)
{
    return server->failure.text[0] ? server->failure.text : NULL;
}

void server_close(struct server *server)
{
    struct os *os = server->options.os;
    close_listeners(server);
    if (server->has_files)
        server_nats_remove_files(&server->options);
    if (server->admin)
        admin_close(server->admin);
    if (server->nats)
        nats_close(server->nats);
    if (server->kafka)
        kafka_close(server->kafka);
    if (server->broker)
        broker_close(server->broker);
    server_topics_close(&server->topics);
    if (server->store)
        store_close(server->store);
    if (server->watching) {
        core_watch_remove(reactor_core(server->reactor, 0), &server->signals);
        os->ops->close(os, server->signals.fd);
    }
    if (server->reactor)
        reactor_close(server->reactor);
    free(server);
}
