// A deterministic os for tests: virtual clocks, seeded randomness, a disk that can lose power.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "os/os.h"

/* One thread only. Sockets, sendfile and threads answer -ENOTSUP. Running out of memory aborts. */
struct os_fake;

struct os_fake *os_fake_new(uint64_t seed);
void os_fake_free(struct os_fake *fake);
struct os *os_fake_os(struct os_fake *fake);

/* Moves both clocks on. */
void os_fake_advance(struct os_fake *fake, uint64_t ns);
/* Sets the wall clock alone (a jump). */
void os_fake_wall_set(struct os_fake *fake, int64_t wall_ms);
/* Makes descriptors of signal_create that watch this number readable. */
void os_fake_signal(struct os_fake *fake, int signal);

/* The disk. What the process sees is the cached view; the durable view is what syncs made last:
 * - un-synced bytes are tracked by sectors of 512 bytes; fdatasync and fsync of the file make its
 *   bytes and size durable;
 * - names (create, unlink, rename, mkdir, rmdir) become durable with fsync of their directory
 *   only; a rename between two directories binds them: syncing one syncs both;
 * - syncfs makes everything durable.
 * Space is counted in blocks of 4096 bytes; a file has 1 TiB at most. The root / exists. */
enum { OS_FAKE_SECTOR_SIZE = 512, OS_FAKE_BLOCK_SIZE = 4096 };

/* Space for files, rounded down to blocks; without a call there is no limit. */
void os_fake_capacity_set(struct os_fake *fake, uint64_t bytes);

enum os_fake_kind {
    OS_FAKE_OPEN,
    OS_FAKE_READ,
    OS_FAKE_WRITE,
    OS_FAKE_SYNC, /* fdatasync, fsync, syncfs */
    OS_FAKE_TRUNCATE,
    OS_FAKE_RESERVE,
    OS_FAKE_NAME, /* unlink, rename, mkdir, rmdir */
    OS_FAKE_STAT, /* stat, fstat, list, space */
    OS_FAKE_LOCK,
};

struct os_fake_fault {
    enum os_fake_kind kind;
    const char *path_part; /* only paths with this in them; NULL: all; borrowed until clear */
    uint64_t skip;         /* how many matching operations go well first */
    uint64_t count;        /* how many fail then; 0: every one */
    int error;             /* positive errno; 0 for a short write */
    size_t short_bytes;    /* error == 0: a write takes at most this many bytes */
    bool forget;           /* a failed sync: un-synced sectors count as clean although they never
                            * reached the disk; gone with the cache or a crash */
};
/* Several may be active; the first added that matches decides. At most 32. */
void os_fake_fault_add(struct os_fake *fake, const struct os_fake_fault *fault);
void os_fake_fault_clear(struct os_fake *fake);

/* Operations so far that changed the disk or made a change durable: pwritev, syncs, truncate,
 * reserve, names, and opens that create or truncate. Failed ones do not count. */
uint64_t os_fake_operation_count(const struct os_fake *fake);
/* Cuts the power at operation number at (the first is 1): before it takes effect, or after it took
 * effect but before the caller hears of it. From then on every disk operation but close returns
 * -EIO and nothing changes until os_fake_crash. at 0 cancels. */
void os_fake_cut_power(struct os_fake *fake, uint64_t at, bool is_after);
bool os_fake_power_is_off(const struct os_fake *fake);

/* Weights of what happens to each un-synced sector, size and name. Lost sectors have their durable
 * content (zeros where there is none), garbled ones random bytes. */
struct os_fake_crash_policy {
    unsigned keep;
    unsigned lose;
    unsigned garble;
    bool names_in_order; /* a random first part of the name changes is kept, as if journalled */
};
#define OS_FAKE_CRASH_RANDOM   ((struct os_fake_crash_policy){.keep = 4, .lose = 4, .garble = 1})
#define OS_FAKE_CRASH_KEEP_ALL ((struct os_fake_crash_policy){.keep = 1})
#define OS_FAKE_CRASH_LOSE_ALL ((struct os_fake_crash_policy){.lose = 1})

/* Power loss and return: the disk becomes one possible image, chosen by the seed; all descriptors
 * of every kind become invalid, locks and caches are gone. Faults and capacity stay; a power cut
 * is over. */
void os_fake_crash(struct os_fake *fake, uint64_t seed, struct os_fake_crash_policy policy);
/* What a kernel may do at any time: each un-synced sector reaches the disk with this chance (0 to
 * 100), each un-synced size too. */
void os_fake_writeback(struct os_fake *fake, unsigned percent);
/* A dead process: closes all descriptors; the disk keeps everything that was written. */
void os_fake_kill(struct os_fake *fake);

/* A cheap copy of the disk with everything un-synced; restoring it any number of times makes all
 * descriptors invalid. Clocks, faults, counters and the power are not part of it. */
struct os_fake_snapshot;
struct os_fake_snapshot *os_fake_snapshot_new(struct os_fake *fake);
void os_fake_snapshot_free(struct os_fake_snapshot *snapshot);
void os_fake_snapshot_restore(struct os_fake *fake, const struct os_fake_snapshot *snapshot);

/* Media damage and inspection, past all faults. 0, or -ENOENT, -EISDIR, -EINVAL. */
/* Flips one bit (0 to 7) of one byte inside the file, cached and durable. */
int os_fake_flip(struct os_fake *fake, const char *path, uint64_t offset, unsigned bit);
/* Reads that touch the range fail with this errno, until error 0 clears the file's ranges. */
int os_fake_read_error(struct os_fake *fake, const char *path, uint64_t offset, uint64_t size,
                       int error);
/* pread_cached finds nothing of it until it is read again. What is not written yet stays in the
 * cache all the same. */
int os_fake_drop_cache(struct os_fake *fake, const char *path);
/* Copies what the cached or durable view of a file has, short at its end. The path is looked up in
 * the same view. */
ssize_t os_fake_peek(struct os_fake *fake, const char *path, bool is_durable, uint64_t offset,
                     struct iovec out);
/* Bytes of a file in the cached or durable view; -1 when the view has no such file. */
int64_t os_fake_size(struct os_fake *fake, const char *path, bool is_durable);
