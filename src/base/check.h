// Assertions that stay on in release builds, and the small macros every file needs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Reports file, line and expression on stderr and aborts. */
_Noreturn void check_failed(const char *file, int line, const char *expression);

/* For what cannot be: on in every build. Never for what a peer, a disk or a user can cause. */
#define CHECK(x) ((x) ? (void)0 : check_failed(__FILE__, __LINE__, #x))

/* Like CHECK, for what costs too much in release builds. */
#ifdef NDEBUG
#define DCHECK(x) ((void)sizeof(x))
#else
#define DCHECK(x) CHECK(x)
#endif

#define COUNT_OF(array)                     (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define MIN(a, b)                           ((a) < (b) ? (a) : (b))
#define MAX(a, b)                           ((a) > (b) ? (a) : (b))
#define NODISCARD                           __attribute__((warn_unused_result))
/* What a hot caller rarely needs, and is better off without. */
#define NOINLINE               __attribute__((noinline))
#define PRINTF_LIKE(at, first) __attribute__((format(printf, at, first)))
