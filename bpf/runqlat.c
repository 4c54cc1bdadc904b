/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Time from wake-up (or being pushed off a CPU) to running.
 *
 * When a thread became runnable is kept in a direct-mapped table: a hash with insert and delete costs three times as
 * much. Two threads that share a slot lose a sample, which is counted. Who a thread is (process, cgroup, in focus) is
 * noted as it leaves its CPU, when the kernel tells it for free.
 */
#include "kernel.h"
#include "focus.h"
#include "counters.h"
#include "histogram.h"

struct waiting {
    u32 tid;
    u32 pid;
    u64 ts; /* 0: not waiting */
    u64 cgroup;
    u32 focused;
    u32 pad;
};
BPF_ARRAY(waiting, struct waiting, THREADS);

struct latency_key {
    u64 cgroup;
    u32 pid;
    u32 bucket;
};
/* One is filled while the other is read and emptied. */
BPF_HASH(latency_0, struct latency_key, u64, 65536);
BPF_HASH(latency_1, struct latency_key, u64, 65536);
BPF_ARRAY(generation, u32, 1);

static __always_inline struct waiting *slot_of(u32 tid) {
    u32 slot = tid & (THREADS - 1);
    return waiting.lookup(&slot);
}

static __always_inline u64 cgroup_of(void *task) {
    void *group = KREAD(KREAD(task, task_struct, cgroups), css_set, dfl_cgrp);
    return KREAD(KREAD(group, cgroup, kn), kernfs_node, id);
}

/* A thread that has not been seen leaving a CPU yet: its focus can be told by its process only. */
static __always_inline void adopt(struct waiting *slot, void *task, u32 tid) {
    if (slot->tid && slot->ts)
        COUNT(lost_collision);
    slot->tid = tid;
    slot->pid = KREAD(task, task_struct, tgid);
    slot->cgroup = cgroup_of(task);
    slot->ts = 0;
    int zero = 0;
    u32 pid = slot->pid;
    struct focus_rule *rule = focus_rules.lookup(&zero);
    slot->focused = rule && (!rule->by || ((rule->by & FOCUS_PIDS) && focus_pids.lookup(&pid)));
}

/* `typed`, a constant of each program: does the verifier know what the pointers to tasks point to? */
static __always_inline int runnable(void *task, bool typed) {
    u32 tid = KGET(typed, task, task_struct, pid);
    struct waiting *slot = slot_of(tid);
    if (!slot || !tid)
        return 0;
    if (slot->tid != tid)
        adopt(slot, task, tid);
    slot->ts = bpf_ktime_get_ns();
    return 0;
}

#ifdef WITH_wakeup_raw
int wakeup_raw(struct bpf_raw_tracepoint_args *ctx) {
    return runnable((void *)ctx->args[0], false);
}
#endif

#ifdef WITH_wakeup_btf
int wakeup_btf(struct bpf_raw_tracepoint_args *ctx) {
    return runnable((void *)ctx->args[0], true);
}
#endif

#ifdef WITH_wakeup_new_raw
int wakeup_new_raw(struct bpf_raw_tracepoint_args *ctx) {
    return runnable((void *)ctx->args[0], false);
}
#endif

#ifdef WITH_wakeup_new_btf
int wakeup_new_btf(struct bpf_raw_tracepoint_args *ctx) {
    return runnable((void *)ctx->args[0], true);
}
#endif

static __always_inline void count(struct waiting *slot, u64 now) {
    struct latency_key key = {.cgroup = slot->cgroup, .pid = slot->pid};
    u64 one = 1, *counted;
    u32 zero = 0, *filled = generation.lookup(&zero);
    key.bucket = bucket_of(now - slot->ts, BUCKETS);
    if (filled && *filled) {
        counted = latency_1.lookup(&key);
        if (!counted && !latency_1.insert(&key, &one))
            return;
        if (!counted)
            counted = latency_1.lookup(&key);
    } else {
        counted = latency_0.lookup(&key);
        if (!counted && !latency_0.insert(&key, &one))
            return;
        if (!counted)
            counted = latency_0.lookup(&key);
    }
    if (counted)
        __sync_fetch_and_add(counted, 1);
    else
        COUNT(lost_map);
}

static __always_inline int switched(void *prev, void *next, bool typed) {
    u64 now = bpf_ktime_get_ns();
    u64 pid_tgid = bpf_get_current_pid_tgid(); /* still prev's */
    u32 tid = pid_tgid;
    struct waiting *slot;

    if (tid && (slot = slot_of(tid))) {
#if KHAS(task_struct, __state)
        bool preempted = KGET(typed, prev, task_struct, __state) == 0;
#else
        bool preempted = KGET(typed, prev, task_struct, state) == 0;
#endif
        if (slot->tid != tid && slot->tid && slot->ts)
            COUNT(lost_collision);
        slot->tid = tid;
        slot->pid = pid_tgid >> 32;
        slot->cgroup = bpf_get_current_cgroup_id();
        slot->focused = in_focus();
        slot->ts = preempted ? now : 0;
    }
    tid = KGET(typed, next, task_struct, pid);
    if (tid && (slot = slot_of(tid)) && slot->tid == tid && slot->ts) {
        if (slot->focused)
            count(slot, now);
        slot->ts = 0;
    }
    return 0;
}

#ifdef WITH_switch_raw
int switch_raw(struct bpf_raw_tracepoint_args *ctx) {
    return switched((void *)ctx->args[1], (void *)ctx->args[2], false);
}
#endif

#ifdef WITH_switch_btf
int switch_btf(struct bpf_raw_tracepoint_args *ctx) {
    return switched((void *)ctx->args[1], (void *)ctx->args[2], true);
}
#endif
