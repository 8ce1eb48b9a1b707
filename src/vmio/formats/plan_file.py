"""Plans as JSON files: `vmio plan -o` writes them, `vmio apply` reads them.

The shape is that of `vmio.model.plan`, stable within a `schema` number: fields may be added, none
changes its meaning.
"""

from __future__ import annotations

import json

import cattrs
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.v import format_exception

from vmio.errors import InputError, PlanError
from vmio.formats.strict_json import make_strict_converter
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.plan import Plan
from vmio.model.source import Source

__all__ = ["SCHEMA", "parse_plan", "render_plan"]

SCHEMA = 2
_MAX_BYTES = 1024 * 1024
"""Three times the plan of a guest with all 53 disks that Proxmox VE allows."""
_MAX_COMMAS = 20_000
"""Twice as many as there are in that one; each may be followed by something wrong, to be told."""
_LONGEST_REASON = 300


def parse_plan(source: Source) -> Plan:
    """Reads a plan's file.

    Raises:
        InputError: It is no plan, or one of a later version of vmio.
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
        return _CONVERTER.structure(table, Plan)
    except BaseValidationError as error:
        raise InputError(f"{name} is not a plan: {_explain(error)}") from error
    except RecursionError as error:
        raise InputError(f"{name} is not a plan: it is nested too deeply") from error


def render_plan(plan: Plan) -> str:
    """Returns a plan's file, which `parse_plan` reads as the same plan."""
    table = {"schema": SCHEMA} | _CONVERTER.unstructure(plan)
    text = json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    # A path may hold bytes that are no text; how JSON writes them is how Python spells them out.
    return text.encode("utf-8", "backslashreplace").decode()


def _explain(error: BaseValidationError) -> str:
    """Returns the first thing that is wrong, with its place."""
    reason = cattrs.transform_error(error, format_exception=_name_reason)[0]
    return reason[:_LONGEST_REASON].replace("\n", " ")


def _name_reason(error: BaseException, kind: type | None) -> str:
    return error.message if isinstance(error, PlanError) else format_exception(error, kind)


def _structure_number_or_text(value: object, _: object) -> object:
    if type(value) not in (str, int):
        raise TypeError(f"expected str or int, not {str(value)[:60]!r}")
    return value


_CONVERTER = make_strict_converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
_CONVERTER.register_structure_hook_func(lambda kind: kind == str | int, _structure_number_or_text)
# A place in a config's text means nothing once the plan is a file of its own.
_OMITTED = override(omit=True)
_CONVERTER.register_unstructure_hook(
    Disk, make_dict_unstructure_fn(Disk, _CONVERTER, span=_OMITTED, spans=_OMITTED)
)
_CONVERTER.register_unstructure_hook(
    IOThread, make_dict_unstructure_fn(IOThread, _CONVERTER, span=_OMITTED)
)
_CONVERTER.register_structure_hook(
    Disk, make_dict_structure_fn(Disk, _CONVERTER, span=_OMITTED, spans=_OMITTED)
)
_CONVERTER.register_structure_hook(
    IOThread, make_dict_structure_fn(IOThread, _CONVERTER, span=_OMITTED)
)
