// Base64 with padding (RFC 4648 section 4), as the headers of the partition view use it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"

size_t nats_view_base64_size(size_t size);
/* out has nats_view_base64_size(bytes.size) bytes. */
void nats_view_base64_write(struct slice bytes, uint8_t *out);
/* Only what _write writes is read: padded, nothing else in it, unused bits zero. out has
 * text.size / 4 * 3 bytes and may be where the text is. */
bool nats_view_base64_read(struct slice text, uint8_t *out, size_t *out_size);
