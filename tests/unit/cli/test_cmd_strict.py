"""`vmio cmd --strict`."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio.cli.main import main


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("cores: 1\n[snap]\ncores: x\n", 3, "vm 100 - unable to parse value of 'cores' - type"),
        ("scsi0: local:1/a,cache=x,foo=1\n", 3, "format error\ncache: value 'x' does not"),
        ("cores: 1\nrubbish\n", 3, "vm 100 - unable to parse config: rubbish"),
        ("cores: 1\n[snap]\ncores: 2\n", 0, ""),
    ],
)
def test_strict_reading_ends_at_the_first_bad_line(
    text: str, status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is Proxmox's own line, of any section; without --strict a command comes out."""
    config = tmp_path / "100.conf"
    config.write_text(text)
    words = ["cmd", str(config), "--set", "qemu_version=11.0.0"]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--strict"])
    assert caught.value.code == status
    out, err = capsys.readouterr()
    assert said in err
    assert out.startswith("/usr/bin/kvm") is (status == 0)
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 0
