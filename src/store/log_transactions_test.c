// Tests of transactions in a log: who may append, where readers stop, what they leave out.
// SPDX-License-Identifier: Apache-2.0
#include "store/log.h"
#include "store/log_fixture.h"

static struct log_fixture *opened(void)
{
    struct log_fixture *f = log_fixture_new(1);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    return f;
}

static int64_t put(struct log_fixture *f, int64_t producer_id, int32_t sequence)
{
    return log_fixture_put(f, 0,
                           &(struct log_fixture_batch){.count = 2,
                                                       .size = 3000,
                                                       .producer_id = producer_id,
                                                       .sequence = sequence,
                                                       .is_transactional = producer_id > 0});
}

static int64_t mark(struct log_fixture *f, int64_t producer_id, enum log_fixture_marker marker)
{
    return log_fixture_put(
        f, 0,
        &(struct log_fixture_batch){
            .count = 1, .producer_id = producer_id, .sequence = -1, .marker = marker});
}

/* An append as the broker makes it, of one record. */
static enum err offer(struct log_fixture *f, const struct log_fixture_batch *made,
                      struct log_fixture_append *out)
{
    struct log_fixture_batch batch = *made;
    batch.count = 1;
    batch.size = 10;
    struct buf *buf = log_fixture_batch(&batch, &out->size);
    out->append.batch = (struct buf_range){buf, 0, out->size};
    out->is_done = false;
    out->append.done = log_fixture_append_done;
    assert_int_equal(batch_check(slice_make(buf->data, out->size), &out->append.header), ERR_OK);
    enum err err = store_log_append(f->logs[0], &out->append);
    for (unsigned i = 0; i < 100 && err == ERR_OK && !out->is_done; i++)
        log_fixture_turns(f, 1);
    buf_unref(buf);
    return err;
}

static void only_what_is_verified_begins_a_transaction(void **state)
{
    struct log_fixture *f = opened();
    struct log_fixture_append a = {.append.is_verified = false};
    struct log_fixture_batch data = {.producer_id = 7, .is_transactional = true};
    struct log_fixture_batch commit = {.producer_id = 7, .sequence = -1, .marker = FIXTURE_COMMIT};
    assert_int_equal(offer(f, &data, &a), ERR_UNVERIFIED);
    assert_int_equal(store_log_end(f->logs[0]), 0);
    a.append.is_verified = true;
    assert_int_equal(offer(f, &data, &a), ERR_OK);
    a.append.is_verified = false; /* it goes on */
    data.sequence = 1;
    assert_int_equal(offer(f, &data, &a), ERR_OK);
    struct log_fixture_batch plain = {.producer_id = 7, .sequence = 2};
    assert_int_equal(offer(f, &plain, &a), ERR_TXN_STATE);
    /* verified, but the transaction ended before the batch came: it is late */
    struct log_fixture_append late = {.append.is_verified = false};
    struct log_fixture_append other = {.append.is_verified = false};
    assert_int_equal(offer(f, &commit, &a), ERR_OK);
    data.sequence = 2;
    assert_int_equal(offer(f, &data, &late), ERR_UNVERIFIED);
    assert_int_equal(late.append.verify_end, 3);
    assert_int_equal(offer(f, &commit, &other), ERR_OK);
    late.append.is_verified = true;
    assert_int_equal(offer(f, &data, &late), ERR_UNVERIFIED);
    assert_int_equal(offer(f, &data, &late), ERR_OK); /* verified once more */
    assert_int_equal(store_log_stable(f->logs[0]), 4);
    /* a batch that is there already as well: its transaction may be over */
    late.append.is_verified = false;
    assert_int_equal(offer(f, &data, &late), ERR_OK); /* it is not */
    assert_int_equal(late.err, ERR_DUPLICATE);
    assert_int_equal(offer(f, &commit, &other), ERR_OK);
    assert_int_equal(offer(f, &data, &late), ERR_UNVERIFIED);
    late.append.is_verified = true;
    assert_int_equal(offer(f, &data, &late), ERR_OK);
    assert_int_equal(late.err, ERR_DUPLICATE);
    log_fixture_free(f);
}

