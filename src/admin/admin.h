// HTTP for monitoring: listens, and hands requests to those who know the answers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "admin/http.h"
#include "reactor/conn.h"

struct admin;
struct admin_call; /* a request that waits for its answer */

/* Answers with admin_answer, now or later, exactly once. On core 0. */
typedef void (*admin_fn)(void *arg, struct slice query, struct admin_call *call);

struct admin_page {
    const char *path;
    const char *content_type;
    admin_fn fn;
    void *arg;
};

struct admin_options {
    struct reactor *reactor;
    const struct admin_page *pages; /* live as long as the room */
    size_t page_count;
};

NODISCARD enum err admin_open(const struct admin_options *options, struct admin **out);
/* After the reactor has stopped. */
void admin_close(struct admin *admin);
NODISCARD enum err admin_listen(struct admin *admin, const struct sockaddr_storage *address,
                                socklen_t address_size, struct listener **out, struct diag *diag);
/* body is copied. On core 0. */
void admin_answer(struct admin_call *call, int status, struct slice body);
