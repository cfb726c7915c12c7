// Replay of the journals of a run before: every entry of every good group, and what is damaged.
// SPDX-License-Identifier: Apache-2.0
//
// Damage or torn end? A group that should be there and is not good is damage when something that
// was written later vouches for it: a later group in the same piece, the head of the run's next
// piece, or any durable mark of the run. Else it is where the power went, and nothing was promised.
// So the judgement waits until all pieces are read. When a group's head is good and its body is
// not, the others are looked at ahead: of damage every entry that is good by itself is kept.
#include <errno.h>
#include <stdlib.h>

#include "store/journal_state.h"

struct replay_piece {
    struct journal_piece *piece;
    uint64_t run; /* 0: neither a head nor a group */
    uint64_t mark;
    uint64_t number_before;
    uint64_t sequence_first;
    struct journal_scan_step tail;
    bool has_head;
};

struct replay_gap {
    size_t piece;
    uint64_t begin;
    uint64_t end;
    uint64_t sequence;
    uint64_t sequence_next;
};

struct replay {
    struct os *os;
    struct logger *logger;
    const char *dir;
    journal_found_fn fn;
    void *arg;
    struct journal_replay_result *result;
    struct journal_scan scan;
    uint64_t *numbers;
    size_t number_count;
    size_t number_capacity;
    struct replay_piece *pieces;
    size_t piece_count;
    size_t piece_at; /* the one being read */
    bool is_surveyed;
    struct replay_gap *gaps;
    size_t gap_count;
    size_t gap_capacity;
    enum err err;
};

/* Room for one more; false: out of memory. */
static bool grow(void **array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 16;
    void *grown = realloc(*array, wanted * size);
    if (!grown)
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

/* --- which pieces there are --- */

static bool number_parse(const char *name, uint64_t *out)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 16; i++) {
        char c = name[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && !(c >= 'a' && c <= 'f'))
            return false;
        number = number << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    *out = number;
    return strcmp(name + 16, ".jnl") == 0 && number > 0 && number < UINT64_MAX / 2;
}

static void list_found(void *arg, const char *name, bool is_directory)
{
    struct replay *replay = arg;
    uint64_t number;
    if (is_directory || !number_parse(name, &number)) {
        log_warn(replay->logger, "store", "journal folder holds something else name=%s", name);
        return;
    }
    if (!grow((void **)&replay->numbers, replay->number_count, &replay->number_capacity,
              sizeof(*replay->numbers))) {
        replay->err = ERR_NO_MEMORY;
        return;
    }
    replay->numbers[replay->number_count++] = number;
}

static int number_compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static enum err pieces_list(struct replay *replay)
{
    int error = replay->os->ops->list(replay->os, replay->dir, list_found, replay);
    if (error < 0)
        return err_from_errno(-error);
    if (replay->err != ERR_OK)
        return replay->err;
    if (replay->number_count == 0)
        return ERR_OK;
    qsort(replay->numbers, replay->number_count, sizeof(*replay->numbers), number_compare);
    replay->pieces = calloc(replay->number_count, sizeof(*replay->pieces));
    return replay->pieces ? ERR_OK : ERR_NO_MEMORY;
}

/* --- what was promised --- */

static uint64_t run_mark(const struct replay *replay, uint64_t run)
{
    uint64_t mark = 0;
    for (size_t i = 0; i < replay->piece_count; i++) {
        if (replay->pieces[i].run == run)
            mark = MAX(mark, replay->pieces[i].mark);
    }
    return mark;
}

static size_t run_next(const struct replay *replay, size_t piece)
{
    size_t next = piece + 1;
    while (next < replay->piece_count && replay->pieces[next].run != replay->pieces[piece].run)
        next++;
    return next;
}

/* Of the pieces as they are known so far. */
static bool gap_is_damage(const struct replay *replay, const struct replay_gap *gap)
{
    size_t next = run_next(replay, gap->piece);
    /* given up for lack of space, and written again as the first of the next piece */
    if (next < replay->piece_count && replay->pieces[next].has_head &&
        replay->pieces[next].sequence_first <= gap->sequence)
        return false;
    return gap->sequence <= run_mark(replay, replay->pieces[gap->piece].run);
}

/* --- one piece --- */