static void markers_are_fenced(void **state)
{
    struct log_fixture *f = opened();
    struct log_fixture_append a = {.append.is_verified = true, .append.verify_end = INT64_MAX};
    struct log_fixture_batch data = {
        .producer_id = 7, .producer_epoch = 3, .is_transactional = true};
    struct log_fixture_batch abort = {
        .producer_id = 7, .producer_epoch = 2, .sequence = -1, .marker = FIXTURE_ABORT};
    assert_int_equal(offer(f, &data, &a), ERR_OK);
    assert_int_equal(offer(f, &abort, &a), ERR_FENCED);
    abort.producer_epoch = 3;
    a.append.marker_strict = true;
    assert_int_equal(offer(f, &abort, &a), ERR_FENCED);
    abort.producer_epoch = 4;
    assert_int_equal(offer(f, &abort, &a), ERR_OK);
    assert_int_equal(offer(f, &abort, &a), ERR_OK); /* again, which does no harm */
    assert_int_equal(store_log_stable(f->logs[0]), 3);
    data.sequence = 1;
    assert_int_equal(offer(f, &data, &a), ERR_FENCED);
    data.producer_epoch = 4;
    assert_int_equal(offer(f, &data, &a), ERR_SEQUENCE);
    data.sequence = 0;
    assert_int_equal(offer(f, &data, &a), ERR_OK);
    assert_int_equal(offer(f, &abort, &a), ERR_FENCED); /* late: not that of this transaction */
    log_fixture_free(f);
}

static uint32_t aborted_count(struct log_fixture *f, int64_t offset, size_t size_max,
                              int64_t *out_next)
{
    struct log_fixture_read r = {.read.want_aborted = true,
                                 .read.offset = offset,
                                 .read.offset_limit = store_log_stable(f->logs[0]),
                                 .read.size_max = size_max,
                                 .read.want_one = true,
                                 .read.done = log_fixture_read_done};
    enum err err = store_log_read(f->logs[0], &r.read);
    for (unsigned i = 0; i < 100 && err == ERR_AGAIN && !r.is_done; i++)
        log_fixture_turns(f, 1);
    assert_true(err == ERR_OK || (err == ERR_AGAIN && r.read.result == ERR_OK));
    uint32_t count = r.read.aborted_count;
    for (uint32_t i = 0; i < count; i++)
        assert_true(r.read.aborted[i].first_offset < r.read.offset_next &&
                    r.read.aborted[i].last_offset >= offset);
    *out_next = r.read.offset_next;
    store_read_release(&r.read);
    return count;
}

static void look(struct log_fixture *f)
{
    int64_t next;
    assert_int_equal(store_log_stable(f->logs[0]), 15);
    assert_int_equal(aborted_count(f, 0, 1, &next), 1); /* the first batch alone */
    assert_int_equal(next, 2);
    assert_int_equal(aborted_count(f, 0, 1 << 20, &next), 2);
    assert_int_equal(next, 15); /* and not further */
    assert_int_equal(aborted_count(f, 2, 1, &next), 1);
    assert_int_equal(aborted_count(f, 8, 1 << 20, &next), 1);
    assert_int_equal(aborted_count(f, 15, 1 << 20, &next), 0);
    assert_int_equal(next, 15);
}

static void nothing_done(void *arg, enum err err)
{
    assert_int_equal(err, ERR_OK);
    ++*(unsigned *)arg;
}

static void move(struct log_fixture *f)
{
    unsigned done = 0;
    store_log_detach(f->logs[0], nothing_done, &done);
    for (unsigned i = 0; i < 100 && done == 0; i++)
        log_fixture_turns(f, 1);
    assert_int_equal(done, 1);
    store_log_attach(f->logs[0], f->core);
}

/* The list of a read is charged while it is held; without budget nothing is read, and later it is.
 */
