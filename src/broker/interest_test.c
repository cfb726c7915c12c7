// Tests of the interest: a naive matcher as the model, groups over cores, held matches, memory.
// SPDX-License-Identifier: Apache-2.0
#include "broker/interest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/subject.h"

#define SUBS  400
#define CORES 3

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A subscription by two literals; "" is no queue. */
#define SUB(subject_name, queue_name)                                                              \
    {                                                                                              \
        .text = (const uint8_t *)subject_name queue_name,                                          \
        .subject_size = sizeof(subject_name) - 1, .queue_size_low = sizeof(queue_name) - 1         \
    }

struct model_sub {
    struct interest_sub sub;
    char subject[64];
    char queue[8];
    char text[72];
    bool active;
    uint32_t core; /* 0: this one */
    uint32_t seen; /* in the match looked at */
};

struct model {
    struct interest *interest;
    struct model_sub subs[SUBS];
    uint64_t random;
    uint32_t announced_count;
};

static void make_subject(uint64_t *random, bool wild, char *out)
{
    static const char *const TOKENS[] = {"a", "b", "c", "dd", "a", "b", "_INBOX", "*", ">"};
    size_t count = 1 + next_random(random) % 5;
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        const char *token = TOKENS[next_random(random) % (wild ? 9 : 7)];
        if (*token == '>' && i + 1 < count)
            token = "*";
        size += (size_t)snprintf(out + size, 64 - size, "%s%s", i ? "." : "", token);
    }
}

/* Filters of other cores are aggregates: the test counts them itself. */
static uint32_t count_like(const struct model *model, const struct model_sub *like)
{
    uint32_t count = 0;
    for (size_t i = 0; i < SUBS; i++)
        count += model->subs[i].active && model->subs[i].core == like->core &&
                 strcmp(model->subs[i].subject, like->subject) == 0 &&
                 strcmp(model->subs[i].queue, like->queue) == 0;
    return count;
}

static struct slice queue_of(const struct model_sub *sub)
{
    return sub->queue[0] ? slice_text(sub->queue) : SLICE_NULL;
}

static void set_remote(struct model *model, const struct model_sub *sub)
{
    uint32_t count = count_like(model, sub);
    if (!sub->queue[0])
        count = count > 0;
    assert_int_equal(broker_interest_remote_set(model->interest, sub->core,
                                                slice_text(sub->subject), queue_of(sub), count),
                     ERR_OK);
    assert_int_equal(broker_interest_remote_get(model->interest, sub->core,
                                                slice_text(sub->subject), queue_of(sub)),
                     count);
}

static void toggle(struct model *model)
{
    struct model_sub *sub = &model->subs[next_random(&model->random) % SUBS];
    if (sub->active) {
        sub->active = false;
        if (sub->core)
            set_remote(model, sub);
        else
            broker_interest_remove(model->interest, &sub->sub);
        return;
    }
    *sub = (struct model_sub){.active = true};
    uint64_t dice = next_random(&model->random);
    make_subject(&model->random, dice & 1, sub->subject);
    if (dice & 2)
        snprintf(sub->queue, sizeof(sub->queue), "q%u", (unsigned)(dice >> 8) % 3);
    sub->core = dice & 4 ? (uint32_t)(dice >> 16) % CORES : 0;
    if (sub->core) {
        set_remote(model, sub);
        return;
    }
    memcpy(sub->text, sub->subject, strlen(sub->subject));
    memcpy(sub->text + strlen(sub->subject), sub->queue, strlen(sub->queue));
    broker_interest_set(&sub->sub, slice_make(sub->text, strlen(sub->subject)), strlen(sub->queue));
    assert_int_equal(broker_interest_add(model->interest, &sub->sub), ERR_OK);
}

static struct model_sub *model_of(struct interest_sub *sub)
{
    return CONTAINER_OF(sub, struct model_sub, sub);
}

