/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* execve and execveat. A successful one is read when the new program is in place: its arguments then lie in one piece
 * at mm->arg_start, so one copy takes all of them. A failed one is read as the call returns, string by string.
 */
#include "kernel.h"
#include "focus.h"
#include "counters.h"
#include "event_stack.h"
#include "exec_path.h"
#include "syscall_args.h"

#define SHORT_PATH 48
#define SHORT_ARGS 104
#define MEDIUM_PATH 128
#define MEDIUM_ARGS 384
#define LONG_PATH 4096
#define LONG_ARGS 8192
/* HUGE_ARGS comes from the tool's declaration; the perf buffer, whose scratch records hold 32 KiB, has less. */

#define EXEC_FIELDS                                                                                                    \
    u64 ts;                                                                                                            \
    u64 cgroup;                                                                                                        \
    u64 exec_id;                                                                                                       \
    u64 stack_id;                                                                                                      \
    u32 pid;                                                                                                           \
    u32 tid;                                                                                                           \
    u32 ppid;                                                                                                          \
    u32 uid;                                                                                                           \
    s32 ret;                                                                                                           \
    u32 argc;                                                                                                          \
    u32 args_len;                                                                                                      \
    u32 truncated;                                                                                                     \
    char comm[16];

struct exec_event {
    EXEC_FIELDS
    char path[SHORT_PATH];
    char args[SHORT_ARGS];
};

struct exec_event_medium {
    EXEC_FIELDS
    char path[MEDIUM_PATH];
    char args[MEDIUM_ARGS];
};

struct exec_event_long {
    EXEC_FIELDS
    char path[LONG_PATH];
    char args[LONG_ARGS];
};

struct exec_event_huge {
    EXEC_FIELDS
    char path[LONG_PATH];
    char args[HUGE_ARGS];
};

struct exec_exit {
    u64 ts;
    u64 exec_id;
    u64 duration_ns;
    u32 pid;
    u32 exit_code;
    u32 signal;
    u32 uid;
    char comm[16];
};

#include "streams.h"
#include "stacks.h"

struct started {
    u64 exec_id;
    u64 ts;
};
BPF_HASH(running, u32, struct started, 65536);

#define FILL(event, now, stack, result)                                                                                       \
    do {                                                                                                               \
        u64 pid_tgid_ = bpf_get_current_pid_tgid();                                                                    \
        void *task_ = (void *)bpf_get_current_task();                                                                  \
        (event)->ts = now;                                                                                             \
        (event)->cgroup = bpf_get_current_cgroup_id();                                                                 \
        (event)->exec_id = (now << 8) | (bpf_get_smp_processor_id() & 255);                                            \
        (event)->stack_id = stack;                                                                                     \
        (event)->pid = pid_tgid_ >> 32;                                                                                \
        (event)->tid = pid_tgid_;                                                                                      \
        (event)->ppid = KREAD(KREAD(task_, task_struct, real_parent), task_struct, tgid);                              \
        (event)->uid = bpf_get_current_uid_gid();                                                                      \
        (event)->ret = result;                                                                                         \
        current_comm((event)->comm);                                                                                   \
    } while (0)

/* The many short records are cleared here, the few long ones by who reads them. */
#define EMPTY(event)                                                                                                   \
    do {                                                                                                               \
        if (sizeof(*(event)) <= sizeof(struct exec_event_medium)) {                                                    \
            CLEAR((event)->path);                                                                                      \
            CLEAR((event)->args);                                                                                      \
        } else {                                                                                                       \
            (event)->path[0] = 0;                                                                                      \
        }                                                                                                              \
    } while (0)

/* The arguments of a program that has just been put in place: `size` bytes at `from`. */
#define DONE(stream, type, limit)                                                                                      \
    do {                                                                                                               \
        type *event = stream##_reserve();                                                                              \
        if (!event)                                                                                                    \
            return 0;                                                                                                  \
        u32 length = size < limit ? size : limit;                                                                      \
        EMPTY(event);                                                                                                  \
        read_kernel_str(event->path, sizeof(event->path), filename);                                                   \
        if (read_user(event->args, length, (void *)from) < 0) {                                              \
            COUNT(lost_read);                                                                                          \
            length = 0;                                                                                                \
        }                                                                                                              \
        FILL(event, now, stack_id, 0);                                                                                 \
        event->argc = argc;                                                                                            \
        event->args_len = length;                                                                                      \
        event->truncated = length < size;                                                                              \
        start.exec_id = event->exec_id;                                                                                \
        stream##_submit(ctx, event);                                                                                   \
    } while (0)

/* A successful call leaves no stack behind: it is taken while the old program is still there, under the thread's id,
 * which is told again with the event as what it was (a thread that execs becomes the first of its process).
 */
struct begun {
    u64 seed; /* that of then: what was left over from before stacks were switched off is not taken up */
    u64 stack_id;
};
BPF_TABLE("lru_hash", u32, struct begun, begun, 8192);

