/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Buckets with four equal parts per power of two; ebtop/tool.py log_buckets() has the same edges. */
#pragma once

static __always_inline u32 bucket_of(u64 value, u32 buckets) {
    if (value < 4)
        return value;
    /* The position of the highest bit, by halving: BPF has no instruction for it. */
    u64 rest = value;
    u32 high = 0;
    if (rest >> 32) { rest >>= 32; high += 32; }
    if (rest >> 16) { rest >>= 16; high += 16; }
    if (rest >> 8) { rest >>= 8; high += 8; }
    if (rest >> 4) { rest >>= 4; high += 4; }
    if (rest >> 2) { rest >>= 2; high += 2; }
    high += rest >> 1;
    u32 bucket = 4 * (high - 1) + ((value >> (high - 2)) & 3);
    return bucket < buckets ? bucket : buckets - 1;
}
