"""The images of disks and of the firmware, with the chains that they are overlays of.

Source: libvirt 11.3.0, run: `virsh domxml-to-native` and its messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vmio.formats.libvirt.domain import Image
from vmio.formats.libvirt.reading import MAX_LARGE, NUMBER, Reading, say_missing
from vmio.formats.libvirt.versions import has_feature
from vmio.formats.libvirt.xml import Element

__all__ = ["TYPES", "check_source", "find_path", "read_chain", "read_firmware"]

TYPES: Final = frozenset(
    {"file", "block", "dir", "network", "volume", "nvme", "vhostuser", "vhostvdpa"}
)
_PROTOCOLS: Final = frozenset(
    "nbd rbd sheepdog gluster iscsi http https ftp ftps tftp ssh vxhs nfs".split()  # noqa: SIM905
)


def find_path(kind: str, source: Element | None) -> str:
    """Returns the file, the device or the name that a source names; empty for none."""
    if source is None:
        return ""
    attribute = {"file": "file", "block": "dev", "dir": "dir", "network": "name"}.get(kind)
    return (source.get(attribute) if attribute is not None else None) or ""


def read_chain(reading: Reading, element: Element, kind: str, form: str) -> Image:
    """Returns a disk's image and those that it is an overlay of."""
    layers: list[tuple[str, str, Element | None, bool]] = []
    place: Element | None = element
    while place is not None:
        store = place.find("backingStore")
        is_end = store is not None and store.get("type") is None and store.find("source") is None
        layers.append((kind, form or "raw", place.find("source"), is_end))
        if store is None or is_end:
            break
        kind = reading.choose(store, "type", TYPES, "file")
        written = store.find("format")
        form = (written.get("type") if written is not None else None) or ""
        if not form:
            reading.refuse("missing disk backing store format", store)
        place = store
    image: Image | None = None
    for depth in range(len(layers) - 1, -1, -1):
        of_kind, of_form, source, is_end = layers[depth]
        image = _read_image(
            reading,
            of_kind,
            of_form,
            source,
            image,
            ends_chain=is_end,
            data=_read_data(reading, source),
            disk=element if depth == 0 else None,
        )
    assert image is not None  # noqa: S101 - there is one layer at least
    return image


def _read_data(reading: Reading, source: Element | None) -> Image | None:
    """Returns the file that a qcow2 image keeps its data in."""
    store = source.find("dataStore") if source is not None else None
    if store is None or not has_feature(reading.version, "data-store"):
        return None
    kind = reading.choose(store, "type", TYPES, "file")
    written = store.find("format")
    form = (written.get("type") if written is not None else None) or ""
    if not form:
        reading.refuse("missing data file store format", store)
    return _read_image(reading, kind, form, store.find("source"), None)


def _read_image(
    reading: Reading,
    kind: str,
    form: str,
    source: Element | None,
    backing: Image | None,
    *,
    ends_chain: bool = False,
    data: Image | None = None,
    disk: Element | None = None,
) -> Image:
    part = source.find_path("slices", "slice") if source is not None else None
    bounds = None
    if part is not None and part.get("type") == "storage":
        offset, size = (
            reading.count(part, "offset", most=MAX_LARGE),
            reading.count(part, "size", most=MAX_LARGE),
        )
        if part.get("offset") is None or part.get("size") is None:
            reading.refuse("missing offset or size attribute of slice", part)
        bounds = (offset or 0, size or 0)
    encryption = _find_in(source, disk, "encryption")
    return Image(
        kind=kind,
        path=find_path(kind, source),
        format=form,
        source=source,
        backing=backing,
        data=data,
        ends_chain=ends_chain,
        slice=bounds,
        encryption=(encryption.get("format") or "default") if encryption is not None else "",
        encrypted_by=(encryption.get("engine") or "") if encryption is not None else "",
        auth=_find_in(source, disk, "auth"),
    )


