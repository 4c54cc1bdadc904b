/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A piece of the running task's user stack with what it takes to unwind it: the registers that the task entered the
 * kernel with, be it by a system call or an interrupt, and where its program lies in memory. Where that is told is
 * user_stack_fields.h.
 */
#pragma once
#include "user_stack_fields.h"

#define FIRST_STACK_MOST (8ULL << 20) /* ulimit -s, mostly; who has more is treated as another thread */

/* Of the code and the stack of a process. Mapped files and code lie from `lowest` on, below `highest`, and not in the
 * heap.
 */
struct layout {
    u64 ip;
    u64 sp;
    u64 bp;
    u64 lr;
    u64 code_start;
    u64 code_end;
    u64 lowest;
    u64 highest;
    u64 heap;
    u64 heap_size;
    u64 stack_size; /* from sp on, as far as it is known */
};

/* Zeros where there are no registers of a 64-bit program. */
static __always_inline void read_registers(struct layout *layout) {
    layout->ip = layout->sp = layout->bp = layout->lr = 0;
#if KHAS(task_struct, bpf_ctx) /* since Linux 5.15, as the helper */
    void *task = (void *)bpf_get_current_task_btf();
    if (TASK_IS_COMPAT(task))
        return;
    struct pt_regs *regs = (void *)bpf_task_pt_regs((void *)task);
#if defined(__x86_64__)
    layout->ip = regs->ip;
    layout->sp = regs->sp;
    layout->bp = regs->bp;
#else
    layout->ip = regs->pc;
    layout->sp = regs->sp;
    layout->bp = regs->regs[29];
    layout->lr = regs->regs[30];
#endif
#endif
}

static __always_inline void read_layout(struct layout *layout) {
    void *mm = KREAD((void *)bpf_get_current_task(), task_struct, mm);
    read_registers(layout);
    layout->code_start = KREAD(mm, mm_struct, start_code);
    layout->code_end = KREAD(mm, mm_struct, end_code);
    layout->heap = KREAD(mm, mm_struct, start_brk);
    layout->heap_size = KREAD(mm, mm_struct, brk) - layout->heap;
    layout->highest = KREAD(mm, mm_struct, start_stack);
    u64 mapped = KREAD(mm, mm_struct, mmap_base); /* above all that is mapped, or with `ulimit -s unlimited` below it */
    layout->lowest = layout->code_start < mapped ? layout->code_start : mapped;
    u64 room = layout->highest - layout->sp;
    layout->stack_size = room < FIRST_STACK_MOST ? room : COPY_BYTES;
}

/* Copies what lies at sp: how many bytes. What follows may not be there; it ends with a page. */
static __always_inline u32 copy_stack(void *copy, struct layout *layout) {
    u64 sp = layout->sp, most = layout->stack_size;
    if (!sp)
        return 0;
    u32 size = most < COPY_BYTES ? most & (COPY_BYTES - 8) : COPY_BYTES;
    if (!read_user(copy, size, (void *)sp))
        return size;
    size = (4096 - (sp & 4095)) & (COPY_BYTES - 8);
    return read_user(copy, size, (void *)sp) ? 0 : size;
}

/* Into the record `out`, which has USER_STACK_FIELDS. */
#define tell_layout(out, layout)                                                                                       \
    do {                                                                                                               \
        void *mm_ = KREAD((void *)bpf_get_current_task(), task_struct, mm);                                            \
        (out)->ip = (layout)->ip;                                                                                      \
        (out)->sp = (layout)->sp;                                                                                      \
        (out)->bp = (layout)->bp;                                                                                      \
        (out)->lr = (layout)->lr;                                                                                      \
        (out)->code_start = (layout)->code_start;                                                                      \
        (out)->code_end = (layout)->code_end;                                                                          \
        (out)->program = KREAD(KREAD(KREAD(mm_, mm_struct, exe_file), file, f_inode), inode, i_ino);                   \
    } while (0)
