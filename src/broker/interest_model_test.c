// Model test of the interest: whatever comes and goes, it says what a naive matcher says.
// SPDX-License-Identifier: Apache-2.0
#include "broker/interest_fixture.h"

#include "base/subject.h"

#define SUBS   400
#define CORES  3
#define GROUPS 4 /* 0: none, plain */

/* Of subjects: numbers of TOKENS. */
#define TOKENS_MAX 5
#define TOKEN_STAR 5
#define TOKEN_TAIL 6

struct subject {
    char text[64];
    size_t size;
    uint8_t tokens[TOKENS_MAX];
    uint8_t token_count;
};

struct model_sub {
    struct interest_sub sub;
    struct subject subject;
    char text[72]; /* the subject, and the queue behind it */
    bool active;
    uint32_t group;
    uint32_t core; /* 0: this one */
    uint32_t seen; /* in the match looked at */
};

/* What a run is about; zero: the defaults of the interest, and memory enough. */
struct setup {
    uint64_t seed;
    uint32_t cache_entries;
    size_t cache_size_bytes;
    bool is_poor; /* most changes find little memory */
};

struct model {
    struct setup setup;
    struct budget budget;
    struct interest *interest;
    struct model_sub subs[SUBS];
    uint64_t random;
    unsigned refusals;
};

static struct subject make_subject(uint64_t *random, bool wild)
{
    static const char *const TOKENS[] = {"a", "b", "c", "dd", "_INBOX", "*", ">"};
    static const uint8_t CHANCES[] = {0, 0, 1, 1, 2, 3, 4, TOKEN_STAR, TOKEN_TAIL};
    struct subject subject = {.token_count = (uint8_t)(1 + next_random(random) % TOKENS_MAX)};
    for (size_t i = 0; i < subject.token_count; i++) {
        uint8_t token = CHANCES[next_random(random) % (wild ? 9 : 7)];
        if (token == TOKEN_TAIL && i + 1 < subject.token_count)
            token = TOKEN_STAR;
        subject.tokens[i] = token;
        subject.size +=
            (size_t)snprintf(subject.text + subject.size, sizeof(subject.text) - subject.size,
                             "%s%s", i ? "." : "", TOKENS[token]);
    }
    return subject;
}

/* The naive matcher, which shares nothing with what it judges. */
static bool matches(const struct subject *subject, const struct subject *filter)
{
    for (size_t i = 0; i < filter->token_count; i++) {
        if (i == subject->token_count)
            return false;
        if (filter->tokens[i] == TOKEN_TAIL)
            return true;
        if (filter->tokens[i] != TOKEN_STAR && filter->tokens[i] != subject->tokens[i])
            return false;
    }
    return filter->token_count == subject->token_count;
}

static struct slice subject_of(const struct model_sub *sub)
{
    return slice_make(sub->subject.text, sub->subject.size);
}

static struct slice queue_of(const struct model_sub *sub)
{
    return sub->group ? slice_make(sub->text + sub->subject.size, 2) : SLICE_NULL;
}

static bool is_like(const struct model_sub *a, const struct model_sub *b)
{
    return a->core == b->core && a->group == b->group && slice_equal(subject_of(a), subject_of(b));
}

/* Filters of other cores are aggregates: the test counts them itself. */
static uint32_t count_like(const struct model *model, const struct model_sub *like)
{
    uint32_t count = 0;
    for (size_t i = 0; i < SUBS; i++)
        count += model->subs[i].active && is_like(&model->subs[i], like);
    return like->group ? count : count > 0;
}

static enum err tell(struct model *model, const struct model_sub *sub)
{
    return broker_interest_remote_set(model->interest, sub->core, subject_of(sub), queue_of(sub),
                                      count_like(model, sub));
}

static void leave(struct model *model, struct model_sub *sub)
{
    sub->active = false;
    if (sub->core)
        assert_int_equal(tell(model, sub), ERR_OK);
    else
        broker_interest_remove(model->interest, &sub->sub);
}

static void set(struct model_sub *sub)
{
    snprintf(sub->text, sizeof(sub->text), "%sq%u", sub->subject.text, sub->group);
    broker_interest_set(&sub->sub, slice_make(sub->text, sub->subject.size), queue_of(sub).size);
}

static void come(struct model *model, struct model_sub *sub)
{
    uint64_t dice = next_random(&model->random);
    *sub = (struct model_sub){.active = true};
    sub->subject = make_subject(&model->random, dice & 1);
    if (dice & 2)
        sub->group = 1 + (uint32_t)(dice >> 8) % (GROUPS - 1);
    if (dice & 4)
        sub->core = (uint32_t)(dice >> 16) % CORES;
    set(sub);
    enum err err = sub->core ? tell(model, sub) : broker_interest_add(model->interest, &sub->sub);
    sub->active = !err;
    assert_true(!err || (err == ERR_NO_MEMORY && model->setup.is_poor));
    assert_true(sub->core || broker_interest_is_added(&sub->sub) == sub->active);
    model->refusals += err != ERR_OK;
}

