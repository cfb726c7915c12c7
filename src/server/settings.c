// Puts the server's settings together from defaults, configuration file and command line.
// SPDX-License-Identifier: Apache-2.0
#include "server/settings.h"

#include "base/nearest.h"
#include "base/text.h"
#include "server/conf_scalar.h"
#include "server/settings_hint.h"
#include "server/settings_kafka.h"
#include "server/settings_nats.h"
#include "server/settings_topics.h"

static const char *const absent_keys[] = {
#define NATS_ABSENT(key) key,
#include "server/nats_settings.def"
#undef NATS_ABSENT
};

struct load {
    struct server_settings *settings;
    const struct server_settings_input *input;
    struct diag *diag;
    struct slice nats_user;
    struct slice nats_password;
    struct slice nats_token;
    bool has_listen; /* on the command line: replaces what the file says */
};

struct option {
    const char *name;
    const char *short_name; /* or NULL */
    bool has_value;
    bool is_early; /* says what to do or which file to read, so comes before the file */
    enum err (*apply)(struct load *load, struct slice value);
};

/* --- the values of options and top-level keys ------------------------------------------------- */

static enum err complain(struct load *load, const char *words)
{
    diag_set(load->diag, "%s", words);
    return ERR_INVALID;
}

static enum err set_data(struct load *load, struct slice value)
{
    struct slice copy = arena_copy(&load->settings->arena, value);
    if (!copy.data)
        return ERR_NO_MEMORY;
    if (value.size == 0 || memchr(value.data, 0, value.size))
        return complain(load, "data is the path of a folder");
    load->settings->data = (const char *)copy.data;
    return ERR_OK;
}

static enum err set_cores(struct load *load, struct slice value)
{
    int64_t count;
    if (server_conf_scalar_integer(value, &count) != ERR_OK || count < 0 ||
        count > SERVER_SETTINGS_CORES_MAX)
        return complain(load, "cores is a number from 1 to 1024, or 0 for all");
    load->settings->core_count = (unsigned)count;
    return ERR_OK;
}

static enum err set_memory(struct load *load, struct slice value)
{
    int64_t size_bytes;
    if (server_conf_scalar_integer(value, &size_bytes) != ERR_OK ||
        size_bytes < SERVER_SETTINGS_MEMORY_MIN_BYTES)
        return complain(load, "memory is a size such as 512mib, 32mib at least");
    load->settings->memory_bytes = (uint64_t)size_bytes;
    return ERR_OK;
}

static enum err set_scrub_rate(struct load *load, struct slice value)
{
    int64_t bytes_per_second;
    if (server_conf_scalar_integer(value, &bytes_per_second) != ERR_OK || bytes_per_second < 0)
        return complain(load, "scrub_rate is a size such as 4mib, for each second, or 0 for none");
    load->settings->scrub_bytes_per_second = (uint64_t)bytes_per_second;
    return ERR_OK;
}

