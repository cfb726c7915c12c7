// Names and texts of errors, and the words that go with them.
// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *text;
} err_table[] = {
#define ERR(name, text) {#name, text},
#include "base/err.def"
#undef ERR
};

_Static_assert(COUNT_OF(err_table) == ERR_COUNT, "one row an error");

static const struct {
    int errno_value;
    enum err err;
} errno_table[] = {
    {0, ERR_OK},
    {ENOMEM, ERR_NO_MEMORY},
    {ENOBUFS, ERR_NO_MEMORY},
    {EBUSY, ERR_BUSY},
    {EADDRINUSE, ERR_BUSY},
    {EAGAIN, ERR_AGAIN},
    {EINTR, ERR_AGAIN},
    {EINPROGRESS, ERR_AGAIN},
    {EINVAL, ERR_INVALID},
    {EFBIG, ERR_TOO_LARGE},
    {EMSGSIZE, ERR_TOO_LARGE},
    {ENAMETOOLONG, ERR_TOO_LARGE},
    {EOPNOTSUPP, ERR_UNSUPPORTED},
    {ENOSYS, ERR_UNSUPPORTED},
    {EAFNOSUPPORT, ERR_UNSUPPORTED},
    {EPROTONOSUPPORT, ERR_UNSUPPORTED},
    {ENOENT, ERR_NOT_FOUND},
    {EEXIST, ERR_EXISTS},
    {ENOSPC, ERR_DISK_FULL},
    {EDQUOT, ERR_DISK_FULL},
    {EPIPE, ERR_CLOSED},
    {ECONNRESET, ERR_CLOSED},
    {ECONNABORTED, ERR_CLOSED},
    {ENOTCONN, ERR_CLOSED},
    {ESHUTDOWN, ERR_CLOSED},
    {ETIMEDOUT, ERR_TIMEOUT},
    {ECANCELED, ERR_CANCELLED},
    {EACCES, ERR_ACCESS},
    {EPERM, ERR_ACCESS},
    {EROFS, ERR_ACCESS},
    {EMFILE, ERR_LIMIT},
    {ENFILE, ERR_LIMIT},
    {ENOTEMPTY, ERR_NOT_EMPTY},
};

const char *err_name(enum err err)
{
    return (unsigned)err < ERR_COUNT ? err_table[err].name : "UNKNOWN";
}

const char *err_text(enum err err)
{
    return (unsigned)err < ERR_COUNT ? err_table[err].text : "unknown error";
}

enum err err_from_errno(int errno_value)
{
    for (size_t i = 0; i < COUNT_OF(errno_table); i++) {
        if (errno_table[i].errno_value == errno_value)
            return errno_table[i].err;
    }
    return ERR_IO;
}

void diag_set(struct diag *diag, const char *format, ...)
{
    if (!diag)
        return;
    /* formatted aside, because diag's old text may be among the arguments */
    char text[sizeof(diag->text)];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (size < 0)
        text[0] = 0;
    if (size >= (int)sizeof(text)) {
        size_t end = sizeof(text) - sizeof("...");
        while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
            end--;
        memcpy(text + end, "...", sizeof("..."));
    }
    memcpy(diag->text, text, strlen(text) + 1);
}
