/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* System calls on sockets, each told as it returns. What a socket is, is looked at as the call begins: close() leaves
 * nothing to look at, and other descriptors than sockets go no further. Of accept() the peer is what the kernel knows
 * of the new socket, as programs need not ask for it.
 */
#include "kernel.h"
#include "focus.h"
#include "counters.h"
#include "event_stack.h"
#include "exec_path.h"
#include "socket_file.h"
#include "syscall_args.h"

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define EFAULT 14
#define DATA 128
#define UNIX_MOST 110 /* sizeof(struct sockaddr_un) */
#define UNKNOWN (~0ULL)

/* Ops as ebtop/tools has them. */
#define OP_SOCKET 1
#define OP_SETSOCKOPT 2
#define OP_BIND 3
#define OP_LISTEN 4
#define OP_CONNECT 5
#define OP_ACCEPT 6
#define OP_ACCEPT4 7
#define OP_SHUTDOWN 8
#define OP_CLOSE 9

struct socket_event {
    u64 ts;
    u64 cgroup;
    u64 latency_ns;
    u64 stack_id;
    u64 socket;   /* inode number of what the call was made on; 0: not a socket */
    u64 accepted; /* of what accept() gave, else 0 */
    u32 pid;
    u32 tid;
    u32 uid;
    s32 ret;
    s32 fd; /* of socket() what it gave */
    s32 level;
    s32 optname;
    u32 argument; /* type of socket(), flags of accept4(), what shutdown() is to end, how many listen() lets wait */
    u32 size;     /* of the address or the value, as it was given; only so many bytes are in `data` */
    u16 op;
    u16 family;
    u16 protocol;
    u8 truncated;
    u8 pad;
    char comm[16];
    u8 data[DATA]; /* a sockaddr, or the value of an option */
};

#include "streams.h"
#include "stacks.h"

struct call {
    u64 ts;
    u64 args[5];
    u64 socket;
    u32 op; /* 0: none */
    u16 family;
    u16 protocol;
};
BPF_HASH(calls, u32, struct call, 16384); /* by thread, while it is in the call */

static __always_inline u32 op_of(long number) {
    switch (number) {
    case NR_socket:
        return OP_SOCKET;
    case NR_setsockopt:
        return OP_SETSOCKOPT;
    case NR_bind:
        return OP_BIND;
    case NR_listen:
        return OP_LISTEN;
    case NR_connect:
        return OP_CONNECT;
    case NR_accept:
        return OP_ACCEPT;
    case NR_accept4:
        return OP_ACCEPT4;
    case NR_shutdown:
        return OP_SHUTDOWN;
    case NR_close:
        return OP_CLOSE;
    }
    return 0;
}

static __always_inline void look_at(struct call *call, u32 fd) {
    void *file = file_of((void *)bpf_get_current_task(), fd);
    void *inode = socket_inode(file);
    if (!inode)
        return;
    void *sk = sock_of(file);
    call->socket = KREAD(inode, inode, i_ino);
    call->family = KREAD(sk, sock_common, skc_family);
    call->protocol = KREAD(sk, sock, sk_protocol);
}

static __always_inline void entered(struct call *call) {
    u32 tid = bpf_get_current_pid_tgid();
    if (call->op != OP_SOCKET)
        look_at(call, call->args[0]);
    if (call->op == OP_CLOSE && !call->socket)
        return;
    call->ts = bpf_ktime_get_ns();
    if (calls.update(&tid, call))
        COUNT(lost_map);
}

/* Bytes of the program. How many is hidden from the compiler, which would drop the test that the verifier needs. */
static __always_inline void read_data(struct socket_event *event, void *from, u64 size, s32 ret) {
    event->size = size;
    event->truncated = size > DATA;
    if (size > DATA)
        size = DATA;
    asm volatile("" : "+r"(size));
    if (!from || size > DATA)
        event->size = 0;
    else if (read_user(event->data, size, from)) {
        event->size = 0;
        if (ret != -EFAULT)
            COUNT(lost_read);
    }
}