static enum err set_log_level(struct load *load, struct slice value)
{
    static const char *const names[] = {"trace", "debug", "info", "warn", "error"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (slice_equal_text(value, names[i])) {
            load->settings->log_level = (enum log_level)i;
            return ERR_OK;
        }
    return complain(load, "log_level is trace, debug, info, warn or error");
}

static enum err set_file(struct load *load, struct slice value)
{
    if (value.size == 0)
        return complain(load, "the configuration file needs a name");
    load->settings->file = (const char *)value.data;
    return ERR_OK;
}

static enum err set_check(struct load *load, struct slice value)
{
    load->settings->act = SERVER_ACT_CHECK;
    return set_file(load, value);
}

static enum err set_version(struct load *load, struct slice value)
{
    load->settings->act = SERVER_ACT_VERSION;
    return ERR_OK;
}

static enum err set_help(struct load *load, struct slice value)
{
    load->settings->act = SERVER_ACT_HELP;
    return ERR_OK;
}

static enum err set_listen(struct load *load, struct slice value)
{
    if (load->has_listen)
        return server_settings_kafka_listen_more(load->settings, value, load->diag);
    load->has_listen = true;
    return server_settings_kafka_listen(load->settings, value, load->diag);
}

static enum err set_nats_listen(struct load *load, struct slice value)
{
    return server_settings_nats_listen(load->settings, value, load->diag);
}

static const struct option options[] = {
    {"--config", "-c", true, true, set_file},
    {"--check", NULL, true, true, set_check},
    {"--version", "-v", false, true, set_version},
    {"--help", "-h", false, true, set_help},
    {"--data", NULL, true, false, set_data},
    {"--listen", NULL, true, false, set_listen},
    {"--cores", NULL, true, false, set_cores},
    {"--memory", NULL, true, false, set_memory},
    {"--log-level", NULL, true, false, set_log_level},
    {"--nats-listen", NULL, true, false, set_nats_listen},
};

static enum err set_nats_key(struct load *load, const char *key, struct slice value)
{
    return server_settings_nats_set(load->settings, key, value, load->diag);
}

static enum err set_nats_port(struct load *load, struct slice value)
{
    return set_nats_key(load, "port", value);
}

static enum err set_nats_host(struct load *load, struct slice value)
{
    return set_nats_key(load, "host", value);
}

static enum err set_nats_name(struct load *load, struct slice value)
{
    return set_nats_key(load, "server_name", value);
}

static enum err set_nats_http(struct load *load, struct slice value)
{
    return set_nats_key(load, "http_port", value);
}

static enum err set_nats_pid(struct load *load, struct slice value)
{
    return set_nats_key(load, "pid_file", value);
}

static enum err set_nats_log(struct load *load, struct slice value)
{
    return set_nats_key(load, "log_file", value);
}

static enum err set_nats_ports(struct load *load, struct slice value)
{
    return set_nats_key(load, "ports_file_dir", value);
}

static enum err set_nats_user(struct load *load, struct slice value)
{
    load->nats_user = value;
    return ERR_OK;
}

static enum err set_nats_password(struct load *load, struct slice value)
{
    load->nats_password = value;
    return ERR_OK;
}

static enum err set_nats_token(struct load *load, struct slice value)
{
    load->nats_token = value;
    return ERR_OK;
}

static enum err set_debug(struct load *load, struct slice value)
{
    load->settings->log_level = LOG_DEBUG;
    return ERR_OK;
}

static enum err set_test(struct load *load, struct slice value)
{
    load->settings->act = SERVER_ACT_CHECK;
    return ERR_OK;
}

static enum err set_signal(struct load *load, struct slice value)
{
    load->settings->act = SERVER_ACT_SIGNAL;
    load->settings->signal = (const char *)value.data;
    return ERR_OK;
}

/* What the server does anyhow. */
static enum err set_nothing(struct load *load, struct slice value)
{
    return ERR_OK;
}

static const struct option nats_options[] = {
    {"--config", "-c", true, true, set_file},
    {"--version", "-v", false, true, set_version},
    {"--help", "-h", false, true, set_help},
    {"--t", "-t", false, true, set_test},
    {"--signal", "-sl", true, true, set_signal},
    {"--port", "-p", true, false, set_nats_port},
    {"--addr", "-a", true, false, set_nats_host},
    {"--net", NULL, true, false, set_nats_host},
    {"--name", "-n", true, false, set_nats_name},
    {"--server_name", NULL, true, false, set_nats_name},
    {"--http_port", "-m", true, false, set_nats_http},
    {"--pid", "-P", true, false, set_nats_pid},
    {"--ports_file_dir", NULL, true, false, set_nats_ports},
    {"--log", "-l", true, false, set_nats_log},
    {"--user", NULL, true, false, set_nats_user},
    {"--pass", NULL, true, false, set_nats_password},
    {"--auth", NULL, true, false, set_nats_token},
    {"--debug", "-D", false, false, set_debug},
    {"--store_dir", "-sd", true, false, set_data},
    {"--data", NULL, true, false, set_data},
    {"--cores", NULL, true, false, set_cores},
    {"--memory", NULL, true, false, set_memory},
    {"--logtime", "-T", false, false, set_nothing},
    {"--logtime_utc", NULL, false, false, set_nothing},
};

/* Options that nats-server has and Leat has not: refused by name. */
static const char *const nats_absent[] = {
    "V",
    "VV",
    "DV",
    "DVV",
    "trace",
    "s",
    "syslog",
    "r",
    "ms",
    "https_port",
    "js",
    "jetstream",
    "tls",
    "tlsverify",
    "tlscert",
    "tlskey",
    "tlscacert",
    "remote_syslog",
    "routes",
    "cluster",
    "cluster_name",
    "cluster_listen",
    "profile",
    "help_tls",
    "no_advertise",
    "cluster_advertise",
    "client_advertise",
    "connect_retries",
    "log_size_limit",
    "max_traced_msg_len",
    "T",
    "logtime",
    "logtime_utc", /* but for true */
};

const char *server_settings_nats_help(void)
{
    return "usage: nats-server [OPTIONS]    (this is Leat)\n"
           "\n"
           "  -a, --addr, --net HOST   listen on HOST (0.0.0.0)\n"
           "  -p, --port PORT          listen on PORT (4222); -1 takes a free one\n"
           "  -n, --name NAME          the server's name\n"
           "  -P, --pid FILE           write the process id into FILE\n"
           "  -m, --http_port PORT     serve the monitoring on PORT\n"
           "      --ports_file_dir DIR write a file with the ports into DIR\n"
           "  -l, --log FILE           say all into FILE; SIGUSR1 opens it again\n"
           "  -c, --config FILE        read the configuration FILE\n"
           "  -t                       say whether the configuration is right, and leave\n"
           "  -sl, --signal SIGNAL[=PID]  send ldm, stop, quit, term, reopen or reload to the\n"
           "                           server that runs, or to the one of that number or file\n"
           "      --user USER          ask for this user\n"
           "      --pass PASSWORD      and this password\n"
           "      --auth TOKEN         or for this token\n"
           "  -D, --debug              say more\n"
           "  -sd, --store_dir DIR     keep data below DIR; without it nothing is kept, unless\n"
           "                           the file asks for kafka or leat_view (./leat-data)\n"
           "      --cores N            use N cores (0: all)\n"
           "      --memory SIZE        hold at most SIZE in buffers and caches (512mib)\n"
           "  -v, --version            print the version and leave\n"
           "  -h, --help               print this and leave\n";
}

const char *server_settings_help(void)
{
    return "usage: leatd [OPTIONS]\n"
           "       leatd nats-server [OPTIONS]   with nats-server's own options and files\n"
           "\n"
           "  -c, --config FILE  read the configuration FILE\n"
           "      --check FILE   say whether the configuration FILE is right, and leave\n"
           "      --data DIR     keep all logs below DIR (./leat-data)\n"
           "      --listen ADDR  listen for Kafka clients on ADDR (127.0.0.1:9092); again for "
           "more; none: do not\n"
           "      --nats-listen ADDR  listen for NATS clients on ADDR (127.0.0.1:4222); none: do "
           "not\n"
           "      --cores N      use N cores (0: all)\n"
           "      --memory SIZE  hold at most SIZE in buffers and caches (512mib)\n"
           "      --log-level LEVEL  trace, debug, info, warn or error (info)\n"
           "  -v, --version      print the version and leave\n"
           "  -h, --help         print this and leave\n"
           "\n"
           "ADDR is address:port, [v6]:port, :port for every interface, or a port alone.\n"
           "SIZE takes units: k = 1000, kib = kb = 1024, then m, g, t alike.\n"
           "What the command line says goes before what the file says.\n";
}

/* --- the command line ------------------------------------------------------------------------- */

/* Go's flags take one dash or two, whatever their length. */
static struct slice without_dashes(struct slice name)
{
    for (int i = 0; i < 2 && name.size > 0 && name.data[0] == '-'; i++)
        name = slice_make(name.data + 1, name.size - 1);
    return name;
}

static const struct option *find_option(const struct load *load, struct slice name)
{
    bool is_nats = load->settings->is_nats_server;
    const struct option *table = is_nats ? nats_options : options;
    size_t count = is_nats ? COUNT_OF(nats_options) : COUNT_OF(options);
    bool is_word = name.size == 0 || name.data[0] != '-';
    if (is_nats && is_word && !slice_equal_text(name, "version") && !slice_equal_text(name, "help"))
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const char *names[] = {table[i].name, table[i].short_name};
        for (size_t j = 0; j < COUNT_OF(names); j++) {
            if (!names[j])
                continue;
            if (is_nats ? slice_equal(without_dashes(name), without_dashes(slice_text(names[j])))
                        : slice_equal_text(name, names[j]))
                return &table[i];
        }
    }
    return NULL;
}

