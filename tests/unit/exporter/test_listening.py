"""Addresses to listen at."""

from __future__ import annotations

import pytest

from vmio.errors import CapabilityError, UsageError
from vmio.exporter.listening import DEFAULT_LISTEN, Address, open_listener, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (DEFAULT_LISTEN, "127.0.0.1", 10172),
        ("[::1]:9", "::1", 9),
        ("localhost:0", "localhost", 0),
        (":80", "", 80),
    ],
)
def test_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    """An IPv6 address is in brackets, and it is written as it is read."""
    address = parse_address(text)
    assert address == Address(host=host, port=port)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "::1:9", "1.2.3.4:", "x:65536", "x:-1", "x:1e3", "x:٣", "x:" + "9" * 9],
)
def test_other_texts_are_no_address(text: str) -> None:
    """The message shows what one looks like."""
    with pytest.raises(UsageError, match="is not an address to listen at"):
        parse_address(text)


def test_address_that_is_in_use_is_refused() -> None:
    """One line says so, and which option chooses another."""
    with open_listener(Address(host="127.0.0.1", port=0)) as listener:
        taken = Address(host="127.0.0.1", port=listener.getsockname()[1])
        with (
            pytest.raises(CapabilityError, match="Address already in use"),
            open_listener(taken),
        ):
            pass


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "x" * 64 + ".invalid"])
def test_address_of_another_host_is_refused(host: str) -> None:
    """Nothing listens at an address that is not here."""
    with (
        pytest.raises(CapabilityError, match="cannot listen at"),
        open_listener(Address(host=host, port=0)),
    ):
        pass


def test_no_host_is_every_address() -> None:
    """It is what has to be asked for."""
    with open_listener(Address(host="", port=0)) as listener:
        assert listener.getsockname()[0] in {"::", "0.0.0.0"}  # noqa: S104 - what is tested