/* Another takes the place of this one, as when a connection changes cores. */
static void hand_over(struct model *model, struct model_sub *sub)
{
    struct model_sub *heir = &model->subs[next_random(&model->random) % SUBS];
    if (!sub->active || sub->core > 0 || heir->active)
        return;
    *heir = *sub;
    set(heir);
    broker_interest_replace(model->interest, &sub->sub, &heir->sub);
    assert_false(broker_interest_is_added(&sub->sub));
    memset(&sub->sub, 0xff, sizeof(sub->sub));
    memset(sub->text, 0xff, sizeof(sub->text));
    sub->active = false;
}

static void toggle(struct model *model)
{
    struct model_sub *sub = &model->subs[next_random(&model->random) % SUBS];
    uint64_t dice = next_random(&model->random);
    if (model->setup.is_poor && dice % 4 > 0)
        model->budget.size_max = budget_used(&model->budget) + (dice >> 8) % 512;
    if (sub->active)
        leave(model, sub);
    else
        come(model, sub);
    model->budget.size_max = SIZE_MAX;
    if (sub->core)
        assert_int_equal(
            broker_interest_remote_get(model->interest, sub->core, subject_of(sub), queue_of(sub)),
            count_like(model, sub));
}

static void see(struct interest_sub *interest_sub, uint32_t group)
{
    struct model_sub *sub = CONTAINER_OF(interest_sub, struct model_sub, sub);
    assert_true(sub->group == group);
    sub->seen++;
}

static void check_plain(const struct interest_match *match, const uint32_t counts[CORES])
{
    uint32_t remote = 0;
    for (uint32_t core = 1; core < CORES; core++)
        remote += counts[core] > 0;
    assert_int_equal(match->plain_count, counts[0]);
    assert_int_equal(match->core_count, remote);
    for (uint32_t i = 0; i < match->core_count; i++)
        assert_true(counts[match->cores[i]] > 0);
}

static void check_group(const struct interest_group *group, const uint32_t counts[CORES])
{
    uint32_t remote = 0;
    for (uint32_t core = 1; core < CORES; core++)
        remote += counts[core];
    assert_int_equal(group != NULL, counts[0] + remote > 0);
    if (!group)
        return;
    assert_int_equal(group->member_count, counts[0]);
    assert_int_equal(group->remote_members, remote);
    for (uint32_t i = 0; i < group->remote_count; i++)
        assert_int_equal(group->remotes[i].count, counts[group->remotes[i].core]);
}

static void see_all(const struct interest_match *match)
{
    for (uint32_t i = 0; i < match->plain_count; i++)
        see(match->plain[i], 0);
    for (uint32_t g = 0; g < match->group_count; g++)
        for (uint32_t i = 0; i < match->groups[g].member_count; i++)
            see(match->groups[g].members[i], match->groups[g].name.data[1] - (uint32_t)'0');
}

static void check_subject(struct model *model, const struct subject *subject)
{
    static const char *const NAMES[GROUPS] = {"", "q1", "q2", "q3"};
    const struct interest_match *match = NULL;
    uint32_t counts[GROUPS][CORES] = {{0}};
    assert_int_equal(
        broker_interest_match(model->interest, slice_make(subject->text, subject->size), &match),
        ERR_OK);
    see_all(match);
    for (struct model_sub *sub = model->subs; sub < model->subs + SUBS; sub++) {
        bool wants = sub->active && matches(subject, &sub->subject);
        if (sub->seen != (wants && sub->core == 0))
            assert_int_equal(sub->seen, wants && sub->core == 0);
        sub->seen = 0;
        counts[sub->group][sub->core] += wants;
    }
    check_plain(match, counts[0]);
    for (uint32_t group = 1; group < GROUPS; group++)
        check_group(broker_interest_group(match, slice_text(NAMES[group])), counts[group]);
}

/* Whoever has a subscription that collides is seen; without "*" nobody else is. */
static void check_wants(struct model *model)
{
    bool is_wanted = false;
    struct subject made = make_subject(&model->random, true);
    struct slice filter = slice_make(made.text, made.size);
    for (size_t i = 0; i < SUBS && !is_wanted; i++)
        is_wanted = model->subs[i].active && subject_collide(filter, subject_of(&model->subs[i]));
    bool said = broker_interest_wants(model->interest, filter);
    assert_true(said || !is_wanted);
    assert_true(is_wanted || !said || memchr(made.text, '*', made.size));
}

/* Whether the subscription goes the first size bytes of that way. */
static bool goes(const struct model_sub *sub, struct slice way, size_t size)
{
    return sub->active && sub->subject.size >= size &&
           memcmp(sub->subject.text, way.data, size) == 0 &&
           (sub->subject.size == size || sub->subject.text[size] == '.');
}

