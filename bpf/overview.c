/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What every process does. The kernel keeps most of it in each task already (time on a CPU, run-queue delay, context
 * switches, page faults): an iterator hands that over once a tick, and the last context switch of a thread hands over
 * what it had, so that a process of a millisecond adds up like any other. Only what the kernel does not keep is counted
 * here, by the thread itself in a slot of its own: no lock, no atomic, no hash.
 *
 * All figures grow; the reader subtracts. Two threads that share a slot push each other out, and what was counted goes
 * out as a record: nothing is lost by it.
 */
#include "kernel.h"
#include "focus.h"
#include "counters.h"
#include "syscall_args.h"

#define WAITS 24
#define SLOTS 32768
#define TASK_DEAD 0x80
#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000
#define TCP_SYN_SENT 2
#define TCP_CLOSE 7

#define LIVES 0
#define ENDED 1
#define PUSHED_OUT 2

#define IN_FOCUS 1
#define KERNEL_THREAD 2

#define COUNTED                                                                                                        \
    u64 claimed; /* when the slot was taken: tells these counts from others of the same thread */                      \
    u64 read_bytes;                                                                                                    \
    u64 write_bytes;                                                                                                   \
    u64 io_ns;                                                                                                         \
    u32 opens;                                                                                                         \
    u32 failed_opens;                                                                                                  \
    u32 execs;                                                                                                         \
    u32 forks;                                                                                                         \
    u32 connects;                                                                                                      \
    u32 ios;                                                                                                           \
    u32 wait[WAITS];

struct thread_counts {
    COUNTED
};

struct thread_slot {
    u64 start;
    u64 delay; /* all that the thread had waited when it last left its CPU */
    u32 tid;
    u32 pid;
    u32 focused;
    u32 pad;
    struct thread_counts counts;
};
BPF_ARRAY(slots, struct thread_slot, SLOTS);

struct thread_totals {
    u64 start; /* of its process, in ns since boot */
    u64 lived_ns; /* of who has ended: since then */
    u64 cpu_ns;
    u64 wait_ns;
    u64 voluntary;
    u64 involuntary;
    u64 minor_faults;
    u64 major_faults;
    u64 cgroup;
    u32 tid;
    u32 pid;
    u32 ppid;
    u32 uid;
    s32 exit_code;
    u32 flags;
    u32 why;
    u32 state;
    char comm[16];
    COUNTED
};
BPF_PERCPU_ARRAY(scratch, struct thread_totals, 1);

#include "streams.h"

/* Connections that were refused or given up, by CPU: it is the softirq that learns of it. */
BPF_PERCPU_ARRAY(refused, u64, 1);

static __always_inline u64 started(void *task) {
#if KHAS(task_struct, start_boottime)
    return KLOAD(KLOAD(task, task_struct, group_leader), task_struct, start_boottime);
#else
    return KLOAD(KLOAD(task, task_struct, group_leader), task_struct, real_start_time);
#endif
}

static __always_inline u32 state_of(void *task) {
#if KHAS(task_struct, __state)
    return KLOAD(task, task_struct, __state) | KLOAD(task, task_struct, exit_state);
#else
    return KLOAD(task, task_struct, state) | KLOAD(task, task_struct, exit_state);
#endif
}

static __always_inline void describe(struct thread_totals *out, void *task) {
    out->start = started(task);
    out->cpu_ns = KLOAD(KADDR(task, task_struct, se), sched_entity, sum_exec_runtime);
    out->wait_ns = KLOAD(KADDR(task, task_struct, sched_info), sched_info, run_delay);
    out->voluntary = KLOAD(task, task_struct, nvcsw);
    out->involuntary = KLOAD(task, task_struct, nivcsw);
    out->minor_faults = KLOAD(task, task_struct, min_flt);
    out->major_faults = KLOAD(task, task_struct, maj_flt);
    void *group = KLOAD(KLOAD(task, task_struct, cgroups), css_set, dfl_cgrp);
    out->cgroup = KLOAD(KLOAD(group, cgroup, kn), kernfs_node, id);
    out->tid = KLOAD(task, task_struct, pid);
    out->pid = KLOAD(task, task_struct, tgid);
    out->ppid = KLOAD(KLOAD(task, task_struct, real_parent), task_struct, tgid);
    out->uid = KLOAD(KLOAD(task, task_struct, cred), cred, uid);
    out->exit_code = KLOAD(task, task_struct, exit_code);
    out->state = state_of(task);
    u64 *name = (u64 *)out->comm, *from = KADDR(task, task_struct, comm);
    name[0] = from[0];
    name[1] = from[1];
}

static __always_inline u32 flags_of(void *task, bool focused) {
    return (focused ? IN_FOCUS : 0) | (KLOAD(task, task_struct, flags) & PF_KTHREAD ? KERNEL_THREAD : 0);
}

