// Base64 and hex, for records in text.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/arena.h"
#include "base/text.h"

void cli_base64_add(struct text *out, struct slice bytes, bool padded);
void cli_base64_add_hex(struct text *out, struct slice bytes);
/* The bytes in the arena; padding may be there or not. False: it is none, or no memory. */
NODISCARD bool cli_base64_decode(struct slice text, struct arena *arena, struct slice *out);
NODISCARD bool cli_base64_decode_hex(struct slice text, struct arena *arena, struct slice *out);
