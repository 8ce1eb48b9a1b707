"""What holds for any host's description."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from vmio.bounds import MAX_PROCESSORS
from vmio.errors import InputError
from vmio.formats.host_toml import parse_host, render_host
from vmio.model.host import Cpu, Host, Pci, PciMapping, Sev
from vmio.model.source import Source

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBER = st.integers(-(1 << 63), (1 << 63) - 1)
NAMES = st.tuples() | st.lists(TEXT).map(tuple)
PLAIN = TEXT | NUMBER | st.booleans() | st.dates() | st.floats(allow_nan=False)
HOSTS = st.builds(
    Host,
    node=TEXT,
    kvm=st.booleans(),
    cpu=st.builds(
        Cpu,
        vendor=TEXT,
        count=st.integers(0, MAX_PROCESSORS),
        phys_bits=st.integers(0, 64),
        flags=NAMES,
        sev=st.builds(Sev, cbitpos=NUMBER),
    ),
    bridges=st.dictionaries(TEXT, NUMBER),
    ceph=st.dictionaries(TEXT, TEXT),
    backing_chains=st.dictionaries(TEXT, NAMES),
    pci=st.builds(
        Pci,
        functions=NAMES,
        mappings=st.dictionaries(TEXT, st.builds(PciMapping, functions=NAMES, id=TEXT)),
    ),
    cpu_models=st.dictionaries(
        TEXT,
        st.dictionaries(
            TEXT,
            st.recursive(
                PLAIN,
                lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
                max_leaves=5,
            ),
        ),
    ),
)


@given(HOSTS)
def test_description_is_read_as_the_host_that_it_was_written_of(host: Host) -> None:
    """Every text, number and truth comes back as it was."""
    source = Source(name="host.toml", data=render_host(host).encode())
    assert parse_host(source) == host


@given(st.binary() | TEXT.map(str.encode))
def test_any_bytes_are_a_host_or_refused(data: bytes) -> None:
    """No bytes at all raise anything but InputError, and what was read can be written."""
    with contextlib.suppress(InputError):
        render_host(parse_host(Source(name="host.toml", data=data)))