static enum err complain_option(const struct load *load, struct slice name, const char *argument)
{
    bool is_nats = load->settings->is_nats_server;
    for (size_t i = 0; is_nats && i < COUNT_OF(nats_absent); i++) {
        if (argument[0] != '-' || !slice_equal_text(without_dashes(name), nats_absent[i]))
            continue;
        diag_set(load->diag, "nats-server's option '%s' is not implemented in Leat", argument);
        return ERR_INVALID;
    }
    const struct option *table = is_nats ? nats_options : options;
    struct nearest nearest;
    nearest_init(&nearest, name);
    for (size_t i = 0; i < (is_nats ? COUNT_OF(nats_options) : COUNT_OF(options)); i++)
        nearest_offer(&nearest, slice_text(table[i].name));
    if (argument[0] != '-')
        diag_set(load->diag, "unknown option '%s' (-c FILE reads a configuration)", argument);
    else if (nearest.best.data && !slice_equal(nearest.best, name))
        diag_set(load->diag, "unknown option '%s', did you mean %.*s? (--help lists all)", argument,
                 (int)nearest.best.size, (const char *)nearest.best.data);
    else
        diag_set(load->diag, "unknown option '%s' (--help lists them)", argument);
    return ERR_INVALID;
}

/* "leatd nats-server", or a program of that name. */
static bool is_nats_server(const struct server_settings_input *input)
{
    const char *program = input->argument_count > 0 ? input->arguments[0] : "";
    const char *slash = strrchr(program, '/');
    return strcmp(slash ? slash + 1 : program, "nats-server") == 0 ||
           (input->argument_count > 1 && strcmp(input->arguments[1], "nats-server") == 0);
}

