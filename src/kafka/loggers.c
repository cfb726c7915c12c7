// The level of the log can be seen and changed while the server runs. KIP-412.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/loggers.h"

#include "kafka/error.h"

#define ROOT "root"

static struct logger *logger_of(struct core *core)
{
    return core_logger(core);
}

void kafka_loggers_each(struct core *core, config_entry_fn fn, void *arg)
{
    const struct logger *logger = logger_of(core);
    if (!logger)
        return;
    int level = atomic_load_explicit(&logger->level, memory_order_relaxed);
    const char *name = log_level_name((enum log_level)level);
    struct config_entry entry = {
        .name = ROOT,
        .value = name,
        .source = CONFIG_SOURCE_LOGGER,
        .type = CONFIG_TYPE_TEXT,
        .doc = "The least important lines that the server logs.",
        .synonyms = {{ROOT, name, CONFIG_SOURCE_LOGGER}},
        .synonym_count = 1,
    };
    fn(arg, &entry);
}

static int16_t change_judge(const struct broker_setting_change *change, enum log_level *out,
                            struct diag *diag)
{
    int size = (int)MIN(change->value.size, (size_t)32);
    if (!slice_equal_text(change->name, ROOT)) {
        diag_set(diag, "Logger %.*s does not exist; there is root",
                 (int)MIN(change->name.size, (size_t)64), (const char *)change->name.data);
        return KAFKA_INVALID_CONFIG;
    }
    if (change->op == BROKER_SETTING_DELETE) {
        diag_set(diag, "Removing the log level of the root logger is not allowed");
        return KAFKA_INVALID_REQUEST;
    }
    if (change->op != BROKER_SETTING_SET) {
        diag_set(diag, "APPEND and SUBTRACT operations are not supported on loggers");
        return KAFKA_INVALID_REQUEST;
    }
    if (log_level_find(change->value, out))
        return KAFKA_NONE;
    diag_set(diag, "Cannot set the log level to %.*s: it is TRACE, DEBUG, INFO, WARN or ERROR",
             size, (const char *)change->value.data);
    return KAFKA_INVALID_CONFIG;
}

int16_t kafka_loggers_alter(struct core *core, const struct broker_settings_alter *alter,
                            struct diag *diag)
{
    enum log_level level = LOG_INFO;
    struct logger *logger = logger_of(core);
    for (size_t i = 0; i < alter->change_count; i++) {
        int16_t code = change_judge(&alter->changes[i], &level, diag);
        if (code)
            return code;
    }
    if (logger && !alter->validate_only && alter->change_count > 0)
        atomic_store_explicit(&logger->level, (int)level, memory_order_relaxed);
    return KAFKA_NONE;
}
