// Groups in block-aligned files: their heads, writing them, and walking them past damage.
// SPDX-License-Identifier: Apache-2.0
//
// Both the journal's pieces and the catalogue's files are written this way. A file is one block of
// 4096 bytes with the file's head, then groups, each of which starts on a block and is padded with
// zeros to the next. A head is 64 bytes, integers little-endian:
//    0 magic u32        which file, and whether it is the file's head or a group's
//    4 crc u32          CRC-32C of the group's body; 0 in a file's head
//    8 number u64       of the file: a group with another number is a remnant
//   16 run u64          random, one a journal_open: payload cannot guess it and pose as a group
//   24 sequence u64     of the group in its run, from 1, without gaps; file: of its first group
//   32 durable u64      greatest sequence known durable when this was written
//   40 body_size u64    bytes behind the head; file: number of the run's file before, or 0
//   48 entry_count u32  in the body; file: version of the format
//   52 core u32
//   56 zero u32
//   60 head_crc u32     CRC-32C of bytes 0 to 60
#pragma once

#include "os/os.h"
#include "store/uncached.h"

#define JOURNAL_HEAD_SIZE      64
#define JOURNAL_GROUP_BLOCK    4096
#define JOURNAL_FORMAT_VERSION 1

enum journal_magic {
    JOURNAL_MAGIC_PIECE = 0x314e4a4c,    /* "LJN1" */
    JOURNAL_MAGIC_GROUP = 0x3147524a,    /* "JRG1" */
    JOURNAL_MAGIC_CHANGES = 0x3148434c,  /* "LCH1" */
    JOURNAL_MAGIC_CHANGE = 0x31474843,   /* "CHG1" */
    JOURNAL_MAGIC_SNAPSHOT = 0x314e534c, /* "LSN1" */
    JOURNAL_MAGIC_SNAPPED = 0x3147534e,  /* "NSG1" */
};

struct journal_head {
    uint32_t magic;
    uint32_t crc;
    uint64_t number;
    uint64_t run;
    uint64_t sequence;
    uint64_t durable;
    uint64_t body_size;
    uint32_t entry_count;
    uint32_t core;
};

void journal_head_put(uint8_t out[JOURNAL_HEAD_SIZE], const struct journal_head *head);
/* False when magic or checksum are wrong. */
bool journal_head_get(const uint8_t bytes[JOURNAL_HEAD_SIZE], uint32_t magic,
                      struct journal_head *out);
/* Bytes of a group in the file, padding included. */
uint64_t journal_group_size(uint64_t body_size);

/* Gathers parts and writes them one behind the other. After the first error nothing more is
 * written: ERR_DISK_FULL, or ERR_OFFLINE for every other one. */
struct journal_writer {
    struct os *os;
    int fd;
    uint64_t offset; /* where parts[0] goes */
    enum err err;
    bool is_uncached; /* copied, not gathered */
    struct uncached uncached;
    int count;
    struct iovec parts[512];
};

void journal_writer_init(struct journal_writer *writer, struct os *os, int fd, uint64_t offset);
/* After init: what is added goes past the page cache. buffer: the caller's, as uncached.h wants it.
 */
void journal_writer_uncached(struct journal_writer *writer, int fd_uncached, struct buf *buffer);
/* bytes must stay until the flush. */
void journal_writer_add(struct journal_writer *writer, struct slice bytes);
/* Zeros up to the next block; size: bytes since the last one. */
void journal_writer_pad(struct journal_writer *writer, uint64_t size);
NODISCARD enum err journal_writer_flush(struct journal_writer *writer);

/* What a step of a scan found. */
enum journal_scan_kind {
    JOURNAL_SCAN_GROUP, /* head and body are good */
    JOURNAL_SCAN_BAD,   /* bytes [begin, end) should hold groups [sequence, sequence_next) */
    JOURNAL_SCAN_END,   /* nothing good at begin and behind it; sequence is what comes next */
};

struct journal_scan_step {
    enum journal_scan_kind kind;
    uint64_t begin;
    uint64_t end;
    uint64_t sequence;
    uint64_t sequence_next;
    struct journal_head head; /* GROUP; BAD where the head alone is good, else zeros */
    struct slice body;        /* GROUP; BAD with a head, when it lies in the file; until the next
                                 step */
    bool is_unreadable;       /* END: the medium does not give the bytes at begin */
};

/* Walks a file through one buffer that the caller reuses. */
struct journal_scan {
    struct os *os;
    int fd;
    uint64_t file_size;
    uint64_t number;
    uint32_t magic;
    uint8_t *buffer; /* free() it in the end */
    size_t buffer_capacity;
    uint64_t buffer_at;
    size_t buffer_size;
    uint64_t position;
    uint64_t expected;        /* next sequence; 0: not known yet */
    uint64_t run;             /* 0: not known yet */
    uint64_t mark;            /* greatest durable sequence seen */
    struct journal_head head; /* the file's; valid when has_head */
    bool has_head;
};

/* Starts with the file's head, when it is good and names this number. Keeps the buffer. */
NODISCARD enum err journal_scan_start(struct journal_scan *scan, int fd, uint64_t number,
                                      const uint32_t magics[2]);
/* ERR_NO_MEMORY alone: damage is what a step reports. After END, END again. */
NODISCARD enum err journal_scan_next(struct journal_scan *scan, struct journal_scan_step *out);