/* What the caller runs is gone when its functions are named. But who was forked shares its parent's memory or has a
 * copy of it, all at the same addresses, and parents wait: while that runs the same program its memory will do, and one
 * stack stands for those of all its children.
 */
static __always_inline void image_before(struct image *image) {
    void *task = (void *)bpf_get_current_task();
    void *parent = KREAD(task, task_struct, real_parent);
    void *mm = KREAD(task, task_struct, mm), *above = KREAD(parent, task_struct, mm);
    bool same = mm == above || (KREAD(mm, mm_struct, exe_file) == KREAD(above, mm_struct, exe_file) &&
                                KREAD(mm, mm_struct, start_code) == KREAD(above, mm_struct, start_code) &&
                                KREAD(mm, mm_struct, start_stack) == KREAD(above, mm_struct, start_stack));
    image->lasts = above && same;
    image->pid = image->lasts ? KREAD(parent, task_struct, tgid) : bpf_get_current_pid_tgid() >> 32;
    image->mm = image->lasts ? above : mm;
}

static __always_inline int exec_begins(void *ctx) {
    struct begun stack = {.seed = stacks_wanted()};
    if (!stack.seed || !in_focus())
        return 0;
    struct image image = {};
    image_before(&image);
    stack.stack_id = stack_of(ctx, stack.seed, &image);
    u32 tid = bpf_get_current_pid_tgid();
    if (stack.stack_id)
        begun.update(&tid, &stack);
    return 0;
}

static __always_inline u64 stack_before(u32 tid) {
    struct begun *stack = begun.lookup(&tid);
    if (!stack)
        return 0;
    u64 stack_id = stack->seed == stacks_wanted() ? stack->stack_id : 0;
    begun.delete(&tid);
    return stack_id;
}

#ifdef WITH_exec_prepare_raw
/* Since Linux 6.10: only calls that will succeed come here, so it costs nothing but to them. */
int exec_prepare_raw(struct bpf_raw_tracepoint_args *ctx) {
    with_stacks_raw(ctx, PLACE_exec_prepare_raw);
    return exec_begins(ctx);
}
#endif

#ifdef WITH_exec_begin_tracepoint
int exec_begin_tracepoint(void *ctx) {
    with_stacks_tracepoint(ctx, PLACE_exec_begin_tracepoint);
    return exec_begins(ctx);
}
#endif

#ifdef WITH_exec_begin_raw
int exec_begin_raw(struct bpf_raw_tracepoint_args *ctx) {
    if (ctx->args[1] != NR_execve && ctx->args[1] != NR_execveat)
        return 0;
    with_stacks_raw(ctx, PLACE_exec_begin_raw);
    return syscall_is_compat((void *)bpf_get_current_task()) ? 0 : exec_begins(ctx);
}
#endif

#ifdef WITH_exec_done_raw
int exec_done_raw(struct bpf_raw_tracepoint_args *ctx) {
    if (!in_focus())
        return 0;
    u64 now = bpf_ktime_get_ns();
    void *mm = KREAD((void *)ctx->args[0], task_struct, mm);
    void *bprm = (void *)ctx->args[2];
    void *filename = KREAD(bprm, linux_binprm, filename);
    u32 argc = KREAD(bprm, linux_binprm, argc);
    u64 from = KREAD(mm, mm_struct, arg_start);
    u64 size = KREAD(mm, mm_struct, arg_end) - from;
    struct started start = {.ts = now};
    u64 stack_id = stack_before((u32)ctx->args[1]);
    char path[MEDIUM_PATH];
    long path_size = read_kernel_str(path, sizeof(path), filename);

    if (path_size < SHORT_PATH && size <= SHORT_ARGS)
        DONE(events, struct exec_event, SHORT_ARGS);
    else if (path_size < MEDIUM_PATH && size <= MEDIUM_ARGS)
        DONE(medium_events, struct exec_event_medium, MEDIUM_ARGS);
    else if (size <= LONG_ARGS)
        DONE(long_events, struct exec_event_long, LONG_ARGS);
    else
        DONE(huge_events, struct exec_event_huge, HUGE_ARGS);
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (running.update(&pid, &start))
        COUNT(lost_map);
    return 0;
}
#endif

/* Strings of a failed call, one after the other; each may fill half of the room. 0 when all fitted.
 * Of an empty string the kernel counts the NUL in 6.18, but not in 6.12: 1 is added where there is 0, and without a
 * branch, as two ways through each round are too many for the verifier of 6.1.
 */