static void the_list_of_a_read_is_charged(void **state)
{
    struct log_fixture *f = opened();
    for (int i = 0; i < 5; i++) {
        put(f, 1 + i, 0);
        mark(f, 1 + i, FIXTURE_ABORT);
    }
    struct store_read read = {.want_aborted = true,
                              .offset_limit = store_log_stable(f->logs[0]),
                              .size_max = 1 << 20,
                              .want_one = true};
    size_t before = budget_used(&f->budget);
    assert_int_equal(store_log_read(f->logs[0], &read), ERR_OK);
    assert_int_equal(read.aborted_count, 5);
    assert_int_equal(budget_used(&f->budget) - before, 5 * sizeof(*read.aborted));
    store_read_release(&read);
    assert_int_equal(budget_used(&f->budget), before);
    size_t rest = (64u << 20) - before - 4 * sizeof(*read.aborted);
    assert_true(budget_charge(&f->budget, rest));
    assert_int_equal(store_log_read(f->logs[0], &read), ERR_BUSY);
    assert_true(read.size == 0 && read.chunk_count == 0 && !read.aborted);
    budget_release(&f->budget, rest);
    assert_int_equal(store_log_read(f->logs[0], &read), ERR_OK);
    assert_int_equal(read.aborted_count, 5);
    store_read_release(&read);
    log_fixture_free(f);
}

