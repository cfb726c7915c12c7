// Configuration from real files, through the os table, and from an environment handed in.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "os/os.h"
#include "server/conf.h"

/* Lives as long as the source that is made of it. */
struct server_conf_file {
    struct os *os;
    const char *(*env)(void *arg, const char *name); /* may be NULL: no environment */
    void *env_arg;
};

struct server_conf_source server_conf_file_source(struct server_conf_file *file);
