/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The record of stacks.h: innermost frames first; sizes in bytes, 0 or less for a part that could not be walked, as the
 * kernel's at plain tracepoints of system calls (Linux 6.1).
 */
#pragma once
#include "user_frame.h"

#define KERNEL_DEPTH 64
#define USER_DEPTH 127 /* kernel.perf_event_max_stack, unless somebody changed it */
#define COPY_BYTES 4096

struct event_stack {
    u64 id;
    u32 pid; /* the process whose memory the user frames lie in; 0 when none has it any more */
    s32 kernel_size;
    s32 user_size; /* of `user`: the frames by their frame pointers */
    u32 copied;    /* of `stack`: what lay at sp */
    u64 ip;        /* the registers that the system call was made with */
    u64 sp;
    u64 bp;         /* arm64: x29 */
    u64 lr;         /* arm64: x30; else 0 */
    u64 code_start; /* where the program itself lies in memory */
    u64 code_end;
    u64 program; /* its inode number */
    u64 kernel[KERNEL_DEPTH];
    struct user_frame user[USER_DEPTH];
    u8 stack[COPY_BYTES];
};
