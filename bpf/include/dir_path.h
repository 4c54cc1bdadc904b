/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The records of directory.h: `names_len` bytes of names, leaf first, each with its NUL. */
#pragma once

#define DIR_NAMES 4096
#define DIR_NAMES_LONG 4352 /* and room for one more name */
#define DIR_NAMES_SHORT 232

struct dir_path {
    u64 id;
    u32 names_len;
    u32 complete;
    char names[DIR_NAMES_LONG];
};

/* Nearly all are short, and a ring of long records would be full as soon as somebody walks through a tree. */
struct dir_path_short {
    u64 id;
    u32 names_len;
    u32 complete;
    char names[DIR_NAMES_SHORT];
};
