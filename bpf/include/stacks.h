/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The stack that led to an event, as an id; its frames go out once a second for those in use.
 *
 * Capture switches it on and off while programs run. Off, it is a look into an array, which the kernel compiles to a
 * load; nothing is reloaded, so no event is lost. The id is a hash of the process and of all addresses: with plain
 * addresses a stack is walked fast, and only when it is told are its frames looked up again with their files' build
 * ids. The hash begins with a random number of capture's, so that no program can make its stacks look like another's.
 *
 * The program that includes this declares struct event_stack's stream as `stacks`, and struct exec_path's as `execs`.
 */
#pragma once
#include "executed.h"

#define STACK_FRESH_NS 1000000000ULL
#define SHALLOW 32    /* frames; few stacks have more */
#define USER_ROOM 128 /* USER_DEPTH, made a multiple of 4; the last stays 0 */

struct walked {
    u64 kernel[KERNEL_DEPTH];
    u64 user[USER_ROOM];
};

BPF_ARRAY(switches, u64, 1); /* 0: off; else where hashes begin, another number each time it is switched on */
BPF_PERCPU_ARRAY(walks, struct walked, 1);
BPF_TABLE("lru_hash", u64, u64, stacks_told, 16384); /* by id: when */

static __always_inline u64 stacks_wanted(void) {
    int zero = 0;
    u64 *seed = switches.lookup(&zero);
    return seed ? *seed : 0;
}

static __always_inline u64 mixed_in(u64 hash, u64 word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL; /* 2^64 divided by the golden ratio: odd, its bits look random */
    return hash ^ (hash >> 31);
}

/* Whose memory the user part of a stack lies in. `lasts`: it will be there when functions are named. */
struct image {
    u32 pid;
    u32 lasts;
    void *mm; /* another after exec */
};

/* Four at a time, as a product has to wait for the one before it. */
#define MIX_IN(words, from, to)                                                                                        \
    for (int i_ = (from); i_ < (to); i_ += 4) {                                                                        \
        lane0 = mixed_in(lane0, (words)[i_]);                                                                          \
        lane1 = mixed_in(lane1, (words)[i_ + 1]);                                                                      \
        lane2 = mixed_in(lane2, (words)[i_ + 2]);                                                                      \
        lane3 = mixed_in(lane3, (words)[i_ + 3]);                                                                      \
    }

/* Behind the last frame there are zeros, which the helper writes. An end to be found in each round would be a way of its
 * own for the verifier of 6.1, and more than it goes through.
 */
static __always_inline u64 hash_of(struct walked *walk, u64 seed, struct image *image, long kernel, long user) {
    u64 lane0 = seed, lane1 = seed ^ image->pid, lane2 = seed ^ (u64)image->mm, lane3 = seed ^ kernel;
    MIX_IN(walk->kernel, 0, SHALLOW);
    if (kernel > 8 * SHALLOW)
        MIX_IN(walk->kernel, SHALLOW, KERNEL_DEPTH);
    MIX_IN(walk->user, 0, SHALLOW);
    if (user > 8 * SHALLOW)
        MIX_IN(walk->user, SHALLOW, USER_ROOM);
    u64 hash = mixed_in(mixed_in(mixed_in(lane0, lane1), lane2), lane3);
    return hash ? hash : 1;
}

static __always_inline void tell_stack(void *ctx, struct walked *walk, u64 id, struct image *image, long kernel) {
    u64 now = bpf_ktime_get_ns();
    u64 *told = stacks_told.lookup(&id);
    if (told && now - *told < STACK_FRESH_NS)
        return;
    struct event_stack *out = stacks_reserve();
    if (!out)
        return;
    out->id = id;
    out->pid = image->lasts ? image->pid : 0;
    out->pad = 0;
    out->kernel_size = kernel;
    bpf_probe_read_kernel(out->kernel, sizeof(out->kernel), walk->kernel);
    out->user_size = bpf_get_stack(ctx, out->user, sizeof(out->user), USER_STACK | USER_BUILD_ID);
    stacks_submit(ctx, out);
    stacks_told.update(&id, &now); /* after it: who sees this can rely on the record being there */
}

/* The id of the stack that the running task has now, 0 where it cannot be walked. */
static __always_inline u64 stack_of(void *ctx, u64 seed, struct image *image) {
    int zero = 0;
    struct walked *walk = walks.lookup(&zero);
    if (!walk)
        return 0;
    long kernel = bpf_get_stack(ctx, walk->kernel, sizeof(walk->kernel), 0);
    long user = bpf_get_stack(ctx, walk->user, 8 * USER_DEPTH, USER_STACK);
    if (kernel < 0 && user < 0) {
        COUNT(lost_stack);
        return 0;
    }
    u64 id = hash_of(walk, seed, image, kernel, user);
    tell_stack(ctx, walk, id, image, kernel);
    return id;
}

static __always_inline u64 stack_if_wanted(void *ctx) {
    u64 seed = stacks_wanted();
    if (!seed)
        return 0;
    struct image image = {.pid = bpf_get_current_pid_tgid() >> 32, .lasts = 1};
    image.mm = KREAD((void *)bpf_get_current_task(), task_struct, mm);
    return stack_of(ctx, seed, &image);
}

#ifdef WITH_remember_exec
int remember_exec(struct bpf_raw_tracepoint_args *ctx) {
    return stacks_wanted() ? tell_executed(ctx) : 0;
}
#endif
