// The state machine of one transactional id.
// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_state.h"

#include <stdlib.h>

#define STATE(name) (1u << TRANSACTION_##name)

static const struct {
    const char *name;
    unsigned from; /* the states that it may follow */
} states[TRANSACTION_STATE_COUNT] = {
    [TRANSACTION_EMPTY] = {"Empty", STATE(EMPTY) | STATE(COMPLETE_COMMIT) | STATE(COMPLETE_ABORT)},
    [TRANSACTION_ONGOING] = {"Ongoing", STATE(ONGOING) | STATE(EMPTY) | STATE(COMPLETE_COMMIT) |
                                            STATE(COMPLETE_ABORT)},
    [TRANSACTION_PREPARE_COMMIT] = {"PrepareCommit", STATE(ONGOING)},
    [TRANSACTION_PREPARE_ABORT] = {"PrepareAbort", STATE(ONGOING) | STATE(EMPTY) |
                                                       STATE(COMPLETE_COMMIT) |
                                                       STATE(COMPLETE_ABORT)},
    [TRANSACTION_COMPLETE_COMMIT] = {"CompleteCommit", STATE(PREPARE_COMMIT)},
    [TRANSACTION_COMPLETE_ABORT] = {"CompleteAbort", STATE(PREPARE_ABORT)},
    [TRANSACTION_DEAD] = {"Dead", STATE(EMPTY) | STATE(COMPLETE_COMMIT) | STATE(COMPLETE_ABORT)},
    [TRANSACTION_PREPARE_EPOCH_FENCE] = {"PrepareEpochFence", 0},
};

const char *broker_transaction_state_name(enum transaction_state state)
{
    return states[state].name;
}

bool broker_transaction_state_is(struct slice name)
{
    for (unsigned i = 0; i < TRANSACTION_STATE_COUNT; i++)
        if (slice_equal_text(name, states[i].name))
            return true;
    return false;
}

bool broker_transaction_state_is_allowed(enum transaction_state from, enum transaction_state to)
{
    return (states[to].from >> from) & 1;
}

bool broker_transaction_state_is_prepared(const struct transaction *transaction)
{
    return transaction->now.state == TRANSACTION_PREPARE_COMMIT ||
           transaction->now.state == TRANSACTION_PREPARE_ABORT;
}

bool broker_transaction_state_is_over(const struct transaction *transaction)
{
    return broker_transaction_state_is_allowed(transaction->now.state, TRANSACTION_DEAD);
}

void broker_transaction_state_reset(struct transaction *transaction)
{
    transaction->now = (struct transaction_value){.producer_id = -1,
                                                  .producer_id_previous = -1,
                                                  .producer_id_next = -1,
                                                  .epoch = -1,
                                                  .epoch_last = -1,
                                                  .start_ms = -1,
                                                  .update_ms = -1};
}

enum err broker_transaction_state_init(struct transaction *transaction, struct slice id,
                                       struct budget *budget, uint64_t seed)
{
    *transaction = (struct transaction){.budget = budget};
    broker_transaction_state_reset(transaction);
    map_init(&transaction->by_key, seed);
    list_init(&transaction->parts);
    if (!budget_charge(budget, id.size))
        return ERR_NO_MEMORY;
    uint8_t *bytes = malloc(id.size + 1);
    if (!bytes) {
        budget_release(budget, id.size);
        return ERR_NO_MEMORY;
    }
    if (id.size > 0)
        memcpy(bytes, id.data, id.size);
    transaction->id = slice_make(bytes, id.size);
    return ERR_OK;
}

void broker_transaction_state_deinit(struct transaction *transaction)
{
    broker_transaction_part_remove_all(transaction);
    map_deinit(&transaction->by_key);
    if (!transaction->id.data)
        return;
    budget_release(transaction->budget, transaction->id.size);
    free((void *)(uintptr_t)transaction->id.data);
}

/* --- moves --- */

static struct transaction_value *move_to(struct transaction *transaction,
                                         enum transaction_state state, int64_t now_ms)
{
    CHECK(broker_transaction_state_is_allowed(transaction->now.state, state));
    transaction->next = transaction->now;
    transaction->next.state = state;
    transaction->next.update_ms = now_ms;
    transaction->is_moving = true;
    return &transaction->next;
}

static bool epoch_is_exhausted(int16_t epoch)
{
    return epoch >= TRANSACTION_EPOCH_LAST;
}

/* To an epoch that no producer has: markers and claims carry it. */
static void move_to_fence(struct transaction *transaction, int16_t epoch_last, int64_t now_ms)
{
    struct transaction_value *next = move_to(transaction, TRANSACTION_PREPARE_ABORT, now_ms);
    CHECK(next->epoch < INT16_MAX);
    next->epoch++;
    next->epoch_last = epoch_last;
    next->version = 0;
}

void broker_transaction_state_expire(struct transaction *transaction, int64_t now_ms)
{
    CHECK(!transaction->is_moving && transaction->now.state == TRANSACTION_ONGOING);
    move_to_fence(transaction, -1, now_ms);
}

