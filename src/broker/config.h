// How settings are checked, kept and shown, whichever table they come from.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/broker.h"

struct config_rule {
    const char *name;
    enum config_type type;
    bool dynamic;
    size_t offset;  /* of the field in its struct */
    size_t synonym; /* topic and group rules: offset of the synonym in struct broker_settings */
    int64_t min;
    int64_t max;
    const char *words; /* TEXT and LIST */
    const char *doc;
};

/* Which rules of a table: bit i is rule i. */
typedef unsigned __int128 config_set;
#define CONFIG_RULES_MAX  128
#define CONFIG_VALUE_SIZE 48 /* of a number or a duration as text */
/* The longest value that is looked at. */
#define CONFIG_TEXT_SIZE_MAX 1024

#define CONFIG_SYNONYM_NONE SIZE_MAX

struct config_rules {
    const struct config_rule *rules;
    unsigned count;
};

/* Values of a table, and which of them were set. */
struct config_layer {
    struct config_rules rules;
    config_set *set;
    void *values;
    const void *effective; /* what lists are appended to where nothing is set */
    bool dynamic_only;
    bool is_fixed; /* out: a change was of a setting that is not dynamic */
};

/* NULL when the table has no such name. */
const struct config_rule *broker_config_find(struct config_rules rules, struct slice name);
/* Of the rule with this offset; there is one. */
const char *broker_config_name_at(struct config_rules rules, size_t offset);
/* The static text that equals one of the words of the tables, or NULL. */
const char *broker_config_word(struct slice text);
/* Puts the checked value into object's field. ERR_INVALID with setting, value and rule in diag. */
NODISCARD enum err broker_config_parse(const struct config_rule *rule, struct slice text,
                                       void *object, struct diag *diag);
/* As text; numbers are written into buffer. */
const char *broker_config_text(const struct config_rule *rule, const void *object,
                               char buffer[CONFIG_VALUE_SIZE]);
void broker_config_copy(const struct config_rule *rule, void *to, const void *from,
                        size_t from_offset);
size_t broker_config_set_count(config_set set);
bool broker_config_equal(const struct config_rule *rule, const void *a, const void *b);
/* One change of the layer. ERR_INVALID with words: also for unknown names. */
NODISCARD enum err broker_config_change(struct config_layer *layer,
                                        const struct broker_setting_change *change,
                                        struct diag *diag);

/* --- config_reset.c --- */
/* latest, earliest, or by_duration: and a duration as ISO 8601 has it, days to seconds. */
NODISCARD bool broker_config_reset_parse(struct slice text, int64_t *out);
const char *broker_config_reset_text(int64_t reset, char buffer[CONFIG_VALUE_SIZE]);
