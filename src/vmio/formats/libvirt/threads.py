"""A domain's IOThreads, their pools, and what is tuned of them.

Source: libvirt 11.3.0, run: `virsh domxml-to-native` and its messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from vmio.errors import InputError
from vmio.formats.libvirt.domain import POLLING, Domain, Pin, Pool, name_thread
from vmio.formats.libvirt.reading import (
    MAX_LARGE,
    MAX_NUMBER,
    MAX_SHOWN,
    NUMBER,
    Reading,
    get_text,
    say_missing,
)
from vmio.formats.libvirt.versions import has_feature
from vmio.formats.libvirt.xml import Element, find_attributes
from vmio.model.iothread import IOThread
from vmio.model.source import Span, Where
from vmio.patterns import compile_late

__all__ = ["check_tuning", "read_default_pool", "read_pins", "read_threads"]

_MAX_THREADS: Final = 10_000
_PINS: Final[Mapping[str, Literal["emulator", "iothread", "vcpu"]]] = {
    "emulatorpin": "emulator",
    "iothreadpin": "iothread",
    "vcpupin": "vcpu",
}
_MAX_LISTED: Final = 1_000_000
"""Of all numbers in lists of threads and of processors."""
_SET = compile_late(
    r"(?:\^\d{1,9}|\d{1,9}(?:-\d{1,9})?)(?:,(?:\^\d{1,9}|\d{1,9}(?:-\d{1,9})?))*+", re.ASCII
)


def read_threads(reading: Reading, root: Element) -> tuple[IOThread, ...]:
    """Returns the threads: those that are listed, then the lowest free numbers up to the count."""
    count = 0
    written = root.find("iothreads")
    if written is not None and written.text:
        if NUMBER.fullmatch(written.text) and int(written.text) <= MAX_NUMBER:
            count = int(written.text)
        else:
            reading.refuse(f"invalid iothreads count '{written.text[:MAX_SHOWN]}'", written)
    if count > _MAX_THREADS:
        raise InputError(
            f"{reading.source.name} has {count} IOThreads, more than any QEMU is started with"
        )
    threads: dict[int, IOThread] = {}
    listed = root.find("iothreadids")
    for element in listed.find_all("iothread") if listed is not None else ():
        number = reading.demand(element, "id", least=1)
        if number is None:
            continue
        if number in threads:
            reading.refuse(f"duplicate iothread id '{number}' found", element)
            continue
        threads[number] = _read_thread(reading, element, number)
    free = 1
    where = Where(span=written.span) if written is not None else Where()
    while len(threads) < count:
        if free not in threads:
            threads[free] = IOThread(id=name_thread(free), where=where)
        free += 1
    return tuple(threads.values())


def _read_thread(reading: Reading, element: Element, number: int) -> IOThread:
    poll = element.find("poll") if has_feature(reading.version, "poll") else None
    values = {
        field: reading.count(poll, name, most=MAX_LARGE) if poll is not None else None
        for field, name in POLLING.items()
    }
    pool = _read_pool(reading, element)
    return IOThread(
        id=name_thread(number),
        **values,
        thread_pool_min=pool.least,
        thread_pool_max=pool.most or None,
        where=Where(span=element.span, spans=_find_spans(reading, poll)),
    )


def _find_spans(reading: Reading, poll: Element | None) -> Mapping[str, Span]:
    written = find_attributes(reading.source, poll) if poll is not None else {}
    return {field: written[name] for field, name in POLLING.items() if name in written}


def _read_pool(reading: Reading, element: Element) -> Pool:
    pool = Pool(
        least=reading.count(element, "thread_pool_min", signed=True),
        most=reading.count(element, "thread_pool_max", signed=True),
    )
    if pool.most == 0:
        reading.refuse("thread_pool_max must be a positive integer", element, 2)
    elif pool.least is not None and pool.least > (-1 if pool.most is None else pool.most):
        said = "thread_pool_min must be smaller or equal to thread_pool_max"
        reading.refuse(said, element, 2)
    return pool


def read_default_pool(reading: Reading, root: Element) -> Pool | None:
    """Returns the worker threads of the main loop, None where nothing is written of them."""
    element = root.find("defaultiothread")
    if element is None:
        return None
    pool = _read_pool(reading, element)
    return pool if pool != Pool() else None


# Tuning


def check_tuning(reading: Reading, root: Element, domain: Domain) -> None:
    """Notes what libvirt refuses of pins, schedulers and the rest of a thread's tuning."""
    tune = root.find("cputune")
    if tune is None:
        return
    known = domain.thread_numbers
    for name, most in (("iothread_period", 1_000_000), ("iothread_quota", 17_592_186_044_415)):
        element = tune.find(name)
        text = get_text(element).strip()
        if element is not None and NUMBER.fullmatch(text) and not 1000 <= int(text) <= most:  # noqa: PLR2004 - libvirt's own limit
            said = f"Value of cputune '{name}' must be in range [1000, {most}]"
            reading.refuse(said, element)
    pinned: set[int] = set()
    for element in tune.find_all("iothreadpin"):
        number = reading.demand(element, "iothread", least=1)
        if number is None:
            continue
        cpus = element.get("cpuset")
        if number not in known:
            reading.refuse(f"Cannot find 'iothread' : {number}", element)
        elif cpus is None:
            reading.refuse("missing cpuset for iothreadpin", element)
        elif not _is_set(cpus):
            reading.refuse(f"Failed to parse bitmap '{cpus}'", element)
        elif number in pinned:
            reading.refuse(f"duplicate iothreadpin for same iothread '{number}'", element)
        pinned.add(number)
    _check_schedulers(reading, tune, known)


