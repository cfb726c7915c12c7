// Listeners of core 0: accept within limits, and stay alive when descriptors run out.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "reactor/conn_state.h"

static void listener_run(struct core *core, struct core_watch *watch, uint32_t events);
static void listener_pause_over(struct core *core, struct core_timer *timer);

static int spare_open(struct os *os)
{
    return os->ops->open(os, "/dev/null", OS_OPEN_READ);
}

static enum err listener_bind(struct listener *listener, struct diag *diag)
{
    struct os *os = listener->core->os;
    const struct listener_options *options = &listener->options;
    int fd = os->ops->socket(os, options->address.ss_family, SOCK_STREAM);
    if (fd < 0) {
        diag_set(diag, "cannot create a socket: %s", err_text(err_from_errno(-fd)));
        return err_from_errno(-fd);
    }
    listener->watch.fd = fd;
    int error = os->ops->bind_listen(os, fd, (const struct sockaddr *)&options->address,
                                     options->address_size, LISTENER_BACKLOG);
    if (error == 0)
        error = os->ops->sockname(os, fd, &listener->address);
    enum err err = error == 0 ? ERR_OK : err_from_errno(-error);
    if (error == -EADDRINUSE)
        diag_set(diag, "the address is in use already");
    else if (error == -EADDRNOTAVAIL)
        diag_set(diag, "this machine does not have the address");
    else if (error != 0)
        diag_set(diag, "cannot listen on the address: %s", err_text(err));
    return err;
}

enum err listener_open(struct core *core, const struct listener_options *options,
                       struct listener **out, struct diag *diag)
{
    CHECK(core->id == 0);
    struct listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return ERR_NO_MEMORY;
    listener->core = core;
    listener->options = *options;
    listener->watch = (struct core_watch){listener_run, -1, 0};
    listener->spare_fd = spare_open(core->os);
    list_init(&listener->node);
    core_timer_init(&listener->pause_timer, listener_pause_over);
    map_init(&listener->ips, core_random(core));
    enum err err = listener_bind(listener, diag);
    if (err == ERR_OK)
        err = core_watch_add(core, &listener->watch, EPOLLIN);
    if (err != ERR_OK) {
        listener->is_closed = true;
        if (listener->watch.fd >= 0)
            core->os->ops->close(core->os, listener->watch.fd);
        listener_free(listener);
        return err;
    }
    list_push_back(&core->reactor->conns.listeners, &listener->node);
    *out = listener;
    return ERR_OK;
}

void listener_address(const struct listener *listener, struct sockaddr_storage *out)
{
    *out = listener->address;
}

enum err listener_hold(struct listener *listener)
{
    return core_watch_set(listener->core, &listener->watch, 0);
}

enum err listener_release(struct listener *listener)
{
    return core_watch_set(listener->core, &listener->watch, EPOLLIN);
}

void listener_close(struct listener *listener)
{
    struct core *core = listener->core;
    if (listener->is_closed)
        return;
    listener->is_closed = true;
    core_watch_remove(core, &listener->watch);
    core_timer_cancel(core, &listener->pause_timer);
    core->os->ops->close(core->os, listener->watch.fd);
    if (listener->count == 0)
        listener_free(listener);
}

void listener_free(struct listener *listener)
{
    struct core *core = listener->core;
    CHECK(listener->is_closed && listener->count == 0);
    if (listener->spare_fd >= 0)
        core->os->ops->close(core->os, listener->spare_fd);
    map_deinit(&listener->ips);
    list_remove(&listener->node);
    free(listener);
}

void listener_free_all(struct reactor *reactor)
{
    list_for_each_safe (node, following, &reactor->conns.listeners)
        listener_close(LIST_ENTRY(node, struct listener, node));
}