/* Applies the early options, or else the others. */
static enum err apply_arguments(struct load *load, bool early)
{
    const struct server_settings_input *input = load->input;
    bool has_word = load->settings->is_nats_server && input->argument_count > 1 &&
                    strcmp(input->arguments[1], "nats-server") == 0;
    for (int at = has_word ? 2 : 1; at < input->argument_count; at++) {
        struct slice name = slice_text(input->arguments[at]);
        const uint8_t *equals = name.size > 2 ? memchr(name.data, '=', name.size) : NULL;
        struct slice value = SLICE_NULL;
        if (equals) {
            value = slice_text((const char *)equals + 1);
            name.size -= value.size + 1;
        }
        const struct option *option = find_option(load, name);
        bool is_plain = equals && load->settings->is_nats_server && slice_equal_text(value, "true");
        if (!option || (equals && !option->has_value && !is_plain))
            return complain_option(load, name, input->arguments[at]);
        if (option->has_value && !equals && ++at < input->argument_count)
            value = slice_text(input->arguments[at]);
        if (option->has_value && !value.data) {
            diag_set(load->diag, "option %s needs a value", option->name);
            return ERR_INVALID;
        }
        enum err err = option->is_early == early ? option->apply(load, value) : ERR_OK;
        if (err) {
            struct diag why = *load->diag;
            diag_set(load->diag, "%s: %s", option->name, why.text);
            return err == ERR_UNSUPPORTED ? ERR_INVALID : err;
        }
    }
    return ERR_OK;
}

/* --- the file --------------------------------------------------------------------------------- */

static enum err apply_scalar(struct load *load, const struct server_conf_pair *pair,
                             enum err (*set)(struct load *load, struct slice value))
{
    const struct server_conf_value *value = &pair->value;
    if (value->type == SERVER_CONF_MAP || value->type == SERVER_CONF_ARRAY)
        return server_conf_complain(load->diag, &value->place, "'%s' is one value, not %s",
                                    (const char *)pair->key.data,
                                    server_conf_type_name(value->type));
    enum err err = set(load, value->text);
    if (err != ERR_INVALID)
        return err;
    struct diag why = *load->diag;
    return server_conf_complain(load->diag, &value->place, "%s", why.text);
}

static enum err apply_pair(struct load *load, const struct server_conf_pair *pair)
{
    if (server_conf_key_equal(pair->key, "data"))
        return apply_scalar(load, pair, set_data);
    if (server_conf_key_equal(pair->key, "cores"))
        return apply_scalar(load, pair, set_cores);
    if (server_conf_key_equal(pair->key, "memory"))
        return apply_scalar(load, pair, set_memory);
    if (server_conf_key_equal(pair->key, "scrub_rate"))
        return apply_scalar(load, pair, set_scrub_rate);
    if (server_conf_key_equal(pair->key, "log_level"))
        return apply_scalar(load, pair, set_log_level);
    if (server_conf_key_equal(pair->key, "kafka"))
        return server_settings_kafka_apply(load->settings, &pair->value, load->diag);
    enum err err = server_settings_nats_apply(load->settings, pair, load->diag);
    if (err != ERR_NOT_FOUND)
        return err;
    for (size_t i = 0; i < COUNT_OF(absent_keys); i++)
        if (server_conf_key_equal(pair->key, absent_keys[i]))
            return server_conf_complain(load->diag, &pair->place,
                                        "nats-server's setting '%s' is not implemented in Leat",
                                        (const char *)pair->key.data);
    if (pair->is_used)
        return ERR_OK;
    return server_settings_hint_top(pair, load->diag);
}

