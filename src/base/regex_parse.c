// Reads a regular expression in RE2's syntax into a tree.
// SPDX-License-Identifier: Apache-2.0
#include "base/regex_parse.h"

#include <stdlib.h>

#include "base/regex.h"
#include "base/regex_class.h"

struct parser {
    struct slice rest;
    struct regex_tree *tree;
    struct diag *diag;
    enum err err;
    bool is_folding; /* flag i */
    bool is_lines;   /* flag m */
    bool is_dot_all; /* flag s */
    unsigned depth;
};

static uint32_t parse_any(struct parser *p);

static uint32_t fail(struct parser *p, const char *words)
{
    if (!p->err) {
        p->err = ERR_INVALID;
        diag_set(p->diag, "%s", words);
    }
    return REGEX_NONE;
}

static uint32_t node_add(struct parser *p, enum regex_kind kind)
{
    struct regex_tree *tree = p->tree;
    if (p->err)
        return REGEX_NONE;
    if (tree->node_count == tree->node_capacity) {
        size_t capacity = tree->node_capacity ? tree->node_capacity * 2 : 64;
        struct regex_node *nodes = reallocarray(tree->nodes, capacity, sizeof(*nodes));
        if (!nodes) {
            p->err = ERR_NO_MEMORY;
            return REGEX_NONE;
        }
        tree->nodes = nodes;
        tree->node_capacity = capacity;
    }
    tree->nodes[tree->node_count] =
        (struct regex_node){.kind = kind, .child = REGEX_NONE, .next = REGEX_NONE};
    return (uint32_t)tree->node_count++;
}

static uint32_t set_node(struct parser *p, const struct regex_set *set)
{
    struct regex_tree *tree = p->tree;
    uint32_t node = node_add(p, REGEX_SET);
    if (p->err)
        return REGEX_NONE;
    if (tree->set_count == tree->set_capacity) {
        size_t capacity = tree->set_capacity ? tree->set_capacity * 2 : 64;
        struct regex_set *sets = reallocarray(tree->sets, capacity, sizeof(*sets));
        if (!sets) {
            p->err = ERR_NO_MEMORY;
            return REGEX_NONE;
        }
        tree->sets = sets;
        tree->set_capacity = capacity;
    }
    tree->sets[tree->set_count] = *set;
    tree->nodes[node].set = (uint32_t)tree->set_count++;
    return node;
}

static uint32_t byte_node(struct parser *p, uint8_t byte)
{
    struct regex_set set = {{0}};
    regex_class_add(&set, byte, byte);
    if (p->is_folding)
        regex_class_fold(&set);
    return set_node(p, &set);
}

static bool is_next(const struct parser *p, char c)
{
    return p->rest.size > 0 && p->rest.data[0] == (uint8_t)c;
}

static uint8_t take(struct parser *p)
{
    uint8_t byte = p->rest.data[0];
    p->rest = slice_make(p->rest.data + 1, p->rest.size - 1);
    return byte;
}

static bool take_if(struct parser *p, const char *text)
{
    size_t size = strlen(text);
    if (p->rest.size < size || memcmp(p->rest.data, text, size) != 0)
        return false;
    p->rest = slice_make(p->rest.data + size, p->rest.size - size);
    return true;
}

/* --- escapes --- */

static int hex_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint32_t escape_hex(struct parser *p)
{
    uint32_t value = 0;
    unsigned digits = 0;
    bool is_long = take_if(p, "{");
    while (p->rest.size > 0 && hex_of(p->rest.data[0]) >= 0 && value <= 0x10ffff &&
           (is_long || digits < 2)) {
        value = value * 16 + (uint32_t)hex_of(take(p));
        digits++;
    }
    if (digits == 0 || value > 0x10ffff || (!is_long && digits != 2) ||
        (is_long && !take_if(p, "}")))
        return fail(p, "invalid escape: \\x wants two hexadecimal digits or {...}");
    return value;
}

static uint32_t escape_octal(struct parser *p, uint8_t first)
{
    bool has_more = p->rest.size > 0 && p->rest.data[0] >= '0' && p->rest.data[0] <= '7';
    if (first != '0' && !has_more)
        return fail(p, "invalid escape: no back references");
    uint32_t value = (uint32_t)(first - '0');
    for (unsigned i = 0;
         i < 2 && p->rest.size > 0 && p->rest.data[0] >= '0' && p->rest.data[0] <= '7'; i++)
        value = value * 8 + (uint32_t)(take(p) - '0');
    return value;
}

