"""A disk's images as QEMU's block nodes, named and stacked as libvirt does.

Source: libvirt 11.3.0 and 9.0.0, run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from vmio.errors import PlanError, UnsupportedError
from vmio.formats.libvirt.domain import Disk, Image
from vmio.formats.libvirt.versions import has_feature
from vmio.formats.libvirt.xml import Element

__all__ = ["CACHES", "Node", "build_firmware", "build_nodes", "count_numbers", "find_drivers"]

Node = dict[str, object]

CACHES: Final[Mapping[str, tuple[bool, bool, bool]]] = {
    "none": (True, False, True),
    "writethrough": (False, False, False),
    "writeback": (False, False, True),
    "directsync": (True, False, False),
    "unsafe": (False, True, True),
}
"""Past the host's page cache, without flushes, with a cache that the guest sees."""
_PORTS: Final = {
    "ftp": 21,
    "ftps": 990,
    "gluster": 24007,
    "http": 80,
    "https": 443,
    "iscsi": 3260,
    "nbd": 10809,
    "ssh": 22,
}
_WEB: Final = frozenset({"http", "https"})
_FORMATS: Final = {"ploop": "parallels", "aio": "raw", "fat": "raw"}
"""QEMU's driver of a format that libvirt calls something else."""


def count_numbers(disk: Disk) -> int:
    """Returns how many numbers a disk's nodes take."""
    if disk.image.kind == "vhostuser":
        return 0
    return len(disk.filters) + sum(1 for _ in disk.image.layers)


def build_nodes(disk: Disk, number: int, version: tuple[int, int]) -> Iterator[Node]:
    """Yields a disk's nodes, each behind those that it refers to; the last is the device's.

    Args:
        disk: The disk.
        number: That of its top image.
        version: The libvirt that names and stacks them.

    Raises:
        UnsupportedError: It is on something that vmio cannot print yet.
        PlanError: libvirt would refuse its source.
    """
    if disk.image.is_empty or disk.image.kind == "vhostuser":
        return
    layers = list(disk.image.layers)
    below = data = ""
    for place in range(len(layers) - 1, -1, -1):
        image, depth = layers[place]
        is_data = place > 0 and layers[place - 1][0].data is image
        under = {} if is_data else {"backing": below, "data-file": data}
        read_only = depth > 0 or (disk.read_only and not is_data)
        own = _Layer(number=number + place, depth=depth, read_only=read_only, under=under)
        nodes = list(_build_image(disk, image, own, version))
        yield from nodes
        top = str(nodes[-1]["node-name"])
        below, data = (below, top) if is_data else (top, "")
    if disk.driver.get("copy_on_read") == "on":
        name = f"libvirt-CoR-{disk.target}"
        yield {
            "driver": "copy-on-read",
            "node-name": name,
            "file": below,
            "discard": "unmap",
        }
        below = name
    for place, group in enumerate(disk.filters):
        name = f"libvirt-{number + len(layers) + place}-filter"
        yield {
            "driver": "throttle",
            "node-name": name,
            "throttle-group": f"throttle-{group}",
            "file": below,
        }
        below = name


class _Layer(Struct, frozen=True, kw_only=True):
    """The place of an image in a disk's stack."""

    number: int
    depth: int
    read_only: bool
    under: Mapping[str, str]
    """The nodes below that of its format, by its properties."""


def _build_image(
    disk: Disk, image: Image, layer: _Layer, version: tuple[int, int]
) -> Iterator[Node]:
    number, depth, under = layer.number, layer.depth, layer.under
    storage = f"libvirt-{number}-storage"
    read_only = {"read-only": layer.read_only}
    below_format = {"auto-read-only": True, "discard": "unmap"}
    cache = _describe_cache(disk)
    own: Node = {}
    if "discard" in disk.driver:
        own["discard"] = disk.driver["discard"]
    if depth == 0 or has_feature(version, "zeroes-in-chains"):
        own |= _describe_zeroes(disk)
    source = {**_describe_source(disk, image, version), "node-name": storage}
    needs_format = (
        image.format not in {"raw", "aio"}
        or (bool(image.encryption) and image.encrypted_by != "librbd")
        or not has_feature(version, "plain-raw")
    )
    top = f"libvirt-{number}-slice-sto" if image.slice is not None else storage
    as_slice = _slices_format(image, version)
    if as_slice:
        top = storage
    if not needs_format and image.slice is None:
        yield {**source, **read_only, **own, **cache}
        return
    yield {**source, **below_format, **cache}
    if image.slice is not None and not as_slice:
        part = {"offset": image.slice[0], "size": image.slice[1]}
        slice_node = {"driver": "raw", "node-name": top, "file": storage, **part}
        if not needs_format:
            yield {**slice_node, **read_only, **own, **cache}
            return
        yield {**slice_node, **below_format, **cache}
    yield {
        **_describe_format(disk, image, number, depth, version),
        "file": top,
        **read_only,
        **own,
        **cache,
        **({key: name for key, name in under.items() if name} if _has_backing(image) else {}),
        **({"backing": None} if image.ends_chain and _has_backing(image) else {}),
    }


