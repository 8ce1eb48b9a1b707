"""Plans as JSON files: `vmio plan -o` writes them, `vmio apply` reads them.

The form is that of `vmio.model.plan`, stable within a `schema` number: fields may be added, but
none changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import ValidationError, convert, to_builtins

from vmio.bounds import check_document
from vmio.errors import InputError, PlanError
from vmio.model.plan import Plan
from vmio.model.source import Source
from vmio.values import explain

__all__ = ["SCHEMA", "parse_plan", "render_plan"]

SCHEMA = 2
_MAX_BYTES = 1024 * 1024
"""Three times the plan of a guest with all 53 disks that Proxmox VE allows."""
_MAX_COMMAS = 20_000
"""Twice as many as in that one; each can have a fault, which is reported."""
_LONGEST_REASON = 300


def parse_plan(source: Source) -> Plan:
    """Reads a plan's file.

    Raises:
        InputError: It is not a plan, or a plan of a later version of vmio.
    """
    name = source.name
    if len(source.data) > _MAX_BYTES or source.data.count(b",") > _MAX_COMMAS:
        raise InputError(f"{name} is too large for a plan")
    try:
        table = json.loads(source.data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not a plan: {error}") from error
    if not isinstance(table, dict) or type(table.get("schema")) is not int:
        raise InputError(
            f"{name} is not a plan: it has no number 'schema'",
            hint="vmio plan VM -o FILE writes one",
        )
    if table.pop("schema") != SCHEMA or "kind" in table:
        raise InputError(
            f"{name} is a plan in a form that this vmio does not know",
            hint="plan again with this vmio: vmio plan VM -o FILE",
        )
    try:
        check_document(table, paths=True)
        plan = convert(table, Plan)
    except ValidationError as error:
        raise InputError(
            f"{name} is not a plan: {explain(error, 'a plan')[:_LONGEST_REASON]}"
        ) from error
    except PlanError as error:
        raise InputError(f"{name} is not a plan: {error.message}") from error
    except ValueError as error:
        raise InputError(f"{name} is not a plan: {error}") from error
    # A place in a config's text is meaningless in a plan's own file.
    if any("where" in written for written in _list_located(table)):
        raise InputError(f"{name} is not a plan: a plan has no key 'where'")
    return plan


def render_plan(plan: Plan) -> str:
    """Returns a plan's file, which `parse_plan` reads as the same plan."""
    table: dict[str, Any] = {"schema": SCHEMA} | to_builtins(plan)
    for written in _list_located(table):
        del written["where"]
    text = json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    # A path may contain bytes that are not text; JSON writes them as Python escapes them.
    return text.encode("utf-8", "backslashreplace").decode()


def _list_located(table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the tables of those values of a plan that know where they are written."""
    for side in (table["before"], table["after"]):
        yield from side.get("iothreads", ())
        yield from side.get("controllers", ())
        yield from (attached["disk"] for attached in side.get("disks", ()))