static enum err gap_add(struct replay *replay, const struct journal_scan_step *step)
{
    if (!grow((void **)&replay->gaps, replay->gap_count, &replay->gap_capacity,
              sizeof(*replay->gaps)))
        return ERR_NO_MEMORY;
    replay->gaps[replay->gap_count++] = (struct replay_gap){
        .piece = replay->piece_at,
        .begin = step->begin,
        .end = step->end,
        .sequence = step->sequence,
        .sequence_next = step->sequence_next,
    };
    return ERR_OK;
}

static enum err entry_deliver(struct replay *replay, const struct journal_scan_step *step,
                              struct journal_found *found)
{
    found->body_offset =
        step->begin + JOURNAL_HEAD_SIZE + (uint64_t)(found->body.data - step->body.data);
    enum err err = replay->fn(replay->arg, found);
    if (err == ERR_OK && !found->is_damaged)
        replay->result->entry_count++;
    return err;
}

static enum err group_deliver(struct replay *replay, struct journal_piece *piece,
                              const struct journal_scan_step *step)
{
    struct slice body = step->body;
    struct journal_found found = {.piece = piece};
    uint32_t count = 0;
    for (; count < step->head.entry_count && journal_entry_read(&body, &found); count++) {
        enum err err = entry_deliver(replay, step, &found);
        if (err != ERR_OK)
            return err;
    }
    if (count == step->head.entry_count && body.size == 0)
        return ERR_OK;
    /* the checksum is right and the contents are not: no run of ours wrote that */
    return gap_add(replay, step);
}

static void piece_note(struct replay_piece *found, const struct journal_scan *scan)
{
    found->run = scan->run;
    found->mark = scan->mark;
    found->has_head = scan->has_head;
    found->number_before = scan->has_head ? scan->head.body_size : 0;
}

static enum err scan_begin(struct journal_scan *scan, struct replay_piece *found)
{
    static const uint32_t magics[2] = {JOURNAL_MAGIC_PIECE, JOURNAL_MAGIC_GROUP};
    struct journal_piece *piece = found->piece;
    enum err err = journal_scan_start(scan, piece->file.fd, piece->number, magics);
    found->sequence_first = err == ERR_OK && scan->has_head ? scan->head.sequence : 0;
    return err;
}

/* Once, and only when something is damaged: what every piece says of the others. */
static enum err survey(struct replay *replay)
{
    struct journal_scan scan = {.os = replay->os};
    enum err err = ERR_OK;
    for (size_t i = 0; i < replay->piece_count && err == ERR_OK && !replay->is_surveyed; i++) {
        struct replay_piece *found = &replay->pieces[i];
        struct journal_scan_step step = {.kind = JOURNAL_SCAN_GROUP};
        err = scan_begin(&scan, found);
        while (err == ERR_OK && step.kind != JOURNAL_SCAN_END) {
            err = journal_scan_next(&scan, &step);
            if (found->sequence_first == 0 && step.kind != JOURNAL_SCAN_END)
                found->sequence_first = step.sequence;
        }
        piece_note(found, &scan);
    }
    free(scan.buffer);
    replay->is_surveyed = err == ERR_OK;
    return err;
}

/* What is good of a group that is not, when it was promised: of a torn one nothing was, and what
 * was written again elsewhere says something else now. */
static enum err group_salvage(struct replay *replay, struct journal_piece *piece,
                              const struct journal_scan_step *step)
{
    enum err err = gap_add(replay, step);
    if (err == ERR_OK && step->body.size > 0)
        err = survey(replay);
    if (err != ERR_OK || step->body.size == 0 ||
        !gap_is_damage(replay, &replay->gaps[replay->gap_count - 1]))
        return err;
    struct slice body = step->body;
    struct journal_found found = {.piece = piece};
    while (err == ERR_OK && journal_entry_salvage(&step->head, &body, &found))
        err = entry_deliver(replay, step, &found);
    return err;
}

static enum err piece_scan(struct replay *replay, struct replay_piece *found)
{
    struct journal_scan *scan = &replay->scan;
    enum err err = scan_begin(scan, found);
    while (err == ERR_OK) {
        err = journal_scan_next(scan, &found->tail);
        if (err != ERR_OK || found->tail.kind == JOURNAL_SCAN_END)
            break;
        if (found->sequence_first == 0) {
            struct journal_scan_step head = {.end = JOURNAL_BLOCK_SIZE,
                                             .sequence = found->tail.sequence,
                                             .sequence_next = found->tail.sequence};
            found->sequence_first = found->tail.sequence;
            err = gap_add(replay, &head);
            if (err != ERR_OK)
                break;
        }
        err = found->tail.kind == JOURNAL_SCAN_GROUP
                  ? group_deliver(replay, found->piece, &found->tail)
                  : group_salvage(replay, found->piece, &found->tail);
    }
    piece_note(found, scan);
    return err;
}

