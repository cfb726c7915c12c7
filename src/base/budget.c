// The memory budget: one shared counter with a ceiling.
// SPDX-License-Identifier: Apache-2.0
#include "base/budget.h"

void budget_init(struct budget *budget, size_t size_max)
{
    budget->size_max = size_max;
    atomic_init(&budget->used, 0);
}

bool budget_charge(struct budget *budget, size_t size)
{
    size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    do {
        if (used > budget->size_max || size > budget->size_max - used)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->used, &used, used + size,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void budget_charge_always(struct budget *budget, size_t size)
{
    size_t before = atomic_fetch_add_explicit(&budget->used, size, memory_order_relaxed);
    CHECK(before <= SIZE_MAX - size);
}

void budget_release(struct budget *budget, size_t size)
{
    size_t before = atomic_fetch_sub_explicit(&budget->used, size, memory_order_relaxed);
    CHECK(before >= size);
}

size_t budget_used(const struct budget *budget)
{
    return atomic_load_explicit(&budget->used, memory_order_relaxed);
}

unsigned budget_permille(const struct budget *budget)
{
    size_t used = budget_used(budget);
    size_t size_max = budget->size_max;
    if (size_max == 0)
        return 1000;
    unsigned __int128 permille = (unsigned __int128)used * 1000 / size_max;
    return permille > UINT32_MAX ? UINT32_MAX : (unsigned)permille;
}
