/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Kernel structs by name: ebtop writes kernel_offsets.h from the running kernel's BTF for every KREAD, KADDR, KHAS
 * that the sources contain. A member that this kernel lacks has KHAS(...) 0; reading it all the same does not compile.
 */
#pragma once
#include <kernel_offsets.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* Zeroes a field of a record: what follows a string's end would be whatever the ring held before. */
#define CLEAR(field)                                                                                                   \
    do {                                                                                                               \
        u64 *zeros_ = (u64 *)(field);                                                                                  \
        _Pragma("unroll") for (int i = 0; i < sizeof(field) / 8; i++) zeros_[i] = 0;                                   \
    } while (0)

/* The running task's name, 16 bytes. The helper of 6.1 leaves what follows the NUL as it was. */
static __always_inline void current_comm(char *comm) {
    u64 *zeros = (u64 *)comm;
    zeros[0] = zeros[1] = 0;
    bpf_get_current_comm(comm, 16);
}

/* Memory, by helpers of our own naming. At each call that is spelled bpf_probe_read_user BCC (0.26) reads all of
 * /proc/kallsyms to see whether the kernel has it, a tenth of a second every time. Who compiles is not told the kernel's
 * addresses, so BCC finds nothing there, and makes bpf_probe_read() of bpf_probe_read_kernel(), which arm64 has not.
 */
static long (*read_user)(void *to, u32 size, const void *from) = (void *)BPF_FUNC_probe_read_user;
static long (*read_user_str)(void *to, u32 size, const void *from) = (void *)BPF_FUNC_probe_read_user_str;
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)BPF_FUNC_probe_read_kernel;
static long (*read_kernel_str)(void *to, u32 size, const void *from) = (void *)BPF_FUNC_probe_read_kernel_str;

#define KHAS(strct, member) KHAS_##strct##__##member
#define KOFFSET(strct, member) KOFF_##strct##__##member

/* The address of pointer->member. */
#define KADDR(pointer, strct, member) ((void *)(pointer) + KOFF_##strct##__##member)

/* The value of pointer->member, 0 where it cannot be read. */
#define KREAD(pointer, strct, member)                                                                                  \
    ({                                                                                                                 \
        KTYPE_##strct##__##member value_;                                                                              \
        read_kernel(&value_, sizeof(value_), (void *)(pointer) + KOFF_##strct##__##member);                            \
        value_;                                                                                                        \
    })

/* The same for a pointer that the verifier knows the type of (bpf_get_current_task_btf() and what it leads to): a plain
 * load, at a tenth of the cost of a probe read.
 */
#define KLOAD(pointer, strct, member) (*(KTYPE_##strct##__##member *)((void *)(pointer) + KOFF_##strct##__##member))

/* One or the other, by a constant: in functions that both kinds of programs share. */
#define KGET(typed, pointer, strct, member) ((typed) ? KLOAD(pointer, strct, member) : KREAD(pointer, strct, member))
