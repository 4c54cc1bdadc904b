/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Active TCP connects. A socket's way from SYN_SENT to ESTABLISHED or CLOSE tells most; connects that fail before they
 * send anything (no route, no free port) never reach SYN_SENT and are seen as the system call returns.
 */
#include "kernel.h"
#include "focus.h"
#include "counters.h"
#include "event_stack.h"
#include "exec_path.h"
#include "socket_file.h"
#include "syscall_args.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_CLOSE 7
#define EINTR 4
#define EFAULT 14
#define EISCONN 106
#define EALREADY 114
#define EINPROGRESS 115
#define ECANCELED 125

struct connect_event {
    u64 ts;
    u64 cgroup;
    u64 latency_ns;
    u64 stack_id;
    u32 pid;
    u32 tid;
    u32 uid;
    s32 ret;
    u16 family;
    u16 sport;
    u16 dport;
    u16 pad;
    u8 saddr[16];
    u8 daddr[16];
    char comm[16];
};

#include "streams.h"
#include "stacks.h"

struct attempt {
    u64 ts;
    u64 cgroup;
    u64 stack_id;
    u32 pid;
    u32 tid;
    u32 uid;
    u16 dport;
    u16 pad;
    char comm[16];
};

BPF_HASH(attempts, u64, struct attempt, 65536); /* by socket */
BPF_HASH(calling, u32, u64, 65536);             /* the socket that a thread connects, while it is in the call */

static __always_inline void read_addresses(struct connect_event *event, void *sk) {
    event->family = KREAD(sk, sock_common, skc_family);
    event->sport = bpf_ntohs(KREAD(sk, inet_sock, inet_sport));
    __builtin_memset(event->saddr, 0, 32);
    if (event->family == AF_INET6) {
        read_kernel(event->saddr, 16, KADDR(sk, sock_common, skc_v6_rcv_saddr));
        read_kernel(event->daddr, 16, KADDR(sk, sock_common, skc_v6_daddr));
    } else {
        read_kernel(event->saddr, 4, KADDR(sk, sock_common, skc_rcv_saddr));
        read_kernel(event->daddr, 4, KADDR(sk, sock_common, skc_daddr));
    }
}

/* The call is what the stack belongs to: the answer comes when the task may be doing anything. */
static __always_inline void attempt_now(struct attempt *attempt, u64 stack_id) {
    u64 pid_tgid = bpf_get_current_pid_tgid();
    attempt->stack_id = stack_id; /* taken before the clock is read: the walk is no part of the connect */
    attempt->ts = bpf_ktime_get_ns();
    attempt->cgroup = bpf_get_current_cgroup_id();
    attempt->pid = pid_tgid >> 32;
    attempt->tid = pid_tgid;
    attempt->uid = bpf_get_current_uid_gid();
    current_comm(attempt->comm);
}

static __always_inline void report(void *ctx, void *sk, struct attempt *attempt, s32 ret) {
    struct connect_event *event = events_reserve();
    if (!event)
        return;
    event->ts = bpf_ktime_get_ns();
    event->cgroup = attempt->cgroup;
    event->latency_ns = event->ts - attempt->ts;
    event->stack_id = attempt->stack_id;
    event->pid = attempt->pid;
    event->tid = attempt->tid;
    event->uid = attempt->uid;
    event->ret = ret;
    event->dport = attempt->dport;
    event->pad = 0;
    __builtin_memcpy(event->comm, attempt->comm, 16);
    read_addresses(event, sk);
    events_submit(ctx, event);
}

/* Has the program that ran before at this change noted it? */
static __always_inline bool noted(u64 key) {
    struct attempt *found = attempts.lookup(&key);
    return found && found->tid == (u32)bpf_get_current_pid_tgid();
}

static __always_inline void begin_with(void *sk, u64 stack_id) {
    struct attempt attempt = {};
    u64 key = (u64)sk;
    attempt_now(&attempt, stack_id);
    attempt.dport = bpf_ntohs(KREAD(sk, sock_common, skc_dport));
    if (attempts.update(&key, &attempt))
        COUNT(lost_map);
    else
        calling.update(&attempt.tid, &key);
}

