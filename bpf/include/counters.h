/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What a program could not hand over, counted per CPU so that nothing is lost in silence.
 * The order is that of LOST in ebtop/capture/tracer.py.
 */
#pragma once

#define MOST_STREAMS 8

struct counters {
    u64 submitted[MOST_STREAMS]; /* records handed over, by stream: they space its wake-ups */
    u64 lost_ring;               /* the ring was full */
    u64 lost_map;                /* a map was full */
    u64 lost_stack;              /* the kernel could not walk the stack */
    u64 lost_collision;          /* two threads shared a slot */
    u64 lost_read;               /* memory of the process could not be read */
};

BPF_PERCPU_ARRAY(counters, struct counters, 1);

static __always_inline struct counters *my_counters(void) {
    int zero = 0;
    return counters.lookup(&zero);
}

#define COUNT(what)                                                                                                    \
    do {                                                                                                               \
        struct counters *counters_ = my_counters();                                                                    \
        if (counters_)                                                                                                 \
            counters_->what++;                                                                                         \
    } while (0)