void broker_transaction_state_complete(struct transaction *transaction, int64_t now_ms)
{
    bool commit = transaction->now.state == TRANSACTION_PREPARE_COMMIT;
    CHECK(!transaction->is_moving && list_empty(&transaction->parts));
    struct transaction_value *next = move_to(
        transaction, commit ? TRANSACTION_COMPLETE_COMMIT : TRANSACTION_COMPLETE_ABORT, now_ms);
    if (next->producer_id_next != -1) {
        next->producer_id_previous = next->producer_id;
        next->producer_id = next->producer_id_next;
        next->producer_id_next = -1;
        next->epoch_last = next->epoch;
        next->epoch = 0;
    }
    broker_transaction_state_apply(transaction);
}

void broker_transaction_state_apply(struct transaction *transaction)
{
    CHECK(transaction->is_moving);
    transaction->is_moving = false;
    transaction->now = transaction->next;
    list_for_each (node, &transaction->parts) {
        LIST_ENTRY(node, struct transaction_part, node)->is_new = false;
    }
}

void broker_transaction_state_forget(struct transaction *transaction)
{
    CHECK(transaction->is_moving);
    transaction->is_moving = false;
    list_for_each_safe (node, following, &transaction->parts) {
        struct transaction_part *part = LIST_ENTRY(node, struct transaction_part, node);
        if (part->is_new)
            broker_transaction_part_remove(transaction, part);
    }
}

/* --- claim --- */

/* Whether the caller may be the one who has it, or had it before the last producer id. */
static bool claim_is_known(const struct transaction_value *now, const struct transaction_call *of)
{
    return of->producer_id == -1 || now->epoch == -1 || of->producer_id == now->producer_id ||
           (of->producer_id == now->producer_id_previous && epoch_is_exhausted(of->epoch));
}

static void claim_move(struct transaction *transaction, const struct transaction_init *init,
                       int64_t now_ms)
{
    struct transaction_value *next = move_to(transaction, TRANSACTION_EMPTY, now_ms);
    next->timeout_ms = init->timeout_ms;
    next->start_ms = -1;
    next->producer_id_previous = transaction->now.producer_id;
    next->producer_id_next = -1;
    next->version = 0;
}

static enum err claim_free(struct transaction *transaction, const struct transaction_init *init,
                           int64_t now_ms, enum transaction_step *out)
{
    const struct transaction_value *now = &transaction->now;
    bool has = init->of.producer_id != -1;
    bool is_current = !has || now->epoch == -1 || init->of.epoch == now->epoch;
    bool is_rotating = (now->epoch == -1 || epoch_is_exhausted(now->epoch)) && is_current;
    if (!is_current && init->of.epoch != now->epoch_last)
        return ERR_FENCED;
    if (is_rotating && init->of.id_new == -1) {
        *out = TRANSACTION_WANT_ID;
        return ERR_OK;
    }
    *out = TRANSACTION_MOVE;
    claim_move(transaction, init, now_ms);
    struct transaction_value *next = &transaction->next;
    if (is_rotating) {
        next->producer_id = init->of.id_new;
        next->epoch = 0;
        next->epoch_last = has ? now->epoch : -1;
    } else if (is_current) {
        next->epoch++;
        next->epoch_last = has ? now->epoch : -1;
    } else {
        /* A retry of a claim whose answer got lost: the same answer. */
        next->producer_id_previous = now->producer_id_previous;
    }
    return ERR_OK;
}

enum err broker_transaction_state_claim(struct transaction *transaction,
                                        const struct transaction_init *init, int64_t now_ms,
                                        enum transaction_step *out)
{
    const struct transaction_value *now = &transaction->now;
    bool has = init->of.producer_id != -1;
    *out = TRANSACTION_STAY;
    CHECK(!transaction->is_moving && !broker_transaction_state_is_prepared(transaction));
    if (!claim_is_known(now, &init->of))
        return ERR_FENCED;
    if (now->state != TRANSACTION_ONGOING)
        return claim_free(transaction, init, now_ms, out);
    /* An instance that was fenced must not fence the living. */
    if (has && init->of.epoch != now->epoch)
        return ERR_FENCED;
    move_to_fence(transaction, has ? now->epoch : -1, now_ms);
    *out = TRANSACTION_FENCE;
    return ERR_OK;
}

/* --- add --- */

static enum err verify_places(const struct transaction *transaction,
                              const struct transaction_add *add)
{
    for (size_t i = 0; i < add->place_count; i++) {
        struct transaction_place *place = &add->places[i];
        const struct transaction_part *part =
            broker_transaction_part_find(transaction, place->topic, place->partition);
        place->err = part && !part->is_new ? ERR_OK : ERR_TXN_ABORTABLE;
    }
    return ERR_OK;
}

static bool has_places(const struct transaction *transaction, const struct transaction_add *add)
{
    for (size_t i = 0; i < add->place_count; i++) {
        const struct transaction_part *part = broker_transaction_part_find(
            transaction, add->places[i].topic, add->places[i].partition);
        if (!part || part->is_new)
            return false;
    }
    return true;
}

