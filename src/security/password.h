// Passwords as nats-server keeps them: plain text, or a bcrypt hash.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"

/* bcrypt looks at no more. */
#define SECURITY_PASSWORD_SIZE_MAX 72

/* "$2a$..", "$2b$..", "$2x$.." or "$2y$..": a bcrypt hash rather than a password. */
bool security_password_is_hash(struct slice stored);
/* Whether given is the stored password. Plain ones are compared in time that does not depend on
 * where they differ. With a hash it computes for long (that is bcrypt's point): on a helper thread.
 */
bool security_password_check(struct slice stored, struct slice given);
