// What the server was told to be: defaults, then the configuration file, then the command line.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/log.h"
#include "broker/plan.h"
#include "broker/settings.h"
#include "nats/config.h"
#include "server/address.h"
#include "server/conf.h"

enum server_settings_limit {
    SERVER_SETTINGS_CORES_MAX = 1024,
    SERVER_SETTINGS_LISTENERS_MAX = 64,
    SERVER_SETTINGS_MEMORY_MIN_BYTES = 32 << 20,
    SERVER_SETTINGS_MEMORY_DEFAULT_BYTES = 512 << 20,
    SERVER_SETTINGS_SCRUB_RATE_DEFAULT = 4 << 20,
};

enum server_act {
    SERVER_ACT_RUN,
    SERVER_ACT_CHECK, /* the file is fine; say so and leave */
    SERVER_ACT_VERSION,
    SERVER_ACT_HELP,
    SERVER_ACT_SIGNAL, /* send one to a server that runs, and leave */
};

struct server_topic_places;

/* Filled by server_settings_load; every text and array lies in its arena. */
struct server_settings {
    struct arena arena;
    enum server_act act;
    bool is_nats_server; /* started as nats-server: its options, its words, no Kafka */
    const char *signal;  /* for SERVER_ACT_SIGNAL, as nats-server takes it */
    const char *file;    /* of the configuration; NULL: none */
    const char *data;    /* the folder of all logs, as written; NULL: nothing is to be kept */
    unsigned core_count; /* 0: all */
    uint64_t memory_bytes;
    uint64_t scrub_bytes_per_second; /* of all cores; 0: none */
    enum log_level log_level;
    struct server_address *kafka_listeners;
    size_t kafka_listener_count;
    bool kafka_anonymous; /* Kafka clients are not asked who they are although NATS's are */
    const char *kafka_advertised_host; /* NULL: the address that the client dialled */
    uint16_t kafka_advertised_port;
    bool has_nats;
    bool nats_is_default; /* nobody named the address: when it is taken, NATS is left out */
    struct server_address nats_address;
    struct nats_config *nats; /* one reference */
    bool has_http;
    bool http_is_port;                  /* nobody named its host: that of NATS */
    struct server_address http_address; /* of the monitoring */
    const char *pid_file;               /* NULL: none */
    const char *log_file;               /* what is said goes there; NULL: to stderr */
    const char *ports_file_dir;         /* NULL: none */
    struct broker_plan plan;            /* topics that are to be there */
    const struct server_topic_places *const *plan_places; /* settings_topics.c: of its topics */
    struct broker_settings broker;                        /* its texts live as long as this */
};

struct server_settings_input {
    int argument_count; /* with the program's name */
    const char *const *arguments;
    const struct server_conf_source *source;
};

/* ERR_INVALID and the source's errors come with words in diag that name the file and line or the
 * option. Call server_settings_deinit in every case. */
NODISCARD enum err server_settings_load(struct server_settings *settings,
                                        const struct server_settings_input *input,
                                        struct diag *diag);
void server_settings_deinit(struct server_settings *settings);
/* The words of --help. */
const char *server_settings_help(void);
/* The same for who started it as nats-server. */
const char *server_settings_nats_help(void);
