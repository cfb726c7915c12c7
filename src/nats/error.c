// The tables of errors and reasons.
// SPDX-License-Identifier: Apache-2.0
#include "nats/error.h"

static const char *const reason_texts[] = {
#define NATS_REASON(name, text) text,
#include "nats/reason.def"
#undef NATS_REASON
};

static const struct {
    enum nats_reason reason;
    const char *text;
} errors[] = {
#define NATS_ERROR(name, reason, text) {NATS_REASON_##reason, text},
#include "nats/error.def"
#undef NATS_ERROR
};

const char *nats_error_reason_text(enum nats_reason reason)
{
    CHECK(reason < NATS_REASON_COUNT);
    return reason_texts[reason];
}

const char *nats_error_text(enum nats_error error)
{
    CHECK(error < NATS_ERROR_COUNT);
    return errors[error].text;
}

enum nats_reason nats_error_reason(enum nats_error error)
{
    CHECK(error < NATS_ERROR_COUNT);
    return errors[error].reason;
}