def _find_in(source: Element | None, disk: Element | None, name: str) -> Element | None:
    """Returns a part of a source, which an older text has in the disk."""
    found = source.find(name) if source is not None else None
    return found if found is not None or disk is None else disk.find(name)


def check_source(reading: Reading, element: Element, kind: str, device: str, image: Image) -> None:
    """Notes what libvirt refuses of a source as it reads it."""
    source = image.source
    if kind == "vhostuser" and source is not None:
        _check_vhost_user(reading, source)
    if source is not None:
        _check_reservations(reading, source)
    if kind == "network" and source is not None:
        _check_network(reading, source)
    elif kind == "nvme" and source is not None:
        if source.get("namespace") is None:
            reading.refuse(say_missing(source, "namespace"), source)
        elif source.find("address") is None:
            reading.refuse("NVMe disk source is missing address", source)
    elif image.is_empty and device not in {"cdrom", "floppy"}:
        reading.refuse(f"missing source information for device {reading.subject}", element)


def _check_vhost_user(reading: Reading, source: Element) -> None:
    if source.get("type") is None:
        reading.refuse("missing 'type' attribute for vhostuser disk source", source)
    elif source.get("type") != "unix":
        reading.refuse("invalid 'type' attribute for vhostuser disk source", source)
    elif source.get("path") is None:
        reading.refuse("missing 'path' attribute for vhostuser disk source", source)


def _check_reservations(reading: Reading, source: Element) -> None:
    part = source.find("reservations")
    if part is None or part.get("managed") != "no":
        return
    place = part.find("source")
    for name, told in (("type", "connection type"), ("path", "path"), ("mode", "connection mode")):
        if place is None or place.get(name) is None:
            reading.refuse(f"missing {told} for <reservations/>", part)
            return


def _check_network(reading: Reading, source: Element) -> None:
    if source.get("protocol") is None:
        reading.refuse(say_missing(source, "protocol"), source)
        return
    protocol = reading.choose(source, "protocol", _PROTOCOLS)
    if protocol and protocol != "nbd" and source.get("name") is None:
        reading.refuse("missing name for disk source", source)
    for host in source.find_all("host"):
        transports = frozenset({"tcp", "unix", "rdma"})
        transport = reading.choose(host, "transport", transports, "tcp")
        if transport == "unix":
            if host.get("socket") is None:
                reading.refuse("missing socket for unix transport", host)
        elif host.get("name") is None:
            reading.refuse("missing name for host", host)
        port = host.get("port")
        if port is not None and transport != "unix" and not NUMBER.fullmatch(port):
            reading.refuse(f"failed to parse port number '{port}'", host)
        _check_nfs(reading, host, protocol, transport)
    identity = source.find("identity")
    if protocol == "ssh" and identity is not None and not _names_key(identity):
        said = "element 'identity' requires either 'keyfile' or 'agentsock' attribute"
        reading.refuse(said, identity)


def _check_nfs(reading: Reading, host: Element, protocol: str, transport: str) -> None:
    if protocol == "nfs" and transport != "tcp":
        reading.refuse("'nfs' host must use TCP protocol", host, 2)
    elif protocol == "nfs" and host.get("port") is not None:
        reading.refuse("port cannot be specified in 'nfs' protocol host", host, 2)


def _names_key(identity: Element) -> bool:
    return identity.get("keyfile") is not None or identity.get("agentsock") is not None


def read_firmware(root: Element) -> Iterator[tuple[Image, bool]]:
    """Yields the images of a firmware in flash memory."""
    loader = root.find_path("os", "loader")
    if loader is None or loader.get("type") != "pflash" or not loader.text:
        return
    form = loader.get("format") or "raw"
    read_only = loader.get("readonly") == "yes"
    yield Image(kind="file", path=loader.text, format=form), read_only
    variables = root.find_path("os", "nvram")
    if variables is None:
        return
    kind = variables.get("type") or "file"
    source = variables.find("source")
    path = find_path(kind, source) if source is not None else variables.text.strip()
    if path:
        form = variables.get("format") or form
        yield Image(kind=kind, path=path, format=form, source=source), False