static __always_inline void begin(void *ctx, void *sk) {
    if (in_focus())
        begin_with(sk, stack_if_wanted(ctx));
}

/* No interrupt begins a connect, so there is hardly one to begin here: too rare for a walk, which takes a tenth of a
 * second to compile.
 */
static __always_inline void begin_again(void *sk) {
    if (!in_focus() || noted((u64)sk))
        return;
    if (stacks_wanted())
        COUNT(lost_stack);
    begin_with(sk, 0);
}

static __always_inline void end(void *ctx, void *sk, int state) {
    u64 key = (u64)sk;
    struct attempt *found = attempts.lookup(&key);
    if (!found)
        return;
    struct attempt attempt = *found;
    s32 error = state == TCP_ESTABLISHED ? 0 : KREAD(sk, sock, sk_err);
    if (state != TCP_ESTABLISHED && !error) {
        u64 *in_call = calling.lookup(&attempt.tid);
        if (in_call && *in_call == key)
            return; /* connect() itself gave up: what it returns is the reason */
        error = ECANCELED;
    }
    if (!attempts.delete(&key))
        report(ctx, sk, &attempt, -error);
}

static __always_inline int state_changed(void *ctx, void *sk, int before, int after) {
    if (after == TCP_SYN_SENT)
        begin(ctx, sk);
    else if (before == TCP_SYN_SENT)
        end(ctx, sk, after == TCP_CLOSE ? TCP_CLOSE : TCP_ESTABLISHED);
    return 0;
}

#ifdef WITH_state_tracepoint
int state_tracepoint(void *ctx) {
    int before = *(int *)(ctx + KOFFSET(trace_event_raw_inet_sock_set_state, oldstate));
    int after = *(int *)(ctx + KOFFSET(trace_event_raw_inet_sock_set_state, newstate));
    u16 protocol = *(u16 *)(ctx + KOFFSET(trace_event_raw_inet_sock_set_state, protocol));
    void *sk = *(void **)(ctx + KOFFSET(trace_event_raw_inet_sock_set_state, skaddr));
    with_stacks_tracepoint(ctx, PLACE_state_tracepoint);
    return protocol == IPPROTO_TCP ? state_changed(ctx, sk, before, after) : 0;
}
#endif

/* An interrupt in the middle of a program, while it walks a stack, say, is followed by what softirqs have waiting: timers
 * and packets that change the state of dozens of sockets at once. For none of these changes does the kernel run the
 * program that has been interrupted. Hence there are two that do the same: the first to see a change deals with it, the
 * other finds that done. When one is interrupted the other runs, to its end, as softirqs do not interrupt each other.
 *
 * That holds for raw tracepoints. Of the programs at plain tracepoints and kprobes, whosoever they are, only one runs at
 * a time on a CPU, and none while a process reads or writes most kinds of maps.
 */
static __always_inline int state_changed_raw(struct bpf_raw_tracepoint_args *ctx, bool again) {
    void *sk = (void *)ctx->args[0];
    if (ctx->args[2] != TCP_SYN_SENT)
        return state_changed(ctx, sk, ctx->args[1], ctx->args[2]);
    if (KREAD(sk, sock, sk_protocol) != IPPROTO_TCP)
        return 0;
    if (again)
        begin_again(sk);
    else
        begin(ctx, sk);
    return 0;
}

#ifdef WITH_state_raw
int state_raw(struct bpf_raw_tracepoint_args *ctx) {
    with_stacks_raw(ctx, PLACE_state_raw);
    return state_changed_raw(ctx, false);
}
#endif

#ifdef WITH_state_raw_again
int state_raw_again(struct bpf_raw_tracepoint_args *ctx) {
    return state_changed_raw(ctx, true);
}
#endif

/* At the entry of tcp_set_state() the socket still has its old state; only TCP sockets come here. */
static __always_inline int state_about_to_change(void *ctx, void *sk, int after) {
    return state_changed(ctx, sk, KREAD(sk, sock_common, skc_state), after);
}

