/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Which file a program came from, told at sched_process_exec, so that frames of short-lived ones can be named.
 *
 * The program that includes this declares struct exec_path's stream as `execs`.
 */
#pragma once

static __always_inline int tell_executed(struct bpf_raw_tracepoint_args *ctx) {
    if (!in_focus())
        return 0;
    struct exec_path *record = execs_reserve();
    if (!record)
        return 0;
    record->ts = bpf_ktime_get_ns();
    record->pid = bpf_get_current_pid_tgid() >> 32;
    record->path[0] = 0;
    read_kernel_str(record->path, sizeof(record->path), KREAD((void *)ctx->args[2], linux_binprm, filename));
    execs_submit(ctx, record);
    return 0;
}
