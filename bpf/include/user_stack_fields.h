/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What records have of the user part of a stack: the frames that frame pointers lead to, innermost first, and what it
 * takes to unwind the rest. `user_size` is in bytes, 0 or less where the frames could not be walked.
 */
#pragma once
#include "user_frame.h"

#define USER_DEPTH 127 /* kernel.perf_event_max_stack, unless somebody changed it */
#define COPY_BYTES 4096

#define USER_STACK_FIELDS                                                                                              \
    s32 user_size;                                                                                                     \
    u32 copied; /* of `stack`: what lay at sp */                                                                       \
    u64 ip;     /* the registers that the task entered the kernel with */                                              \
    u64 sp;                                                                                                            \
    u64 bp;         /* arm64: x29 */                                                                                   \
    u64 lr;         /* arm64: x30; else 0 */                                                                           \
    u64 code_start; /* where the program itself lies in memory */                                                      \
    u64 code_end;                                                                                                      \
    u64 program; /* its inode number */                                                                                \
    struct user_frame user[USER_DEPTH];                                                                                \
    u8 stack[COPY_BYTES];