static void check_plain(struct model *model, const struct interest_match *match,
                        const char *subject)
{
    bool cores[CORES] = {false};
    size_t local = 0;
    size_t remote = 0;
    for (uint32_t i = 0; i < match->plain_count; i++)
        model_of(match->plain[i])->seen++;
    for (size_t i = 0; i < SUBS; i++) {
        struct model_sub *sub = &model->subs[i];
        bool wants = sub->active && !sub->queue[0] &&
                     subject_matches(slice_text(subject), slice_text(sub->subject));
        assert_int_equal(sub->seen, wants && sub->core == 0);
        sub->seen = 0;
        local += wants && sub->core == 0;
        remote += wants && sub->core && !cores[sub->core];
        cores[sub->core] |= wants;
    }
    assert_int_equal(match->plain_count, local);
    assert_int_equal(match->core_count, remote);
    for (uint32_t i = 0; i < match->core_count; i++)
        assert_true(cores[match->cores[i]]);
}

static void check_group(struct model *model, const struct interest_match *match, const char *name,
                        const char *subject)
{
    uint32_t counts[CORES] = {0};
    uint64_t remote = 0;
    const struct interest_group *group = broker_interest_group(match, slice_text(name));
    for (uint32_t i = 0; group && i < group->member_count; i++)
        model_of(group->members[i])->seen++;
    for (size_t i = 0; i < SUBS; i++) {
        struct model_sub *sub = &model->subs[i];
        bool wants = sub->active && strcmp(sub->queue, name) == 0 &&
                     subject_matches(slice_text(subject), slice_text(sub->subject));
        assert_int_equal(sub->seen, wants && sub->core == 0);
        sub->seen = 0;
        counts[sub->core] += wants;
        remote += wants && sub->core;
    }
    assert_int_equal(group != NULL, counts[0] + remote > 0);
    if (!group)
        return;
    assert_int_equal(group->member_count, counts[0]);
    assert_int_equal(group->remote_members, remote);
    for (uint32_t i = 0; i < group->remote_count; i++)
        assert_int_equal(group->remotes[i].count, counts[group->remotes[i].core]);
}

static void check_subject(struct model *model, const char *subject)
{
    const struct interest_match *match = NULL;
    assert_int_equal(broker_interest_match(model->interest, slice_text(subject), &match), ERR_OK);
    check_plain(model, match, subject);
    check_group(model, match, "q0", subject);
    check_group(model, match, "q1", subject);
    check_group(model, match, "q2", subject);
}

/* Whoever has a subscription that collides is seen; without "*" nobody else is. */
static void check_wants(struct model *model)
{
    char filter[64];
    bool is_wanted = false;
    make_subject(&model->random, true, filter);
    for (size_t i = 0; i < SUBS; i++)
        is_wanted |= model->subs[i].active &&
                     subject_collide(slice_text(filter), slice_text(model->subs[i].subject));
    bool said = broker_interest_wants(model->interest, slice_text(filter));
    assert_true(said || !is_wanted);
    assert_true(is_wanted || !said || strchr(filter, '*'));
}

/* Whether the subject goes the first size bytes of that way. */
static bool goes(const char *subject, const char *way, size_t size)
{
    return strncmp(subject, way, size) == 0 && (subject[size] == '.' || subject[size] == '\0');
}

/* What hangs on and below the first size bytes of a filter: 1 is what can be a leaf. */
static unsigned weigh(const struct model *model, const char *way, size_t size)
{
    unsigned weight = 0;
    for (const struct model_sub *sub = model->subs; sub < model->subs + SUBS; sub++) {
        if (!sub->active || !goes(sub->subject, way, size))
            continue;
        bool is_known = false;
        for (const struct model_sub *before = model->subs; before < sub; before++)
            is_known |= before->active && before->core == sub->core && !before->queue[0] &&
                        strcmp(before->subject, sub->subject) == 0;
        if (sub->queue[0])
            weight += 2;
        else
            weight += sub->core == 0 || !is_known;
    }
    return weight;
}

/* Nobody before goes this way (size bytes; 0: all, to that queue). */
static bool is_new(const struct model *model, const struct model_sub *sub, size_t size)
{
    for (const struct model_sub *before = model->subs; before < sub; before++) {
        bool is_same = size > 0 ? goes(before->subject, sub->subject, size)
                                : strcmp(before->subject, sub->subject) == 0 &&
                                      strcmp(before->queue, sub->queue) == 0;
        if (before->active && is_same)
            return false;
    }
    return true;
}

