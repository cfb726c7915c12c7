// Parses flags in the manner of getopt_long, with words for what is wrong.
// SPDX-License-Identifier: Apache-2.0
#include "cli/flags.h"

#include "base/nearest.h"

static const struct cli_flag_row flag_rows[] = {
#define CLI_FLAG(id, name, letter, value, text) {name, letter, value, text},
#include "cli/flags.def"
#undef CLI_FLAG
};

const struct cli_flag_row *cli_flags_row(enum cli_flag flag)
{
    CHECK((size_t)flag < COUNT_OF(flag_rows));
    return &flag_rows[flag];
}

bool cli_flags_is_global(enum cli_flag flag)
{
    return flag <= CLI_FLAG_HELP;
}

bool cli_flags_find(struct slice name, enum cli_flag *out)
{
    for (size_t i = 0; i < COUNT_OF(flag_rows); i++) {
        if (slice_equal_text(name, flag_rows[i].name)) {
            *out = (enum cli_flag)i;
            return true;
        }
    }
    return false;
}

bool cli_flags_listed(const char *names, enum cli_flag flag)
{
    const char *name = flag_rows[flag].name;
    size_t size = strlen(name);
    for (const char *at = names; at && (at = strstr(at, name)) != NULL; at += size) {
        bool starts = at == names || at[-1] == ' ';
        if (starts && (at[size] == ' ' || at[size] == '\0'))
            return true;
    }
    return false;
}

bool cli_flags_find_letter(char letter, const char *names, enum cli_flag *out)
{
    for (size_t i = 0; i < COUNT_OF(flag_rows); i++) {
        enum cli_flag flag = (enum cli_flag)i;
        if (flag_rows[i].letter == letter &&
            (cli_flags_is_global(flag) || cli_flags_listed(names, flag))) {
            *out = flag;
            return true;
        }
    }
    return false;
}

/* What is being parsed. */
struct parsing {
    char **argv;
    size_t count;
    size_t at;
    const char *names;
    struct cli_flags *flags;
    struct diag *diag;
};

static void add(struct parsing *p, enum cli_flag flag, const char *value)
{
    p->flags->given[p->flags->count].flag = flag;
    p->flags->given[p->flags->count].value = value;
    p->flags->count++;
}

/* The value is what stands behind the flag, in the same argument or in the next. */
static enum err take_value(struct parsing *p, enum cli_flag flag, const char *attached)
{
    const struct cli_flag_row *row = &flag_rows[flag];
    if (!attached && p->at + 1 >= p->count) {
        diag_set(p->diag, "--%s needs a value: --%s %s", row->name, row->name, row->value);
        return ERR_INVALID;
    }
    add(p, flag, attached ? attached : p->argv[++p->at]);
    return ERR_OK;
}

static enum err unknown(struct parsing *p, struct slice name)
{
    struct nearest nearest;
    nearest_init(&nearest, name);
    for (size_t i = 0; i < COUNT_OF(flag_rows); i++)
        if (cli_flags_is_global((enum cli_flag)i) || cli_flags_listed(p->names, (enum cli_flag)i))
            nearest_offer(&nearest, slice_text(flag_rows[i].name));
    if (nearest.best.data)
        diag_set(p->diag, "there is no flag --%.*s here; did you mean --%.*s?", (int)name.size,
                 (const char *)name.data, (int)nearest.best.size, (const char *)nearest.best.data);
    else
        diag_set(p->diag, "there is no flag --%.*s here", (int)name.size, (const char *)name.data);
    return ERR_INVALID;
}

static enum err parse_long(struct parsing *p, const char *argument)
{
    const char *equals = strchr(argument, '=');
    struct slice name =
        slice_make(argument, equals ? (size_t)(equals - argument) : strlen(argument));
    enum cli_flag flag;
    if (!cli_flags_find(name, &flag) ||
        !(cli_flags_is_global(flag) || cli_flags_listed(p->names, flag)))
        return unknown(p, name);
    if (flag_rows[flag].value)
        return take_value(p, flag, equals ? equals + 1 : NULL);
    if (equals) {
        diag_set(p->diag, "--%s takes no value", flag_rows[flag].name);
        return ERR_INVALID;
    }
    add(p, flag, NULL);
    return ERR_OK;
}

static enum err parse_letters(struct parsing *p, const char *letters)
{
    for (const char *at = letters; *at; at++) {
        enum cli_flag flag;
        if (!cli_flags_find_letter(*at, p->names, &flag)) {
            diag_set(p->diag, "there is no flag -%c here", *at);
            return ERR_INVALID;
        }
        if (flag_rows[flag].value)
            return take_value(p, flag, at[1] ? at + 1 : NULL);
        add(p, flag, NULL);
    }
    return ERR_OK;
}

enum err cli_flags_parse(char **argv, size_t count, const char *names, struct cli_flags *flags,
                         struct diag *diag)
{
    struct parsing p = {argv, count, 0, names, flags, diag};
    bool flags_over = false;
    flags->count = flags->argument_count = 0;
    for (; p.at < count; p.at++) {
        char *argument = argv[p.at];
        enum err err = ERR_OK;
        if (flags_over || argument[0] != '-' || argument[1] == '\0')
            flags->arguments[flags->argument_count++] = argument;
        else if (strcmp(argument, "--") == 0)
            flags_over = true;
        else if (argument[1] == '-')
            err = parse_long(&p, argument + 2);
        else
            err = parse_letters(&p, argument + 1);
        if (err)
            return err;
    }
    return ERR_OK;
}

size_t cli_flags_leading(char **argv, size_t count)
{
    size_t at = 0;
    while (at < count && argv[at][0] == '-') {
        const char *name = argv[at] + 1;
        const char *equals = strchr(name, '=');
        enum cli_flag flag = CLI_FLAG_HELP;
        bool is_long = *name == '-';
        if (is_long)
            name++;
        size_t size = equals ? (size_t)(equals - name) : strlen(name);
        bool known = is_long ? cli_flags_find(slice_make(name, size), &flag)
                             : cli_flags_find_letter(*name, "", &flag);
        if (!known || !cli_flags_is_global(flag))
            break;
        bool attached = is_long ? equals != NULL : name[1] != '\0';
        at += flag_rows[flag].value && !attached ? 2 : 1;
    }
    return MIN(at, count);
}

bool cli_flags_has(const struct cli_flags *flags, enum cli_flag flag)
{
    size_t position = 0;
    while (position < flags->count)
        if (flags->given[position++].flag == flag)
            return true;
    return false;
}

const char *cli_flags_text(const struct cli_flags *flags, enum cli_flag flag, const char *fallback)
{
    for (size_t i = flags->count; i-- > 0;)
        if (flags->given[i].flag == flag)
            return flags->given[i].value;
    return fallback;
}

const char *cli_flags_next(const struct cli_flags *flags, enum cli_flag flag, size_t *position)
{
    while (*position < flags->count) {
        size_t at = (*position)++;
        if (flags->given[at].flag == flag)
            return flags->given[at].value;
    }
    return NULL;
}
