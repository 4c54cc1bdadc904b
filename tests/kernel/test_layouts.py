"""What is known of kernel structs without BTF, beside what BTF says where there is both."""

from __future__ import annotations

import pytest

from ebtop.capture import tracefs
from ebtop.capture.btf import KernelTypes
from ebtop.capture.distroheaders import in_tracefs, is_in_tracefs
from ebtop.capture.headers import used_members
from ebtop.capture.program import all_sources


def test_records_of_tracepoints_are_as_in_btf() -> None:
    assert tracefs.ensure() == ""
    kernel = KernelTypes()
    pairs = [(struct, member) for struct, member in used_members(all_sources()) if is_in_tracefs(struct)]
    assert len(pairs) > 3
    for struct, member in pairs:
        assert in_tracefs(struct, member) == kernel.member(struct, member), (struct, member)


@pytest.mark.parametrize(("member", "offset"), [("mnt_parent", 16), ("mnt_mountpoint", 24), ("mnt", 32)])
def test_the_struct_that_no_header_has_begins_as_ever(member: str, offset: int) -> None:
    found = KernelTypes().member("mount", member)
    assert found is not None
    assert found.offset == offset