static enum err apply_file(struct load *load)
{
    struct server_settings *settings = load->settings;
    struct server_conf_value map;
    enum err err = server_conf_parse_file(settings->file, load->input->source, &settings->arena,
                                          &map, load->diag);
    if (err)
        return err;
    for (const struct server_conf_pair *pair = map.pairs; pair; pair = pair->next) {
        err = apply_pair(load, pair);
        if (err)
            return err;
    }
    return ERR_OK;
}

/* --- all together ----------------------------------------------------------------------------- */

/* A lock on one door of two over the same log is none. */
static enum err check_doors(const struct server_settings *settings, struct diag *diag)
{
    if (!settings->has_nats || settings->kafka_listener_count == 0 || settings->kafka_anonymous ||
        !nats_config_needs_login(settings->nats))
        return ERR_OK;
    diag_set(diag, "NATS clients must say who they are (authorization), but Kafka clients cannot "
                   "yet and would reach the same data: say kafka { anonymous: true } where that "
                   "is meant, or take Kafka's listeners away with kafka { listen: none }");
    return ERR_INVALID;
}

/* A nats-server without JetStream keeps nothing: several may start in one folder, or in one that
 * they must not write to. */
static void choose_data(struct server_settings *settings)
{
    bool keeps = !settings->is_nats_server || settings->kafka_listener_count > 0 ||
                 settings->nats->view_prefix.data || settings->plan.count > 0;
    if (!settings->data && keeps)
        settings->data = "./leat-data";
}

enum err server_settings_load(struct server_settings *settings,
                              const struct server_settings_input *input, struct diag *diag)
{
    struct load load = {.settings = settings, .input = input, .diag = diag};
    *settings = (struct server_settings){
        .log_level = LOG_INFO,
        .memory_bytes = SERVER_SETTINGS_MEMORY_DEFAULT_BYTES,
        .scrub_bytes_per_second = SERVER_SETTINGS_SCRUB_RATE_DEFAULT,
    };
    arena_init(&settings->arena, SERVER_CONF_TREE_SIZE_MAX);
    broker_settings_init(&settings->broker);
    settings->kafka_listeners = arena_alloc_array(&settings->arena, SERVER_SETTINGS_LISTENERS_MAX,
                                                  sizeof(*settings->kafka_listeners));
    if (!settings->kafka_listeners)
        return ERR_NO_MEMORY;
    enum err err = server_settings_nats_init(settings, diag);
    settings->is_nats_server = is_nats_server(input);
    if (!err && settings->is_nats_server)
        settings->nats->view_prefix = SLICE_NULL;
    if (!err && settings->is_nats_server)
        err = server_settings_nats_listen(settings, SLICE_LITERAL("0.0.0.0:4222"), diag);
    else if (!err)
        err = server_settings_kafka_listen(settings, SLICE_LITERAL("127.0.0.1:9092"), diag);
    if (!err)
        err = apply_arguments(&load, true);
    if (!err && settings->is_nats_server && settings->act == SERVER_ACT_CHECK && !settings->file) {
        diag_set(diag, "must specify [-c, --config] option to check configuration file syntax");
        err = ERR_INVALID;
    }
    bool is_reading = settings->act == SERVER_ACT_RUN || settings->act == SERVER_ACT_CHECK;
    if (!err && settings->file && is_reading)
        err = apply_file(&load);
    if (!err)
        err = apply_arguments(&load, false);
    if (!err && (load.nats_user.data || load.nats_password.data || load.nats_token.data))
        err = server_settings_nats_login(settings, load.nats_user, load.nats_password,
                                         load.nats_token, diag);
    if (!err)
        err = server_settings_nats_finish(settings, diag);
    if (!err)
        err = check_doors(settings, diag);
    choose_data(settings);
    return err ? err : server_settings_topics_check(settings, diag);
}

void server_settings_deinit(struct server_settings *settings)
{
    nats_config_unref(settings->nats);
    arena_deinit(&settings->arena);
}
