// Reads the top-level keys of nats-server.conf.
// SPDX-License-Identifier: Apache-2.0
#include "server/settings_nats.h"

enum err server_settings_nats_init(struct server_settings *settings, struct diag *diag)
{
    settings->nats = nats_config_new();
    if (!settings->nats)
        return ERR_NO_MEMORY;
    enum err err = server_settings_nats_listen(settings, SLICE_LITERAL("127.0.0.1:4222"), diag);
    settings->nats_is_default = true;
    return err;
}

enum err server_settings_nats_listen(struct server_settings *settings, struct slice text,
                                     struct diag *diag)
{
    settings->nats_is_default = false;
    settings->has_nats = !slice_equal_text(text, "none");
    if (!settings->has_nats)
        return ERR_OK;
    return server_address_parse(text, &settings->nats_address, diag);
}

enum err server_settings_nats_apply(struct server_settings *settings,
                                    const struct server_conf_pair *pair, struct diag *diag)
{
    return ERR_NOT_FOUND;
}
