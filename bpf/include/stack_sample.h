/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Both stacks of the running thread, innermost frames first; sizes in bytes, below 0 for one that could not be walked.
 * User frames come with the build id of their file where the kernel knows it, so that they can be named after the
 * process is gone.
 */
#pragma once
#include "user_frame.h"

#define DEPTH 127

struct stack_sample {
    u64 ts;
    u32 pid;
    u32 tid;
    s32 kernel_size;
    s32 user_size;
    char comm[16];
    u64 kernel[DEPTH];
    struct user_frame user[DEPTH];
};

static __always_inline void fill_sample(void *ctx, struct stack_sample *sample) {
    u64 pid_tgid = bpf_get_current_pid_tgid();
    sample->ts = bpf_ktime_get_ns();
    sample->pid = pid_tgid >> 32;
    sample->tid = pid_tgid;
    current_comm(sample->comm);
    sample->kernel_size = bpf_get_stack(ctx, sample->kernel, sizeof(sample->kernel), 0);
    sample->user_size = bpf_get_stack(ctx, sample->user, sizeof(sample->user), USER_STACK | USER_BUILD_ID);
    if (sample->kernel_size < 0 && sample->user_size < 0)
        COUNT(lost_stack);
}
