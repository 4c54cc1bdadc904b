/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The record of stacks.h: innermost frames first; sizes in bytes, 0 or less for a part that could not be walked, as the
 * kernel's at plain tracepoints of system calls (Linux 6.1).
 */
#pragma once
#include "user_stack_fields.h"

#define KERNEL_DEPTH 64

struct event_stack {
    u64 id;
    u32 pid; /* the process whose memory the user frames lie in; 0 when none has it any more */
    s32 kernel_size;
    u64 kernel[KERNEL_DEPTH];
    USER_STACK_FIELDS
};
