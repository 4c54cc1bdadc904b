/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The arguments of a function as it is entered, what it gives back, and its frame, from the registers. */
#pragma once

#if defined(__x86_64__)
#define ARGUMENT_0(regs) ((regs)->di)
#define ARGUMENT_1(regs) ((regs)->si)
#define ARGUMENT_2(regs) ((regs)->dx)
#define ARGUMENT_3(regs) ((regs)->cx)
#define ARGUMENT_4(regs) ((regs)->r8)
#define ARGUMENT_5(regs) ((regs)->r9)
#define RESULT(regs) ((regs)->ax)
#define frame_at_entry(regs) ((regs)->sp + 8) /* the address to return to is on the stack */
#define frame_at_return(regs) ((regs)->sp)
#elif defined(__aarch64__)
#define ARGUMENT_0(regs) ((regs)->regs[0])
#define ARGUMENT_1(regs) ((regs)->regs[1])
#define ARGUMENT_2(regs) ((regs)->regs[2])
#define ARGUMENT_3(regs) ((regs)->regs[3])
#define ARGUMENT_4(regs) ((regs)->regs[4])
#define ARGUMENT_5(regs) ((regs)->regs[5])
#define RESULT(regs) ((regs)->regs[0])
#define frame_at_entry(regs) ((regs)->sp)
#define frame_at_return(regs) ((regs)->sp)
#endif

#define no_frame_at_entry(ctx) 0
#define no_frame_at_return(ctx) 0
