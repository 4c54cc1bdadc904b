/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A record per sample: with 99 a second and CPU there is no need for stack maps, whose collisions lose stacks. */
#include "kernel.h"
#include "focus.h"
#include "counters.h"
#include "exec_path.h"
#include "stack_sample.h"
#include "streams.h"
#include "executed.h"

int sample(struct bpf_perf_event_data *ctx) {
    if (!(u32)bpf_get_current_pid_tgid() || !in_focus()) /* thread 0 is the idle loop */
        return 0;
    struct stack_sample *record = samples_reserve();
    if (!record)
        return 0;
    fill_sample(ctx, record);
    samples_submit(ctx, record);
    return 0;
}

int remember_exec(struct bpf_raw_tracepoint_args *ctx) {
    return tell_executed(ctx);
}
