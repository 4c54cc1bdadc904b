/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A record per sample: with 99 a second and CPU there is no need for stack maps, whose collisions lose stacks.
 * User frames come with the build id of their file where the kernel knows it, so that they can be named after the
 * process is gone; and with a piece of the stack, as most programs and libraries are built without frame pointers.
 */
#include "kernel.h"
#include "focus.h"
#include "counters.h"
#include "syscall_args.h"
#include "user_stack_fields.h"
#include "exec_path.h"

#define KERNEL_DEPTH 127

struct stack_sample {
    u64 ts;
    u32 pid;
    u32 tid;
    s32 kernel_size;
    u32 is_new; /* its process is to be looked at soon */
    char comm[16];
    u64 kernel[KERNEL_DEPTH];
    USER_STACK_FIELDS
};

#include "streams.h"
#include "executed.h"

/* Where a process has its libraries is not known any more once it has gone, and those of milliseconds have before the
 * next tick. So capture is woken to look at the first sample of a process's memory, and again at a few that follow, as
 * there may be more by then.
 */
struct looks {
    void *mm;
    u64 samples;
};
BPF_TABLE("lru_hash", u32, struct looks, looked_at, 4096);
#define LAST_LOOK 64

static __always_inline bool is_to_be_looked_at(u32 pid, void *mm) {
    struct looks *known = looked_at.lookup(&pid);
    if (!known || known->mm != mm) {
        struct looks first = {.mm = mm, .samples = 1};
        looked_at.update(&pid, &first);
        return true;
    }
    if (known->samples >= LAST_LOOK)
        return false;
    known->samples++;
    return !(known->samples & (known->samples - 1)); /* 2, 4, 8 ... */
}

/* All but the piece of the stack, null where the sample does not count. */
static __always_inline struct stack_sample *sampled(struct bpf_perf_event_data *ctx) {
    u64 pid_tgid = bpf_get_current_pid_tgid();
    if (!(u32)pid_tgid || !in_focus()) /* thread 0 is the idle loop */
        return 0;
    struct stack_sample *record = samples_reserve();
    if (!record)
        return 0;
    record->ts = bpf_ktime_get_ns();
    record->pid = pid_tgid >> 32;
    record->tid = pid_tgid;
    record->is_new = record->copied = 0;
    current_comm(record->comm);
    record->kernel_size = bpf_get_stack(ctx, record->kernel, sizeof(record->kernel), 0);
    record->user_size = bpf_get_stack(ctx, record->user, sizeof(record->user), USER_STACK | USER_BUILD_ID);
    if (record->kernel_size < 0 && record->user_size < 0)
        COUNT(lost_stack);
    return record;
}

#ifdef WITH_sample
#include "user_stack.h"

int sample(struct bpf_perf_event_data *ctx) {
    struct stack_sample *record = sampled(ctx);
    if (!record)
        return 0;
    struct layout layout = {};
    void *mm = KREAD((void *)bpf_get_current_task(), task_struct, mm);
    if (mm) /* else it is a thread of the kernel */
        read_layout(&layout);
    tell_layout(record, &layout);
    record->copied = copy_stack(record->stack, &layout);
    record->is_new = mm && is_to_be_looked_at(record->pid, mm);
    if (record->is_new)
        samples_submit_now(ctx, record);
    else
        samples_submit(ctx, record);
    return 0;
}
#endif

#ifdef WITH_sample_by_pointers
/* Where the kernel has no BTF, which the task's registers take. */
int sample_by_pointers(struct bpf_perf_event_data *ctx) {
    struct stack_sample *record = sampled(ctx);
    if (record)
        samples_submit(ctx, record);
    return 0;
}
#endif

int remember_exec(struct bpf_raw_tracepoint_args *ctx) {
    return tell_executed(ctx);
}
