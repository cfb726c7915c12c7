// The memory budget: what every queue, cache and buffer is charged against.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/check.h"

/* One a process, shared by all cores. */
struct budget {
    size_t size_max;
    _Atomic size_t used;
};

void budget_init(struct budget *budget, size_t size_max);
/* False, and nothing charged, when it would exceed size_max. */
bool budget_charge(struct budget *budget, size_t size);
/* Charges even beyond size_max: for what must not fail and is bounded elsewhere. */
void budget_charge_always(struct budget *budget, size_t size);
void budget_release(struct budget *budget, size_t size);
size_t budget_used(const struct budget *budget);
/* Permille of size_max in use; 1000 and more means full. */
unsigned budget_permille(const struct budget *budget);
