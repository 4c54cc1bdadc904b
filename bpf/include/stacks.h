/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The stack that led to an event, as an id; its frames go out once a second for those in use.
 *
 * Capture switches it on and off while programs run. Off, it is a look into an array, which the kernel compiles to a
 * load. To walk stacks takes code that the kernel's verifier needs longer for than for all the rest, so programs are
 * built without it. When stacks are wanted, the same programs are built once more, with -DSTACKS and the same maps; from
 * then on those that run go on in them (with_stacks_*()), so nothing is detached and no event is lost.
 *
 * Libraries are built without frame pointers as a rule, so a piece of the stack itself goes out with the registers, for
 * capture to unwind it by the tables in the files. It costs nearly nothing to copy, but stacks are told once only, by
 * an id that has to tell them apart: a hash of the process, of the frames that frame pointers lead to, and of what on
 * the copy may be a return address. Anything else there may differ each time. The hash begins with a random number of
 * capture's, so that no program can make its stacks look like another's.
 *
 * The program that includes this declares struct event_stack's stream as `stacks`, and struct exec_path's as `execs`;
 * programs that do not walk stacks have neither.
 */
#pragma once
#include "syscall_args.h"

#define STACK_FRESH_NS 1000000000ULL
#define USER_ROOM 128 /* USER_DEPTH, made a power of two */
#define COPY_WORDS 512 /* COPY_BYTES of them */
#define MAYBE_ROOM 128

BPF_ARRAY(switches, u64, 1); /* 0: off; else where hashes begin, another number each time it is switched on */
#ifdef STACKS
#include "executed.h"
#include "user_stack.h"

struct walked {
    u64 kernel[KERNEL_DEPTH];
    u64 user[USER_ROOM];
    u64 copy[COPY_WORDS];
    u64 maybe[MAYBE_ROOM]; /* words of the copy that may be addresses of code */
    u64 count;             /* of them */
    u64 copied;            /* bytes of the copy */
    struct layout layout;
};

BPF_PERCPU_ARRAY(walks, struct walked, 1);
BPF_TABLE("lru_hash", u64, u64, stacks_told, 16384); /* by id: when */
#else
/* By PLACE_function; of one type each, as a program can only go on in its like. */
BPF_PROG_ARRAY(stacked_raw, 64);
BPF_PROG_ARRAY(stacked_tracepoint, 64);
BPF_PROG_ARRAY(stacked_kprobe, 64);
#endif

static __always_inline u64 stacks_wanted(void) {
    int zero = 0;
    u64 *seed = switches.lookup(&zero);
    return seed ? *seed : 0;
}

/* Each goes on in the program at that place that walks stacks, if they are wanted, and does not return. Before this
 * nothing may have been done that counts, as that program begins anew.
 */
static __always_inline void with_stacks_raw(void *ctx, int place) {
#ifndef STACKS
    if (stacks_wanted())
        stacked_raw.call(ctx, place);
#endif
}

static __always_inline void with_stacks_tracepoint(void *ctx, int place) {
#ifndef STACKS
    if (stacks_wanted())
        stacked_tracepoint.call(ctx, place);
#endif
}

static __always_inline void with_stacks_kprobe(void *ctx, int place) {
#ifndef STACKS
    if (stacks_wanted())
        stacked_kprobe.call(ctx, place);
#endif
}

/* Whose memory the user part of a stack lies in. `lasts`: it will be there when functions are named. */
struct image {
    u32 pid;
    u32 lasts;
    void *mm; /* another after exec */
};


#ifdef STACKS
static __always_inline u64 mixed_in(u64 hash, u64 word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL; /* 2^64 divided by the golden ratio: odd, its bits look random */
    return hash ^ (hash >> 31);
}

/* `below(a, b)`: 1 if a < b else 0, for b below 2^63, and without a branch, as in_code(): with one, each of hundreds of
 * rounds would be several for the verifier.
 */
static __always_inline u64 below(u64 a, u64 b) {
    return (a - b & ~a) >> 63;
}

/* Could there be code at an address? 1 or 0. */
static __always_inline u64 in_code(struct layout *layout, u64 word) {
    return below(word - layout->lowest, layout->highest - layout->lowest) & ~below(word - layout->sp, layout->stack_size) &
           ~below(word - layout->heap, layout->heap_size);
}

/* Is an address what a call would return to? 1 or 0. Objects have addresses, too, which differ each time. */
static __always_inline u64 behind_call(u64 word) {
    u64 code = 0;
    read_user(&code, sizeof(code), (void *)(word - 8));
#if defined(__x86_64__)
/* FF /2 begins so many bits up: 2, 3, 4, 6 or 7 bytes before the address. E8 takes 5. */
#define INDIRECT(up) below((code >> (up) & 0x38ff) ^ 0x10ff, 1)
    return below((code >> 24 & 0xff) ^ 0xe8, 1) | INDIRECT(48) | INDIRECT(40) | INDIRECT(32) | INDIRECT(16) |
           INDIRECT(8);
#else
    u64 before = code >> 32; /* BL; BLR, BLRAA and the like */
    return below((before & 0xfc000000) ^ 0x94000000, 1) | below((before & 0xfefff000) ^ 0xd63f0000, 1);
#endif
}