def _slices_format(image: Image, version: tuple[int, int]) -> bool:
    """Returns whether a part of a raw image is made by the node of its format."""
    return (
        image.slice is not None and image.format == "raw" and not has_feature(version, "plain-raw")
    )


def _has_backing(image: Image) -> bool:
    return image.format in {"qcow2", "qcow", "qed", "vmdk", "cow"}


def _describe_cache(disk: Disk) -> Node:
    modes = CACHES.get(disk.cache)
    return {"cache": {"direct": modes[0], "no-flush": modes[1]}} if modes is not None else {}


def _describe_zeroes(disk: Disk) -> Node:
    mode = disk.driver.get("detect_zeroes")
    if mode is None:
        return {}
    if mode == "unmap" and disk.driver.get("discard") != "unmap":
        mode = "on"
    return {"detect-zeroes": mode}


def _describe_format(
    disk: Disk, image: Image, number: int, depth: int, version: tuple[int, int]
) -> Node:
    name = f"libvirt-{number}-format"
    node: Node = {"driver": _FORMATS.get(image.format, image.format), "node-name": name}
    if image.encryption and image.encrypted_by != "librbd":
        secret = f"{name}-encryption-secret0"
        if image.format == "raw":
            return {**node, "driver": "luks", "key-secret": secret}
        return {**node, "encrypt": {"format": "luks", "key-secret": secret}}
    if image.format == "qcow2":
        if depth == 0 and disk.cache_size is not None:
            node["cache-size"] = disk.cache_size
        if "discard_no_unref" in disk.driver:
            node["discard-no-unref"] = disk.driver["discard_no_unref"] == "on"
    if _slices_format(image, version) and image.slice is not None:
        node |= {"offset": image.slice[0], "size": image.slice[1]}
    return node


def find_drivers(image: Image) -> tuple[str, str]:
    """Returns QEMU's drivers of an image's format and of what is below it."""
    form = "luks" if image.format == "raw" and image.encryption else image.format
    kinds = {"file": "file", "block": "host_device", "dir": "vvfat", "nvme": "nvme"}
    below = kinds.get(image.kind, "")
    if image.kind == "network" and image.source is not None:
        below = image.source.get("protocol") or ""
    return _FORMATS.get(form, form), below


def _describe_source(disk: Disk, image: Image, version: tuple[int, int]) -> Node:
    """Returns what a node opens.

    Raises:
        UnsupportedError: vmio cannot print it yet.
        PlanError: libvirt would refuse it.
    """
    match image.kind:
        case "file" | "block":
            driver = "file" if image.kind == "file" else "host_device"
            node: Node = {"driver": driver, "filename": image.path}
            if "io" in disk.driver:
                node["aio"] = disk.driver["io"]
            if image.source is not None and image.source.find("reservations") is not None:
                node["pr-manager"] = _name_reservations(image.source)
            return node
        case "dir":
            is_floppy = disk.device == "floppy"
            return {"driver": "vvfat", "dir": image.path, "floppy": is_floppy, "rw": False}
        case "nvme" if image.source is not None:
            return _describe_nvme(image.source)
        case "network" if image.source is not None:
            return _describe_network(disk, image, image.source, version)
        case "volume":
            raise UnsupportedError(
                f"{disk.target} is a volume of a pool, and what that is only libvirt knows"
            )
        case _:
            raise UnsupportedError(f"{disk.target}: vmio does not print type='{image.kind}' yet")


def _name_reservations(source: Element) -> str:
    element = source.find("reservations")
    if element is not None and element.get("managed") == "yes":
        return "pr-helper0"
    return "pr-helper-libvirt-0-storage"


def _describe_nvme(source: Element) -> Node:
    address = source.find("address")
    parts = []
    for name, width in (("domain", 4), ("bus", 2), ("slot", 2), ("function", 1)):
        text = (address.get(name) if address is not None else None) or "0"
        number = (
            int(text, 0)
            if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|0|[1-9]\d{0,8}", text, re.ASCII)
            else 0
        )
        parts.append(f"{number:0{width}x}")
    namespace = source.get("namespace") or "0"
    return {
        "driver": "nvme",
        "device": f"{parts[0]}:{parts[1]}:{parts[2]}.{parts[3]}",
        "namespace": int(namespace) if namespace.isdecimal() and len(namespace) < 20 else 0,  # noqa: PLR2004 - digits of 64 bits
    }