def read_pins(reading: Reading, root: Element) -> Iterator[Pin]:
    """Yields the threads that are bound to processors of the host's."""
    tune = root.find("cputune")
    for element in tune.children if tune is not None else ():
        kind = _PINS.get(element.name)
        processors = _parse_set(reading, element.get("cpuset") or "") if kind else None
        number = element.get(kind or "") or "0"
        if kind is not None and processors and NUMBER.fullmatch(number):
            yield Pin(kind=kind, number=int(number), processors=processors, span=element.span)


def _check_schedulers(reading: Reading, tune: Element, known: frozenset[int]) -> None:
    seen: set[int] = set()
    for element in tune.find_all("iothreadsched"):
        listed = element.get("iothreads")
        numbers = _parse_set(reading, listed or "")
        if listed is None:
            reading.refuse(say_missing(element, "iothreads"), element)
            continue
        if numbers is None:
            reading.refuse(f"Failed to parse bitmap '{listed}'", element)
            continue
        choices = frozenset({"batch", "idle", "fifo", "rr"})
        scheduler = reading.choose(element, "scheduler", choices)
        if scheduler in {"fifo", "rr"}:
            reading.demand(element, "priority")
        missing = sorted(numbers - known)
        if numbers & seen:
            said = "'iothreadsched' attributes 'iothreads' must not overlap"
            reading.refuse(said, element)
        elif missing:
            reading.refuse(f"Cannot find 'iothread' : {missing[0]}", element)
        seen |= numbers


def _is_set(text: str) -> bool:
    """Returns whether a text is a list of numbers such as `0-3,^2`."""
    return _SET.fullmatch(text.replace(" ", "")) is not None


def _parse_set(reading: Reading, text: str) -> frozenset[int] | None:
    """Returns the numbers of such a list, None if it is none or has too many."""
    if not _is_set(text):
        return None
    numbers: set[int] = set()
    for piece in text.replace(" ", "").split(","):
        first, _, last = piece.removeprefix("^").partition("-")
        size = int(last or first) - int(first) + 1
        reading.listed += max(size, 1)
        if size < 1 or reading.listed > _MAX_LISTED:
            return None
        if piece.startswith("^"):
            numbers.discard(int(first))
        else:
            numbers.update(range(int(first), int(first) + size))
    return frozenset(numbers)
