/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Keeps the focus on the descendants of the processes in it: children enter as they are forked, the dead leave. */
#include "kernel.h"
#include "focus.h"

int follow_fork(struct bpf_raw_tracepoint_args *ctx) {
    u32 parent = bpf_get_current_pid_tgid() >> 32;
    u32 child = KREAD((void *)ctx->args[1], task_struct, tgid);
    u32 one = 1;
    if (child != parent && focus_pids.lookup(&parent))
        focus_pids.update(&child, &one);
    return 0;
}

int forget_exit(struct bpf_raw_tracepoint_args *ctx) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    void *signal = KREAD((void *)ctx->args[0], task_struct, signal);
    if (KREAD(signal, signal_struct, live) > 0)
        return 0;
    focus_pids.delete(&pid);
    return 0;
}
