// Selects clients by patterns: a part of regular expressions that takes bounded time.
// SPDX-License-Identifier: Apache-2.0
//
// A pattern is a row of atoms. The set of those that may come next is a word of bits, so that a
// text costs its length times the atoms, whatever the pattern. Who has many long patterns matched
// with a long text comes to an end of his steps.
#include "base/text.h"
#include "broker/telemetry_state.h"

#define ATOMS_MAX 64

enum repeat { REPEAT_ONE, REPEAT_ANY, REPEAT_MORE, REPEAT_MAYBE };

struct atom {
    enum repeat repeat;
    uint64_t set[4]; /* bytes that fit */
};

struct pattern {
    struct atom atoms[ATOMS_MAX];
    unsigned count;
    const char *fault; /* words, or NULL */
};

#define READ_STEPS 4 /* of a part of a pattern */

static const char *const telemetry_keys[BROKER_TELEMETRY_KEY_COUNT] = {
    "client_instance_id",    "client_id",
    "client_software_name",  "client_software_version",
    "client_source_address", "client_source_port",
};

static void set_add(struct atom *atom, unsigned first, unsigned last)
{
    for (unsigned c = first; c <= last; c++)
        atom->set[c / 64] |= (uint64_t)1 << (c % 64);
}

static bool set_has(const struct atom *atom, uint8_t c)
{
    return atom->set[c / 64] >> (c % 64) & 1;
}

/* Behind '[': reads to the ']'. */
static size_t class_read(struct slice text, size_t at, struct pattern *pattern, struct atom *atom)
{
    bool inverted = at < text.size && text.data[at] == '^';
    size_t start = at += inverted;
    for (; at < text.size && (text.data[at] != ']' || at == start); at++) {
        uint8_t first = text.data[at];
        if (first == '\\' || first == '[' || first == '&')
            pattern->fault = "a class has plain characters and ranges only";
        bool is_range = at + 2 < text.size && text.data[at + 1] == '-' && text.data[at + 2] != ']';
        uint8_t last = is_range ? text.data[at + 2] : first;
        set_add(atom, first, last);
        at += is_range ? 2 : 0;
    }
    if (at >= text.size)
        pattern->fault = "a class that begins with '[' has no end";
    for (unsigned i = 0; inverted && i < COUNT_OF(atom->set); i++)
        atom->set[i] = ~atom->set[i];
    return at + 1;
}

static bool is_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t atom_read(struct slice text, size_t at, struct pattern *pattern, struct atom *atom)
{
    uint8_t c = text.data[at];
    switch (c) {
    case '.':
        set_add(atom, 0, 255);
        return at + 1;
    case '[':
        return class_read(text, at + 1, pattern, atom);
    case '\\':
        if (at + 1 >= text.size || is_word(text.data[at + 1]))
            pattern->fault = "'\\' stands before a sign";
        else
            set_add(atom, text.data[at + 1], text.data[at + 1]);
        return at + 2;
    case '(':
    case ')':
    case '{':
    case '^':
    case '$':
    case '*':
    case '+':
    case '?':
        pattern->fault = "groups, counts and anchors are not available";
        return at + 1;
    default:
        set_add(atom, c, c);
        return at + 1;
    }
}

static void pattern_read(struct slice text, struct pattern *pattern)
{
    size_t at = 0;
    pattern->count = 0;
    pattern->fault = NULL;
    while (at < text.size && !pattern->fault) {
        if (pattern->count == ATOMS_MAX - 1) {
            pattern->fault = "a pattern has more than 63 parts";
            return;
        }
        struct atom *atom = &pattern->atoms[pattern->count++];
        *atom = (struct atom){.repeat = REPEAT_ONE};
        at = atom_read(text, at, pattern, atom);
        const char *signs = "*+?";
        const char *sign = at < text.size && text.data[at] ? strchr(signs, text.data[at]) : NULL;
        if (!sign)
            continue;
        atom->repeat = (enum repeat)(REPEAT_ANY + (sign - signs));
        at++;
    }
}