#define COPY_STRINGS(event, limit, most)                                                                               \
    ({                                                                                                                 \
        u32 used_ = 0, count_ = 0, cut_ = 1;                                                                           \
        for (int i = 0; i < most; i++) {                                                                               \
            void *string_ = 0;                                                                                         \
            if (read_user(&string_, sizeof(string_), argv + 8 * i) || !string_) {                            \
                cut_ = 0;                                                                                              \
                break;                                                                                                 \
            }                                                                                                          \
            if (used_ >= limit / 2)                                                                                    \
                break;                                                                                                 \
            long got_ = read_user_str((event)->args + (used_ & (limit / 2 - 1)), limit / 2, string_);        \
            if (got_ < 0)                                                                                              \
                break;                                                                                                 \
            u64 empty_ = got_ - 1;                                                                                     \
            asm volatile("" : "+r"(empty_));                                                                           \
            got_ += empty_ >> 63;                                                                                      \
            used_ += got_;                                                                                             \
            count_++;                                                                                                  \
            if (got_ == limit / 2)                                                                                     \
                break;                                                                                                 \
        }                                                                                                              \
        (event)->args_len = used_;                                                                                     \
        (event)->argc = count_;                                                                                        \
        (event)->truncated = cut_;                                                                                     \
    })

#define FAILED(stream, type, limit, most, last)                                                                        \
    do {                                                                                                               \
        type *event = stream##_reserve();                                                                              \
        if (!event)                                                                                                    \
            return 0;                                                                                                  \
        EMPTY(event);                                                                                                  \
        long length = read_user_str(event->path, sizeof(event->path), path);                                 \
        COPY_STRINGS(event, limit, most);                                                                              \
        if (last || (!event->truncated && length < (long)sizeof(event->path))) {                                       \
            FILL(event, now, stack_id, ret);                                                                           \
            stream##_submit(ctx, event);                                                                               \
            return 0;                                                                                                  \
        }                                                                                                              \
        stream##_discard(event);                                                                                       \
    } while (0)

static __always_inline int exec_failed(void *ctx, struct pt_regs *regs, long ret, long number) {
    u64 now = bpf_ktime_get_ns();
    bool at = number == NR_execveat;
    void *path = (void *)(at ? SYSCALL_ARG1(regs) : SYSCALL_ARG0(regs));
    void *argv = (void *)(at ? SYSCALL_ARG2(regs) : SYSCALL_ARG1(regs));
    u64 stack_id = stack_if_wanted(ctx);
    FAILED(medium_events, struct exec_event_medium, 256, 16, 0);
    FAILED(long_events, struct exec_event_long, LONG_ARGS, 256, 0);
    /* 1,024 rounds are more than the verifier of 6.1 goes through. */
    FAILED(huge_events, struct exec_event_huge, HUGE_ARGS, 512, 1);
    return 0;
}

#ifdef WITH_exec_failed_tracepoint
/* One program for both calls' tracepoints. */
int exec_failed_tracepoint(void *ctx) {
    long ret = *(long *)(ctx + KOFFSET(syscall_trace_exit, ret));
    if (ret >= 0 || !in_focus())
        return 0;
    with_stacks_tracepoint(ctx, PLACE_exec_failed_tracepoint);
    struct pt_regs *regs = (void *)bpf_task_pt_regs((void *)bpf_get_current_task_btf());
    return exec_failed(ctx, regs, ret, SYSCALL_NUMBER(regs));
}
#endif

#ifdef WITH_exec_failed_raw
int exec_failed_raw(struct bpf_raw_tracepoint_args *ctx) {
    struct pt_regs regs;
    long ret = ctx->args[1];
    if (ret >= 0)
        return 0;
    long number = syscall_number_of((void *)ctx->args[0]);
    if (number != NR_execve && number != NR_execveat)
        return 0;
    if (!in_focus() || syscall_is_compat((void *)bpf_get_current_task()))
        return 0;
    with_stacks_raw(ctx, PLACE_exec_failed_raw);
    read_regs(&regs, (void *)ctx->args[0]);
    return exec_failed(ctx, &regs, ret, number);
}
#endif

#ifdef WITH_exec_exit_raw
/* A process has ended when its last thread has; deleting its entry succeeds once, so it is told once. */
int exec_exit_raw(struct bpf_raw_tracepoint_args *ctx) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct started *start = running.lookup(&pid);
    if (!start)
        return 0;
    void *task = (void *)ctx->args[0];
    void *signal = KREAD(task, task_struct, signal);
    if (KREAD(signal, signal_struct, live) > 0)
        return 0;
    u64 exec_id = start->exec_id, now = bpf_ktime_get_ns(), since = start->ts;
    if (running.delete(&pid))
        return 0;
    struct exec_exit *exit = exits_reserve();
    if (!exit)
        return 0;
    u32 group_code = KREAD(signal, signal_struct, group_exit_code);
    u32 code = group_code ? group_code : KREAD(KREAD(task, task_struct, group_leader), task_struct, exit_code);
    exit->ts = now;
    exit->exec_id = exec_id;
    exit->duration_ns = now - since;
    exit->pid = pid;
    exit->signal = code & 0x7f;
    exit->exit_code = exit->signal ? 128 + exit->signal : (code >> 8) & 0xff;
    exit->uid = bpf_get_current_uid_gid();
    current_comm(exit->comm);
    exits_submit(ctx, exit);
    return 0;
}
#endif
