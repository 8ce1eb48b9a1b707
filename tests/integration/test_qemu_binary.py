"""The QEMU that is installed here, asked what it is."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from vmio.model.capabilities import QemuVersion
from vmio.qemu.accel import choose_accelerator
from vmio.qemu.binary import find_qemu, read_capabilities, read_version


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every answer a fresh one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_installed_qemu_tells_what_it_can_do() -> None:
    """Version, devices, machines and accelerators come from the binary itself."""
    binary = find_qemu()
    capabilities = read_capabilities(binary)

    assert capabilities.version == read_version(binary)
    assert {"virtio-blk-pci", "virtio-scsi-pci"} <= set(capabilities.iothread_devices)
    assert not {"lsi53c895a", "megasas", "pvscsi"} & set(capabilities.iothread_devices)
    has_mapping = "virtio-blk-pci" in capabilities.vq_mapping_devices
    assert has_mapping == (capabilities.version >= QemuVersion(9, 0))
    assert {"poll-max-ns", "poll-grow", "poll-shrink"} <= set(capabilities.iothread_parameters)
    assert {"pc", "q35"} <= capabilities.machine_names
    assert "tcg" in capabilities.accelerators
    assert read_capabilities(binary) == capabilities


def test_accelerator_is_chosen_by_running_a_guest() -> None:
    """TCG always runs the probe guest; KVM does, or there is a reason why not."""
    chosen = choose_accelerator(find_qemu())

    assert chosen.reason
    assert chosen.fell_back == (chosen.name == "tcg")
    assert choose_accelerator(find_qemu()) == chosen


def test_probe_guest_proves_that_it_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A KVM that works is believed; its stand-in is the real QEMU, told to use TCG each time."""
    monkeypatch.setattr("vmio.qemu.accel._KVM", Path("/dev/null"))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    exchange = 'shift; case "$word" in kvm) word=tcg;; host) word=max;; esac; set -- "$@" "$word"'
    stand_in = tmp_path / "qemu"
    qemu = shlex.quote(str(find_qemu()))
    stand_in.write_text(f'#!/bin/sh\nfor word; do {exchange}; done\nexec {qemu} "$@"\n')
    stand_in.chmod(0o755)

    assert choose_accelerator(stand_in).name == "kvm"
