// Compiles regular expressions to steps, and follows all ways through them at once (Thompson).
// SPDX-License-Identifier: Apache-2.0
#include "base/regex.h"

#include <stdlib.h>

#include "base/regex_class.h"

enum step_kind { STEP_SET, STEP_SPLIT, STEP_JUMP, STEP_ASSERT, STEP_MATCH };

struct step {
    enum step_kind kind;
    enum regex_kind assertion;
    uint32_t set;
    uint32_t to; /* SPLIT, JUMP */
    uint32_t or_to;
};

/* Steps reached, each once. */
struct ways {
    uint32_t *items;
    size_t count;
};

struct regex {
    struct regex_tree tree; /* its sets */
    struct step *steps;
    size_t step_count;
    size_t step_capacity;
    struct ways now;
    struct ways next;
    uint32_t *stack;
    uint64_t *seen; /* in which round a step was reached */
    uint64_t round;
    size_t visits;
    bool is_limited;
    uint64_t left; /* steps that may be followed yet, if limited */
};

static enum err emit(struct regex *regex, uint32_t index);

static enum err step_add(struct regex *regex, struct step step)
{
    if (regex->step_count >= REGEX_STEPS_MAX)
        return ERR_TOO_LARGE;
    if (regex->step_count == regex->step_capacity) {
        size_t capacity = regex->step_capacity ? regex->step_capacity * 2 : 64;
        struct step *steps = reallocarray(regex->steps, capacity, sizeof(*steps));
        if (!steps)
            return ERR_NO_MEMORY;
        regex->steps = steps;
        regex->step_capacity = capacity;
    }
    regex->steps[regex->step_count++] = step;
    return ERR_OK;
}

/* Each way but the last: split, the way, jump to the end. */
static enum err emit_any(struct regex *regex, uint32_t child)
{
    enum err err = ERR_OK;
    size_t jumps = REGEX_NONE; /* chained through .to until the end is known */
    while (!err && child != REGEX_NONE) {
        uint32_t following = regex->tree.nodes[child].next;
        size_t split = regex->step_count;
        if (following != REGEX_NONE)
            err = step_add(regex, (struct step){.kind = STEP_SPLIT, .to = (uint32_t)split + 1});
        if (!err)
            err = emit(regex, child);
        if (!err && following != REGEX_NONE) {
            size_t jump = regex->step_count;
            err = step_add(regex, (struct step){.kind = STEP_JUMP, .to = (uint32_t)jumps});
            jumps = jump;
            regex->steps[split].or_to = (uint32_t)regex->step_count;
        }
        child = following;
    }
    while (!err && jumps != REGEX_NONE) {
        size_t before = regex->steps[jumps].to;
        regex->steps[jumps].to = (uint32_t)regex->step_count;
        jumps = before;
    }
    return err;
}

static enum err emit_repeat(struct regex *regex, const struct regex_node *node)
{
    uint32_t child = node->child;
    int32_t min = node->min;
    int32_t max = node->max;
    enum err err = ERR_OK;
    size_t before = REGEX_STEPS_MAX + 1; /* what comes to nothing is not written out again */
    for (int32_t i = 0; i < min && !err && before != regex->step_count; i++) {
        before = regex->step_count;
        err = emit(regex, child);
    }
    if (err)
        return err;
    if (max < 0) {
        size_t split = regex->step_count;
        err = step_add(regex, (struct step){.kind = STEP_SPLIT, .to = (uint32_t)split + 1});
        if (!err)
            err = emit(regex, child);
        if (!err)
            err = step_add(regex, (struct step){.kind = STEP_JUMP, .to = (uint32_t)split});
        if (!err)
            regex->steps[split].or_to = (uint32_t)regex->step_count;
        return err;
    }
    for (int32_t i = min; i < max && !err; i++) {
        size_t split = regex->step_count;
        err = step_add(regex, (struct step){.kind = STEP_SPLIT, .to = (uint32_t)split + 1});
        if (!err)
            err = emit(regex, child);
        if (!err)
            regex->steps[split].or_to = (uint32_t)regex->step_count;
    }
    return err;
}

static enum err emit(struct regex *regex, uint32_t index)
{
    struct regex_node node = regex->tree.nodes[index];
    enum err err = ERR_OK;
    /* What comes to few steps may still be walked through often. */
    if (++regex->visits > REGEX_VISITS_MAX)
        return ERR_TOO_LARGE;
    switch (node.kind) {
    case REGEX_EMPTY:
        return ERR_OK;
    case REGEX_SET:
        return step_add(regex, (struct step){.kind = STEP_SET, .set = node.set});
    case REGEX_ALL:
        for (uint32_t child = node.child; child != REGEX_NONE && !err;
             child = regex->tree.nodes[child].next)
            err = emit(regex, child);
        return err;
    case REGEX_ANY:
        return emit_any(regex, node.child);
    case REGEX_REPEAT:
        return emit_repeat(regex, &node);
    default:
        return step_add(regex, (struct step){.kind = STEP_ASSERT, .assertion = node.kind});
    }
}