/* A thread that has been pushed out of its slot is told with what was counted there. */
static __always_inline void push_out(void *ctx, struct thread_slot *slot) {
    struct thread_totals *out = ends_reserve();
    if (!out)
        return;
    *out = (struct thread_totals){};
    out->start = slot->start;
    out->tid = slot->tid;
    out->pid = slot->pid;
    out->why = PUSHED_OUT;
    out->flags = slot->focused ? IN_FOCUS : 0;
    *(struct thread_counts *)&out->claimed = slot->counts;
    ends_submit(ctx, out);
}

static __always_inline struct thread_slot *slot_at(u32 tid) {
    u32 key = tid & (SLOTS - 1);
    return slots.lookup(&key);
}

static __always_inline void take_over(void *ctx, struct thread_slot *slot, u32 tid, u32 pid, u64 start, u64 delay) {
    if (slot->tid)
        push_out(ctx, slot);
    slot->counts = (struct thread_counts){};
    slot->tid = tid;
    slot->pid = pid;
    slot->start = start;
    slot->delay = delay;
    slot->counts.claimed = bpf_ktime_get_ns();
}

/* The running thread's slot. */
static __always_inline struct thread_slot *my_slot(void *ctx) {
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 tid = pid_tgid;
    struct thread_slot *slot = slot_at(tid);
    if (!slot || !tid || slot->tid == tid)
        return tid ? slot : 0;
    void *task = (void *)bpf_get_current_task_btf();
    take_over(ctx, slot, tid, pid_tgid >> 32, started(task),
              KLOAD(KADDR(task, task_struct, sched_info), sched_info, run_delay));
    return slot;
}

static __always_inline bool current_in_rule(u32 pid) {
    int zero = 0;
    struct focus_rule *rule = focus_rules.lookup(&zero);
    return rule && rule_holds(rule, pid);
}

/* 0 below 1,024 ns, then one for each power of two. */
static __always_inline u32 wait_bucket(u64 ns) {
    u64 rest = ns >> 10;
    u32 high = 0;
    if (rest >> 32)
        return WAITS - 1;
    if (rest >> 16) { rest >>= 16; high += 16; }
    if (rest >> 8) { rest >>= 8; high += 8; }
    if (rest >> 4) { rest >>= 4; high += 4; }
    if (rest >> 2) { rest >>= 2; high += 2; }
    high += rest >> 1;
    high += rest > 0;
    return high < WAITS ? high : WAITS - 1;
}

static __always_inline void ended(void *ctx, struct thread_slot *slot, void *task) {
    struct thread_totals *out = ends_reserve();
    if (!out)
        return;
    describe(out, task);
    out->lived_ns = bpf_ktime_get_boot_ns() - out->start;
    out->why = ENDED;
    out->flags = flags_of(task, slot->focused);
    *(struct thread_counts *)&out->claimed = slot->counts;
    ends_submit(ctx, out);
    slot->tid = 0;
}

/* The thread that leaves its CPU: what it had to wait before it came here is known by now, and if it is dead, all. */
static __always_inline int left(void *ctx, void *task) {
    struct thread_slot *slot = my_slot(ctx);
    if (!slot)
        return 0;
    u64 delay = KLOAD(KADDR(task, task_struct, sched_info), sched_info, run_delay);
    u64 bucket = wait_bucket(delay - slot->delay);
    slot->delay = delay;
    asm volatile("" : "+r"(bucket)); /* or what the next line tells the verifier (6.1) is of another register */
    if (bucket < WAITS)
        slot->counts.wait[bucket]++;
    if (state_of(task) & TASK_DEAD)
        ended(ctx, slot, task);
    else if (!(KLOAD(task, task_struct, flags) & PF_EXITING)) /* who exits has left the focus already */
        slot->focused = current_in_rule(slot->pid);
    return 0;
}

int switched(struct bpf_raw_tracepoint_args *ctx) {
    return left(ctx, (void *)ctx->args[1]);
}

/* A child that dies before it ever leaves its CPU is in focus as its parent is. */
static __always_inline int born(void *ctx, void *child) {
    struct thread_slot *parent = my_slot(ctx);
    u32 tid = KLOAD(child, task_struct, pid), pid = KLOAD(child, task_struct, tgid);
    if (parent && tid == pid)
        parent->counts.forks++;
    struct thread_slot *slot = slot_at(tid);
    if (!slot)
        return 0;
    take_over(ctx, slot, tid, pid, started(child), 0);
    slot->focused = current_in_rule(bpf_get_current_pid_tgid() >> 32);
    return 0;
}

int forked(struct bpf_raw_tracepoint_args *ctx) {
    return born(ctx, (void *)ctx->args[1]);
}

int executed(struct bpf_raw_tracepoint_args *ctx) {
    struct thread_slot *slot = my_slot(ctx);
    if (slot)
        slot->counts.execs++;
    return 0;
}

int called(struct bpf_raw_tracepoint_args *ctx) {
    void *task = (void *)bpf_get_current_task_btf();
    struct pt_regs *regs = (void *)bpf_task_pt_regs((void *)task);
    long number = SYSCALL_NUMBER(regs);
    if ((number != NR_openat && number != NR_open && number != NR_openat2 && number != NR_creat) ||
        TASK_IS_COMPAT(task))
        return 0;
    struct thread_slot *slot = my_slot(ctx);
    if (slot) {
        slot->counts.opens++;
        slot->counts.failed_opens += (long)ctx->args[1] < 0;
    }
    return 0;
}

