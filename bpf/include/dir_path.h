/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The record of directory.h: `names_len` bytes of names, leaf first, each with its NUL. */
#pragma once

struct dir_path {
    u64 id;
    u32 names_len;
    u32 complete;
    char names[4352]; /* DIR_NAMES, and room for one more name */
};