/* A single character behind the backslash. */
static uint32_t escape_rune(struct parser *p)
{
    if (p->rest.size == 0)
        return fail(p, "trailing backslash");
    uint8_t c = take(p);
    switch (c) {
    case 'a':
        return '\a';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'v':
        return '\v';
    case 'x':
        return escape_hex(p);
    default:
        break;
    }
    if (c >= '0' && c <= '7')
        return escape_octal(p, c);
    bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    if (is_letter || (c >= '8' && c <= '9'))
        return fail(p, "invalid escape");
    return c;
}

/* \pN, \p{Name}, \p{^Name}, \P...; the letter has been taken. */
static bool escape_unicode(struct parser *p, bool negate, struct regex_set *out)
{
    struct slice name = slice_make(p->rest.data, p->rest.size > 0);
    if (take_if(p, "{")) {
        const uint8_t *end = p->rest.size > 0 ? memchr(p->rest.data, '}', p->rest.size) : NULL;
        if (!end) {
            fail(p, "invalid character class: \\p{ without }");
            return false;
        }
        name = slice_make(p->rest.data, (size_t)(end - p->rest.data));
        p->rest = slice_make(end + 1, p->rest.size - name.size - 1);
    } else if (name.size > 0) {
        take(p);
    }
    if (name.size > 0 && name.data[0] == '^') {
        negate = !negate;
        name = slice_make(name.data + 1, name.size - 1);
    }
    struct regex_set set;
    if (!regex_class_unicode(name, &set)) {
        fail(p, "unknown Unicode class");
        return false;
    }
    regex_class_merge(out, &set, negate);
    return true;
}

/* A class behind the backslash; false: it is none, or wrong. */
static bool escape_class(struct parser *p, struct regex_set *out)
{
    if (p->rest.size < 2 || p->rest.data[0] != '\\')
        return false;
    uint8_t letter = p->rest.data[1];
    struct regex_set set;
    if (letter == 'p' || letter == 'P') {
        p->rest = slice_make(p->rest.data + 2, p->rest.size - 2);
        return escape_unicode(p, letter == 'P', out);
    }
    if (!regex_class_perl(letter, &set))
        return false;
    p->rest = slice_make(p->rest.data + 2, p->rest.size - 2);
    regex_class_merge(out, &set, false);
    return true;
}

/* --- [...] --- */

static bool class_posix(struct parser *p, struct regex_set *out)
{
    if (p->rest.size < 2 || memcmp(p->rest.data, "[:", 2) != 0)
        return false;
    const uint8_t *end = memmem(p->rest.data + 2, p->rest.size - 2, ":]", 2);
    if (!end)
        return false;
    struct slice name = slice_make(p->rest.data + 2, (size_t)(end - p->rest.data) - 2);
    bool negate = name.size > 0 && name.data[0] == '^';
    struct regex_set set;
    if (negate)
        name = slice_make(name.data + 1, name.size - 1);
    if (!regex_class_posix(name, &set)) {
        fail(p, "unknown character class");
        return false;
    }
    p->rest = slice_make(end + 2, p->rest.size - (size_t)(end + 2 - p->rest.data));
    regex_class_merge(out, &set, negate);
    return true;
}

/* A rune; what is not ASCII is only known to be that. */
static uint32_t class_rune(struct parser *p)
{
    if (p->rest.size == 0)
        return fail(p, "missing closing ]");
    uint8_t byte = take(p);
    if (byte == '\\')
        return escape_rune(p);
    if (byte < 0x80)
        return byte;
    while (p->rest.size > 0 && (p->rest.data[0] & 0xc0) == 0x80)
        take(p);
    return 0x80;
}

static void class_range(struct parser *p, struct regex_set *set)
{
    uint32_t first = class_rune(p);
    uint32_t last = first;
    if (!p->err && p->rest.size >= 2 && p->rest.data[0] == '-' && p->rest.data[1] != ']') {
        take(p);
        last = class_rune(p);
        if (!p->err && last < first)
            fail(p, "invalid character class range");
    }
    if (!p->err && first < 0x80)
        regex_class_add(set, (uint8_t)first, (uint8_t)MIN(last, 0x7fu));
}