/* A node for each way that more than one goes, a leaf for each that goes on alone, and one for each
 * group: whatever was there before. */
static void check_shape(const struct model *model)
{
    uint64_t count = 0;
    struct interest_stats stats;
    for (const struct model_sub *sub = model->subs; sub < model->subs + SUBS; sub++) {
        size_t all = strlen(sub->subject);
        for (size_t size = 1; sub->active && size <= all; size++)
            if ((size == all || sub->subject[size] == '.') && is_new(model, sub, size))
                count += size == all || weigh(model, sub->subject, size) > 1;
        count += sub->active && sub->queue[0] && is_new(model, sub, 0);
    }
    broker_interest_stats(model->interest, &stats);
    assert_int_equal(stats.nodes, count);
}

static void run_model(uint64_t seed, uint32_t cache_entries, size_t cache_size_bytes)
{
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    struct budget budget;
    budget_init(&budget, SIZE_MAX);
    struct interest_options options = {.seed = {seed, ~seed},
                                       .budget = &budget,
                                       .cache_entries = cache_entries,
                                       .cache_size_bytes = cache_size_bytes};
    model->random = seed;
    model->interest = broker_interest_new(&options);
    assert_non_null(model->interest);
    size_t used = budget_used(&budget);
    for (size_t round = 0; round < 4000; round++) {
        char subject[64];
        if (next_random(&model->random) % 3 == 0)
            toggle(model);
        make_subject(&model->random, next_random(&model->random) % 16 == 0, subject);
        check_subject(model, subject);
        check_wants(model);
        if (round % 1000 == 999)
            check_shape(model);
    }
    struct interest_stats stats;
    broker_interest_stats(model->interest, &stats);
    assert_true(stats.cache_entries > 0 && stats.cache_hits > 0);
    for (size_t i = 0; i < SUBS; i++) {
        if (!model->subs[i].active)
            continue;
        model->subs[i].active = false;
        if (model->subs[i].core)
            set_remote(model, &model->subs[i]);
        else
            broker_interest_remove(model->interest, &model->subs[i].sub);
    }
    assert_false(broker_interest_wants(model->interest, SLICE_LITERAL(">")));
    broker_interest_stats(model->interest, &stats);
    assert_int_equal(stats.nodes, 0);
    assert_int_equal(stats.remotes, 0);
    assert_int_equal(budget_used(&budget), used);
    broker_interest_free(model->interest);
    assert_int_equal(budget_used(&budget), 0);
    free(model);
}

static void test_model(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        run_model(seed, 0, 0);
        run_model(seed * 77, 8, 0);
        run_model(seed * 99, 64, 8192);
    }
}

static struct interest *new_interest(void)
{
    struct interest_options options = {.seed = {1, 2}};
    struct interest *interest = broker_interest_new(&options);
    assert_non_null(interest);
    return interest;
}

static const struct interest_match *match_of(struct interest *interest, const char *subject)
{
    const struct interest_match *match = NULL;
    assert_int_equal(broker_interest_match(interest, slice_text(subject), &match), ERR_OK);
    return match;
}

static void test_refuses(void **state)
{
    static const char *const WRONG[] = {"", ".", "a..b", "a.", ".a", "a.>.b", ">.a"};
    struct interest *interest = new_interest();
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        struct interest_sub sub;
        broker_interest_set(&sub, slice_text(WRONG[i]), 0);
        assert_int_equal(broker_interest_add(interest, &sub), ERR_INVALID);
        broker_interest_remove(interest, &sub);
        assert_int_equal(match_of(interest, WRONG[i])->plain_count, 0);
    }
    struct interest_sub all = SUB(">", "");
    assert_int_equal(broker_interest_add(interest, &all), ERR_OK);
    assert_int_equal(
        broker_interest_remote_set(interest, 1, SLICE_LITERAL("a"), slice_make("", 0), 1),
        ERR_INVALID);
    assert_int_equal(match_of(interest, "a..b")->plain_count, 0);
    assert_int_equal(match_of(interest, "")->plain_count, 0);
    assert_int_equal(match_of(interest, "a.*")->plain_count, 1);
    assert_int_equal(
        broker_interest_remote_set(interest, INTEREST_CORES_MAX, SLICE_LITERAL("a"), SLICE_NULL, 1),
        ERR_INVALID);
    broker_interest_remove(interest, &all);
    broker_interest_free(interest);
}

