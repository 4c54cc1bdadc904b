"""streams.h: how a tool's program hands its records over, written from the rings that the tool declares.

BCC does not see map operations inside macros, so what would be a macro is generated. For each ring there are
NAME_reserve(), NAME_submit(ctx, record), NAME_submit_now(ctx, record) and NAME_discard(record). A wake-up of the reader
costs more than the record, so NAME_submit wakes it for one record in NAME_wake_every of the stream and of a CPU only (a
power of two, chosen so that a quarter of the ring can fill meanwhile), NAME_submit_now always; for the rest the reader
comes by its clock. With -DPERF_BUFFER the same names use the perf buffer (kernels before 5.8), which has a watermark of
its own. A record is then put together in one of two places of its CPU: a program that an interrupt leads to, in the
middle of another, must not write over what that one has there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ebtop.capture.loader import STACKS
from ebtop.tool import Ring, Tool

HEADER = 8
"""Bytes before each record in a ring buffer."""
PAGE = 4096

_STREAM = """
_Static_assert(sizeof(struct {struct}) == {map}_record_size, "ebtop reads struct {struct} with another layout");
#ifdef PERF_BUFFER
BPF_PERF_OUTPUT({map});
BPF_PERCPU_ARRAY({map}_scratch, struct {struct}, 2);
BPF_PERCPU_ARRAY({map}_held, u32, 1);

static __always_inline struct {struct} *{map}_reserve(void) {{
    u32 zero = 0;
    u32 *held = {map}_held.lookup(&zero);
    if (!held)
        return 0;
    u32 which = *held;
    if (which > 1) {{
        COUNT(lost_ring);
        return 0;
    }}
    *held = which + 1;
    return {map}_scratch.lookup(&which);
}}

static __always_inline void {map}_release(void) {{
    u32 zero = 0;
    u32 *held = {map}_held.lookup(&zero);
    if (held)
        --*held;
}}

static __always_inline void {map}_submit(void *ctx, struct {struct} *record) {{
    struct counters *counted = my_counters();
    int error = {map}.perf_submit(ctx, record, sizeof(struct {struct}));
    {map}_release();
    if (counted && error)
        counted->lost_ring++;
    else if (counted)
        counted->submitted[{number}]++;
}}

static __always_inline void {map}_submit_now(void *ctx, struct {struct} *record) {{
    {map}_submit(ctx, record);
}}

static __always_inline void {map}_discard(struct {struct} *record) {{
    {map}_release();
}}
#else
BPF_RINGBUF_OUTPUT({map}, {map}_pages);

static __always_inline struct {struct} *{map}_reserve(void) {{
    struct {struct} *record = {map}.ringbuf_reserve(sizeof(struct {struct}));
    if (!record)
        COUNT(lost_ring);
    return record;
}}

static __always_inline void {map}_submit_or_wake(struct {struct} *record, u64 flags) {{
    struct counters *counted = my_counters();
    if (counted && (++counted->submitted[{number}] & ({map}_wake_every - 1)) == 0)
        flags = BPF_RB_FORCE_WAKEUP;
    {map}.ringbuf_submit(record, flags);
}}

static __always_inline void {map}_submit(void *ctx, struct {struct} *record) {{
    {map}_submit_or_wake(record, BPF_RB_NO_WAKEUP);
}}

static __always_inline void {map}_submit_now(void *ctx, struct {struct} *record) {{
    {map}_submit_or_wake(record, BPF_RB_FORCE_WAKEUP);
}}

static __always_inline void {map}_discard(struct {struct} *record) {{
    {map}.ringbuf_discard(record, BPF_RB_NO_WAKEUP);
}}
#endif
"""


def stream_header(tool: Tool) -> str:
    """The text of streams.h for this tool."""
    return "#pragma once\n" + "".join(_stream(ring, number) for number, ring in enumerate(tool.rings))


def _stream(ring: Ring, number: int) -> str:
    declared = _STREAM.format(struct=ring.struct, map=ring.map, number=number)
    return f"\n#ifdef {STACKS}{declared}#endif\n" if ring.with_stacks else declared


def stride(record: np.dtype[np.void]) -> int:
    """Bytes that one record takes in a ring buffer: header and payload, padded to 8."""
    return HEADER + (record.itemsize + 7) // 8 * 8


def wake_every(ring: Ring, record: np.dtype[np.void], cpus: int) -> int:
    """How many records of one CPU may pass between wake-ups: a power of two."""
    room = ring.size // stride(record) // 4 // cpus
    return 1 << max(0, room.bit_length() - 1)


def stream_defines(tool: Tool, records: Mapping[str, np.dtype[np.void]], cpus: int) -> dict[str, int]:
    """The -D values that the header needs."""
    found: dict[str, int] = {}
    for ring in tool.rings:
        record = records[ring.struct]
        found[f"{ring.map}_record_size"] = record.itemsize
        found[f"{ring.map}_pages"] = ring.size // PAGE
        found[f"{ring.map}_wake_every"] = wake_every(ring, record, cpus)
    return found