int connecting(struct bpf_raw_tracepoint_args *ctx) {
    int zero = 0;
    if (ctx->args[2] == TCP_SYN_SENT) {
        struct thread_slot *slot = my_slot(ctx);
        if (slot)
            slot->counts.connects++;
    } else if (ctx->args[1] == TCP_SYN_SENT && ctx->args[2] == TCP_CLOSE) {
        u64 *count = refused.lookup(&zero);
        if (count)
            ++*count;
    }
    return 0;
}

/* Operations of block devices that are under way, by their request. */
struct io_begun {
    u64 ts;
    u32 tid;
    u32 pad;
};
BPF_HASH(ios_begun, u64, struct io_begun, 8192);

/* Until Linux 5.11, when partitions became block devices, the queue came before the request. */
#define REQUEST_ARG (KHAS(block_device, bd_start_sect) ? 0 : 1)
#define REQ_OP_MASK 0xff
#define REQ_OP_READ 0
#define REQ_OP_WRITE 1

int io_begins(struct bpf_raw_tracepoint_args *ctx) {
    u64 request = ctx->args[REQUEST_ARG];
    u32 bytes = KREAD((void *)request, request, __data_len);
    u32 operation = KREAD((void *)request, request, cmd_flags) & REQ_OP_MASK;
    struct thread_slot *slot = my_slot(ctx);
    if (!slot || operation > REQ_OP_WRITE)
        return 0;
    struct io_begun begun = {.ts = bpf_ktime_get_ns(), .tid = slot->tid};
    slot->counts.ios++;
    if (operation == REQ_OP_READ)
        slot->counts.read_bytes += bytes;
    else
        slot->counts.write_bytes += bytes;
    if (ios_begun.update(&request, &begun))
        COUNT(lost_map);
    return 0;
}

int io_ends(struct bpf_raw_tracepoint_args *ctx) {
    u64 request = ctx->args[0];
    struct io_begun *begun = ios_begun.lookup(&request);
    if (!begun)
        return 0;
    struct thread_slot *slot = slot_at(begun->tid);
    if (slot && slot->tid == begun->tid)
        __sync_fetch_and_add(&slot->counts.io_ns, bpf_ktime_get_ns() - begun->ts);
    ios_begun.delete(&request);
    return 0;
}

static __always_inline bool task_in_cgroup(struct focus_rule *rule, void *task) {
    u64 id = 0;
    void *group = KREAD(KREAD(task, task_struct, cgroups), css_set, dfl_cgrp);
    if (KREAD(group, cgroup, level) < rule->cgroup_level)
        return false;
#if KHAS(cgroup, ancestors)
    void *above = 0;
    read_kernel(&above, sizeof(above), group + KOFFSET(cgroup, ancestors) + 8 * (u64)rule->cgroup_level);
    id = KREAD(KREAD(above, cgroup, kn), kernfs_node, id);
#elif KHAS(cgroup, ancestor_ids)
    read_kernel(&id, sizeof(id), group + KOFFSET(cgroup, ancestor_ids) + 8 * (u64)rule->cgroup_level);
#endif
    return id == rule->cgroup;
}

/* The same as rule_holds, of any task. */
static __always_inline bool task_in_rule(void *task, struct thread_totals *its) {
    int zero = 0;
    struct focus_rule *rule = focus_rules.lookup(&zero);
    if (!rule || !rule->by)
        return rule != 0;
    if ((rule->by & FOCUS_PIDS) && !focus_pids.lookup(&its->pid))
        return false;
    if ((rule->by & FOCUS_UID) && KLOAD(KLOAD(task, task_struct, cred), cred, uid) != rule->uid)
        return false;
    if ((rule->by & FOCUS_CGROUP) && !task_in_cgroup(rule, task))
        return false;
    return !(rule->by & FOCUS_COMM) || rule_has_comm(rule, (u64 *)its->comm);
}

static long (*seq_write)(void *seq, const void *data, u32 size) = (void *)BPF_FUNC_seq_write;

/* Of the iterator over all tasks; `task` is 0 at the end. */
static __always_inline int tell(void *seq, void *task) {
    int zero = 0;
    struct thread_totals *out = scratch.lookup(&zero);
    if (!task || !out)
        return 0;
    describe(out, task);
    if (!out->tid)
        return 0;
    out->lived_ns = 0;
    struct thread_slot *slot = slot_at(out->tid);
    out->why = LIVES;
    out->flags = flags_of(task, task_in_rule(task, out));
    if (slot && slot->tid == out->tid)
        *(struct thread_counts *)&out->claimed = slot->counts;
    else
        *(struct thread_counts *)&out->claimed = (struct thread_counts){};
    seq_write(seq, out, sizeof(*out));
    return 0;
}

int each_task(u64 *ctx) {
    void **meta = (void **)ctx[0];
    return tell(*meta, (void *)ctx[1]);
}
