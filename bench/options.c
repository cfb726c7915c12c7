// Reads the options of the load generator.
// SPDX-License-Identifier: Apache-2.0
#include "bench/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats.h"

struct row {
    const char *name;
    size_t offset;
    bool is_text;
    const char *normal;
    const char *text;
};

#define NUMBER(name, value, text) {#name, offsetof(struct options, name), false, #value, text},
#define TEXT(name, value, text)   {#name, offsetof(struct options, name), true, value, text},
static const struct row rows[] = {OPTIONS(NUMBER, TEXT)};
#undef NUMBER
#undef TEXT

static _Noreturn void help(void)
{
    puts("kafkagen: loads a Kafka broker (or the floor) over raw sockets, and measures.\n");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char name[32];
        snprintf(name, sizeof(name), "--%s", rows[i].name);
        for (char *at = name; *at; at++)
            *at = *at == '_' ? '-' : *at;
        printf("  %-16s %s%s%s%s\n", name, rows[i].text, *rows[i].normal ? " (" : "",
               rows[i].normal, *rows[i].normal ? ")" : "");
    }
    exit(0);
}

static bool is_named(const struct row *row, const char *option)
{
    if (strncmp(option, "--", 2) != 0 || strlen(option + 2) != strlen(row->name))
        return false;
    for (size_t i = 0; row->name[i]; i++) {
        char c = option[2 + i] == '-' ? '_' : option[2 + i];
        if (c != row->name[i])
            return false;
    }
    return true;
}

static void set(struct options *options, const struct row *row, const char *value)
{
    void *member = (char *)options + row->offset;
    if (row->is_text) {
        memcpy(member, &value, sizeof(value));
        return;
    }
    char *end;
    uint64_t number = strtoull(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end)
        stats_die_of("--%s: '%s' is no number", row->name, value);
    memcpy(member, &number, sizeof(number));
}

struct options options_read(int argc, char **argv)
{
    struct options options;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        set(&options, &rows[i], rows[i].normal);
    for (int at = 1; at < argc; at += 2) {
        if (!strcmp(argv[at], "--help"))
            help();
        size_t i = 0;
        while (i < COUNT_OF(rows) && !is_named(&rows[i], argv[at]))
            i++;
        if (i == COUNT_OF(rows) || at + 1 == argc)
            stats_die_of("'%s': no such option, or no value; see --help", argv[at]);
        set(&options, &rows[i], argv[at + 1]);
    }
    return options;
}