static uint64_t nodes_of(const struct interest *interest)
{
    struct interest_stats stats;
    broker_interest_stats(interest, &stats);
    return stats.nodes;
}

/* With memory for nothing, for a bit more, and so on: it goes in as a whole, or nothing changed. */
static void add_with_little(struct interest *interest, struct budget *budget,
                            struct interest_sub *sub)
{
    size_t used = budget_used(budget);
    uint64_t nodes = nodes_of(interest);
    unsigned failures = 0;
    for (size_t more = 0;; more += 8) {
        budget->size_max = used + more;
        enum err err = broker_interest_add(interest, sub);
        budget->size_max = SIZE_MAX;
        if (!err)
            break;
        failures++;
        assert_int_equal(err, ERR_NO_MEMORY);
        assert_false(broker_interest_is_added(sub));
        assert_int_equal(budget_used(budget), used);
        assert_int_equal(nodes_of(interest), nodes);
    }
    assert_true(failures > 5);
    broker_interest_remove(interest, sub);
    assert_int_equal(budget_used(budget), used);
    assert_int_equal(nodes_of(interest), nodes);
}

static void test_no_memory(void **state)
{
    struct budget budget;
    budget_init(&budget, SIZE_MAX);
    struct interest_options options = {.seed = {3, 4}, .budget = &budget};
    struct interest *interest = broker_interest_new(&options);
    assert_non_null(interest);
    struct interest_sub alone = SUB("a.b.c.d.e", "");
    struct interest_sub same = SUB("a.b.c.d.e", "");
    struct interest_sub beside = SUB("a.b.c.*", "");
    struct interest_sub above = SUB("a.b", "");
    struct interest_sub group = SUB("x.y", "q");
    assert_int_equal(broker_interest_add(interest, &alone), ERR_OK);
    add_with_little(interest, &budget, &same);
    add_with_little(interest, &budget, &beside);
    add_with_little(interest, &budget, &above);
    add_with_little(interest, &budget, &group);
    assert_int_equal(match_of(interest, "a.b.c.d.e")->plain_count, 1);
    size_t used = budget_used(&budget);
    budget.size_max = used;
    assert_int_equal(broker_interest_remote_set(interest, 1, SLICE_LITERAL("m.n"), SLICE_NULL, 1),
                     ERR_NO_MEMORY);
    assert_int_equal(budget_used(&budget), used);
    broker_interest_remove(interest, &alone);
    broker_interest_free(interest);
    assert_int_equal(budget_used(&budget), 0);
}

/* What another core announced splits, too; without memory to become a leaf again it stays split,
 * and matches all the same. */
static void test_far_without_memory(void **state)
{
    struct budget budget;
    budget_init(&budget, SIZE_MAX);
    struct interest_options options = {.seed = {3, 4}, .budget = &budget};
    struct interest *interest = broker_interest_new(&options);
    assert_non_null(interest);
    struct interest_sub sub = SUB("a.b.x", "");
    struct slice far = SLICE_LITERAL("a.b.c.d");
    assert_int_equal(broker_interest_remote_set(interest, 2, far, SLICE_NULL, 1), ERR_OK);
    assert_int_equal(nodes_of(interest), 1);
    for (size_t more = 0;; more += 8) {
        budget.size_max = budget_used(&budget) + more;
        enum err err = broker_interest_add(interest, &sub);
        assert_int_equal(match_of(interest, "a.b.c.d")->core_count, 1);
        assert_int_equal(match_of(interest, "a.b.x")->plain_count, !err);
        assert_int_equal(broker_interest_remote_get(interest, 2, far, SLICE_NULL), 1);
        if (!err)
            break;
    }
    assert_int_equal(nodes_of(interest), 4);
    budget.size_max = 0;
    broker_interest_remove(interest, &sub);
    assert_int_equal(nodes_of(interest), 3);
    assert_int_equal(match_of(interest, "a.b.c.d")->core_count, 1);
    assert_int_equal(broker_interest_remote_set(interest, 2, far, SLICE_NULL, 1), ERR_OK);
    assert_int_equal(broker_interest_remote_set(interest, 2, far, SLICE_NULL, 0), ERR_OK);
    assert_int_equal(nodes_of(interest), 0);
    broker_interest_free(interest);
}

