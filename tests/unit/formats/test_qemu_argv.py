"""IOThreads on a QEMU command line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vmio.formats.qemu_argv import find_iothreads


def test_objects_are_found_in_both_notations() -> None:
    """Key-value and JSON objects define the same."""
    defined, users = find_iothreads(
        [
            "-object",
            "iothread,id=a,poll-max-ns=5",
            "--object",
            '{"qom-type":"iothread","id":"b","aio-max-batch":8}',
            "-object",
            "memory-backend-ram,id=m,size=1G",
        ]
    )
    assert [(thread.id, thread.poll_max_ns, thread.aio_max_batch) for thread in defined] == [
        ("a", 5, None),
        ("b", None, 8),
    ]
    assert users == frozenset()


def test_references_are_found_at_any_depth() -> None:
    """A device, a mapping, a `-set` and an export all count as users."""
    _, users = find_iothreads(
        [
            "-device",
            "virtio-blk-pci,drive=d,iothread=a",
            "-device",
            '{"driver":"virtio-blk-pci","iothread-vq-mapping":[{"iothread":"b"},{"iothread":"c"}]}',
            "-set",
            "device.scsi0.iothread=d",
        ]
    )
    assert users == {"a", "b", "c", "d"}


def test_comma_in_a_value_is_doubled() -> None:
    """A doubled comma belongs to the value."""
    defined, _ = find_iothreads(["-object", "iothread,poll-max-ns=1,,2,id=x"])
    assert [thread.id for thread in defined] == ["x"]
    assert defined[0].poll_max_ns is None


def test_value_out_of_range_is_not_taken() -> None:
    """QEMU would refuse it; the thread counts as defined all the same."""
    defined, _ = find_iothreads(["-object", "iothread,id=x,thread-pool-max=0"])
    assert defined[0].thread_pool_max is None


@given(st.lists(st.text(max_size=40) | st.sampled_from(["-object", "-device", "{", "[" * 5000])))
def test_no_words_at_all_raise(words: list[str]) -> None:
    """Whatever the words, the answer is an answer."""
    find_iothreads(words)
