// Fuzz target of the interest: whatever comes and goes, its matches are those of a naive matcher.
// SPDX-License-Identifier: Apache-2.0
#include "broker/interest.h"

#include "base/subject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SUBS  24
#define CORES 3

struct filter {
    struct interest_sub sub; /* of core 0 */
    struct slice subject;
    struct slice queue;
    uint32_t core;
    bool is_there;
    uint32_t seen; /* in the match looked at */
};

struct model {
    struct interest *interest;
    struct filter filters[SUBS];
};

/* A filter or subject: the input's own bytes. */
static struct slice take_text(const uint8_t **at, const uint8_t *end, size_t size)
{
    struct slice text = slice_make(*at, MIN((size_t)(end - *at), size));
    *at += text.size;
    return text;
}

static uint32_t count_alike(const struct model *model, const struct filter *like)
{
    uint32_t count = 0;
    for (size_t i = 0; i < SUBS; i++) {
        const struct filter *filter = &model->filters[i];
        count += filter->is_there && filter->core == like->core &&
                 slice_equal(filter->subject, like->subject) &&
                 slice_equal(filter->queue, like->queue);
    }
    return count;
}

static enum err tell(struct model *model, const struct filter *filter)
{
    uint32_t count = count_alike(model, filter);
    if (!filter->queue.data)
        count = count > 0;
    enum err err = broker_interest_remote_set(model->interest, filter->core, filter->subject,
                                              filter->queue, count);
    CHECK(err || broker_interest_remote_get(model->interest, filter->core, filter->subject,
                                            filter->queue) == count);
    return err;
}

static void leave(struct model *model, struct filter *filter)
{
    if (!filter->is_there)
        return;
    filter->is_there = false;
    if (filter->core > 0)
        CHECK(tell(model, filter) == ERR_OK);
    else
        broker_interest_remove(model->interest, &filter->sub);
}

/* The queue's name is the last byte of the text. */
static void come(struct model *model, struct filter *filter, struct slice text, uint8_t flags)
{
    size_t queue_size = flags & 1 && text.size > 1 ? 1 : 0;
    leave(model, filter);
    *filter = (struct filter){
        .subject = slice_make(text.data, text.size - queue_size),
        .core = (flags >> 1) % CORES,
        .is_there = true,
    };
    if (queue_size > 0)
        filter->queue = slice_make(text.data + text.size - 1, 1);
    enum err err;
    broker_interest_set(&filter->sub, filter->subject, queue_size);
    if (filter->core > 0)
        err = tell(model, filter);
    else
        err = broker_interest_add(model->interest, &filter->sub);
    CHECK(err == (subject_is_filter(filter->subject) ? ERR_OK : ERR_INVALID));
    filter->is_there = !err;
}

static void see(struct interest_sub *sub)
{
    CONTAINER_OF(sub, struct filter, sub)->seen++;
}

static void ask(struct model *model, struct slice subject)
{
    const struct interest_match *match;
    bool cores[CORES] = {false};
    uint32_t core_count = 0;
    CHECK(broker_interest_match(model->interest, subject, &match) == ERR_OK);
    for (uint32_t i = 0; i < match->plain_count; i++)
        see(match->plain[i]);
    for (uint32_t i = 0; i < match->group_count; i++)
        for (uint32_t j = 0; j < match->groups[i].member_count; j++)
            see(match->groups[i].members[j]);
    for (struct filter *filter = model->filters; filter < model->filters + SUBS; filter++) {
        bool wants = filter->is_there && subject_matches(subject, filter->subject);
        CHECK(filter->seen == (wants && filter->core == 0));
        filter->seen = 0;
        core_count += wants && filter->core > 0 && !filter->queue.data && !cores[filter->core];
        cores[filter->core] |= wants && !filter->queue.data;
    }
    CHECK(match->core_count == core_count);
    for (uint32_t i = 0; i < match->core_count; i++)
        CHECK(cores[match->cores[i]]);
}

static void check_wants(const struct model *model, struct slice filter)
{
    bool is_wanted = false;
    for (size_t i = 0; i < SUBS; i++)
        is_wanted |=
            model->filters[i].is_there && subject_collide(model->filters[i].subject, filter);
    CHECK(!is_wanted || broker_interest_wants(model->interest, filter));
}

/* Steps of two bytes (what, and how long the text is) and a text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model model = {0};
    struct interest_options options = {.seed = {1, 2}, .cache_entries = 8};
    struct interest_stats stats;
    const uint8_t *end = data + size;
    model.interest = broker_interest_new(&options);
    CHECK(model.interest);
    while (end - data >= 2) {
        struct filter *filter = &model.filters[data[0] % SUBS];
        uint8_t flags = data[1];
        data += 2;
        struct slice text = take_text(&data, end, flags >> 4);
        if (flags & 8)
            leave(&model, filter);
        else
            come(&model, filter, text, flags);
        ask(&model, text);
        if (subject_is_filter(text))
            check_wants(&model, text);
    }
    for (size_t i = 0; i < SUBS; i++)
        leave(&model, &model.filters[i]);
    broker_interest_stats(model.interest, &stats);
    CHECK(stats.nodes == 0 && stats.remotes == 0 && stats.subs == 0);
    broker_interest_free(model.interest);
    return 0;
}
