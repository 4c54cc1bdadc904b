/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Attach points that the user chose. What is read at each, and whether it counts, is in two headers that
 * ebtop/probing/header.py writes from the plan: probed.h has the records, probes.h a function for each point. Here is what
 * these call: a record for each hit, counts, a histogram, samples of stacks, and what is kept of a call until it returns.
 */
#include "kernel.h"
#include "focus.h"
#include "counters.h"
#include "event_stack.h"
#include "exec_path.h"
#include "function_arguments.h"
#include "probed.h"
#include "streams.h"

static __always_inline u64 task_pid(void) {
    return bpf_get_current_pid_tgid() >> 32;
}

/* Whether the hit counts. Clocks, interrupts and switches come to idle CPUs, too, whose task is process 0; a trial counts
 * what it would cost to be there, whoever it is.
 */
static __always_inline bool is_wanted(void) {
#ifdef TRIAL
    return true;
#endif
    int zero = 0;
    struct focus_rule *rule = focus_rules.lookup(&zero);
    return task_pid() ? in_focus() : rule && rule_holds(rule, 0);
}

static __always_inline u64 task_tid(void) {
    return (u32)bpf_get_current_pid_tgid();
}

static __always_inline u64 task_uid(void) {
    return (u32)bpf_get_current_uid_gid();
}

static __always_inline u64 user_word(u64 address, u32 size) {
    u64 word = 0;
    if (read_user(&word, size, (void *)address))
        COUNT(lost_read);
    return word;
}

static __always_inline u64 kernel_word(void *address, u32 size) {
    u64 word = 0;
    read_kernel(&word, size, address);
    return word;
}

/* Strings: 128 bytes are shown; one more tells that there are more, and then there is the NUL. */
#define TEXT_READ 130
#define UNREAD 1
#define TRUNCATED 2
#define NO_ADDRESS 4

/* The user's or the kernel's, by which half of the addresses it is in. */
static __always_inline long read_text(char *to, u64 from) {
    if (!from)
        return 0;
    if (from >> 63)
        return read_kernel_str(to, TEXT_READ, (void *)from);
    return read_user_str(to, TEXT_READ, (void *)from);
}

/* In a record: an array of so many bytes, which need not have a NUL. */
static __always_inline long read_chars(char *to, void *from, u32 size) {
    return read_kernel_str(to, size < TEXT_READ ? size + 1 : TEXT_READ, from);
}

/* At an offset in the record that stands in the record. */
static __always_inline long read_located(char *to, void *record, u32 at) {
    u32 where = *(u32 *)(record + at);
    return read_kernel_str(to, TEXT_READ, record + (where & 0xffff));
}

static __always_inline u32 text_state(long size) {
    return size < 0 ? UNREAD : !size ? NO_ADDRESS : size == TEXT_READ ? TRUNCATED : 0;
}

static __always_inline u32 note_text(long size) {
    if (size < 0)
        COUNT(lost_read);
    return text_state(size);
}

#if defined(TRACED) || defined(SLOWER) || defined(SAMPLED)
#include "stacks.h"
#endif

#if defined(TRACED) || defined(SLOWER)

static __always_inline struct hit *begin_hit(u32 probe, u64 stack_id, u64 latency_ns) {
    u64 pid_tgid = bpf_get_current_pid_tgid();
    struct hit *hit = hits_reserve();
    if (!hit)
        return 0;
    CLEAR_FIELDS(hit);
    hit->ts = bpf_ktime_get_ns();
    hit->cgroup = bpf_get_current_cgroup_id();
    hit->stack_id = stack_id;
    hit->latency_ns = latency_ns;
    hit->pid = pid_tgid >> 32;
    hit->tid = pid_tgid;
    hit->uid = bpf_get_current_uid_gid();
    hit->probe = probe;
    hit->unread = hit->truncated = 0;
    current_comm(hit->comm);
    return hit;
}
#endif

#ifdef COUNTED
BPF_TABLE("percpu_array", u32, u64, counts, POINTS);

/* At user functions another thread may take the CPU in the midst of it. */
static __always_inline void count_hit(u32 probe) {
    u64 *count = counts.lookup(&probe);
    if (count)
        __sync_fetch_and_add(count, 1);
}
#endif

