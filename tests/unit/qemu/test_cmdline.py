"""The aio engines of a running QEMU, from its command line."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.qemu.cmdline import parse_aio_engines, read_aio_engines


@pytest.mark.parametrize(
    ("words", "engines"),
    [
        (("-drive", "file=a,if=none,id=d,aio=io_uring"), {"d": "io_uring"}),
        (("--drive", "file=a,id=d"), {"d": "threads"}),
        (("-drive", "file=a,,id=b,id=d,aio=native"), {"d": "native"}),
        (("-drive", "file=a,aio=native"), {}),
        (("-drive", "file=a,id=d,aio=other"), {}),
        (("-blockdev", '{"driver":"file","node-name":"n","aio":"native"}'), {"n": "native"}),
        (
            ("-blockdev", "driver=raw,node-name=n,file.driver=file,file.aio=native"),
            {"n": "native"},
        ),
        (("-blockdev", '{"driver":"rbd","node-name":"n"}'), {}),
        (("-blockdev", '{"driver":"raw","node-name":"n","file":"n"}'), {}),
        (("-blockdev", "{" * 9), {}),
    ],
)
def test_aio_engine_is_found(words: tuple[str, ...], engines: dict[str, str]) -> None:
    """An engine is known by its drive or node; one that is not written is threads."""
    assert parse_aio_engines(words) == engines


def test_aio_engine_is_that_of_the_lowest_node() -> None:
    """A format node has the engine of the file node that it refers to, named before or after."""
    words = (
        *("-blockdev", '{"driver":"throttle","node-name":"top","file":"middle"}'),
        *("-blockdev", '{"driver":"qcow2","node-name":"middle","file":"low"}'),
        *("-blockdev", '{"driver":"host_device","node-name":"low","aio":"io_uring"}'),
    )

    assert parse_aio_engines(words) == dict.fromkeys(("top", "middle", "low"), "io_uring")


@given(
    st.lists(
        st.sampled_from(["-drive", "-blockdev", "--"])
        | st.text(alphabet='{}[]",:=abid.', max_size=30)
    )
)
def test_aio_engines_of_any_words_are_no_crash(words: list[str]) -> None:
    """What is no option of QEMU's is passed over."""
    assert set(parse_aio_engines(tuple(words)).values()) <= {"native", "threads", "io_uring"}


def test_aio_engines_of_another_process_are_none() -> None:
    """A process without drives has no engines, and one that is not there neither."""
    assert read_aio_engines(os.getpid()) == {}
    assert read_aio_engines(2**22 + 1) == {}
