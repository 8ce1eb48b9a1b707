"""The picture of a layout: well-formed, whole, and only text where a config's words stand."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread, VirtqueueMapping
from vmio.model.topology import AttachedDisk, Topology
from vmio.report.layout.svg import TOPOLOGY_CSS, draw_topology, render_topology
from vmio.values import replace

NAMESPACE = "{http://www.w3.org/2000/svg}"


def parse(svg: str) -> ET.Element:
    """Parses what vmio itself rendered."""
    return ET.fromstring(svg)  # noqa: S314  # our own output


def list_words(element: ET.Element) -> list[str]:
    """Lists the texts that are seen, in the order of drawing."""
    return ["".join(text.itertext()) for text in element.iter(f"{NAMESPACE}text")]


def list_wires(element: ET.Element) -> list[str]:
    """Lists the lane of each wire, in the order of drawing."""
    return [
        str(group.get("class"))
        for group in element.iter(f"{NAMESPACE}g")
        if any(path.get("class") == "wire" for path in group)
    ]


def test_render_topology_shows_a_shared_controller(shared: Topology) -> None:
    """Three disks lead to one controller and on to the main loop, and say what is ignored."""
    root = parse(render_topology(shared, "VM 701"))
    words = list_words(root)
    assert words.count("! iothread is ignored") == 3
    assert {"scsi0", "scsi1", "scsi2", "scsihw0", "main loop", "serves 3 disks"} <= {*words}
    assert list_wires(root) == ["main"] * 4


def test_render_topology_shows_a_lane_for_each_iothread(
    make_single: Callable[..., Topology],
) -> None:
    """Each disk, its controller and its IOThread have one colour; the main loop is idle."""
    root = parse(render_topology(make_single(), "VM 701"))
    assert list_wires(root) == ["t0", "t1", "t2", "t0", "t1", "t2"]
    assert {"iothread-virtioscsi2", "serves no disk"} <= {*list_words(root)}


def test_render_topology_describes_itself(shared: Topology) -> None:
    """Who cannot see the picture is told which thread serves which disk."""
    root = parse(render_topology(shared, "VM 701"))
    assert root.get("role") == "img"
    assert root.findtext(f"{NAMESPACE}title") == "VM 701"
    description = root.findtext(f"{NAMESPACE}desc") or ""
    assert "scsi1 on scsihw0 (virtio-scsi-pci) is served by main loop." in description
    named = {root.find(f".//*[@id='{name}']") for name in str(root.get("aria-labelledby")).split()}
    assert None not in named


def test_render_topology_draws_queues_by_what_serves_them() -> None:
    """A mapped controller shows each queue in its IOThread's colour and a wire to each of them."""
    mapping = (VirtqueueMapping(iothread="io0", vqs=(0, 1)), VirtqueueMapping(iothread="io1"))
    controller = Controller(
        id="virtio0",
        model="virtio-blk-pci",
        bus="virtio",
        num_queues=4,
        iothread_vq_mapping=mapping,
    )
    disk = AttachedDisk(disk=Disk(id="virtio0", bus="virtio", index=0), controller="virtio0")
    topology = Topology(
        iothreads=(IOThread(id="io0", poll_max_ns=0), IOThread(id="io1")),
        controllers=(controller,),
        disks=(disk,),
    )
    root = parse(render_topology(topology, "mapped"))
    queues = [
        group.get("class")
        for group in root.iter(f"{NAMESPACE}g")
        if any(rect.get("class") == "queue" for rect in group)
    ]
    assert queues == ["t0", "t0", "main", "main"]
    assert list_wires(root) == ["mixed", "t0", "main"] or list_wires(root) == [
        "mixed",
        "main",
        "t0",
    ]
    assert "never polls" in " ".join(list_words(root))


def test_render_topology_orders_disks_as_people_count(
    make_single: Callable[..., Topology],
) -> None:
    """scsi2 stands above scsi10, whatever order QEMU lists them in."""
    topology = make_single(12)
    turned = replace(topology, disks=topology.disks[::-1])
    names = [
        word for word in list_words(parse(render_topology(turned, "x"))) if word[:4] == "scsi"
    ]
    assert names == [f"scsi{number}" for number in range(12)]


def test_render_topology_takes_a_guest_without_disks() -> None:
    """Nothing to draw is drawn as the main loop with nothing to serve."""
    words = list_words(parse(render_topology(Topology(), "empty")))
    assert "serves no disk" in words


@pytest.mark.parametrize("count", [1, 64])
def test_render_topology_keeps_everything_inside(
    make_single: Callable[..., Topology], count: int
) -> None:
    """No card lies outside of the picture, however many there are, and none on another."""
    root = parse(render_topology(make_single(count), "x"))
    left, top, width, height = map(float, str(root.get("viewBox")).split())
    cards = [rect for rect in root.iter(f"{NAMESPACE}rect") if rect.get("class") == "card"]
    assert len(cards) == 3 * count + 1
    places = [(float(str(c.get("x"))), float(str(c.get("y")))) for c in cards]
    assert len({*places}) == len(places)
    assert all(left <= x <= left + width and top <= y <= top + height - 64 for x, y in places)


def test_draw_topology_is_fit_for_a_page(shared: Topology) -> None:
    """Inside HTML there is no namespace to name, and ids carry their prefix."""
    svg = draw_topology(shared, "A", prefix="left")
    assert "http" not in svg
    assert "<style" not in svg
    assert 'id="left-title"' in svg


def test_topology_css_has_dark_colours_and_no_references() -> None:
    """The picture follows the reader's scheme and loads nothing."""
    assert "prefers-color-scheme:dark" in TOPOLOGY_CSS
    assert "url(" not in TOPOLOGY_CSS


@given(st.text(min_size=1, max_size=60))
def test_render_topology_escapes_every_name(name: str) -> None:
    """Whatever a disk, a controller and an IOThread are called, the picture stays well-formed."""
    topology = Topology(
        iothreads=(IOThread(id=name),),
        controllers=(Controller(id=name, model=f"virtio-scsi-{name}", bus="scsi", iothread=name),),
        disks=(
            AttachedDisk(
                disk=Disk(id=name, bus="scsi", index=0, volume=f"<script>{name}"),
                controller=name,
            ),
        ),
    )
    root = parse(render_topology(topology, f"<b>{name}"))
    assert not list(root.iter(f"{NAMESPACE}script"))
    assert not list(root.iter(f"{NAMESPACE}b"))
