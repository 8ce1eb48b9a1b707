"""What libvirt made of a domain's text: whether anything that was written is lost.

libvirt parses a text and writes its own anew: comments, quotes and the order of elements change,
and so do lists of processors. An unknown element and a misspelt attribute vanish without a word;
an address on a bus, and the PCI bridges that addresses need, are added.

Source: libvirt 11.3.0, run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha1
from typing import Final

from vmio.formats.libvirt.xml import Element, parse_xml
from vmio.model.host import parse_processors
from vmio.model.source import Source

__all__ = ["digest_domain", "find_losses", "flatten_domain", "hide_passwords"]

_ASSIGNED: Final = frozenset({"ccw", "pci", "spapr-vio", "virtio-mmio"})
"""Types of addresses that libvirt assigns by itself, and that decide no disk's thread."""
_LISTS: Final = frozenset({"cpuset", "iothreads", "vcpus"})
"""Attributes with a list of numbers, which libvirt writes with ranges."""
_NAMED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "controller": ("type", "index"),
    "iothread": ("id",),
    "iothreadpin": ("iothread",),
    "queue": ("id",),
    "vcpupin": ("vcpu",),
}
"""The attributes that tell elements of one name apart, whatever their order."""
_MOST_TOLD: Final = 3
_CONFIDENTIAL: Final = "passwd"
"""The attribute of a VNC or SPICE display, the only secret that libvirt keeps in a domain."""
_PASSWORDS = re.compile(rb"""(?<=\spasswd=)(?:'[^']*'|"[^"]*")""")
_HIDDEN: Final = "*****"


def flatten_domain(source: Source) -> Mapping[str, str]:
    """Returns the values of a domain's text, each by a path such as `domain/vcpu`.

    Raises:
        InputError: It is no XML.
    """
    root = parse_xml(source)
    return dict(_flatten(root, root.name))


def digest_domain(source: Source) -> str:
    """Returns a digest of what a text says, the same for a text and what libvirt makes of it.

    Units: 40 hexadecimal digits (SHA-1), as a config's digest has.

    Raises:
        InputError: It is no XML.
    """
    values = sorted(flatten_domain(source).items())
    return sha1(repr(values).encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def find_losses(wanted: Source, found: Source) -> str:
    """Returns what libvirt lost, changed or added, in one line; empty if nothing.

    Args:
        wanted: The text that was defined.
        found: The text that libvirt has.

    Raises:
        InputError: One of them is no XML.
    """
    one, other = flatten_domain(wanted), flatten_domain(found)
    told = [
        f"{path} was {_show(path, value)} and is"
        f" {_show(path, other[path]) if path in other else 'gone'}"
        for path, value in one.items()
        if other.get(path) != value
    ]
    told += [f"{path} is new: {_show(path, other[path])}" for path in other if path not in one]
    more = f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    return "; ".join(told[:_MOST_TOLD]) + more


def hide_passwords(data: bytes) -> bytes:
    """Returns a domain's text as it may be printed."""
    return _PASSWORDS.sub(f"'{_HIDDEN}'".encode(), data)


def _flatten(element: Element, path: str) -> Iterator[tuple[str, str]]:
    yield path, element.text.strip()
    for name, value in element.attributes.items():
        yield f"{path}/@{name}", _normalise(name, value)
    seen: Counter[str] = Counter()
    for child in element.children:
        if _is_assigned(child):
            continue
        label = _name(child)
        seen[label] += 1
        again = f"[{seen[label]}]" if seen[label] > 1 else ""
        yield from _flatten(child, f"{path}/{label}{again}")


def _is_assigned(element: Element) -> bool:
    kind = element.get("type")
    return (element.name == "address" and kind in _ASSIGNED) or (
        element.name == "controller" and kind == "pci"
    )


def _name(element: Element) -> str:
    if element.name == "disk":
        target = element.find("target")
        return f"disk[{target.get('dev') if target is not None else None}]"
    names = _NAMED_BY.get(element.name, ())
    values = [value for name in names if (value := element.get(name)) is not None]
    return f"{element.name}[{' '.join(values)}]" if values else element.name


def _normalise(name: str, value: str) -> str:
    if name not in _LISTS:
        return value
    numbers = parse_processors(value)
    return f"{numbers:x}" if numbers else value


def _show(path: str, value: str) -> str:
    return f"'{_HIDDEN if path.endswith(f'@{_CONFIDENTIAL}') else value[:60]}'"
