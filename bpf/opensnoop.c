/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* open, creat, openat, openat2: one record when the call returns, as the path has been paged in by then. */
#include "kernel.h"
#include "focus.h"
#include "counters.h"
#include "dir_path.h"
#include "event_stack.h"
#include "exec_path.h"
#include "syscall_args.h"

#define SHORT_PATH 48
#define MEDIUM_PATH 160
#define LONG_PATH 4096
#define AT_FDCWD -100

#define OPEN_FIELDS                                                                                                    \
    u64 ts;                                                                                                            \
    u64 cgroup;                                                                                                        \
    u64 dir;                                                                                                           \
    u64 stack_id;                                                                                                      \
    u64 latency_ns;                                                                                                    \
    u32 pid;                                                                                                           \
    u32 tid;                                                                                                           \
    u32 uid;                                                                                                           \
    s32 ret;                                                                                                           \
    u32 flags;                                                                                                         \
    u32 mode;                                                                                                          \
    char comm[16];

/* A stream for each size of path: nearly all are short, and a ring of long records would be full at once. */
struct open_event {
    OPEN_FIELDS
    char path[SHORT_PATH];
};

struct open_event_medium {
    OPEN_FIELDS
    char path[MEDIUM_PATH];
};

struct open_event_long {
    OPEN_FIELDS
    char path[LONG_PATH];
};

#include "streams.h"
#include "directory.h"
#include "stacks.h"

/* When a thread entered open. Direct-mapped: a hash would cost more than everything else here. Two threads that share
 * a slot lose the latency of one call, nothing more.
 */
struct entered {
    u32 tid;
    u32 pad;
    u64 ts;
};
BPF_ARRAY(entries, struct entered, 65536);

static __always_inline void entered_now(void) {
    u32 tid = bpf_get_current_pid_tgid();
    u32 slot = tid & 65535;
    struct entered *entry = entries.lookup(&slot);
    if (entry) {
        entry->tid = tid;
        entry->ts = bpf_ktime_get_ns();
    }
}

struct open_args {
    s32 dirfd;
    u32 flags;
    u32 mode;
    void *path;
};

static __always_inline void read_args(struct open_args *args, struct pt_regs *regs, long number) {
    args->dirfd = AT_FDCWD;
    args->mode = 0;
    if (number == NR_openat) {
        args->dirfd = SYSCALL_ARG0(regs);
        args->path = (void *)SYSCALL_ARG1(regs);
        args->flags = SYSCALL_ARG2(regs);
        args->mode = SYSCALL_ARG3(regs);
    } else if (number == NR_open) {
        args->path = (void *)SYSCALL_ARG0(regs);
        args->flags = SYSCALL_ARG1(regs);
        args->mode = SYSCALL_ARG2(regs);
    } else if (number == NR_creat) {
        args->path = (void *)SYSCALL_ARG0(regs);
        args->flags = 01101; /* O_CREAT | O_WRONLY | O_TRUNC */
        args->mode = SYSCALL_ARG1(regs);
    } else {
        u64 how[2] = {};
        args->dirfd = SYSCALL_ARG0(regs);
        args->path = (void *)SYSCALL_ARG1(regs);
        read_user(how, sizeof(how), (void *)SYSCALL_ARG2(regs));
        args->flags = how[0];
        args->mode = how[1];
    }
    if (!(args->flags & 020000100)) /* O_CREAT, __O_TMPFILE: else the mode is whatever was in the register */
        args->mode = 0;
}

#define FILL(event)                                                                                                    \
    do {                                                                                                               \
        u64 pid_tgid = bpf_get_current_pid_tgid();                                                                     \
        (event)->ts = now;                                                                                             \
        (event)->cgroup = bpf_get_current_cgroup_id();                                                                 \
        (event)->dir = dir;                                                                                            \
        (event)->stack_id = stack_id;                                                                                  \
        (event)->latency_ns = latency;                                                                                 \
        (event)->pid = pid_tgid >> 32;                                                                                 \
        (event)->tid = pid_tgid;                                                                                       \
        (event)->uid = bpf_get_current_uid_gid();                                                                      \
        (event)->ret = ret;                                                                                            \
        (event)->flags = args.flags;                                                                                   \
        (event)->mode = args.mode;                                                                                     \
        current_comm((event)->comm);                                                                                   \
    } while (0)

