"""Which QEMU a version-gated rule holds for."""

from __future__ import annotations

import pytest

from vmio.lint.versions import Versions
from vmio.model.host import Host
from vmio.model.version import parse_version

DRAIN = Versions(since="8.1", before="8.2", pve_since="8.1.2-1", pve_before="8.1.5-2")


@pytest.mark.parametrize(
    ("release", "package", "expected"),
    [
        ("8.0.5", "", False),
        ("8.1.0", "", True),
        ("8.1.5", "", True),
        ("8.2.0", "", False),
        ("8.1.2", "8.1.2-1", True),
        ("8.1.5", "8.1.5-1", True),
        ("8.1.5", "8.1.5-2", False),
        ("8.1.5", "8.1.5-10", False),
        ("8.0.2", "8.0.2-4", False),
        ("", "", False),
        ("", "8.1.2-6", True),
    ],
)
def test_range_goes_by_the_package_where_it_is_known(
    release: str,
    package: str,
    expected: bool,  # noqa: FBT001
) -> None:
    """A package carries fixes that its release has not; an unknown QEMU is in no range."""
    host = Host(
        qemu_version=parse_version(release) if release else None,
        pve_qemu_version=parse_version(package) if package else None,
    )
    assert DRAIN.hold(host) is expected


@pytest.mark.parametrize(
    ("versions", "text"),
    [
        (Versions(since="10.0"), "QEMU 10.0 and later"),
        (Versions(before="10.0"), "QEMU before 10.0"),
        (Versions(), "every QEMU"),
        (
            Versions(since="9.0", pve_before="9.0.0-4", pve_only=True),
            "pve-qemu from 9.0, before 9.0.0-4",
        ),
        (DRAIN, "QEMU from 8.1, before 8.2; pve-qemu from 8.1.2-1, before 8.1.5-2"),
    ],
)
def test_range_says_itself(versions: Versions, text: str) -> None:
    """A rule's page says which QEMU it is about."""
    assert str(versions) == text


def test_range_of_packages_holds_for_no_other_qemu() -> None:
    """What is known of Proxmox VE's packages alone says nothing of the same release elsewhere."""
    versions = Versions(since="9.0", pve_before="9.0.0-4", pve_only=True)
    assert versions.hold(
        Host(qemu_version=parse_version("9.0.0"), pve_qemu_version=parse_version("9.0.0-3"))
    )
    assert not versions.hold(
        Host(qemu_version=parse_version("9.0.0"), pve_qemu_version=parse_version("9.0.0-4"))
    )
    assert not versions.hold(Host(qemu_version=parse_version("9.0.0")))
