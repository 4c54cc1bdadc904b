/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The kernel's questions whether a task has a capability, and what came of each.
 *
 * Who is asked are credentials, mostly those of the running task itself, and in a user namespace: that of what it wants
 * to do something to. In its own namespace a task has what its effective set holds; of a namespace below, which its
 * user made, it has everything without holding anything. `held` says that the answer came from the set.
 */
#include "kernel.h"
#include "focus.h"
#include "counters.h"
#include "event_stack.h"
#include "exec_path.h"

#define NS_INIT 0
#define NS_OWN 1
#define NS_OTHER 2

#define AUDIT_NO 0
#define AUDIT_YES 1
#define AUDIT_UNKNOWN 2
#define CAP_OPT_NOAUDIT 2 /* since Linux 5.1 */

#define NAMESPACES_DEEP 33 /* include/linux/user_namespace.h: 32 below the first */
#define CALLERS 8

struct capability_event {
    u64 ts;
    u64 cgroup;
    u64 stack_id;
    u32 pid;
    u32 tid;
    u32 uid;
    s32 ret;
    s32 cap;
    u8 audit;
    u8 ns;
    u8 held;
    u8 pad;
    char comm[16];
};

#include "streams.h"
#include "stacks.h"

struct check {
    void *cred;
    void *ns;
    s32 cap;
    u32 options;
};

static __always_inline u8 namespace_of(struct check *check) {
    if (!KREAD(check->ns, user_namespace, level))
        return NS_INIT;
    return check->ns == KREAD(check->cred, cred, user_ns) ? NS_OWN : NS_OTHER;
}

/* Does the user of the credentials own the namespace asked for, or one above it, as cap_capable() would find? */
static __always_inline bool owns(struct check *check) {
    void *own = KREAD(check->cred, cred, user_ns), *at = check->ns;
    u32 user = 0, owner = 0;
    for (int i = 0; i < NAMESPACES_DEEP; i++) {
        if (!at || at == own)
            return false;
        void *parent = KREAD(at, user_namespace, parent);
        if (parent == own) {
            read_kernel(&user, sizeof(user), KADDR(check->cred, cred, euid));
            read_kernel(&owner, sizeof(owner), KADDR(at, user_namespace, owner));
            return user == owner;
        }
        at = parent;
    }
    return false;
}

/* Was it the task's own effective set that said yes? Credentials that were put on for a while, as an overlay file
 * system does with those of who mounted it, are not the task's own.
 */
static __always_inline bool held(struct check *check, s32 ret) {
    u64 effective = 0;
    if (ret || check->cred != KREAD((void *)bpf_get_current_task(), task_struct, real_cred))
        return false;
    read_kernel(&effective, sizeof(effective), KADDR(check->cred, cred, cap_effective));
    return (effective >> (check->cap & 63) & 1) && !owns(check);
}

/* The tracepoint does not say whether a refusal would be audited, but who asks does: these functions ask so, or (memory
 * accounting, at every mmap) go on with what asks so in a jump. Their places are 0 where /proc/kallsyms keeps them back.
 */
#define IN(address, function) ((address) - (u64)(KSTART_##function) < (KSIZE_##function))
static __always_inline bool never_audits(u64 caller) {
    return IN(caller, security_vm_enough_memory_mm) || IN(caller, cap_vm_enough_memory) ||
           IN(caller, ns_capable_noaudit) || IN(caller, has_capability_noaudit) ||
           IN(caller, has_ns_capability_noaudit) || IN(caller, ptracer_capable);
}

static __always_inline u8 audit_by_caller(void *ctx) {
    u64 callers[CALLERS] = {};
    if (!KSIZE_ns_capable_noaudit || bpf_get_stack(ctx, callers, sizeof(callers), 0) <= 0)
        return AUDIT_UNKNOWN;
#pragma unroll
    for (int i = 0; i < CALLERS; i++)
        if (never_audits(callers[i]))
            return AUDIT_NO;
    return AUDIT_YES;
}

static __always_inline int report(void *ctx, struct check *check, s32 ret, u8 audit) {
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();
    u64 stack_id = stack_if_wanted(ctx);
    struct capability_event *event = events_reserve();
    if (!event)
        return 0;
    event->ts = now;
    event->cgroup = bpf_get_current_cgroup_id();
    event->stack_id = stack_id;
    event->pid = pid_tgid >> 32;
    event->tid = pid_tgid;
    event->uid = bpf_get_current_uid_gid();
    event->ret = ret;
    event->cap = check->cap;
    event->audit = audit;
    event->ns = namespace_of(check);
    event->held = held(check, ret);
    event->pad = 0;
    current_comm(event->comm);
    events_submit(ctx, event);
    return 0;
}

#ifdef WITH_checked_tracepoint
int checked_tracepoint(void *ctx) {
#if KHAS(trace_event_raw_cap_capable, ret) /* since Linux 6.14; else there is nothing to attach it to */
    if (!in_focus())
        return 0;
    with_stacks_tracepoint(ctx, PLACE_checked_tracepoint);
    struct check check = {
        .cred = *(void **)(ctx + KOFFSET(trace_event_raw_cap_capable, cred)),
        .ns = *(void **)(ctx + KOFFSET(trace_event_raw_cap_capable, target_ns)),
        .cap = *(s32 *)(ctx + KOFFSET(trace_event_raw_cap_capable, cap)),
    };
    return report(ctx, &check, *(s32 *)(ctx + KOFFSET(trace_event_raw_cap_capable, ret)), audit_by_caller(ctx));
#else
    return 0;
#endif
}
#endif

#ifdef WITH_checked_raw
int checked_raw(struct bpf_raw_tracepoint_args *ctx) {
    if (!in_focus())
        return 0;
    with_stacks_raw(ctx, PLACE_checked_raw);
    struct check check = {.cred = (void *)ctx->args[0], .ns = (void *)ctx->args[1], .cap = ctx->args[3]};
    return report(ctx, &check, ctx->args[4], audit_by_caller(ctx));
}
#endif

static __always_inline u8 audit_by(u32 options) {
    return options & CAP_OPT_NOAUDIT ? AUDIT_NO : AUDIT_YES;
}

#ifdef WITH_checked_fexit
KRETFUNC_PROBE(cap_capable, void *cred, void *ns, int cap, unsigned int options, int ret) {
    if (!in_focus())
        return 0;
    struct check check = {.cred = cred, .ns = ns, .cap = cap};
    return report(ctx, &check, ret, audit_by(options));
}
#endif

#ifdef WITH_asked_kprobe
BPF_HASH(asked, u32, struct check, 16384); /* by thread, while it is answered */

int asked_kprobe(struct pt_regs *ctx) {
    u32 tid = bpf_get_current_pid_tgid();
    struct check check = {.cred = (void *)PT_REGS_PARM1(ctx), .ns = (void *)PT_REGS_PARM2(ctx)};
    check.cap = PT_REGS_PARM3(ctx);
    check.options = PT_REGS_PARM4(ctx);
    if (in_focus() && asked.update(&tid, &check))
        COUNT(lost_map);
    return 0;
}

int checked_kretprobe(struct pt_regs *ctx) {
    with_stacks_kprobe(ctx, PLACE_checked_kretprobe);
    u32 tid = bpf_get_current_pid_tgid();
    struct check *found = asked.lookup(&tid);
    if (!found)
        return 0;
    struct check check = *found;
    asked.delete(&tid);
    return report(ctx, &check, PT_REGS_RC(ctx), audit_by(check.options));
}
#endif