/* In memory, from files after a restart with and without a checkpoint, and after a move. */
static void readers_hear_what_was_aborted(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    f->config.segment_size_bytes = 1 << 20;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(put(f, 1, 0), 0);
    assert_int_equal(put(f, 0, 0), 2);
    assert_int_equal(put(f, 2, 0), 4);
    assert_int_equal(mark(f, 1, FIXTURE_ABORT), 6);
    assert_int_equal(put(f, 1, 2), 7);
    assert_int_equal(put(f, 3, 0), 9);
    assert_int_equal(mark(f, 3, FIXTURE_COMMIT), 11);
    assert_int_equal(mark(f, 2, FIXTURE_COMMIT), 12);
    assert_int_equal(mark(f, 1, FIXTURE_ABORT), 13);
    assert_int_equal(mark(f, 4, FIXTURE_ABORT), 14); /* of nothing */
    assert_int_equal(put(f, 3, 2), 15);
    assert_int_equal(put(f, 0, 0), 17);
    look(f);
    log_fixture_close(f); /* the journal has it all */
    os_fake_crash(f->fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    look(f);
    move(f);
    look(f);
    log_fixture_close(f);
    os_fake_crash(f->fake, 2, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    look(f);
    for (unsigned i = 0; i < 2; i++) {
        log_fixture_drain(f);
        log_fixture_close(f);
        assert_int_equal(log_fixture_open(f), ERR_OK);
        look(f);
    }
    assert_int_equal(mark(f, 3, FIXTURE_COMMIT), 19);
    assert_int_equal(store_log_stable(f->logs[0]), 20);
    log_fixture_free(f);
}

static void the_start_may_pass_an_open_transaction(void **state)
{
    struct log_fixture *f = opened();
    unsigned done = 0;
    int64_t next;
    put(f, 1, 0);
    mark(f, 1, FIXTURE_ABORT);
    put(f, 2, 0);
    put(f, 0, 0);
    put(f, 0, 0);
    assert_int_equal(store_log_stable(f->logs[0]), 3);
    store_log_start_set(f->logs[0], 7, nothing_done, &done);
    for (unsigned i = 0; i < 100 && done == 0; i++)
        log_fixture_turns(f, 1);
    assert_int_equal(store_log_stable(f->logs[0]), 7);
    assert_int_equal(f->logs[0]->transactions->aborted.count, 0);
    mark(f, 2, FIXTURE_ABORT);
    assert_int_equal(store_log_stable(f->logs[0]), 10);
    assert_int_equal(aborted_count(f, 7, 1 << 20, &next), 1);
    log_fixture_free(f);
}

static void relaxed_durability_moves_the_stable_offset_at_once(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    struct log_fixture_append a = {.append.is_verified = true};
    struct log_fixture_batch data = {.producer_id = 7, .is_transactional = true};
    struct log_fixture_batch abort = {.producer_id = 7, .sequence = -1, .marker = FIXTURE_ABORT};
    int64_t next;
    f->config.async = true;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct store_log *log = f->logs[0];
    assert_int_equal(offer(f, &data, &a), ERR_OK);
    assert_int_equal(store_log_stable(log), 0);
    assert_int_equal(offer(f, &abort, &a), ERR_OK);
    assert_int_equal(store_log_stable(log), 2);
    assert_int_equal(aborted_count(f, 0, 1 << 20, &next), 1);
    log_fixture_drain(f);
    assert_int_equal(store_log_stable(log), 2);
    log_fixture_free(f);
}

/* Batches that were taken and then found no room on the disk never were. */
static void what_fails_to_commit_leaves_no_transaction(void **state)
{
    struct log_fixture *f = opened();
    struct log_fixture_append *appends[400] = {NULL};
    struct store_log *log = f->logs[0];
    struct log_fixture_batch batch = {
        .count = 1, .size = 9000, .producer_id = 2, .is_transactional = true};
    enum err err = ERR_OK;
    unsigned count = 0, failed = 0;
    put(f, 1, 0);
    put(f, 0, 0);
    os_fake_capacity_set(f->fake, 4096);
    while (count < COUNT_OF(appends) && !log->is_failing && err == ERR_OK) {
        appends[count] = log_fixture_append(f, 0, &batch, &err);
        count += err == ERR_OK;
        batch.producer_id++;
        if (count % 20 == 0)
            log_fixture_turns(f, 1);
    }
    log_fixture_turns(f, 50);
    for (unsigned i = 0; i < count; i++) {
        assert_true(appends[i]->is_done);
        int64_t id = appends[i]->append.header.producer_id;
        assert_int_equal(transactions_find(log->transactions, id) != NULL,
                         appends[i]->err == ERR_OK);
        failed += appends[i]->err != ERR_OK;
        free(appends[i]);
    }
    assert_true(failed > 0);
    assert_int_equal(log->transactions->open_count, 1 + count - failed);
    assert_int_equal(store_log_stable(log), 0);
    os_fake_capacity_set(f->fake, 1 << 30);
    os_fake_advance(f->fake, 1100000000);
    log_fixture_turns(f, 12);
    mark(f, 1, FIXTURE_COMMIT);
    for (int64_t id = 2; id < 2 + count - failed; id++)
        mark(f, id, FIXTURE_ABORT);
    assert_int_equal(store_log_stable(log), store_log_end(log));
    log_fixture_free(f);
}

struct seen {
    unsigned count;
    struct store_producer last;
};

static void see(void *arg, const struct store_producer *producer)
{
    struct seen *seen = arg;
    seen->count++;
    seen->last = *producer;
}

static void producers_are_told_with_their_transactions(void **state)
{
    struct log_fixture *f = opened();
    struct seen seen = {0};
    put(f, 0, 0);
    put(f, 5, 10);
    store_log_producer_each(f->logs[0], see, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.producer_id, 5);
    assert_int_equal(seen.last.last_sequence, 11);
    assert_int_equal(seen.last.transaction_first, 2);
    assert_int_equal(seen.last.coordinator_epoch, -1);
    mark(f, 5, FIXTURE_COMMIT);
    store_log_producer_each(f->logs[0], see, &seen);
    assert_int_equal(seen.last.transaction_first, -1);
    assert_int_equal(seen.last.coordinator_epoch, 0);
    log_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_verified_begins_a_transaction),
        cmocka_unit_test(markers_are_fenced),
        cmocka_unit_test(the_list_of_a_read_is_charged),
        cmocka_unit_test(readers_hear_what_was_aborted),
        cmocka_unit_test(the_start_may_pass_an_open_transaction),
        cmocka_unit_test(relaxed_durability_moves_the_stable_offset_at_once),
        cmocka_unit_test(what_fails_to_commit_leaves_no_transaction),
        cmocka_unit_test(producers_are_told_with_their_transactions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
