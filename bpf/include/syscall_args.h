/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The arguments of the system call that a task is in, from the registers that it entered with. */
#pragma once

#if defined(__x86_64__)
#define SYSCALL_NUMBER(regs) ((regs)->orig_ax)
#define SYSCALL_ARG0(regs) ((regs)->di)
#define SYSCALL_ARG1(regs) ((regs)->si)
#define SYSCALL_ARG2(regs) ((regs)->dx)
#define SYSCALL_ARG3(regs) ((regs)->r10)
#define SYSCALL_ARG4(regs) ((regs)->r8)
#define NR_open 2
#define NR_close 3
#define NR_socket 41
#define NR_connect 42
#define NR_accept 43
#define NR_shutdown 48
#define NR_bind 49
#define NR_listen 50
#define NR_setsockopt 54
#define NR_execve 59
#define NR_creat 85
#define NR_openat 257
#define NR_accept4 288
#define NR_execveat 322
#elif defined(__aarch64__)
#define SYSCALL_NUMBER(regs) ((regs)->syscallno)
#define SYSCALL_ARG0(regs) ((regs)->orig_x0)
#define SYSCALL_ARG1(regs) ((regs)->regs[1])
#define SYSCALL_ARG2(regs) ((regs)->regs[2])
#define SYSCALL_ARG3(regs) ((regs)->regs[3])
#define SYSCALL_ARG4(regs) ((regs)->regs[4])
#define NR_open -2
#define NR_close 57
#define NR_socket 198
#define NR_bind 200
#define NR_listen 201
#define NR_accept 202
#define NR_connect 203
#define NR_setsockopt 208
#define NR_shutdown 210
#define NR_accept4 242
#define NR_execve 221
#define NR_creat -3
#define NR_openat 56
#define NR_execveat 281
#else
#error "ebtop knows the system call registers of x86-64 and arm64 only"
#endif
#define NR_openat2 437

#if defined(__x86_64__) && KHAS(thread_info, status)
#define TASK_IS_COMPAT(task) (KLOAD(task, thread_info, status) & 2)
#else
#define TASK_IS_COMPAT(task) 0
#endif

/* Is the task in a 32-bit system call? Its numbers mean something else. */
static __always_inline bool syscall_is_compat(void *task) {
#if defined(__x86_64__) && KHAS(thread_info, status)
    return KREAD(task, thread_info, status) & 2; /* TS_COMPAT; thread_info is the task's first member */
#else
    return false;
#endif
}

static __always_inline long syscall_number_of(void *from) {
    struct pt_regs *regs = from;
    long number = 0;
#if defined(__x86_64__)
    read_kernel(&number, sizeof(number), &regs->orig_ax);
#else
    s32 narrow = 0;
    read_kernel(&narrow, sizeof(narrow), &regs->syscallno);
    number = narrow;
#endif
    return number;
}

static __always_inline void read_regs(struct pt_regs *regs, void *from) {
    read_kernel(regs, sizeof(*regs), from);
}