/* Signed by the CPU, an address has a signature above it. */
#if defined(__x86_64__)
#define CODE_BITS (~0ULL)
#else
#define CODE_BITS ((1ULL << 48) - 1)
#endif

/* Goes through the first `size` bytes of an array whose length is a power of two, as `word`. The place is hidden from
 * the compiler, which would count the rounds beforehand and go on until their number is met: the verifier of 6.1 does
 * not see that such a loop ends.
 */
#define EACH_WORD(array, length, size, does)                                                                           \
    do {                                                                                                               \
        for (s64 at_ = 0; at_ < (length); at_++) {                                                                     \
            asm volatile("" : "+r"(at_));                                                                              \
            if (8 * at_ >= (size))                                                                                     \
                break;                                                                                                 \
            u64 word = (array)[at_ & ((length)-1)];                                                                    \
            does;                                                                                                      \
        }                                                                                                              \
    } while (0)

/* The hash with a word mixed in, if `counts` is 1; as it is, if 0. */
static __always_inline u64 mixed_if(u64 counts, u64 hash, u64 word) {
    return hash ^ ((mixed_in(hash, word) ^ hash) & -counts);
}

/* The words of the copy that may be addresses to return to; only so many are looked at closely. How many there are is
 * kept in memory, where the verifier does not follow it: to that of 6.1 each number would be another way to go on.
 */
static __always_inline u64 hash_of_copy(struct walked *walk, u64 hash, long copied) {
    struct layout layout = walk->layout;
    walk->count = 0;
    EACH_WORD(walk->copy, COPY_WORDS, copied, ({
                  u64 count = *(volatile u64 *)&walk->count;
                  u64 maybe = in_code(&layout, word & CODE_BITS);
                  walk->maybe[count & (MAYBE_ROOM - 1)] = word & CODE_BITS;
                  hash = mixed_if(maybe & ~below(count, MAYBE_ROOM - 1), hash, word);
                  *(volatile u64 *)&walk->count = count + (maybe & below(count, MAYBE_ROOM - 1));
              }));
    EACH_WORD(walk->maybe, MAYBE_ROOM, 8 * *(volatile long *)&walk->count,
              hash = mixed_if(behind_call(word), hash, word));
    return hash;
}

static __always_inline u64 hash_of(struct walked *walk, u64 seed, struct image *image, long kernel, long user,
                                   long copied) {
    struct layout layout = walk->layout;
    u64 hash = mixed_in(mixed_in(mixed_in(seed, image->pid), (u64)image->mm), kernel);
    hash = mixed_in(hash, layout.ip);
    EACH_WORD(walk->kernel, KERNEL_DEPTH, kernel, hash = mixed_in(hash, word));
    EACH_WORD(walk->user, USER_ROOM, user, hash = mixed_if(in_code(&layout, word), hash, word));
    hash = hash_of_copy(walk, hash, copied);
    return hash ? hash : 1;
}

static __always_inline void tell_stack(void *ctx, struct walked *walk, u64 id, struct image *image, long kernel,
                                       u32 copied) {
    u64 now = bpf_ktime_get_ns();
    u64 *told = stacks_told.lookup(&id);
    if (told && now - *told < STACK_FRESH_NS)
        return;
    struct event_stack *out = stacks_reserve();
    if (!out)
        return;
    out->id = id;
    out->pid = image->lasts ? image->pid : 0;
    out->kernel_size = kernel;
    out->copied = copied;
    tell_layout(out, &walk->layout);
    read_kernel(out->kernel, sizeof(out->kernel), walk->kernel);
    read_kernel(out->stack, sizeof(out->stack), walk->copy);
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
    read_layout(&walk->layout);
    walk->copied = copy_stack(walk->copy, &walk->layout);
    long copied = *(volatile long *)&walk->copied; /* as hash_of_copy() says of `count` */
    u64 id = hash_of(walk, seed, image, kernel, user, copied);
    tell_stack(ctx, walk, id, image, kernel, copied);
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

#else
static __always_inline u64 stack_of(void *ctx, u64 seed, struct image *image) {
    return 0;
}

static __always_inline u64 stack_if_wanted(void *ctx) {
    return 0;
}
#endif

#ifdef WITH_remember_exec
int remember_exec(struct bpf_raw_tracepoint_args *ctx) {
#ifdef STACKS
    return stacks_wanted() ? tell_executed(ctx) : 0;
#else
    with_stacks_raw(ctx, PLACE_remember_exec);
    return 0;
#endif
}
#endif