static __always_inline int open_done(void *ctx, struct pt_regs *regs, long number, long ret) {
    u64 now = bpf_ktime_get_ns();
    u32 tid = bpf_get_current_pid_tgid();
    u32 slot = tid & 65535;
    u64 latency = ~0ULL;
    struct entered *entry = entries.lookup(&slot);
    if (entry && entry->tid == tid && entry->ts) {
        latency = now - entry->ts;
        entry->ts = 0;
    }
    struct open_args args;
    read_args(&args, regs, number);
    u64 stack_id = stack_if_wanted(ctx);

    struct open_event *event = events_reserve();
    if (!event)
        return 0;
    CLEAR(event->path);
    long size = read_user_str(event->path, SHORT_PATH, args.path);
    if (size < 0)
        COUNT(lost_read);
    u64 dir = event->path[0] == '/' ? 0 : directory_id(ctx, args.dirfd, now);
    if (size < SHORT_PATH) {
        FILL(event);
        events_submit(ctx, event);
        return 0;
    }
    events_discard(event);
    struct open_event_medium *medium = medium_events_reserve();
    if (!medium)
        return 0;
    CLEAR(medium->path);
    if (read_user_str(medium->path, MEDIUM_PATH, args.path) < MEDIUM_PATH) {
        FILL(medium);
        medium_events_submit(ctx, medium);
        return 0;
    }
    medium_events_discard(medium);
    struct open_event_long *whole = long_events_reserve();
    if (!whole)
        return 0;
    read_user_str(whole->path, LONG_PATH, args.path);
    FILL(whole);
    long_events_submit(ctx, whole);
    return 0;
}

static __always_inline bool is_open(long number) {
    return number == NR_openat || number == NR_open || number == NR_openat2 || number == NR_creat;
}

#ifdef WITH_enter_raw
int enter_raw(struct bpf_raw_tracepoint_args *ctx) {
    if (is_open(ctx->args[1]))
        entered_now();
    return 0;
}
#endif

#ifdef WITH_exit_raw
/* The task's registers, typed: loads from them are plain loads. */
int exit_raw(struct bpf_raw_tracepoint_args *ctx) {
    void *task = (void *)bpf_get_current_task_btf();
    struct pt_regs *regs = (void *)bpf_task_pt_regs((void *)task);
    long number = SYSCALL_NUMBER(regs);
    if (!is_open(number) || !in_focus() || TASK_IS_COMPAT(task))
        return 0;
    with_stacks_raw(ctx, PLACE_exit_raw);
    return open_done(ctx, regs, number, ctx->args[1]);
}
#endif

#ifdef WITH_exit_raw_copy
/* Before Linux 5.15 the registers must be copied. */
int exit_raw_copy(struct bpf_raw_tracepoint_args *ctx) {
    struct pt_regs regs;
    long number = syscall_number_of((void *)ctx->args[0]);
    if (!is_open(number) || !in_focus() || syscall_is_compat((void *)bpf_get_current_task()))
        return 0;
    with_stacks_raw(ctx, PLACE_exit_raw_copy);
    read_regs(&regs, (void *)ctx->args[0]);
    return open_done(ctx, &regs, number, ctx->args[1]);
}
#endif

#ifdef WITH_enter_tracepoint
int enter_tracepoint(void *ctx) {
    entered_now();
    return 0;
}
#endif

#ifdef WITH_exit_tracepoint
/* One program for the four calls' tracepoints: which it is stands in the registers. */
int exit_tracepoint(void *ctx) {
    struct pt_regs *regs = (void *)bpf_task_pt_regs((void *)bpf_get_current_task_btf());
    if (!in_focus())
        return 0;
    with_stacks_tracepoint(ctx, PLACE_exit_tracepoint);
    return open_done(ctx, regs, SYSCALL_NUMBER(regs), *(long *)(ctx + KOFFSET(syscall_trace_exit, ret)));
}
#endif