static enum err scratch_make(struct regex *regex)
{
    size_t count = regex->step_count;
    regex->now.items = reallocarray(NULL, count, sizeof(*regex->now.items));
    regex->next.items = reallocarray(NULL, count, sizeof(*regex->next.items));
    regex->stack = reallocarray(NULL, count * 2 + 1, sizeof(*regex->stack));
    regex->seen = calloc(count, sizeof(*regex->seen));
    return regex->now.items && regex->next.items && regex->stack && regex->seen ? ERR_OK
                                                                                : ERR_NO_MEMORY;
}

enum err regex_new(struct slice text, struct regex **out, struct diag *diag)
{
    struct regex *regex = calloc(1, sizeof(*regex));
    if (!regex)
        return ERR_NO_MEMORY;
    enum err err = regex_parse(text, &regex->tree, diag);
    if (!err)
        err = emit(regex, regex->tree.root);
    if (!err)
        err = step_add(regex, (struct step){.kind = STEP_MATCH});
    if (!err)
        err = scratch_make(regex);
    if (err == ERR_TOO_LARGE) {
        diag_set(diag, "expression too large with its repetitions written out");
        err = ERR_INVALID;
    }
    if (err)
        regex_delete(regex);
    else
        *out = regex;
    return err;
}

void regex_delete(struct regex *regex)
{
    if (!regex)
        return;
    regex_parse_free(&regex->tree);
    free(regex->steps);
    free(regex->now.items);
    free(regex->next.items);
    free(regex->stack);
    free(regex->seen);
    free(regex);
}

/* --- matching --- */

static bool is_word(struct slice text, size_t at)
{
    struct regex_set word;
    return at < text.size && regex_class_perl('w', &word) && regex_set_has(&word, text.data[at]);
}

static bool assertion_holds(enum regex_kind kind, struct slice text, size_t at)
{
    bool is_edge = is_word(text, at) != (at > 0 && is_word(text, at - 1));
    switch (kind) {
    case REGEX_BEGIN:
        return at == 0;
    case REGEX_BEGIN_LINE:
        return at == 0 || text.data[at - 1] == '\n';
    case REGEX_END:
        return at == text.size;
    case REGEX_END_LINE:
        return at == text.size || text.data[at] == '\n';
    case REGEX_WORD_EDGE:
        return is_edge;
    default:
        return !is_edge;
    }
}

void regex_allow(struct regex *regex, uint64_t steps)
{
    uint64_t left = regex->is_limited ? regex->left : 0;
    regex->left = steps > UINT64_MAX - left ? UINT64_MAX : left + steps;
    regex->is_limited = true;
}

bool regex_is_spent(const struct regex *regex)
{
    return regex->is_limited && regex->left == 0;
}

static void spend(struct regex *regex, uint64_t steps)
{
    if (regex->is_limited)
        regex->left -= MIN(regex->left, steps);
}

/* All steps that can be reached from here without taking a byte. */
static void ways_follow(struct regex *regex, struct ways *ways, uint32_t from, struct slice text,
                        size_t at)
{
    size_t depth = 0;
    uint64_t followed = 0;
    regex->stack[depth++] = from;
    while (depth > 0) {
        uint32_t index = regex->stack[--depth];
        followed++;
        const struct step *step = &regex->steps[index];
        if (regex->seen[index] == regex->round)
            continue;
        regex->seen[index] = regex->round;
        if (step->kind == STEP_JUMP) {
            regex->stack[depth++] = step->to;
        } else if (step->kind == STEP_SPLIT) {
            regex->stack[depth++] = step->or_to;
            regex->stack[depth++] = step->to;
        } else if (step->kind == STEP_ASSERT) {
            if (assertion_holds(step->assertion, text, at))
                regex->stack[depth++] = index + 1;
        } else {
            ways->items[ways->count++] = index;
        }
    }
    spend(regex, followed);
}

bool regex_matches(struct regex *regex, struct slice text)
{
    regex->round++;
    regex->now.count = 0;
    ways_follow(regex, &regex->now, 0, text, 0);
    for (size_t at = 0; at < text.size && regex->now.count > 0; at++) {
        spend(regex, regex->now.count);
        if (regex_is_spent(regex))
            return false;
        regex->round++;
        regex->next.count = 0;
        for (size_t i = 0; i < regex->now.count; i++) {
            const struct step *step = &regex->steps[regex->now.items[i]];
            if (step->kind == STEP_SET &&
                regex_set_has(&regex->tree.sets[step->set], text.data[at]))
                ways_follow(regex, &regex->next, regex->now.items[i] + 1, text, at + 1);
        }
        struct ways ways = regex->now;
        regex->now = regex->next;
        regex->next = ways;
    }
    for (size_t i = 0; i < regex->now.count; i++)
        if (regex->steps[regex->now.items[i]].kind == STEP_MATCH)
            return true;
    return false;
}