def _describe_network(disk: Disk, image: Image, source: Element, version: tuple[int, int]) -> Node:
    protocol = source.get("protocol") or ""
    describe = _NETWORK.get(protocol)
    if protocol == "sheepdog":
        said = "'sheepdog' protocol is no longer supported by any hypervisor driver"
        raise PlanError(f"libvirt refuses it: {said}")
    if protocol == "vxhs":
        said = "VxHS protocol is not supported with this QEMU binary"
        raise PlanError(f"libvirt refuses it: {said}")
    if describe is None:
        said = f"'{protocol[:80]}' protocol is not supported with this QEMU binary"
        raise PlanError(f"libvirt refuses it: {said}")
    hosts = list(source.find_all("host"))
    if protocol not in {"rbd", "gluster"} and len(hosts) != 1:
        is_url = protocol in {"http", "https", "ftp", "ftps"}
        if protocol == "nfs":
            raise _refuse("'nfs' protocol requires the usage of exactly one host")
        name = f"protocol '{protocol}'" if is_url else f"{protocol} protocol"
        name = name.replace("iscsi", "iSCSI")
        raise _refuse(f"{name} accepts only one host")
    if image.auth is not None and protocol not in {"rbd", "iscsi", "http", "https"}:
        raise UnsupportedError(f"{disk.target}: vmio does not print its <auth> yet")
    node = describe(image, source, hosts)
    if not has_feature(version, "reconnect"):
        node.pop("reconnect-delay", None)
    return {"driver": protocol, **node}


def _inet(host: Element, protocol: str, *, kind: bool = True) -> Node:
    transport = host.get("transport") or "tcp"
    if transport != "tcp" and not kind:
        raise _refuse("only TCP protocol can be converted to InetSocketAddress")
    if transport == "unix":
        return {"type": "unix", "path": host.get("socket") or ""}
    if transport != "tcp":
        raise _refuse(f"transport protocol '{transport}' is not yet supported")
    port = host.get("port") or "0"
    port = str(_PORTS.get(protocol, 0)) if port == "0" else port
    node: Node = {"host": host.get("name") or "", "port": port}
    return {"type": "inet", **node} if kind else node


def _find_port(host: Element, protocol: str) -> str:
    """Returns a host's port; libvirt knows those of TCP alone."""
    is_tcp = host.get("transport") in {None, "tcp"}
    port = host.get("port") or "0"
    return str(_PORTS[protocol]) if port == "0" and is_tcp else port


def _refuse(said: str) -> PlanError:
    return PlanError(f"libvirt refuses it: {said}")


def _split_pool(path: str) -> tuple[str, str]:
    pool, sign, name = path.partition("/")
    if not sign or not pool or not name:
        said = f"can't split path '{path}' into pool name and image name"
        raise PlanError(f"libvirt refuses it: {said}")
    return pool, name


def _describe_rbd(image: Image, source: Element, hosts: list[Element]) -> Node:
    pool, name = _split_pool(image.path)
    node: Node = {"pool": pool, "image": name}
    snapshot, config = source.find("snapshot"), source.find("config")
    if snapshot is not None and snapshot.get("name"):
        node["snapshot"] = snapshot.get("name")
    if config is not None and config.get("file"):
        node["conf"] = config.get("file")
    if hosts:
        node["server"] = [_inet(host, "rbd", kind=False) for host in hosts]
    auth = image.auth
    if image.encryption and image.encrypted_by == "librbd":
        key = "libvirt-0-storage-encryption-secret0"
        node["encrypt"] = {"format": image.encryption, "key-secret": key}
    if auth is not None:
        node["user"] = auth.get("username") or ""
        node["auth-client-required"] = ["cephx", "none"]
        node["key-secret"] = "libvirt-0-storage-auth-secret0"
    return node


def _describe_iscsi(image: Image, source: Element, hosts: list[Element]) -> Node:
    target, _, number = image.path.partition("/")
    if number and not re.fullmatch(r"\d{1,9}", number, re.ASCII):
        raise PlanError(f"libvirt refuses it: cannot parse target for lunStr '{target}'")
    host = hosts[0].get("name") or ""
    host = f"[{host}]" if ":" in host else host
    node: Node = {
        "portal": f"{host}:{_find_port(hosts[0], 'iscsi')}",
        "target": target,
        "lun": int(number or 0),
        "transport": "tcp",
    }
    initiator = source.find_path("initiator", "iqn")
    if initiator is not None and initiator.get("name"):
        node["initiator-name"] = initiator.get("name")
    auth = image.auth
    if auth is not None:
        node["user"] = auth.get("username") or ""
        node["password-secret"] = "libvirt-0-storage-auth-secret0"
    return node