/* All or, beyond those of earlier adds, none. */
static enum err add_places(struct transaction *transaction, const struct transaction_add *add)
{
    size_t before = transaction->by_key.count;
    for (size_t i = 0; i < add->place_count; i++) {
        const struct transaction_place *place = &add->places[i];
        if (broker_transaction_part_get(transaction, place->topic, place->partition))
            continue;
        while (transaction->by_key.count > before)
            broker_transaction_part_remove(
                transaction, LIST_ENTRY(transaction->parts.prev, struct transaction_part, node));
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

enum err broker_transaction_state_add(struct transaction *transaction,
                                      const struct transaction_add *add, int64_t now_ms,
                                      enum transaction_step *out)
{
    const struct transaction_value *now = &transaction->now;
    *out = TRANSACTION_STAY;
    CHECK(!broker_transaction_state_is_prepared(transaction));
    if (add->of.producer_id != now->producer_id)
        return ERR_PRODUCER_MAPPING;
    if (add->of.epoch != now->epoch)
        return ERR_FENCED;
    if (add->verify_only)
        return verify_places(transaction, add);
    if (now->state == TRANSACTION_ONGOING && has_places(transaction, add))
        return ERR_OK;
    enum err err = add_places(transaction, add);
    if (err)
        return err;
    *out = TRANSACTION_MOVE;
    if (transaction->is_moving) {
        CHECK(transaction->next.state == TRANSACTION_ONGOING);
        return ERR_OK;
    }
    struct transaction_value *next = move_to(transaction, TRANSACTION_ONGOING, now_ms);
    if (now->state != TRANSACTION_ONGOING)
        next->start_ms = now_ms;
    return ERR_OK;
}

/* --- end --- */

/* The same decision again, from a producer that has not heard its new epoch (KIP-890). */
static bool end_is_retry(const struct transaction_value *now, const struct transaction_end *end)
{
    if (!end->bump || now->version < 2)
        return false;
    if (end->of.producer_id == now->producer_id)
        return now->epoch == end->of.epoch + 1;
    return end->of.producer_id == now->producer_id_previous && now->epoch == 0 &&
           end->of.epoch == TRANSACTION_EPOCH_LAST;
}

/* When nothing is open. True: the producer may abort all the same. */
static bool end_may_be_empty(const struct transaction_value *now, const struct transaction_end *end)
{
    return end->bump && !end->commit && now->state != TRANSACTION_ONGOING;
}

static enum err end_judge(const struct transaction_value *now, const struct transaction_end *end,
                          bool *out_is_done)
{
    enum transaction_state complete =
        end->commit ? TRANSACTION_COMPLETE_COMMIT : TRANSACTION_COMPLETE_ABORT;
    bool is_retry = end_is_retry(now, end);
    *out_is_done = false;
    if (end->of.producer_id != now->producer_id && !is_retry)
        return ERR_PRODUCER_MAPPING;
    if (end->of.epoch != now->epoch && !is_retry)
        return ERR_FENCED;
    if (is_retry && now->state == TRANSACTION_ONGOING)
        return ERR_FENCED;
    if (now->state == TRANSACTION_ONGOING)
        return ERR_OK;
    /* Before epochs grew with each decision a retry looked like this. */
    *out_is_done = now->state == complete && (is_retry || !end->bump);
    if (*out_is_done)
        return ERR_OK;
    return !is_retry && end_may_be_empty(now, end) ? ERR_OK : ERR_TXN_STATE;
}

enum err broker_transaction_state_end(struct transaction *transaction,
                                      const struct transaction_end *end, int64_t now_ms,
                                      enum transaction_step *out)
{
    const struct transaction_value *now = &transaction->now;
    bool is_done;
    *out = TRANSACTION_STAY;
    CHECK(!transaction->is_moving && !broker_transaction_state_is_prepared(transaction));
    enum err err = end_judge(now, end, &is_done);
    if (err || is_done)
        return err;
    bool is_rotating = end->bump && epoch_is_exhausted(now->epoch);
    if (is_rotating && end->of.id_new == -1) {
        *out = TRANSACTION_WANT_ID;
        return ERR_OK;
    }
    enum transaction_state state =
        end->commit ? TRANSACTION_PREPARE_COMMIT : TRANSACTION_PREPARE_ABORT;
    struct transaction_value *next = move_to(transaction, state, now_ms);
    *out = TRANSACTION_MOVE;
    next->version = end->bump ? 2 : 0;
    if (now->state != TRANSACTION_ONGOING)
        next->start_ms = now_ms;
    if (!end->bump)
        return ERR_OK;
    next->epoch_last = now->epoch;
    next->epoch++;
    if (is_rotating)
        next->producer_id_next = end->of.id_new;
    return ERR_OK;
}

void broker_transaction_state_told(const struct transaction *transaction,
                                   struct transaction_call *out)
{
    const struct transaction_value *now = &transaction->now;
    out->producer_id = now->producer_id;
    out->epoch = now->epoch;
    if (now->producer_id_next == -1)
        return;
    out->producer_id = now->producer_id_next;
    out->epoch = 0;
}