/* States that are reached without a byte. */
static uint64_t pattern_skip(const struct pattern *pattern, uint64_t states)
{
    for (unsigned i = 0; i < pattern->count; i++)
        if (states >> i & 1 &&
            (pattern->atoms[i].repeat == REPEAT_ANY || pattern->atoms[i].repeat == REPEAT_MAYBE))
            states |= (uint64_t)1 << (i + 1);
    return states;
}

/* False when there are not so many left. */
static bool steps_take(uint64_t *steps, uint64_t count)
{
    bool is_enough = *steps >= count;
    *steps = is_enough ? *steps - count : 0;
    return is_enough;
}

static bool pattern_fits(const struct pattern *pattern, struct slice text, uint64_t *steps)
{
    uint64_t states = pattern_skip(pattern, 1);
    for (size_t at = 0; at < text.size && states; at++) {
        uint64_t next = 0;
        if (!steps_take(steps, 1 + pattern->count))
            return false;
        for (unsigned i = 0; i < pattern->count; i++) {
            const struct atom *atom = &pattern->atoms[i];
            if (!(states >> i & 1) || !set_has(atom, text.data[at]))
                continue;
            next |= (uint64_t)1 << (i + 1);
            if (atom->repeat == REPEAT_ANY || atom->repeat == REPEAT_MORE)
                next |= (uint64_t)1 << i;
        }
        states = pattern_skip(pattern, next);
    }
    return states >> pattern->count & 1;
}

/* --- lists of key=pattern --------------------------------------------------------------------- */

/* Cuts the part before sign off *rest. */
static struct slice cut(struct slice *rest, char sign)
{
    const uint8_t *found = rest->size ? memchr(rest->data, sign, rest->size) : NULL;
    size_t size = found ? (size_t)(found - rest->data) : rest->size;
    struct slice part = slice_make(rest->data, size);
    size_t used = size + (found ? 1 : 0);
    *rest = slice_make(rest->data + used, rest->size - used);
    return part;
}

static bool key_find(struct slice name, unsigned *out)
{
    for (unsigned i = 0; i < BROKER_TELEMETRY_KEY_COUNT; i++) {
        if (!slice_equal_text(name, telemetry_keys[i]))
            continue;
        *out = i;
        return true;
    }
    return false;
}

enum err broker_telemetry_match_check(struct slice match, struct diag *diag)
{
    struct pattern pattern;
    unsigned key;
    while (match.size > 0) {
        struct slice patterns = cut(&match, ',');
        struct slice name = cut(&patterns, '=');
        if (!key_find(name, &key) || patterns.size == 0) {
            diag_set(diag, "Illegal client matching pattern: %.*s", (int)MIN(name.size, (size_t)64),
                     (const char *)name.data);
            return ERR_INVALID;
        }
        do {
            pattern_read(cut(&patterns, '|'), &pattern);
            if (!pattern.fault)
                continue;
            diag_set(diag, "pattern of %s: %s", telemetry_keys[key], pattern.fault);
            return ERR_INVALID;
        } while (patterns.size > 0);
    }
    return ERR_OK;
}

/* One of the patterns with '|' between. */
static bool one_fits(struct slice patterns, struct slice text, uint64_t *steps)
{
    struct pattern pattern;
    bool fits = false;
    do {
        struct slice one = cut(&patterns, '|');
        if (!steps_take(steps, READ_STEPS * (1 + one.size)))
            return false;
        pattern_read(one, &pattern);
        fits = !pattern.fault && pattern_fits(&pattern, text, steps);
    } while (!fits && patterns.size > 0);
    return fits;
}

bool broker_telemetry_matches(const struct broker_telemetry_rule *rule,
                              struct broker_telemetry_client *client)
{
    struct slice match = rule->match;
    unsigned key;
    while (match.size > 0) {
        struct slice patterns = cut(&match, ',');
        if (!key_find(cut(&patterns, '='), &key) ||
            !one_fits(patterns, client->keys[key], &client->steps))
            return false;
    }
    return true;
}