/* Removing while a match is held leaves holes, and does not free what the holder looks at. */
static void test_held(void **state)
{
    struct interest *interest = new_interest();
    struct interest_sub plain = SUB("x.*", "");
    struct interest_sub member = SUB("x.y", "workers");
    assert_int_equal(broker_interest_add(interest, &plain), ERR_OK);
    assert_int_equal(broker_interest_add(interest, &member), ERR_OK);
    for (int round = 0; round < 4; round++) {
        const struct interest_match *match = match_of(interest, "x.y");
        broker_interest_hold(interest, match);
        broker_interest_hold(interest, match);
        broker_interest_release(interest, match);
        broker_interest_remove(interest, &plain);
        broker_interest_remove(interest, &member);
        assert_int_equal(match_of(interest, "x.y")->plain_count, 0);
        assert_int_equal(match_of(interest, "x.z")->plain_count, 0);
        assert_int_equal(match->plain_count, 1);
        assert_null(match->plain[0]);
        assert_null(match->groups[0].members[0]);
        assert_true(slice_equal_text(match->groups[0].name, "workers"));
        broker_interest_release(interest, match);
        assert_int_equal(broker_interest_add(interest, &plain), ERR_OK);
        assert_int_equal(broker_interest_add(interest, &member), ERR_OK);
    }
    broker_interest_remove(interest, &plain);
    broker_interest_remove(interest, &member);
    broker_interest_free(interest);
}

/* One subscription in the place of another: nobody is told, and a held match knows. */
static void test_replace(void **state)
{
    struct interest *interest = new_interest();
    struct interest_sub first = SUB("x.*", "q");
    struct interest_sub beside = first;
    struct interest_sub second = first;
    assert_int_equal(broker_interest_add(interest, &first), ERR_OK);
    assert_int_equal(broker_interest_add(interest, &beside), ERR_OK);
    (void)match_of(interest, "x.y");
    const struct interest_match *match = match_of(interest, "x.y");
    broker_interest_hold(interest, match);
    broker_interest_replace(interest, &first, &second);
    for (int round = 0; round < 2; round++) {
        const struct interest_group *group = &match->groups[0];
        assert_int_equal(group->member_count, 2);
        assert_true((group->members[0] == &second && group->members[1] == &beside) ||
                    (group->members[0] == &beside && group->members[1] == &second));
        if (round == 0)
            broker_interest_release(interest, match);
        match = match_of(interest, "x.y");
    }
    broker_interest_remove(interest, &first); /* not added any more: harmless */
    broker_interest_remove(interest, &second);
    assert_int_equal(match_of(interest, "x.y")->groups[0].member_count, 1);
    broker_interest_remove(interest, &beside);
    assert_int_equal(match_of(interest, "x.y")->group_count, 0);
    broker_interest_free(interest);
}