static enum err piece_open(struct replay *replay, uint64_t number)
{
    struct os *os = replay->os;
    struct journal_piece *piece = journal_piece_new(os, replay->dir, number);
    if (!piece)
        return ERR_NO_MEMORY;
    atomic_store(&piece->refs, 1);
    replay->pieces[replay->piece_count++].piece = piece;
    piece->file.fd = os->ops->open(os, piece->path, OS_OPEN_READ);
    if (piece->file.fd < 0)
        return err_from_errno(-piece->file.fd);
    /* what only the cache has of a killed process must not be shown before it is durable */
    int error = os->ops->fdatasync(os, piece->file.fd);
    return error < 0 ? err_from_errno(-error) : ERR_OK;
}

/* --- the judgement --- */

static void damage(struct replay *replay, const struct replay_gap *gap)
{
    const struct journal_piece *piece = replay->pieces[gap->piece].piece;
    replay->result->damage_count++;
    log_error(replay->logger, "store",
              "journal is damaged file=%s bytes=%llu..%llu groups=%llu..%llu", piece->path,
              (unsigned long long)gap->begin, (unsigned long long)gap->end,
              (unsigned long long)gap->sequence, (unsigned long long)gap->sequence_next);
}

static void judge_tail(struct replay *replay, size_t index)
{
    const struct replay_piece *found = &replay->pieces[index];
    const struct journal_scan_step *tail = &found->tail;
    size_t next = found->run ? run_next(replay, index) : replay->piece_count;
    struct replay_gap gap = {index, tail->begin, tail->end, tail->sequence, tail->sequence + 1};
    bool is_damage;
    if (next < replay->piece_count) {
        const struct replay_piece *after = &replay->pieces[next];
        is_damage = after->has_head && after->number_before == found->piece->number &&
                    tail->sequence < after->sequence_first;
        gap.sequence_next = after->sequence_first;
    } else {
        is_damage =
            tail->is_unreadable || (found->run && tail->sequence <= run_mark(replay, found->run));
    }
    if (is_damage)
        damage(replay, &gap);
}

static void judge(struct replay *replay)
{
    for (size_t i = 0; i < replay->gap_count; i++) {
        if (gap_is_damage(replay, &replay->gaps[i]))
            damage(replay, &replay->gaps[i]);
    }
    for (size_t i = 0; i < replay->piece_count; i++)
        judge_tail(replay, i);
}

/* Each piece holds on to the run's next one, then the replay lets go. */
static void pieces_release(struct replay *replay, bool is_done)
{
    for (size_t i = 0; i < replay->piece_count; i++) {
        struct journal_piece *piece = replay->pieces[i].piece;
        size_t next = is_done && replay->pieces[i].run ? run_next(replay, i) : replay->piece_count;
        piece->is_old = is_done;
        atomic_store(&piece->is_orphan, !is_done);
        if (next < replay->piece_count) {
            piece->behind = replay->pieces[next].piece;
            journal_piece_ref(piece->behind);
        }
    }
    for (size_t i = 0; i < replay->piece_count; i++)
        journal_piece_unref(replay->pieces[i].piece);
}

enum err journal_replay(const struct journal_folder *folder, journal_found_fn fn, void *arg,
                        struct journal_replay_result *out)
{
    struct journal_replay_result result = {.piece_next = 1};
    struct replay replay = {.os = folder->os,
                            .logger = folder->logger,
                            .dir = folder->path,
                            .fn = fn,
                            .arg = arg,
                            .result = &result,
                            .scan = {.os = folder->os}};
    enum err err = pieces_list(&replay);
    for (size_t i = 0; i < replay.number_count && err == ERR_OK; i++)
        err = piece_open(&replay, replay.numbers[i]);
    for (; replay.piece_at < replay.piece_count && err == ERR_OK; replay.piece_at++)
        err = piece_scan(&replay, &replay.pieces[replay.piece_at]);
    if (replay.number_count > 0)
        result.piece_next = replay.numbers[replay.number_count - 1] + 1;
    if (err == ERR_OK)
        judge(&replay);
    pieces_release(&replay, err == ERR_OK);
    free(replay.scan.buffer);
    free(replay.numbers);
    free(replay.pieces);
    free(replay.gaps);
    if (err == ERR_OK)
        *out = result;
    return err;
}