#ifdef SAMPLED
struct seen_key {
    u64 id;
    u32 pid;
    u32 tid;
    char comm[16];
};
/* One is filled while the other is read and emptied. */
BPF_HASH(seen_0, struct seen_key, u64, 16384);
BPF_HASH(seen_1, struct seen_key, u64, 16384);
BPF_ARRAY(generation, u32, 1);

/* The stack is told before it is counted: who reads the counts first will find it. */
static __always_inline void take_sample(void *ctx) {
    struct seen_key key = {.id = stack_if_wanted(ctx), .pid = task_pid(), .tid = task_tid()};
    u64 nothing = 0, *counted;
    if (!key.id) /* not switched on yet; or it cannot be walked, which has been counted */
        return;
    u32 zero = 0, *filled = generation.lookup(&zero);
    current_comm(key.comm);
    counted = filled && *filled ? seen_1.lookup_or_try_init(&key, &nothing) : seen_0.lookup_or_try_init(&key, &nothing);
    if (counted)
        __sync_fetch_and_add(counted, 1);
    else
        COUNT(lost_map);
}
#endif

#if defined(TIMED) || defined(SPREAD)
#include "histogram.h"

struct found_key {
    u64 cgroup;
    u32 pid;
    u32 bucket;
    u32 probe;
    u32 pad;
};
/* One is filled while the other is read and emptied. */
BPF_HASH(found_0, struct found_key, u64, 65536);
BPF_HASH(found_1, struct found_key, u64, 65536);
BPF_ARRAY(generation, u32, 1);

static __always_inline void add_to(u32 probe, u32 bucket) {
    struct found_key key = {.cgroup = bpf_get_current_cgroup_id(), .pid = task_pid(), .bucket = bucket, .probe = probe};
    u64 nothing = 0, *counted;
    u32 zero = 0, *filled = generation.lookup(&zero);
    counted = filled && *filled ? found_1.lookup_or_try_init(&key, &nothing) : found_0.lookup_or_try_init(&key, &nothing);
    if (counted)
        __sync_fetch_and_add(counted, 1);
    else
        COUNT(lost_map);
}

static __always_inline void add_value(u32 probe, u64 value) {
    add_to(probe, BELOW_ZERO + bucket_of(value, BUCKETS));
}

static __always_inline void add_signed(u32 probe, s64 value) {
    if (value < 0)
        add_to(probe, BELOW_ZERO - bucket_of(-(u64)value, BUCKETS));
    else
        add_value(probe, value);
}
#endif

#if defined(TIMED) || defined(SPREAD) || defined(SLOWER)
/* Calls that have not returned. A function that calls itself is told apart by its frame, where there is one; those of
 * threads that ended meanwhile are the first to go when there is no more room.
 */
struct call_key {
    u64 frame;
    u32 tid;
    u32 probe;
};
BPF_TABLE("lru_hash", struct call_key, struct call, calls, 65536);
BPF_ARRAY(no_call, struct call, 1); /* never written: one of zeros is too large for a program's stack */

static __always_inline struct call *begin_call(u32 probe, u64 frame) {
    struct call_key key = {.frame = frame, .tid = task_tid(), .probe = probe};
    int zero = 0;
    struct call *nothing = no_call.lookup(&zero);
    if (!nothing)
        return 0;
    if (calls.update(&key, nothing)) {
        COUNT(lost_map);
        return 0;
    }
    return calls.lookup(&key);
}

static __always_inline struct call *call_of(u32 probe, u64 frame) {
    struct call_key key = {.frame = frame, .tid = task_tid(), .probe = probe};
    struct call *call = calls.lookup(&key);
    return call && call->ts ? call : 0;
}

static __always_inline void end_call(u32 probe, u64 frame) {
    struct call_key key = {.frame = frame, .tid = task_tid(), .probe = probe};
    calls.delete(&key);
}

static __always_inline void read_again(char *text, u64 from, u32 bit, struct call *call) {
    u32 state = note_text(read_text(text, from));
    if (!(state & UNREAD))
        call->unread &= ~bit;
    if (state & TRUNCATED)
        call->truncated |= bit;
}
#endif

#include "probes.h"
