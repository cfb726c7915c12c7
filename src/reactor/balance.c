// Placement.
// SPDX-License-Identifier: Apache-2.0
#include "reactor/core_state.h"
#include <stdlib.h>

void balance_free(struct balance *balance)
{
    free(balance);
}
