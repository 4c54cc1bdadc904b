/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A frame of user code with the build id of its file: it can be named after the process is gone. The layout is that of
 * struct bpf_stack_build_id.
 */
#pragma once

#define USER_STACK (1ULL << 8)     /* BPF_F_USER_STACK */
#define USER_BUILD_ID (1ULL << 11) /* BPF_F_USER_BUILD_ID */

struct user_frame {
    s32 status;
    u8 build_id[20];
    u64 value;
};
