"""A Dask cluster as an executor.

Whoever can reach a Dask scheduler can run code on its workers, and their replies are unpickled
here; so vmio connects only to a given address, and a cluster belongs behind TLS or on a network of
its own.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final
from weakref import WeakSet

from msgspec import Struct

from vmio import __version__
from vmio.errors import CapabilityError, MissingExtraError, ToolError, UsageError

__all__ = ["Cluster", "connect_cluster"]

_PATIENCE_S: Final = 10.0
"""Seconds for a scheduler to answer, and to be told at the end."""
_WATCH_S: Final = 10.0
_ABANDONED: Final = 3
"""After this many consecutive checks without workers a cluster is given up."""
_ADDRESS: Final = re.compile(r"(tcp|tls)://[^\s/@]{1,253}:\d{1,5}", re.ASCII)
_TALK: Final = ("distributed", "distributed.client", "tornado.application", "concurrent.futures")
"""Dask's loggers to standard error, for errors that are also handled here."""


class Cluster(Struct, frozen=True, kw_only=True):
    """A destination for work."""

    executor: Executor
    workers: int
    """The number of tasks that it runs at a time."""


@contextmanager
def connect_cluster(address: str) -> Iterator[Cluster]:
    """Connects to a Dask scheduler, and cancels queued work at the end.

    A worker finishes its current task even on an early end, because Dask cannot cancel it. A
    worker that dies is replaced by another until Dask gives up its task.

    Args:
        address: Such as `tcp://HOST:PORT`, or `tls://` with the keys in Dask's own configuration.

    Raises:
        MissingExtraError: distributed is not installed.
        UsageError: The address is not valid.
        ToolError: Nothing answers there, there are no workers, or they died or left meanwhile.
        CapabilityError: Their version of vmio, Python or Dask differs from this process's.
    """
    distributed = _import_distributed()
    if _ADDRESS.fullmatch(address) is None:
        raise UsageError(
            f"--scheduler {address[:80]!r} is not an address of a Dask scheduler",
            hint="it has the form tcp://HOST:8786 or tls://HOST:8786",
        )
    with _silence():
        workers = _ask_cluster(distributed, address)
        with warnings.catch_warnings():
            # About packages that do not matter here; those that do are compared already.
            warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
            client = distributed.Client(address, timeout=_PATIENCE_S, set_as_default=False)
        executor = _Executor(client)
        done = threading.Event()
        watch = threading.Thread(target=_watch, args=(client, executor, done), daemon=True)
        watch.start()
        try:
            yield Cluster(executor=executor, workers=workers)
        except distributed.KilledWorker as error:
            raise ToolError(
                f"the workers of {address} died one after the other of the same part of the work",
                hint="see their logs; if memory ran out, give them more or start fewer",
            ) from error
        except (CancelledError, ValueError) as error:
            # Dask's own executor fails like this if a future is lost while its result is awaited.
            if isinstance(error, ValueError) and _has_workers(client):
                raise
            raise ToolError(
                f"the cluster at {address} has gone, or has no workers left"
            ) from error
        finally:
            done.set()
            client.close(timeout=_PATIENCE_S)
            watch.join(_PATIENCE_S)


def _import_distributed() -> Any:  # noqa: ANN401 - its types are no more than that
    try:
        return import_module("distributed")
    except ImportError as error:
        raise MissingExtraError(
            "a Dask cluster requires distributed, which is not installed",
            hint="pip install 'vmio[fleet]'",
        ) from error


def _ask_cluster(distributed: Any, address: str) -> int:  # noqa: ANN401
    """Returns the number of tasks a cluster runs at a time, before anything is sent there.

    Dask's client would wait forever for a server that accepts a connection and never answers.
    """
    try:
        identity, versions = asyncio.run(_ask(distributed, address))
    except TimeoutError as error:
        raise ToolError(f"no Dask scheduler answers at {address}") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ToolError(f"no Dask scheduler answers at {address}: {reason}") from error
    if not identity["workers"]:
        raise ToolError(f"the Dask cluster at {address} has no workers")
    _compare(versions, distributed.__version__)
    return sum(worker["nthreads"] for worker in identity["workers"].values())


async def _ask(distributed: Any, address: str) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401
    security = distributed.Security().get_connection_args("client")
    async with (
        asyncio.timeout(_PATIENCE_S),
        distributed.core.rpc(address, connection_args=security) as scheduler,
    ):
        identity = await scheduler.identity(n_workers=-1)
        asked = {"op": "versions", "packages": ["vmio"]}
        workers = await scheduler.broadcast(msg=asked, on_error="ignore")
        versions = {f"worker {name}": found for name, found in workers.items()}
        return identity, {"scheduler": await scheduler.versions(packages=["vmio"]), **versions}


def _compare(versions: dict[str, Any], dask: str) -> None:
    """Refuses a cluster that could not read what is sent to it, or would give other results."""
    python = ".".join(map(str, sys.version_info[:2]))
    ours = {"vmio": __version__, "python": python, "distributed": dask}
    for where, found in versions.items():
        packages = found["packages"]
        for name, version in ours.items():
            theirs = str(packages.get(name) or "")
            if name == "python":
                theirs = ".".join(theirs.split(".")[:2])
            if theirs != version:
                raise CapabilityError(
                    f"the cluster's {where} has {name} {theirs}"
                    if theirs
                    else f"the cluster's {where} has no {name}",
                    hint=f"it requires {version}, as here",
                )


class _Executor(Executor):
    """Dask's own executor, whose futures can be cancelled if they will never complete."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401
        # Skips the search for earlier identical tasks.
        self._inner: Executor = client.get_executor(pure=False)
        self._futures: WeakSet[Future[Any]] = WeakSet()
        self._lost = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        if self._lost:
            raise CancelledError
        future = self._inner.submit(fn, *args, **kwargs)
        self._futures.add(future)
        return future

    def give_up(self) -> None:
        """Cancels all futures, so that waiting code continues."""
        self._lost = True
        for future in list(self._futures):
            future.cancel()


def _watch(client: Any, executor: _Executor, done: threading.Event) -> None:  # noqa: ANN401
    """Cancels futures when the scheduler or the workers are gone, which Dask itself never does."""
    empty = 0
    while not done.wait(_WATCH_S):
        empty = 0 if _has_workers(client) else empty + 1
        if empty >= _ABANDONED:
            executor.give_up()
            return


def _has_workers(client: Any) -> bool:  # noqa: ANN401
    try:
        info = client.scheduler_info(n_workers=0)
    except Exception:  # noqa: BLE001 - a cluster that cannot tell has none that count
        return False
    # Dask also returns the last known state of a scheduler that is gone.
    return client.status == "running" and bool(info["n_workers"])


@contextmanager
def _silence() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _TALK]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
