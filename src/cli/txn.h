// The commands leat txn, and what hangs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/topics.h"

/* An open transaction on a partition. */
struct cli_txn_open {
    int64_t producer_id;
    int64_t offset;  /* where it began */
    int64_t last_ms; /* its producer's last record there; -1: not known */
};

/* The oldest open transaction of a partition; false: none, or the server does not tell. */
bool cli_txn_oldest(struct cli *cli, const struct cli_place *place, struct cli_txn_open *out);
/* The transactional id of a producer id; null when it is not known. */
struct slice cli_txn_id_of(struct cli *cli, int64_t producer_id);

enum cli_exit cli_txn_list(struct cli *cli);
enum cli_exit cli_txn_describe(struct cli *cli);
enum cli_exit cli_txn_producers(struct cli *cli);