/* What hangs on and below the first size bytes of a filter: 1 is what can be a leaf. is_again: the
 * core announces it but once. */
static unsigned weigh(const struct model *model, struct slice way, size_t size,
                      const bool is_again[SUBS])
{
    unsigned weight = 0;
    for (size_t i = 0; i < SUBS; i++)
        if (goes(&model->subs[i], way, size))
            weight += model->subs[i].group ? 2 : !is_again[i];
    return weight;
}

/* Nobody before goes this way. */
static bool is_new(const struct model *model, const struct model_sub *sub, size_t size)
{
    for (const struct model_sub *before = model->subs; before < sub; before++)
        if (goes(before, subject_of(sub), size))
            return false;
    return true;
}

/* Nobody before is in this group, under this filter. */
static bool is_new_group(const struct model *model, const struct model_sub *sub)
{
    for (const struct model_sub *before = model->subs; before < sub; before++)
        if (before->active && before->group == sub->group &&
            slice_equal(subject_of(before), subject_of(sub)))
            return false;
    return true;
}

static void find_again(const struct model *model, bool out_is_again[SUBS])
{
    for (size_t i = 0; i < SUBS; i++)
        for (size_t before = 0; before < i && model->subs[i].core && !out_is_again[i]; before++)
            out_is_again[i] =
                model->subs[before].active && is_like(&model->subs[before], &model->subs[i]);
}

/* A node for each way that more than one goes, a leaf for each that goes on alone, and one for each
 * group: whatever was there before. */
static void check_shape(const struct model *model)
{
    uint64_t count = 0;
    bool is_again[SUBS] = {false};
    find_again(model, is_again);
    for (const struct model_sub *sub = model->subs; sub < model->subs + SUBS; sub++) {
        struct slice subject = subject_of(sub);
        for (size_t size = 1; sub->active && size <= subject.size; size++)
            if ((size == subject.size || subject.data[size] == '.') && is_new(model, sub, size))
                count += size == subject.size || weigh(model, subject, size, is_again) > 1;
        count += sub->active && sub->group && is_new_group(model, sub);
    }
    assert_int_equal(nodes_of(model->interest), count);
}

static struct model *model_new(const struct setup *setup)
{
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    budget_init(&model->budget, SIZE_MAX);
    struct interest_options options = {
        .seed = {setup->seed, ~setup->seed},
        .budget = &model->budget,
        .cache_entries = setup->cache_entries,
        .cache_size_bytes = setup->cache_size_bytes,
    };
    model->setup = *setup;
    model->random = setup->seed;
    model->interest = broker_interest_new(&options);
    assert_non_null(model->interest);
    return model;
}

/* When all have left nothing is left. */
static void model_free(struct model *model, size_t used)
{
    struct interest_stats stats;
    broker_interest_stats(model->interest, &stats);
    assert_true(stats.cache_entries > 0 && stats.cache_hits > 0);
    for (size_t i = 0; i < SUBS; i++)
        if (model->subs[i].active)
            leave(model, &model->subs[i]);
    assert_false(broker_interest_wants(model->interest, SLICE_LITERAL(">")));
    broker_interest_stats(model->interest, &stats);
    assert_int_equal(stats.nodes, 0);
    assert_int_equal(stats.remotes, 0);
    assert_int_equal(budget_used(&model->budget), used);
    broker_interest_free(model->interest);
    assert_int_equal(budget_used(&model->budget), 0);
    free(model);
}

static void run_model(struct setup setup)
{
    struct model *model = model_new(&setup);
    size_t used = budget_used(&model->budget);
    for (size_t round = 0; round < 4000; round++) {
        if (next_random(&model->random) % 3 == 0)
            toggle(model);
        if (next_random(&model->random) % 16 == 0)
            hand_over(model, &model->subs[next_random(&model->random) % SUBS]);
        bool is_wild = next_random(&model->random) % 16 == 0;
        struct subject subject = make_subject(&model->random, is_wild);
        check_subject(model, &subject);
        check_wants(model);
        if (round % 1000 == 999 && !setup.is_poor)
            check_shape(model);
    }
    assert_int_equal(model->refusals > 50, setup.is_poor);
    model_free(model, used);
}

static void test_model(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        run_model((struct setup){.seed = seed});
}

static void test_small_caches(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        run_model((struct setup){.seed = seed * 77, .cache_entries = 8});
        run_model((struct setup){.seed = seed * 99, .cache_entries = 64, .cache_size_bytes = 8192});
    }
}

/* What finds no memory is refused as a whole; the others get what they wanted before. */
static void test_little_memory(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        run_model((struct setup){.seed = seed * 55, .is_poor = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_small_caches),
        cmocka_unit_test(test_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