static __always_inline void read_unix_peer(struct socket_event *event, void *sk) {
#if KHAS(unix_sock, peer) && KHAS(unix_sock, addr) && KHAS(unix_address, name)
    void *name = KREAD(KREAD(sk, unix_sock, peer), unix_sock, addr);
    u64 size = name ? KREAD(name, unix_address, len) : 2;
    asm volatile("" : "+r"(size));
    *(u16 *)event->data = AF_UNIX;
    if (size <= UNIX_MOST && name)
        read_kernel(event->data, size, KADDR(name, unix_address, name));
    event->size = size;
#endif
}

/* Who is at the other end of a socket, as accept() would have told. */
static __always_inline void read_peer(struct socket_event *event, void *sk) {
    event->family = KREAD(sk, sock_common, skc_family);
    event->protocol = KREAD(sk, sock, sk_protocol);
    if (event->family == AF_UNIX) {
        read_unix_peer(event, sk);
        return;
    }
    if (event->family != AF_INET && event->family != AF_INET6)
        return;
    *(u16 *)event->data = event->family;
    *(u16 *)(event->data + 2) = KREAD(sk, sock_common, skc_dport);
    if (event->family == AF_INET) {
        read_kernel(event->data + 4, 4, KADDR(sk, sock_common, skc_daddr));
        event->size = 16;
    } else {
        read_kernel(event->data + 8, 16, KADDR(sk, sock_common, skc_v6_daddr));
        event->size = 28;
    }
}

static __always_inline void opened(struct socket_event *event, u32 op) {
    void *file = file_of((void *)bpf_get_current_task(), event->ret);
    void *inode = socket_inode(file);
    if (!inode)
        return; /* closed by another thread already */
    if (op == OP_SOCKET) {
        event->socket = KREAD(inode, inode, i_ino);
        event->protocol = KREAD(sock_of(file), sock, sk_protocol);
    } else {
        event->accepted = KREAD(inode, inode, i_ino);
        read_peer(event, sock_of(file));
    }
}

/* What is told of each op beside what they have in common. */
static __always_inline void fill(struct socket_event *event, struct call *call) {
    u32 op = call->op;
    event->fd = call->args[0];
    if (op == OP_SOCKET) {
        event->fd = event->ret < 0 ? -1 : event->ret;
        event->family = call->args[0];
        event->protocol = call->args[2];
    }
    if (op == OP_SOCKET || op == OP_LISTEN || op == OP_SHUTDOWN)
        event->argument = call->args[1];
    else if (op == OP_ACCEPT4)
        event->argument = call->args[3];
    if (op == OP_SETSOCKOPT) {
        event->level = call->args[1];
        event->optname = call->args[2];
    }
    if ((op == OP_SOCKET || op == OP_ACCEPT || op == OP_ACCEPT4) && event->ret >= 0)
        opened(event, op);
    if (op == OP_SETSOCKOPT || op == OP_BIND || op == OP_CONNECT) {
        bool option = op == OP_SETSOCKOPT;
        s32 size = option ? call->args[4] : call->args[2];
        read_data(event, (void *)(option ? call->args[3] : call->args[1]), size < 0 ? 0 : size, event->ret);
    }
    if ((op == OP_BIND || op == OP_CONNECT) && event->size >= 2)
        event->family = *(u16 *)event->data;
}

static __always_inline int report(void *ctx, struct call *call, s32 ret) {
    u64 pid_tgid = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
    u64 stack_id = stack_if_wanted(ctx);
    struct socket_event *event = events_reserve();
    if (!event)
        return 0;
    event->ts = now;
    event->cgroup = bpf_get_current_cgroup_id();
    event->latency_ns = call->ts ? now - call->ts : UNKNOWN;
    event->stack_id = stack_id;
    event->socket = call->socket;
    event->accepted = 0;
    event->pid = pid_tgid >> 32;
    event->tid = pid_tgid;
    event->uid = bpf_get_current_uid_gid();
    event->ret = ret;
    event->level = event->optname = 0;
    event->argument = event->size = 0;
    event->op = call->op;
    event->family = call->family;
    event->protocol = call->protocol;
    event->truncated = event->pad = 0;
    current_comm(event->comm);
    CLEAR(event->data);
    fill(event, call);
    events_submit(ctx, event);
    return 0;
}