/* IPv4 in its IPv6 form; false for families without addresses. */
static bool peer_key(const struct sockaddr_storage *peer, uint8_t out[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (peer->ss_family == AF_INET) {
        memcpy(out, mapped, sizeof(mapped));
        memcpy(out + 12, &((const struct sockaddr_in *)peer)->sin_addr, 4);
        return true;
    }
    if (peer->ss_family != AF_INET6)
        return false;
    memcpy(out, &((const struct sockaddr_in6 *)peer)->sin6_addr, 16);
    return true;
}

/* Counts the peer's address; false: it has too many connections, or there is no memory. */
static bool ip_take(struct listener *listener, const struct sockaddr_storage *peer,
                    struct listener_ip **out)
{
    struct core_metrics *metrics = &listener->core->metrics;
    unsigned count_max = listener->options.limits.connections_per_ip_max;
    uint8_t key[16];
    *out = NULL;
    if (count_max == 0 || !peer_key(peer, key))
        return true;
    struct listener_ip *ip = map_get(&listener->ips, slice_make(key, sizeof(key)));
    if (!ip) {
        ip = calloc(1, sizeof(*ip));
        if (ip)
            memcpy(ip->address, key, sizeof(key));
        if (!ip || !map_put(&listener->ips, slice_make(ip->address, sizeof(key)), ip, NULL)) {
            free(ip);
            metric_add(&metrics->refused_memory, 1);
            return false;
        }
    }
    if (ip->count >= count_max) {
        metric_add(&metrics->refused_ip, 1);
        return false;
    }
    ip->count++;
    *out = ip;
    return true;
}

void listener_forget(struct listener *listener, struct listener_ip *ip)
{
    if (ip && --ip->count == 0) {
        map_remove(&listener->ips, slice_make(ip->address, sizeof(ip->address)));
        free(ip);
    }
    if (--listener->count == 0 && listener->is_closed)
        listener_free(listener);
}

static void listener_take(struct listener *listener, int fd, const struct sockaddr_storage *peer)
{
    struct core *core = listener->core;
    struct listener_ip *ip;
    unsigned count_max = listener->options.limits.connections_max;
    bool draining = atomic_load(&core->reactor->conns.draining);
    if (draining)
        metric_add(&core->metrics.refused_drain, 1);
    else if (count_max > 0 && listener->count >= count_max)
        metric_add(&core->metrics.refused_limit, 1);
    else if (ip_take(listener, peer, &ip)) {
        listener->count++;
        conn_open(listener, fd, peer, ip);
        return;
    }
    core->os->ops->close(core->os, fd);
}

/* The peer gets a quick end instead of silence; then the backlog waits a while. */
static void listener_out_of_files(struct listener *listener)
{
    struct os *os = listener->core->os;
    struct sockaddr_storage peer;
    metric_add(&listener->core->metrics.refused_files, 1);
    if (listener->spare_fd < 0)
        return;
    os->ops->close(os, listener->spare_fd);
    int fd = os->ops->accept(os, listener->watch.fd, &peer);
    if (fd >= 0)
        os->ops->close(os, fd);
    listener->spare_fd = spare_open(os);
}

static void listener_pause(struct listener *listener)
{
    struct core *core = listener->core;
    if (core_watch_set(core, &listener->watch, 0) != ERR_OK)
        log_warn(core_logger(core), "reactor", "cannot pause a listener");
    core_timer_set(core, &listener->pause_timer, core->now_ns + LISTENER_PAUSE_NS);
}

static void listener_pause_over(struct core *core, struct core_timer *timer)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, pause_timer);
    if (listener->spare_fd < 0)
        listener->spare_fd = spare_open(core->os);
    if (core_watch_set(core, &listener->watch, EPOLLIN) != ERR_OK)
        core_timer_set(core, timer, core->now_ns + LISTENER_PAUSE_NS);
}

static void listener_run(struct core *core, struct core_watch *watch, uint32_t events)
{
    struct listener *listener = CONTAINER_OF(watch, struct listener, watch);
    for (unsigned i = 0; i < LISTENER_ACCEPT_MAX && !listener->is_closed; i++) {
        struct sockaddr_storage peer;
        int fd = core->os->ops->accept(core->os, watch->fd, &peer);
        if (fd >= 0) {
            listener_take(listener, fd, &peer);
            continue;
        }
        if (fd == -EMFILE || fd == -ENFILE)
            listener_out_of_files(listener);
        if (fd == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM) {
            log_warn(core_logger(core), "reactor", "cannot accept for now errno=%d", -fd);
            listener_pause(listener);
        }
        return;
    }
}
