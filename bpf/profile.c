/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A record per sample: with 99 a second and CPU there is no need for stack maps, whose collisions lose stacks.
 * User frames come with the build id of their file where the kernel knows it, so that they can be named after the
 * process is gone.
 */
#include "kernel.h"
#include "focus.h"
#include "counters.h"
#include "user_frame.h"
#include "exec_path.h"

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

#include "streams.h"
#include "executed.h"

int sample(struct bpf_perf_event_data *ctx) {
    u64 pid_tgid = bpf_get_current_pid_tgid();
    if (!(u32)pid_tgid || !in_focus()) /* thread 0 is the idle loop */
        return 0;
    struct stack_sample *record = samples_reserve();
    if (!record)
        return 0;
    record->ts = bpf_ktime_get_ns();
    record->pid = pid_tgid >> 32;
    record->tid = pid_tgid;
    current_comm(record->comm);
    record->kernel_size = bpf_get_stack(ctx, record->kernel, sizeof(record->kernel), 0);
    record->user_size = bpf_get_stack(ctx, record->user, sizeof(record->user), USER_STACK | USER_BUILD_ID);
    if (record->kernel_size < 0 && record->user_size < 0)
        COUNT(lost_stack);
    samples_submit(ctx, record);
    return 0;
}

int remember_exec(struct bpf_raw_tracepoint_args *ctx) {
    return tell_executed(ctx);
}
