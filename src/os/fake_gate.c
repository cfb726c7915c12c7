// What stands before every operation of the fake disk: faults by countdown and the power cut.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "os/fake_state.h"

static bool fault_matches(const struct os_fake_fault *fault, const struct os_fake_gate *gate)
{
    if (fault->kind != gate->kind)
        return false;
    if (!fault->path_part)
        return true;
    if (gate->path)
        return strstr(gate->path, fault->path_part) != NULL;
    char path[4096];
    os_fake_names_path(gate->node, path, sizeof(path));
    return strstr(path, fault->path_part) != NULL;
}

int os_fake_gate_enter(struct os_fake *fake, struct os_fake_gate gate,
                       const struct os_fake_fault **out_fault)
{
    if (out_fault)
        *out_fault = NULL;
    if (fake->power_is_off)
        return -EIO;
    const struct os_fake_fault *struck = NULL;
    for (size_t i = 0; i < fake->fault_count; i++) {
        struct os_fake_armed *armed = &fake->faults[i];
        const struct os_fake_fault *fault = &armed->fault;
        if (!fault_matches(fault, &gate))
            continue;
        uint64_t number = armed->seen++;
        bool is_due =
            number >= fault->skip && (fault->count == 0 || number - fault->skip < fault->count);
        if (is_due && !struck)
            struck = fault;
    }
    if (struck && out_fault)
        *out_fault = struck;
    return struck ? -struck->error : 0;
}

int os_fake_gate_change(struct os_fake *fake)
{
    fake->operation_count++;
    if (fake->operation_count == fake->cut_at && !fake->cut_is_after)
        fake->power_is_off = true;
    return fake->power_is_off ? -EIO : 0;
}

ssize_t os_fake_gate_leave(struct os_fake *fake, ssize_t result)
{
    if (fake->operation_count == fake->cut_at && fake->cut_is_after)
        fake->power_is_off = true;
    return fake->power_is_off ? -EIO : result;
}
