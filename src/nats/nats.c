// Opens the NATS room: its state on each core, its listeners, new configurations, the lame duck.
// SPDX-License-Identifier: Apache-2.0
#include "nats/nats.h"

#include <stdlib.h>

#include "nats/bound.h"
#include "nats/closed.h"
#include "nats/move.h"
#include "nats/view_live.h"

static bool core_open(struct nats *nats, struct core *core)
{
    struct nats_core *home = &nats->cores[core_id(core)];
    unsigned count = nats->core_count;
    struct interest_options interest = {
        .seed = {core_random(core), core_random(core)},
        .budget = reactor_budget(nats->options.reactor),
        .announce = count > 1 ? nats_announce_interest : NULL,
        .arg = home,
    };
    home->nats = nats;
    home->core = core;
    home->config = nats_config_ref(nats->options.config);
    home->view_interest = broker_interest_new(&interest);
    interest.tap = nats_bound_find;
    home->interest = broker_interest_new(&interest);
    home->listeners = calloc(count, sizeof(*home->listeners));
    home->announcements = calloc(count, sizeof(*home->announcements));
    home->parcels = calloc(count, sizeof(*home->parcels));
    list_init(&home->conns);
    list_init(&home->arrivals);
    list_init(&home->leavings);
    list_init(&home->switched);
    list_init(&home->readers);
    core_task_init(&home->announce_task, nats_announce_run);
    core_task_init(&home->view_task, nats_view_live_recheck_run);
    core_task_init(&home->recheck_task, nats_view_reader_recheck_run);
    core_slot_set(core, CORE_SLOT_NATS, home);
    /* Connections begin on core 0. */
    home->is_listening = core_id(core) == 0;
    if (core_id(core) != 0 && home->listeners) {
        home->listeners[0] = true;
        home->listener_count = 1;
    }
    return nats_bound_open(home) == ERR_OK && home->interest && home->view_interest &&
           home->listeners && home->announcements && home->parcels;
}

static void core_close(struct nats_core *home)
{
    if (!home->nats)
        return;
    nats_move_close(home);
    nats_deliver_deinit(home);
    nats_parcel_deinit(home);
    nats_announce_deinit(home);
    nats_bound_close(home);
    broker_interest_free(home->interest);
    broker_interest_free(home->view_interest);
    nats_config_unref(home->config);
}

enum err nats_open(const struct nats_options *options, struct nats **out)
{
    unsigned count = reactor_core_count(options->reactor);
    struct nats *nats = calloc(1, sizeof(*nats));
    struct nats_core *cores = calloc(count, sizeof(*cores));
    if (!nats || !cores) {
        free(nats);
        free(cores);
        return ERR_NO_MEMORY;
    }
    uint8_t random[32];
    nats->options = *options;
    nats->cores = cores;
    nats->core_count = count;
    list_init(&nats->closed.entries);
    struct slice prefix = options->config->view_prefix;
    CHECK(prefix.size <= sizeof(nats->view_prefix_text));
    if (prefix.data)
        nats->view_prefix =
            slice_make(memcpy(nats->view_prefix_text, prefix.data, prefix.size), prefix.size);
    nats->opened_ms = core_wall_ms(reactor_core(options->reactor, 0));
    nats->opened_ns = core_now_ns(reactor_core(options->reactor, 0));
    for (size_t i = 0; i < sizeof(random); i += 8) {
        uint64_t bits = core_random(reactor_core(options->reactor, 0));
        memcpy(random + i, &bits, 8);
    }
    nats_info_make_id(nats, random);
    for (unsigned i = 0; i < count; i++) {
        if (core_open(nats, reactor_core(options->reactor, i)))
            continue;
        nats_close(nats);
        return ERR_NO_MEMORY;
    }
    if (nats_view_live_open(nats) != ERR_OK) {
        nats_close(nats);
        return ERR_NO_MEMORY;
    }
    *out = nats;
    return ERR_OK;
}

void nats_close(struct nats *nats)
{
    nats_view_live_close(nats);
    for (unsigned i = 0; i < nats->core_count; i++)
        core_close(&nats->cores[i]);
    nats_lame_free(nats);
    nats_closed_deinit(nats);
    free(nats->cores);
    free(nats);
}

enum err nats_listen(struct nats *nats, const struct sockaddr_storage *address,
                     socklen_t address_size, struct listener **out, struct diag *diag)
{
    const struct nats_config *config = nats->options.config;
    struct listener_options options = {
        .address = *address,
        .address_size = address_size,
        .ops = &nats_conn_ops,
        .arg = nats,
        .limits =
            {
                .output_timeout_ms = config->write_deadline_ms,
                .output_size_max = config->pending_size_max / 100 * NATS_FULL_PERCENT,
            },
    };
    enum err err = listener_open(reactor_core(nats->options.reactor, 0), &options, out, diag);
    if (err || nats->port != 0)
        return err;
    struct sockaddr_storage bound;
    listener_address(*out, &bound);
    nats_info_set_address(nats, &bound);
    return ERR_OK;
}

const char *nats_id(const struct nats *nats)
{
    return nats->id;
}
