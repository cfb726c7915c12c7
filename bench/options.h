// The options of the load generator, one row each: member, type, default, what it is.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>

/* NUMBER: uint64_t; TEXT: const char *. An option is called like its member, with - for _. */
#define OPTIONS(NUMBER, TEXT)                                                                      \
    TEXT(mode, "produce", "produce, fetch, tail, ready, fsync; beat, join, commit; exact")         \
    NUMBER(port, 9092, "of the server on 127.0.0.1")                                               \
    NUMBER(pid, 0, "of the server, whose CPU time is taken; 0: none")                              \
    TEXT(peer, "kafka", "kafka, or floor: no topic is made and no answer looked into")             \
    TEXT(setup, "create", "how the topic comes: create, metadata (by itself), or none")            \
    TEXT(topic, "bench", "its name; ready: - produces nothing, a new one wants metadata")          \
    TEXT(config, "", "one setting of the new topic, name=value")                                   \
    NUMBER(partitions, 1, "of the topic")                                                          \
    NUMBER(spread, 0, "partitions in one request, a batch each; 0: all")                           \
    NUMBER(connections, 1, "each with its own window; the fetching ones all read partition 0")     \
    NUMBER(in_flight, 1, "requests that wait for their answers, a connection")                     \
    NUMBER(record_bytes, 100, "of a record's value; there is no key")                              \
    NUMBER(batch_bytes, 16384, "of a batch, at most")                                              \
    NUMBER(batch_records, 0, "of a batch, instead of batch-bytes; 0: as many as fit")              \
    NUMBER(fetch_bytes, 1048576, "of an answer, at most")                                          \
    NUMBER(from, 0, "fetch: first offset, where a batch begins")                                   \
    NUMBER(to, 0, "fetch: goes back to from when here; 0: the end as it was at first")             \
    NUMBER(passes, 0, "fetch: how often from from to to; 0: no limit")                             \
    TEXT(verify, "codes", "fetch: codes, or crc: also every batch and offset; costs time")         \
    NUMBER(count, 0, "requests; 0: no limit")                                                      \
    NUMBER(seconds, 3, "to go on for; ready: to wait at most; 0: no limit")                        \
    NUMBER(warm, 0, "requests before the measurement")                                             \
    NUMBER(groups, 1, "beat: consumer groups; commit: a connection each")                          \
    NUMBER(members, 3, "beat, join: of a group, a connection each")                                \
    NUMBER(transaction_ms, 0, "exact: how long each is; 0: idempotent without any")                \
    TEXT(file, "fsync.data", "fsync: the file that is written")                                    \
    NUMBER(json, 0, "1: print JSON")

struct options {
#define NUMBER(name, value, text) uint64_t name;
#define TEXT(name, value, text)   const char *name;
    OPTIONS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
};

/* Prints help or what is wrong, and ends the program, when they are not right. */
struct options options_read(int argc, char **argv);