static uint32_t parse_class(struct parser *p)
{
    struct regex_set set = {{0}};
    bool negate = take_if(p, "^");
    bool is_first = true;
    while (!p->err && (is_first || !is_next(p, ']'))) {
        if (p->rest.size == 0)
            return fail(p, "missing closing ]");
        if (!class_posix(p, &set) && !p->err && !escape_class(p, &set) && !p->err)
            class_range(p, &set);
        is_first = false;
    }
    if (p->err)
        return REGEX_NONE;
    take(p);
    if (p->is_folding)
        regex_class_fold(&set);
    struct regex_set whole = {{0}};
    regex_class_merge(&whole, &set, negate);
    return set_node(p, &whole);
}

/* --- (...) --- */

static bool group_flags(struct parser *p)
{
    bool value = true;
    while (!p->err && p->rest.size > 0) {
        uint8_t c = take(p);
        if (c == 'i')
            p->is_folding = value;
        else if (c == 'm')
            p->is_lines = value;
        else if (c == 's')
            p->is_dot_all = value;
        else if (c == '-' && value)
            value = false;
        else if (c == ':' || c == ')')
            return c == ')';
        else if (c != 'U')
            break;
    }
    fail(p, "invalid group: (? and no flags that are known");
    return false;
}

static void group_name(struct parser *p)
{
    size_t size = 0;
    while (p->rest.size > 0 && !is_next(p, '>')) {
        struct regex_set word;
        uint8_t c = take(p);
        if (!regex_class_perl('w', &word) || !regex_set_has(&word, c))
            break;
        size++;
    }
    if (size == 0 || !take_if(p, ">"))
        fail(p, "invalid named group");
}

static uint32_t parse_group(struct parser *p)
{
    bool is_folding = p->is_folding;
    bool is_lines = p->is_lines;
    bool is_dot_all = p->is_dot_all;
    if (take_if(p, "?")) {
        bool is_name = take_if(p, "P<");
        if (!is_name && p->rest.size >= 2 && p->rest.data[0] == '<' && p->rest.data[1] != '=' &&
            p->rest.data[1] != '!')
            is_name = take_if(p, "<");
        if (is_name)
            group_name(p);
        else if (group_flags(p))
            return node_add(p, REGEX_EMPTY); /* for the rest of the group around it */
    }
    if (p->err)
        return REGEX_NONE;
    if (++p->depth > REGEX_DEPTH_MAX)
        return fail(p, "expression nests too deeply");
    uint32_t node = parse_any(p);
    p->depth--;
    if (!p->err && !take_if(p, ")"))
        return fail(p, "missing closing )");
    p->is_folding = is_folding;
    p->is_lines = is_lines;
    p->is_dot_all = is_dot_all;
    return node;
}

/* --- one item --- */

static uint32_t parse_escape(struct parser *p)
{
    struct regex_set set = {{0}};
    if (escape_class(p, &set))
        return set_node(p, &set);
    if (p->err)
        return REGEX_NONE;
    if (take_if(p, "\\b"))
        return node_add(p, REGEX_WORD_EDGE);
    if (take_if(p, "\\B"))
        return node_add(p, REGEX_NO_WORD_EDGE);
    if (take_if(p, "\\A"))
        return node_add(p, REGEX_BEGIN);
    if (take_if(p, "\\z"))
        return node_add(p, REGEX_END);
    take(p);
    uint32_t rune = escape_rune(p);
    if (p->err)
        return REGEX_NONE;
    if (rune < 0x80)
        return byte_node(p, (uint8_t)rune);
    struct regex_set nothing = {{0}}; /* no byte of ASCII */
    return set_node(p, &nothing);
}

static uint32_t parse_item(struct parser *p)
{
    struct regex_set any = {{~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0)}};
    if (is_next(p, '\\'))
        return parse_escape(p);
    uint8_t c = take(p);
    switch (c) {
    case '(':
        return parse_group(p);
    case '[':
        return parse_class(p);
    case '^':
        return node_add(p, p->is_lines ? REGEX_BEGIN_LINE : REGEX_BEGIN);
    case '$':
        return node_add(p, p->is_lines ? REGEX_END_LINE : REGEX_END);
    case '.':
        if (!p->is_dot_all)
            any.bits[0] &= ~(UINT64_C(1) << '\n');
        return set_node(p, &any);
    case '*':
    case '+':
    case '?':
        return fail(p, "missing argument to repetition operator");
    default:
        return byte_node(p, c);
    }
}

/* --- repetitions --- */

