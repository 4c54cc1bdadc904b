/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The record of executed.h. */
#pragma once

struct exec_path {
    u64 ts;
    u32 pid;
    u32 pad;
    char path[256];
};