static void test_pick_is_fair(void **state)
{
    struct interest *interest = new_interest();
    struct interest_sub members[2] = {SUB("a.b", "q"), SUB("a.*", "q")};
    assert_int_equal(broker_interest_add(interest, &members[0]), ERR_OK);
    assert_int_equal(broker_interest_add(interest, &members[1]), ERR_OK);
    assert_int_equal(
        broker_interest_remote_set(interest, 5, SLICE_LITERAL("a.b"), SLICE_LITERAL("q"), 3),
        ERR_OK);
    assert_int_equal(
        broker_interest_remote_set(interest, 7, SLICE_LITERAL("a.>"), SLICE_LITERAL("q"), 5),
        ERR_OK);
    const struct interest_match *match = match_of(interest, "a.b");
    assert_int_equal(match->group_count, 1);
    assert_int_equal(match->core_count, 0);
    uint32_t local[2] = {0};
    uint32_t remote[8] = {0};
    uint64_t random = 1;
    for (size_t i = 0; i < 100000; i++) {
        struct interest_choice choice =
            broker_interest_pick(&match->groups[0], next_random(&random));
        if (choice.is_local)
            local[choice.index]++;
        else
            remote[choice.core]++;
        assert_in_range(broker_interest_pick_local(&match->groups[0], next_random(&random)), 0, 1);
    }
    assert_in_range(local[0], 9500, 10500);
    assert_in_range(local[1], 9500, 10500);
    assert_in_range(remote[5], 29000, 31000);
    assert_in_range(remote[7], 49000, 51000);
    broker_interest_remove(interest, &members[0]);
    broker_interest_remove(interest, &members[1]);
    broker_interest_free(interest);
}

struct log {
    char text[256];
    size_t size;
};

static void note(void *arg, struct slice subject, struct slice queue, uint32_t count)
{
    struct log *log = arg;
    log->size += (size_t)snprintf(log->text + log->size, sizeof(log->text) - log->size,
                                  "%.*s/%.*s=%u ", (int)subject.size, (const char *)subject.data,
                                  (int)queue.size, (const char *)queue.data, count);
}

static void test_announcements(void **state)
{
    struct log log = {0};
    struct interest_options options = {.announce = note, .arg = &log};
    struct interest *interest = broker_interest_new(&options);
    assert_non_null(interest);
    struct interest_sub subs[4] = {SUB("a", ""), SUB("a", ""), SUB("a", "q"), SUB("a", "q")};
    for (size_t i = 0; i < COUNT_OF(subs); i++)
        assert_int_equal(broker_interest_add(interest, &subs[i]), ERR_OK);
    for (size_t i = 0; i < COUNT_OF(subs); i++)
        broker_interest_remove(interest, &subs[i]);
    assert_string_equal(log.text, "a/=1 a/q=1 a/q=2 a/=0 a/q=1 a/q=0 ");
    broker_interest_free(interest);
}

static uint64_t hits_of(const struct interest *interest)
{
    struct interest_stats stats;
    broker_interest_stats(interest, &stats);
    return stats.cache_hits;
}

/* What comes and goes elsewhere does not cost the entry; what touches the subject does. */
struct tapped {
    unsigned asked;
    const char *subject;
};

static void *tap(void *arg, struct slice subject)
{
    struct tapped *tapped = arg;
    tapped->asked++;
    return slice_equal_text(subject, tapped->subject) ? tapped : NULL;
}

static void test_tap_is_asked_once(void **state)
{
    struct tapped tapped = {0, "a.b"};
    struct interest_options options = {.seed = {1, 2}, .tap = tap, .arg = &tapped};
    struct interest *interest = broker_interest_new(&options);
    for (int i = 0; i < 10; i++) {
        assert_ptr_equal(match_of(interest, "a.b")->tap, &tapped);
        assert_null(match_of(interest, "a.c")->tap);
    }
    assert_int_equal(tapped.asked, 4); /* remembered from the second time on */
    tapped.subject = "a.c";
    broker_interest_tap_changed(interest);
    assert_null(match_of(interest, "a.b")->tap);
    assert_ptr_equal(match_of(interest, "a.c")->tap, &tapped);
    assert_null(match_of(interest, "a..c")->tap);
    broker_interest_free(interest);
}

