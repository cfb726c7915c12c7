// What stands behind the pages in their test: a store that can be full, and who takes the answers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/broker_fixture.h"
#include "server/pages.h"

/* What stands behind the pages here, and what they answered. */
struct behind {
    struct fixture *f;
    struct server_pages pages;
    bool draining;
    bool starting;
    int status;
    char body[256];
};

struct admin_call {
    struct behind *behind;
};

static _Atomic bool lacks_space;

bool store_lacks_space(const struct store *store)
{
    return atomic_load(&lacks_space);
}

void store_commit_times(const struct store *store, struct histogram *out)
{
}

void admin_answer(struct admin_call *call, int status, struct slice body)
{
    struct behind *behind = call->behind;
    behind->status = status;
    assert_true(body.size < sizeof(behind->body));
    memcpy(behind->body, body.data, body.size);
    behind->body[body.size] = 0;
}
