// The one error enum of the server, made from err.def.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/check.h"

enum err {
#define ERR(name, text) ERR_##name,
#include "base/err.def"
#undef ERR
    ERR_COUNT
};

/* Static name such as "DISK_FULL". */
const char *err_name(enum err err);
/* Static phrase for a person. */
const char *err_text(enum err err);
/* The err for an errno value (positive); ERR_IO for what has no better name. */
enum err err_from_errno(int errno_value);

/* Words for a person that go with an error; filled only where the callee's comment says so. */
struct diag {
    char text[512];
};
/* Writes formatted words; longer text is cut with "...". diag may be NULL. */
void diag_set(struct diag *diag, const char *format, ...) PRINTF_LIKE(2, 3);