static void test_cache_survives_churn(void **state)
{
    struct interest *interest = new_interest();
    struct interest_sub busy = SUB("orders.eu.*", "");
    struct interest_sub inbox = SUB("_INBOX.abc.*", "");
    struct interest_sub other = SUB("orders.us.1", "");
    struct interest_sub near = SUB("orders.eu.1", "");
    assert_int_equal(broker_interest_add(interest, &busy), ERR_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(match_of(interest, "orders.eu.1")->plain_count, 1);
    uint64_t before = hits_of(interest);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(broker_interest_add(interest, &inbox), ERR_OK);
        assert_int_equal(broker_interest_add(interest, &other), ERR_OK);
        assert_int_equal(match_of(interest, "orders.eu.1")->plain_count, 1);
        broker_interest_remove(interest, &inbox);
        broker_interest_remove(interest, &other);
    }
    assert_int_equal(hits_of(interest), before + 1000);
    assert_int_equal(broker_interest_add(interest, &near), ERR_OK);
    assert_int_equal(match_of(interest, "orders.eu.1")->plain_count, 2);
    broker_interest_remove(interest, &near);
    assert_int_equal(match_of(interest, "orders.eu.1")->plain_count, 1);
    broker_interest_remove(interest, &busy);
    assert_int_equal(match_of(interest, "orders.eu.1")->plain_count, 0);
    broker_interest_free(interest);
}

/* A subject as deep as a control line allows, with wildcards all along. */
static void test_deep(void **state)
{
    struct interest *interest = new_interest();
    char stars[4095];
    char letters[4095];
    for (size_t i = 0; i < sizeof(stars); i++) {
        stars[i] = i % 2 ? '.' : '*';
        letters[i] = i % 2 ? '.' : 'x';
    }
    struct interest_sub subs[2];
    broker_interest_set(&subs[0], slice_make(stars, sizeof(stars)), 0);
    broker_interest_set(&subs[1], slice_make(letters, sizeof(letters)), 0);
    assert_int_equal(broker_interest_add(interest, &subs[0]), ERR_OK);
    assert_int_equal(broker_interest_add(interest, &subs[1]), ERR_OK);
    const struct interest_match *match = NULL;
    assert_int_equal(broker_interest_match(interest, broker_interest_subject(&subs[1]), &match),
                     ERR_OK);
    assert_int_equal(match->plain_count, 2);
    broker_interest_remove(interest, &subs[0]);
    broker_interest_remove(interest, &subs[1]);
    broker_interest_free(interest);
}

#define MANY 100000

struct small_sub {
    struct interest_sub sub;
    char subject[24];
};

/* What the interest keeps of each subscription, and for each that another core announced. */
static void test_memory(void **state)
{
    static const char *const SHAPES[][2] = {{"s.", ""}, {"dev.", ".temp"}, {"dev.", ".*"}};
    struct small_sub *subs = calloc(MANY, sizeof(*subs));
    assert_non_null(subs);
    for (size_t shape = 0; shape < COUNT_OF(SHAPES); shape++) {
        struct interest *interest = new_interest();
        struct interest_stats before;
        struct interest_stats own;
        struct interest_stats far;
        char subject[24];
        broker_interest_stats(interest, &before);
        for (uint32_t i = 0; i < MANY; i++) {
            int size = snprintf(subs[i].subject, sizeof(subs[i].subject), "%s%u%s",
                                SHAPES[shape][0], i, SHAPES[shape][1]);
            broker_interest_set(&subs[i].sub, slice_make(subs[i].subject, (size_t)size), 0);
            assert_int_equal(broker_interest_add(interest, &subs[i].sub), ERR_OK);
        }
        broker_interest_stats(interest, &own);
        assert_in_range(own.size_bytes - before.size_bytes, 0, MANY * 16);
        for (uint32_t i = MANY; i < 2 * MANY; i++) {
            snprintf(subject, sizeof(subject), "%s%u%s", SHAPES[shape][0], i, SHAPES[shape][1]);
            assert_int_equal(
                broker_interest_remote_set(interest, 1, slice_text(subject), SLICE_NULL, 1),
                ERR_OK);
        }
        broker_interest_stats(interest, &far);
        assert_in_range(far.size_bytes - own.size_bytes, 0, MANY * 64);
        assert_int_equal(far.nodes, 2 * MANY + 1);
        for (uint32_t i = 0; i < MANY; i++)
            broker_interest_remove(interest, &subs[i].sub);
        broker_interest_free(interest);
    }
    free(subs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_far_without_memory),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_pick_is_fair),
        cmocka_unit_test(test_announcements),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_tap_is_asked_once),
        cmocka_unit_test(test_cache_survives_churn),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