#ifdef WITH_state_fentry
KFUNC_PROBE(tcp_set_state, void *sk, int after) {
    return state_about_to_change(ctx, sk, after);
}
#endif

#ifdef WITH_state_kprobe
int state_kprobe(struct pt_regs *ctx) {
    with_stacks_kprobe(ctx, PLACE_state_kprobe);
    return state_about_to_change(ctx, (void *)PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx));
}
#endif

static __always_inline void *socket_of(void *task, u32 fd) {
    void *file = file_of(task, fd);
    return socket_inode(file) ? sock_of(file) : 0;
}

/* A connect that failed before SYN_SENT: the address is still where the program put it. */
static __always_inline void refused_at_once(void *ctx, struct pt_regs *regs, s32 ret) {
    struct {
        u16 family;
        u16 port;
        u32 ipv4;
        u8 ipv6[16];
    } to = {};
    void *sk = socket_of((void *)bpf_get_current_task(), SYSCALL_ARG0(regs));
    if (!sk || KREAD(sk, sock, sk_protocol) != IPPROTO_TCP)
        return;
    read_user(&to, SYSCALL_ARG2(regs) < 28 ? 16 : 24, (void *)SYSCALL_ARG1(regs));
    if (to.family != AF_INET && to.family != AF_INET6)
        return;
    struct attempt attempt = {};
    attempt_now(&attempt, stack_if_wanted(ctx));
    struct connect_event *event = events_reserve();
    if (!event)
        return;
    event->ts = attempt.ts;
    event->cgroup = attempt.cgroup;
    event->latency_ns = 0;
    event->stack_id = attempt.stack_id;
    event->pid = attempt.pid;
    event->tid = attempt.tid;
    event->uid = attempt.uid;
    event->ret = ret;
    event->pad = 0;
    __builtin_memcpy(event->comm, attempt.comm, 16);
    read_addresses(event, sk);
    event->family = to.family;
    event->dport = bpf_ntohs(to.port);
    __builtin_memset(event->daddr, 0, 16);
    if (to.family == AF_INET)
        __builtin_memcpy(event->daddr, &to.ipv4, 4);
    else
        __builtin_memcpy(event->daddr, to.ipv6, 16);
    events_submit(ctx, event);
}

static __always_inline int connect_done(void *ctx, void *from_regs, long ret) {
    u32 tid = bpf_get_current_pid_tgid();
    u64 *key = calling.lookup(&tid);
    bool failed = ret < 0 && ret != -EINPROGRESS && ret != -EALREADY && ret != -EISCONN && ret != -EINTR;
    if (key) {
        u64 sk = *key;
        calling.delete(&tid);
        struct attempt *found = attempts.lookup(&sk);
        if (!found || !failed)
            return 0;
        struct attempt attempt = *found;
        if (!attempts.delete(&sk))
            report(ctx, (void *)sk, &attempt, ret);
        return 0;
    }
    if (failed && ret != -EFAULT && in_focus()) {
        struct pt_regs regs;
        read_regs(&regs, from_regs);
        refused_at_once(ctx, &regs, ret);
    }
    return 0;
}

#ifdef WITH_connect_exit
int connect_exit(void *ctx) {
    with_stacks_tracepoint(ctx, PLACE_connect_exit);
    long ret = *(long *)(ctx + KOFFSET(syscall_trace_exit, ret));
    return connect_done(ctx, (void *)bpf_task_pt_regs(bpf_get_current_task_btf()), ret);
}
#endif

#ifdef WITH_connect_exit_raw
int connect_exit_raw(struct bpf_raw_tracepoint_args *ctx) {
    if (syscall_number_of((void *)ctx->args[0]) != NR_connect || syscall_is_compat((void *)bpf_get_current_task()))
        return 0;
    with_stacks_raw(ctx, PLACE_connect_exit_raw);
    return connect_done(ctx, (void *)ctx->args[0], ctx->args[1]);
}
#endif
