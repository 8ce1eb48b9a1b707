"""KVM or TCG; a script stands in for QEMU where KVM has to work, or to fail in a certain way."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio.errors import CapabilityError, ToolError
from vmio.qemu import accel as module
from vmio.qemu.accel import choose_accelerator


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a host with a /dev/kvm that opens, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_KVM", Path("/dev/null"))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def make_qemu(path: Path, *, kvm: str, tcg: str = f"exit {module._EXIT_STATUS}") -> Path:
    """Makes a program that does one thing under KVM and another under TCG, and counts."""
    body = f'echo x >> "$0.count"; case "$*" in *"-accel kvm"*) {kvm};; *) {tcg};; esac'
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def count_starts(path: Path) -> int:
    """Returns how often a program was started."""
    return len(Path(f"{path}.count").read_text())


def test_probe_guest_proves_its_work() -> None:
    """The status that proves the work is what the arithmetic of the guest comes to."""
    # A step is x -> a*x + b; steps are joined by squaring, so that millions take a moment.
    (a, b), (total_a, total_b) = (1664525, 1013904223), (1, 0)
    steps = module._ROUNDS * module._STEPS
    while steps:
        if steps & 1:
            total_a, total_b = a * total_a % 2**32, (a * total_b + b) % 2**32
        a, b, steps = a * a % 2**32, (a * b + b) % 2**32, steps >> 1
    value = (total_a + total_b) % 2**32

    assert (value >> 24 << 1 | 1) & 0xFF == module._EXIT_STATUS


def test_probe_guest_is_a_firmware_image() -> None:
    """The image ends at 4 GiB, and its last paragraph is where the processor begins."""
    image = module._assemble()

    assert len(image) == 65536
    assert image[-16:-13] == b"\xe9\x0d\x00"


def test_kvm_is_chosen_when_it_runs_the_guest(tmp_path: Path) -> None:
    """KVM that gets the right answer in time is taken, with the figures as the reason."""
    chosen = choose_accelerator(make_qemu(tmp_path / "q", kvm=f"exit {module._EXIT_STATUS}"))

    assert (chosen.name, chosen.fell_back) == ("kvm", False)
    assert chosen.reason.startswith("KVM ran the probe guest in")


def test_kvm_that_aborts_is_passed_over(tmp_path: Path) -> None:
    """KVM that opens and cannot set up a processor gives way, with its own words."""
    kvm = "echo 'q: error: failed to set MSR 0x10a to 0x0' >&2; kill -ABRT $$"
    chosen = choose_accelerator(make_qemu(tmp_path / "q", kvm=kvm))

    assert (chosen.name, chosen.fell_back) == ("tcg", True)
    assert "failed to set MSR 0x10a" in chosen.reason


def test_kvm_that_miscalculates_is_passed_over(tmp_path: Path) -> None:
    """Another status than the right one is no proof of work."""
    chosen = choose_accelerator(make_qemu(tmp_path / "q", kvm="exit 0"))

    assert (chosen.name, chosen.fell_back) == ("tcg", True)


def test_kvm_that_crawls_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KVM that takes far longer than TCG, as in instruction emulation, is not worth having."""
    monkeypatch.setattr(module, "_MARGIN_S", 0.0)
    chosen = choose_accelerator(make_qemu(tmp_path / "q", kvm="exec sleep 1000"))

    assert (chosen.name, chosen.fell_back) == ("tcg", True)
    assert "did not finish" in chosen.reason


def test_answer_is_cached(tmp_path: Path) -> None:
    """The guests run once, whatever came of it."""
    for name, kvm in (("good", f"exit {module._EXIT_STATUS}"), ("bad", "exit 1")):
        qemu = make_qemu(tmp_path / name, kvm=kvm)
        first = choose_accelerator(qemu)
        assert choose_accelerator(qemu) == first
        assert count_starts(qemu) == len("x\nx\n")


def test_kvm_asked_for_is_taken_or_refused(tmp_path: Path) -> None:
    """Who asks for KVM gets it, or an error that says why not, after a fresh probe."""
    qemu = make_qemu(tmp_path / "q", kvm="echo 'q: no luck' >&2; exit 1")
    choose_accelerator(qemu)
    with pytest.raises(CapabilityError, match=r"KVM cannot be used: .*no luck"):
        choose_accelerator(qemu, ask="kvm")
    assert count_starts(qemu) == len("x\nx\nx\nx\n")

    good = make_qemu(tmp_path / "good", kvm=f"exit {module._EXIT_STATUS}")
    assert choose_accelerator(good, ask="kvm").name == "kvm"


def test_tcg_asked_for_needs_no_probe(tmp_path: Path) -> None:
    """Who asks for TCG starts nothing."""
    qemu = make_qemu(tmp_path / "q", kvm="exit 1")

    assert choose_accelerator(qemu, ask="tcg").fell_back is False
    assert not Path(f"{qemu}.count").exists()


def test_host_without_kvm_needs_no_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no /dev/kvm, that is the reason."""
    monkeypatch.setattr(module, "_KVM", tmp_path / "kvm")
    qemu = make_qemu(tmp_path / "q", kvm="exit 1")

    chosen = choose_accelerator(qemu)

    assert (chosen.name, chosen.fell_back) == ("tcg", True)
    assert chosen.reason.endswith("kvm does not exist")
    assert not Path(f"{qemu}.count").exists()


def test_host_of_another_kind_uses_tcg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe speaks x86 only; elsewhere KVM is not believed without one."""
    monkeypatch.setattr("platform.machine", lambda: "aarch64")

    assert choose_accelerator(make_qemu(tmp_path / "q", kvm="exit 1")).name == "tcg"


def test_qemu_that_runs_nothing_is_named(tmp_path: Path) -> None:
    """Where not even TCG works, the binary is broken."""
    qemu = make_qemu(tmp_path / "q", kvm="exit 1", tcg="echo 'q: broken' >&2; exit 1")

    with pytest.raises(ToolError, match="TCG cannot run a guest: broken"):
        choose_accelerator(qemu)
