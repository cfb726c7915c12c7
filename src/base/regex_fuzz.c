// Fuzz target of regular expressions: any first line as expression, the rest as text.
// SPDX-License-Identifier: Apache-2.0
#include "base/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t split = line ? (size_t)(line - data) : size;
    size_t rest = line ? split + 1 : size;
    struct regex *regex;
    struct diag diag;
    enum err err = regex_new(slice_make(data, split), &regex, &diag);
    if (err) {
        CHECK(err == ERR_INVALID || err == ERR_NO_MEMORY);
        return 0;
    }
    struct slice text = slice_make(data + rest, MIN(size - rest, (size_t)300));
    bool first = regex_matches(regex, text);
    CHECK(regex_matches(regex, text) == first);
    regex_delete(regex);
    return 0;
}