static bool number_take(struct slice *rest, int32_t *out)
{
    size_t digits = 0;
    int32_t value = 0;
    while (digits < rest->size && rest->data[digits] >= '0' && rest->data[digits] <= '9') {
        value = MIN(value * 10 + (rest->data[digits] - '0'), REGEX_REPEAT_MAX + 1);
        digits++;
    }
    *rest = slice_make(rest->data + digits, rest->size - digits);
    *out = value;
    return digits > 0;
}

/* {n}, {n,} or {n,m}; false: it is none, and means itself. */
static bool repeat_counted(struct parser *p, int32_t *min, int32_t *max)
{
    struct slice rest = p->rest;
    if (rest.size == 0 || rest.data[0] != '{')
        return false;
    rest = slice_make(rest.data + 1, rest.size - 1);
    if (!number_take(&rest, min))
        return false;
    *max = *min;
    if (rest.size > 0 && rest.data[0] == ',') {
        rest = slice_make(rest.data + 1, rest.size - 1);
        if (!number_take(&rest, max))
            *max = -1;
    }
    if (rest.size == 0 || rest.data[0] != '}')
        return false;
    p->rest = slice_make(rest.data + 1, rest.size - 1);
    if (*min > REGEX_REPEAT_MAX || *max > REGEX_REPEAT_MAX || (*max >= 0 && *max < *min))
        fail(p, "invalid repeat count");
    return true;
}

static bool repeat_take(struct parser *p, int32_t *min, int32_t *max)
{
    *min = 0;
    *max = -1;
    if (take_if(p, "*"))
        return true;
    if (take_if(p, "+")) {
        *min = 1;
        return true;
    }
    if (take_if(p, "?")) {
        *max = 1;
        return true;
    }
    return repeat_counted(p, min, max);
}

static uint32_t parse_repeat(struct parser *p)
{
    uint32_t item = parse_item(p);
    int32_t min;
    int32_t max;
    if (p->err || !repeat_take(p, &min, &max))
        return item;
    take_if(p, "?"); /* lazy or not: whether all matches is the same */
    uint32_t node = node_add(p, REGEX_REPEAT);
    if (p->err)
        return REGEX_NONE;
    p->tree->nodes[node].child = item;
    p->tree->nodes[node].min = min;
    p->tree->nodes[node].max = max;
    if (repeat_take(p, &min, &max))
        return fail(p, "invalid nested repetition operator");
    return node;
}

/* Adds a child behind the last. */
static void child_add(struct parser *p, uint32_t parent, uint32_t *last, uint32_t child)
{
    if (p->err)
        return;
    if (*last == REGEX_NONE)
        p->tree->nodes[parent].child = child;
    else
        p->tree->nodes[*last].next = child;
    *last = child;
}

/* \Q...\E: all of it means itself. */
static void parse_quoted(struct parser *p, uint32_t parent, uint32_t *last)
{
    while (!p->err && p->rest.size > 0 && !take_if(p, "\\E"))
        child_add(p, parent, last, byte_node(p, take(p)));
}

static uint32_t parse_all(struct parser *p)
{
    uint32_t node = node_add(p, REGEX_ALL);
    uint32_t last = REGEX_NONE;
    while (!p->err && p->rest.size > 0 && !is_next(p, '|') && !is_next(p, ')')) {
        if (take_if(p, "\\Q"))
            parse_quoted(p, node, &last);
        else
            child_add(p, node, &last, parse_repeat(p));
    }
    return node;
}

static uint32_t parse_any(struct parser *p)
{
    uint32_t node = node_add(p, REGEX_ANY);
    uint32_t last = REGEX_NONE;
    do
        child_add(p, node, &last, parse_all(p));
    while (!p->err && take_if(p, "|"));
    return node;
}

enum err regex_parse(struct slice text, struct regex_tree *out, struct diag *diag)
{
    *out = (struct regex_tree){.root = REGEX_NONE};
    struct parser p = {.rest = text, .tree = out, .diag = diag};
    if (text.size > REGEX_SIZE_MAX)
        fail(&p, "expression too long");
    out->root = parse_any(&p);
    if (!p.err && p.rest.size > 0)
        fail(&p, "unexpected )");
    return p.err;
}

void regex_parse_free(struct regex_tree *tree)
{
    free(tree->nodes);
    free(tree->sets);
    *tree = (struct regex_tree){.root = REGEX_NONE};
}