def _describe_nbd(image: Image, source: Element, hosts: list[Element]) -> Node:
    node: Node = {"server": _inet(hosts[0], "nbd")}
    if image.path:
        node["export"] = image.path
    if source.get("tls") == "yes":
        node["tls-creds"] = "objlibvirt-0-storage_tls0"
        node["tls-hostname"] = source.get("tlsHostname")
    reconnect = source.find("reconnect")
    delay = reconnect.get("delay") if reconnect is not None else None
    if delay is not None and re.fullmatch(r"0*[1-9]\d{0,8}", delay, re.ASCII):
        node["reconnect-delay"] = int(delay)
    return node


def _describe_gluster(image: Image, source: Element, hosts: list[Element]) -> Node:
    del source
    volume, path = _split_pool(image.path)
    servers = [_inet(host, "gluster") for host in hosts]
    return {"volume": volume, "path": path, "server": servers, "debug": 4}


def _describe_ssh(image: Image, source: Element, hosts: list[Element]) -> Node:
    node: Node = {"path": image.path, "server": _inet(hosts[0], "ssh", kind=False)}
    identity = source.find("identity")
    user = identity.get("username") if identity is not None else None
    return {**node, "user": user} if user else node


def _describe_nfs(image: Image, source: Element, hosts: list[Element]) -> Node:
    node: Node = {
        "server": {"host": hosts[0].get("name") or "", "type": "inet"},
        "path": image.path,
    }
    identity = source.find("identity")
    for name in ("user", "group"):
        text = (identity.get(name) if identity is not None else None) or ""
        if re.fullmatch(r"\+?\d{1,9}", text, re.ASCII):
            node[name] = int(text)
        elif text:
            raise UnsupportedError(
                f"the number of the {name} '{text[:80]}' of an NFS disk is known to its host only"
            )
    return node


def _describe_url(image: Image, source: Element, hosts: list[Element]) -> Node:
    protocol = source.get("protocol") or ""
    host = hosts[0].get("name") or ""
    host = f"[{host}]" if ":" in host else host
    path = image.path if image.path.startswith("/") else f"/{image.path}"
    query = source.get("query") if protocol in _WEB else None
    transport, port = hosts[0].get("transport") or "tcp", _find_port(hosts[0], protocol)
    scheme = protocol if transport == "tcp" else f"{protocol}+{transport}"
    url = f"{scheme}://{host}{f':{port}' if int(port) else ''}{path}"
    node: Node = {"url": f"{url}?{query}" if query else url}
    verify, ahead, timeout = (source.find(name) for name in ("ssl", "readahead", "timeout"))
    is_secure = protocol in {"https", "ftps"}
    if is_secure and verify is not None and verify.get("verify") in {"yes", "no"}:
        node["sslverify"] = verify.get("verify") == "yes"
    for key, element, name in (("readahead", ahead, "size"), ("timeout", timeout, "seconds")):
        text = (element.get(name) if element is not None else None) or ""
        if re.fullmatch(r"0*[1-9]\d{0,15}", text, re.ASCII):
            node[key] = int(text)
    if image.auth is not None:
        node["username"] = image.auth.get("username") or ""
        node["password-secret"] = "libvirt-0-storage-auth-secret0"
    if protocol in _WEB and source.find("cookies") is not None:
        node["cookie-secret"] = "libvirt-0-storage-httpcookie-secret0"
    return node


_NETWORK: Final = {
    "ftp": _describe_url,
    "ftps": _describe_url,
    "gluster": _describe_gluster,
    "http": _describe_url,
    "https": _describe_url,
    "iscsi": _describe_iscsi,
    "nbd": _describe_nbd,
    "nfs": _describe_nfs,
    "rbd": _describe_rbd,
    "ssh": _describe_ssh,
}


def build_firmware(
    images: tuple[tuple[Image, bool], ...], version: tuple[int, int]
) -> Iterator[Node]:
    """Yields the nodes of a firmware's images, of which the first always has one of its format."""
    for number, (image, read_only) in enumerate(images):
        name = f"libvirt-pflash{number}"
        driver = "host_device" if image.kind == "block" else "file"
        source: Node = {"driver": driver, "filename": image.path, "node-name": f"{name}-storage"}
        if number and image.format == "raw" and has_feature(version, "plain-raw"):
            yield {**source, "read-only": read_only}
            continue
        yield {**source, "auto-read-only": True, "discard": "unmap"}
        node: Node = {
            "driver": image.format,
            "node-name": f"{name}-format",
            "file": f"{name}-storage",
            "read-only": read_only,
        }
        yield {**node, "backing": None} if image.format == "qcow2" else node
