"""Debian packages as a source of files: resolved and downloaded by apt, read, never installed.

apt verifies its downloads against the archive's signature, so this module trusts the files and
adds no check of its own. It does not need root: the lists are world-readable, and `apt-get
download` writes into the current folder.

python-debian reads stanzas too, but its licence, GPL-2.0-or-later, would bind everybody who passes
vmio on, and the few fields that are needed take a dozen lines.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, cast

from msgspec import Struct, ValidationError, convert, to_builtins

from vmio.errors import CapabilityError, OutputError, ToolError
from vmio.qemu.cache import read_entry, write_entry
from vmio.qemu.child import destroy_child, run_command, start_child

__all__ = [
    "Files",
    "Package",
    "download_packages",
    "parse_stanzas",
    "read_candidates",
    "read_files",
    "select_libraries",
]

ROOT = Path("/")
APT_CACHE_TIMEOUT_S = 60
STALL_TIMEOUT_S = 30
MAX_FILE_BYTES = 256 << 20

_INPUTS = ("etc/apt", "var/lib/apt/lists", "var/lib/dpkg/status")
"""What a candidate depends on: the lists, what is installed, and how both are to be weighed."""
_MAX_INPUTS = 10_000

_UPDATE = "run `apt-get update` as root and try again"
_BYPASS = "give your own guest with --kernel and --initrd"
_DOWNLOAD_HINTS = (
    (r"404 +Not Found|Hash Sum mismatch", f"the package lists are too old: {_UPDATE}"),
    (
        r"Temporary failure|Could not (?:resolve|connect)|Unable to connect|Connection |reachable",
        f"the archive cannot be reached: check the network and apt's proxy, or {_BYPASS}",
    ),
    (r"Can't find a source to download|Unable to locate package", _UPDATE),
    (r"Unauthenticated|NO_PUBKEY|not signed", "apt does not trust the archive: fix its keys"),
)
_FULL_DISK = re.compile(r"No space left on device|enough free space")


class Package(Struct, frozen=True, kw_only=True):
    """One version of a package as the archive describes it.

    Args:
        name: Its name in apt.
        version: The version that apt would install: its candidate.
        section: The archive's section, such as "libs".
        size_bytes: The size of the download.
        depends: Names of packages that it needs, the first of each set of alternatives.
    """

    name: str
    version: str
    section: str
    size_bytes: int
    depends: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}={self.version}"


class _Kept(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What apt answered, and the state of its files then."""

    state: tuple[str, ...]
    packages: tuple[Package, ...]


class Files(Struct, frozen=True, kw_only=True):
    """The content of packages: files and links by path, without a leading slash."""

    contents: dict[str, bytes]
    links: dict[str, str]

    def find(self, name: str) -> bytes | None:
        """Returns the bytes of the file or link of this name that is nearest to the root."""
        found = [p for p in (*self.contents, *self.links) if posixpath.basename(p) == name]
        for path in sorted(found, key=lambda p: (p.count("/"), p)):
            if (data := self._follow(path)) is not None:
                return data
        return None

    def _follow(self, path: str) -> bytes | None:
        for _ in range(8):
            if path in self.contents:
                return self.contents[path]
            if path not in self.links:
                return None
            folder = posixpath.dirname(path)
            path = posixpath.normpath(posixpath.join("/", folder, self.links[path])).lstrip("/")
        return None


def parse_stanzas(text: str) -> dict[str, Package]:
    """Parses the output of `apt-cache show`; the first stanza of a name counts.

    Source: deb-control(5), deb-src-control(5); apt-cache(8) from apt 2.6.
    """
    packages: dict[str, Package] = {}
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([A-Za-z-]+): *(.*)$", stanza, re.MULTILINE))
        name, version = fields.get("Package"), fields.get("Version")
        if name and version and name not in packages:
            needs = f"{fields.get('Pre-Depends', '')},{fields.get('Depends', '')}"
            packages[name] = Package(
                name=name,
                version=version,
                section=fields.get("Section", "").rpartition("/")[2],
                size_bytes=int(size) if (size := fields.get("Size", "")).isdecimal() else 0,
                depends=tuple(re.findall(r"(?:^|,)\s*([a-z0-9][a-z0-9+.-]*)", needs)),
            )
    return packages


