"""`vmio exporter`, called wrongly or without what it needs."""

from __future__ import annotations

import sys

import pytest

from vmio.testing import call


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--listen", "nowhere"], 2, "'nowhere' is not an address to listen at"),
        (["--tls-key", "k"], 2, "--tls-key requires --tls-cert FILE"),
        (["--client-ca", "k"], 2, "--client-ca requires --tls-cert FILE"),
        (["--tls-cert", "absent.pem"], 3, "cannot use the certificate absent.pem"),
        (["--listen", "192.0.2.1:0"], 4, "cannot listen at 192.0.2.1:0"),
    ],
)
def test_wrong_call_is_one_line(
    words: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is served."""
    assert call("exporter", *words) == status
    output = capsys.readouterr()
    assert said in output.err
    assert output.out == ""


def test_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what to install."""
    for name in [*sys.modules]:
        if name.startswith(("prometheus_client", "vmio.exporter.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert call("exporter") == 4
    assert "pip install 'vmio[exporter]'" in capsys.readouterr().err
