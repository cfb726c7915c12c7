// The errors that NATS clients are told, and the reasons that connections are closed for.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/check.h"

enum nats_reason {
#define NATS_REASON(name, text) NATS_REASON_##name,
#include "nats/reason.def"
#undef NATS_REASON
    NATS_REASON_COUNT
};

enum nats_error {
#define NATS_ERROR(name, reason, text) NATS_ERROR_##name,
#include "nats/error.def"
#undef NATS_ERROR
    NATS_ERROR_COUNT
};

/* As /connz says it. */
const char *nats_error_reason_text(enum nats_reason reason);
/* The words between the quotes of -ERR; NULL: nothing is said. */
const char *nats_error_text(enum nats_error error);
/* Why the error closes the connection; NATS_REASON_NONE: it does not. */
enum nats_reason nats_error_reason(enum nats_error error);