static __always_inline void args_of(struct call *call, struct pt_regs *regs) {
    call->args[0] = SYSCALL_ARG0(regs);
    call->args[1] = SYSCALL_ARG1(regs);
    call->args[2] = SYSCALL_ARG2(regs);
    call->args[3] = SYSCALL_ARG3(regs);
    call->args[4] = SYSCALL_ARG4(regs);
}

static __always_inline bool is_in_call(void) {
    u32 tid = bpf_get_current_pid_tgid();
    return calls.lookup(&tid) != 0;
}

/* Gives the call that the thread was in, and forgets it. */
static __always_inline bool left(struct call *call) {
    u32 tid = bpf_get_current_pid_tgid();
    struct call *found = calls.lookup(&tid);
    if (!found)
        return false;
    *call = *found;
    calls.delete(&tid);
    return true;
}

/* A call that began before the program was there to see it, as an accept() that has waited since. */
static __always_inline bool begun_before(struct call *call, long number, void *from) {
    struct pt_regs regs;
    call->op = op_of(number);
    if (!call->op || call->op == OP_CLOSE || !in_focus())
        return false;
    read_regs(&regs, from);
    args_of(call, &regs);
    if (call->op != OP_SOCKET)
        look_at(call, call->args[0]);
    return true;
}

/* The records of the system calls' tracepoints: an u64 that is the kernel's, the number, and then the arguments, or
 * what is returned (tracefs, events/syscalls/FORMAT). Arguments that a call has none of are never looked at.
 */
#define RECORD_NUMBER 8
#define RECORD_REST 16

#ifdef WITH_enter_tracepoint
/* close() is called for every file there is: what is no socket is to leave soon. */
static __always_inline bool closes_other(u32 op, void *ctx) {
#if KHAS(task_struct, bpf_ctx)
    return op == OP_CLOSE && !socket_inode(file_of_current(*(u64 *)(ctx + RECORD_REST)));
#else
    return false;
#endif
}

int enter_tracepoint(void *ctx) {
    u32 op = op_of(*(int *)(ctx + RECORD_NUMBER));
    if (closes_other(op, ctx) || !in_focus())
        return 0;
    struct call call = {.op = op};
    read_kernel(call.args, sizeof(call.args), ctx + RECORD_REST);
    entered(&call);
    return 0;
}
#endif

#ifdef WITH_exit_tracepoint
int exit_tracepoint(void *ctx) {
    if (*(int *)(ctx + RECORD_NUMBER) == NR_close && !is_in_call())
        return 0;
    with_stacks_tracepoint(ctx, PLACE_exit_tracepoint);
    struct call call = {};
    if (left(&call))
        return report(ctx, &call, *(long *)(ctx + RECORD_REST));
#if KHAS(task_struct, bpf_ctx) /* since Linux 5.15, as the helper */
    void *regs = (void *)bpf_task_pt_regs((void *)bpf_get_current_task_btf());
    if (begun_before(&call, *(int *)(ctx + RECORD_NUMBER), regs))
        return report(ctx, &call, *(long *)(ctx + RECORD_REST));
#endif
    return 0;
}
#endif

#ifdef WITH_enter_raw
int enter_raw(struct bpf_raw_tracepoint_args *ctx) {
    struct call call = {};
    struct pt_regs regs;
    call.op = op_of(ctx->args[1]);
    if (!call.op || !in_focus() || syscall_is_compat((void *)bpf_get_current_task()))
        return 0;
    read_regs(&regs, (void *)ctx->args[0]);
    args_of(&call, &regs);
    entered(&call);
    return 0;
}
#endif

#ifdef WITH_exit_raw
int exit_raw(struct bpf_raw_tracepoint_args *ctx) {
    struct call call = {};
    if (!op_of(syscall_number_of((void *)ctx->args[0])) || syscall_is_compat((void *)bpf_get_current_task()))
        return 0;
    with_stacks_raw(ctx, PLACE_exit_raw);
    if (left(&call) || begun_before(&call, syscall_number_of((void *)ctx->args[0]), (void *)ctx->args[0]))
        return report(ctx, &call, ctx->args[1]);
    return 0;
}
#endif