def select_libraries(roots: tuple[str, ...], known: dict[str, Package]) -> tuple[Package, ...]:
    """Selects the named packages and every library that they need, sorted by name.

    A Debian package that is linked with a library depends on that library's package directly, and
    such a package is in section `libs`; so interpreters and maintainer tools are left out without
    opening a package.

    Source: Debian Policy 4.6, 8.6 (shared library dependencies).
    """
    chosen: dict[str, Package] = {}
    todo = list(roots)
    while todo:
        name = todo.pop()
        package = known.get(name)
        if package and name not in chosen and (name in roots or package.section == "libs"):
            chosen[name] = package
            todo.extend(package.depends)
    return tuple(chosen[name] for name in sorted(chosen))


def read_candidates(names: tuple[str, ...]) -> dict[str, Package]:
    """Reads apt's candidates for these packages and for all their dependencies.

    apt takes two seconds of a processor for it, so its answer is kept until one of its files
    changes.

    Raises:
        CapabilityError: This host has no apt, or its lists lack one of the names.
        ToolError: apt-cache failed.
    """
    identity, state = ("packages", *sorted(names)), tuple(_list_states())
    with suppress(ValidationError):
        kept = convert(read_entry("packages", identity), _Kept)
        if kept.state == state:
            return {package.name: package for package in kept.packages}
    known = _ask_candidates(names)
    kept = _Kept(state=state, packages=tuple(known.values()))
    write_entry("packages", identity, to_builtins(kept))
    return known


def _list_states() -> Iterator[str]:
    """Yields what changes whenever a file changes that apt's candidates depend on."""
    tops = [ROOT / name for name in _INPUTS]
    below = (path for top in tops if top.is_dir() for path in top.rglob("*"))
    for path in sorted((*tops, *islice(below, _MAX_INPUTS))):
        with suppress(OSError):
            status = path.stat()
            yield f"{path} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _ask_candidates(names: tuple[str, ...]) -> dict[str, Package]:
    listing = _run_apt_cache(("depends", "--important", "--recurse", *names))
    closure = set(re.findall(r"^([a-z0-9][a-z0-9+.-]+)$", listing, re.MULTILINE))
    known = parse_stanzas(
        _run_apt_cache(("show", "--no-all-versions", *sorted({*closure, *names})))
    )
    for name in names:
        if name not in known:
            raise CapabilityError(
                f"apt's lists have no package {name}",
                hint=f"{_UPDATE}; on a host that is not Debian, {_BYPASS}",
            )
    return known


def download_packages(
    packages: tuple[Package, ...], folder: Path, report: Callable[[str, float | None], None]
) -> tuple[Path, ...]:
    """Downloads packages at the given versions into a folder, and returns their files.

    Raises:
        CapabilityError: This host has no apt.
        OutputError: The disk is full.
        ToolError: apt-get failed; the hint explains its message.
    """
    size_mb = sum(package.size_bytes for package in packages) / 1e6
    task = f"downloading {len(packages)} packages ({size_mb:.0f} MB)"
    report(task, 0.0)
    arguments = (
        "--quiet=2",
        "--option=APT::Get::AllowUnauthenticated=false",
        "--option=APT::Sandbox::User=root",  # the user _apt cannot write into our folder
        "--option=APT::Status-Fd=1",
        f"--option=Acquire::http::Timeout={STALL_TIMEOUT_S}",
        f"--option=Acquire::https::Timeout={STALL_TIMEOUT_S}",
        "download",
        *map(str, packages),
    )
    argv = _render_argv("apt-get", arguments, folder)
    with tempfile.TemporaryFile() as words:
        with _start(argv, words) as (process, output):
            for line in output:
                if match := re.match(rb"dlstatus:\d+:([0-9.]+):", line):
                    report(task, min(float(match[1]) / 100, 1.0))
            status = process.wait()
        words.seek(0)
        if status:
            raise _explain_download(argv, status, words.read(1 << 20).decode(errors="replace"))
    report(task, 1.0)
    return tuple(sorted(folder.glob("*.deb")))


