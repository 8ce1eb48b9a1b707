"""What is read of the file system at /etc/pve."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.managers.proxmox.pmxcfs import ListedVm, VmList, parse_vmlist, read_vmlist

VM = st.fixed_dictionaries(
    {},
    optional={
        "node": st.text() | st.integers(),
        "type": st.sampled_from(["qemu", "lxc", 1]),
        "version": st.integers() | st.floats() | st.booleans(),
    },
)
DOCUMENT = st.fixed_dictionaries({"ids": st.dictionaries(st.text(), VM) | st.lists(VM)})


@given(text=st.binary() | DOCUMENT.map(lambda document: json.dumps(document).encode()))
def test_list_of_any_bytes_is_read_or_none(text: bytes) -> None:
    """Nothing that it holds is an error, and what is taken of it is a number and a host's name."""
    for number, vm in (parse_vmlist(text) or {}).items():
        assert 0 < number < 1_000_000_000
        assert vm.node.replace("-", "a").isalnum()


def test_list_has_the_vms_with_their_versions() -> None:
    """Containers are none of them."""
    text = b"""{
"version": 5,
"ids": {
"100": { "node": "alpha", "type": "qemu", "version": 17 },
"101": { "node": "beta-2", "type": "lxc", "version": 4 }}

}
"""
    assert parse_vmlist(text) == {100: ListedVm("alpha", 17)}


@pytest.mark.parametrize("version", [None, "", '{"vmlist": 5}', '{"starttime": "now"}'])
def test_list_of_a_tree_that_was_never_started_is_none(
    tmp_path: Path, version: str | None
) -> None:
    """Its versions could not be told from those before a start."""
    (tmp_path / ".vmlist").write_text("{}", encoding="utf-8")
    if version is not None:
        (tmp_path / ".version").write_text(version, encoding="utf-8")
    assert read_vmlist(tmp_path) is None


def test_list_is_read_with_the_time_of_the_start(tmp_path: Path) -> None:
    """Both together say from when on the versions count."""
    assert read_vmlist(tmp_path) is None
    (tmp_path / ".vmlist").write_text("{}", encoding="utf-8")
    (tmp_path / ".version").write_text(
        '{\n"starttime": 1790000000,\n"clinfo": 2,\n}', encoding="utf-8"
    )
    assert read_vmlist(tmp_path) == VmList(b"{}", 1_790_000_000)
