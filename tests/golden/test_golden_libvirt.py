"""Domains beside the storage half of the command line that libvirt 11.3.0 printed for them.

They are the project's own. Places on PCI are not compared: vmio leaves those that are not written
to who chooses them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vmio.errors import PlanError
from vmio.formats import registry
from vmio.formats.base import Guest, ReadContext
from vmio.model.host import Host
from vmio.model.source import Source

VARIANTS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "libvirt" / "variants.json").read_text(encoding="utf-8")
)
"""Domains that each have one thing that is not common, with their halves or refusals."""
DOMAINS = sorted((Path(__file__).parent / "libvirt").glob("*.xml"))
PCI = ("bus", "addr", "multifunction")


def leave_out_pci(option: str, value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    """Returns an option without its place on PCI."""
    if option == "-device" and str(value.get("bus", "pci")).startswith("pci"):
        value = {key: each for key, each in value.items() if key not in PCI}
    return [option, value]


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda path: path.stem)
def test_golden_storage_half(domain: Path) -> None:
    """A domain's objects, controllers, nodes and disks are libvirt's, name by name."""
    source = Source(name=domain.name, data=domain.read_bytes())
    guest = registry.read(source, ReadContext(host=Host()))
    expected = json.loads(domain.with_suffix(".json").read_text(encoding="utf-8"))
    assert print_half(guest) == [leave_out_pci(option, value) for option, value in expected]
    assert not guest.vm.problems


def print_half(guest: Guest) -> list[list[Any]]:
    """Returns the options of a domain's command without places on PCI."""
    command = registry.build_command(guest, Host())
    return [
        leave_out_pci(option, json.loads(value) if value.startswith("{") else value)
        for option, value in command.argv[1:]
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_golden_variant(name: str) -> None:
    """It has libvirt's half, or is refused in its words."""
    variant = VARIANTS[name]
    source = Source(name=f"{name}.xml", data=variant["domain"].encode())
    guest = registry.read(source, ReadContext(host=Host()))
    if "half" in variant:
        assert print_half(guest) == [leave_out_pci(*each) for each in variant["half"]]
        return
    with pytest.raises(PlanError) as caught:
        print_half(guest)
    assert caught.value.message.endswith(f": {variant['refused']}")


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda path: path.stem)
def test_golden_layout_says_what_the_command_says(domain: Path) -> None:
    """The threads of a layout are those of the command line."""
    source = Source(name=domain.name, data=domain.read_bytes())
    guest = registry.read(source, ReadContext(host=Host()))
    topology = registry.lay_out(guest)
    devices = {
        value["id"]: value
        for option, value in json.loads(domain.with_suffix(".json").read_text(encoding="utf-8"))
        if option == "-device" and "id" in value
    }
    for controller in topology.controllers:
        device = devices.get(controller.id)
        if device is None:
            assert controller.built_in or controller.bus == "usb"
            continue
        assert controller.model == device["driver"]
        assert controller.iothread == device.get("iothread")
        mapping = [each["iothread"] for each in device.get("iothread-vq-mapping", ())]
        assert [each.iothread for each in controller.iothread_vq_mapping] == mapping