def read_files(deb: Path, wanted: re.Pattern[str]) -> Files:
    """Reads the files of a package that match a pattern, without unpacking it onto the disk.

    Raises:
        CapabilityError: This host has no dpkg-deb.
        ToolError: The package cannot be read.
    """
    files = Files(contents={}, links={})
    argv = _render_argv("dpkg-deb", ("--fsys-tarfile", str(deb)))
    with _start(argv, subprocess.DEVNULL) as (process, output):
        try:
            with tarfile.open(fileobj=output, mode="r|") as archive:
                for member in archive:
                    path = posixpath.normpath(member.name).lstrip("/")
                    if not wanted.fullmatch(path):
                        continue
                    if member.issym():
                        files.links[path] = member.linkname
                    elif member.isreg() and member.size <= MAX_FILE_BYTES:
                        data = archive.extractfile(member)
                        files.contents[path] = data.read() if data else b""
            while output.read(1 << 16):
                pass
            status = process.wait()
        except (tarfile.TarError, EOFError) as error:
            message = f"{deb.name}: dpkg-deb gives no archive"
            raise ToolError(message, argv=argv) from error
    if status:
        raise ToolError(f"{deb.name}: dpkg-deb cannot read it", argv=argv, status=status)
    return files


def _explain_download(argv: tuple[str, ...], status: int, words: str) -> OutputError | ToolError:
    errors = [line for line in words.splitlines() if line.startswith("E: ")]
    reason = (errors or words.splitlines() or ["no reason given"])[0].removeprefix("E: ")
    message = f"apt-get cannot download the guest's packages: {reason[:200]}"
    if _FULL_DISK.search(words):
        return OutputError(message, hint="free some space, or point XDG_CACHE_HOME elsewhere")
    hints = (hint for pattern, hint in _DOWNLOAD_HINTS if re.search(pattern, words))
    hint = next(hints, f"{_UPDATE}, or {_BYPASS}")
    return ToolError(message, argv=argv, status=status, output=words[-2000:], hint=hint)


def _run_apt_cache(arguments: tuple[str, ...]) -> str:
    argv = _render_argv("apt-cache", arguments)
    done = run_command(argv, timeout_s=APT_CACHE_TIMEOUT_S, limit_bytes=MAX_FILE_BYTES)
    if done.status is None:
        message = f"apt-cache gave no answer within {APT_CACHE_TIMEOUT_S} s"
        raise ToolError(message, argv=argv)
    # An unknown name makes apt fail after it has shown the others, which the caller notices.
    return done.output.decode(errors="replace")


@contextmanager
def _start(
    argv: tuple[str, ...], errors: int | IO[bytes]
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Owns a child process, which ends with the block at the latest."""
    process = start_child(argv, stdout=subprocess.PIPE, stderr=errors)
    try:
        yield process, cast("IO[bytes]", process.stdout)
    finally:
        destroy_child(process)
        cast("IO[bytes]", process.stdout).close()


def _render_argv(
    program: str, arguments: tuple[str, ...], folder: Path | None = None
) -> tuple[str, ...]:
    """Returns a command that runs in a folder and prints messages that vmio can parse."""
    if shutil.which(program) is None:
        raise CapabilityError(
            f"this host has no {program}, so the benchmark guest cannot be built here",
            hint=f"build it on Debian, or {_BYPASS}",
        )
    return ("env", f"--chdir={folder or '/'}", "LC_ALL=C", program, *arguments)
