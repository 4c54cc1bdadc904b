/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The record of stacks.h: innermost frames first; sizes in bytes, 0 or less for a part that could not be walked, as the
 * kernel's at plain tracepoints of system calls (Linux 6.1).
 */
#pragma once
#include "user_frame.h"

#define KERNEL_DEPTH 64
#define USER_DEPTH 127 /* kernel.perf_event_max_stack, unless somebody changed it */

struct event_stack {
    u64 id;
    u32 pid; /* the process whose memory the user frames lie in; 0 when none has it any more */
    s32 kernel_size;
    s32 user_size;
    u32 pad;
    u64 kernel[KERNEL_DEPTH];
    struct user_frame user[USER_DEPTH];
};
