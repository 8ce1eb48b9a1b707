"""Plans as JSON files: `vmio plan -o` writes them, `vmio apply` reads them.

The shape is that of `vmio.model.plan`, stable within a `schema` number: fields may be added, none
changes its meaning.
"""

from __future__ import annotations

import json
from typing import Any, get_args, get_origin

import cattrs
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from vmio.errors import InputError
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.plan import Plan
from vmio.model.source import Source

__all__ = ["SCHEMA", "parse_plan", "render_plan"]

SCHEMA = 1
_MAX_BYTES = 4 * 1024 * 1024


def parse_plan(source: Source) -> Plan:
    """Reads a plan's file.

    Raises:
        InputError: It is no plan, or one of a later version of vmio.
    """
    name = source.name
    if len(source.data) > _MAX_BYTES:
        raise InputError(f"{name} is too large for a plan")
    try:
        table = json.loads(source.data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not a plan: {error}") from error
    if not isinstance(table, dict) or not isinstance(table.get("schema"), int):
        raise InputError(
            f"{name} is not a plan: it has no number 'schema'",
            hint="vmio plan VM -o FILE writes one",
        )
    if table.pop("schema") != SCHEMA:
        raise InputError(
            f"{name} is a plan in a form that this vmio does not know",
            hint="plan again with this vmio",
        )
    try:
        return _CONVERTER.structure(table, Plan)
    except BaseValidationError as error:
        raise InputError(f"{name} is not a plan: {_explain(error)}") from error


def render_plan(plan: Plan) -> str:
    """Returns a plan's file, which `parse_plan` reads as the same plan."""
    table = {"schema": SCHEMA} | _CONVERTER.unstructure(plan)
    return json.dumps(table, indent=2, ensure_ascii=False) + "\n"


def _explain(error: BaseValidationError) -> str:
    """Returns the first thing that is wrong, with its place."""
    return cattrs.transform_error(error)[0].replace("\n", " ")


def _strict(kind: type) -> Any:  # noqa: ANN401 - cattrs' own hook type
    def structure(value: object, _: object) -> object:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, not {str(value)[:60]!r}")
        return value

    return structure


def _structure_number_or_text(value: object, _: object) -> object:
    if type(value) not in (str, int):
        raise TypeError(f"expected str or int, not {str(value)[:60]!r}")
    return value


def _is_list(kind: object) -> bool:
    return get_args(kind)[-1:] == (...,) and get_origin(kind) is tuple


def _structure_list(kind: Any, converter: cattrs.Converter) -> Any:  # noqa: ANN401 - as above
    """Returns what makes a tuple of a list, and refuses whatever else could be gone through."""
    structure_all = homogenous_tuple_structure_factory(kind, converter)

    def structure(value: object, kind: Any) -> object:  # noqa: ANN401 - as above
        if not isinstance(value, list):
            raise TypeError(f"expected a list, not {str(value)[:60]!r}")
        return structure_all(value, kind)

    return structure


_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook_factory(_is_list, _structure_list)
_CONVERTER.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
_CONVERTER.register_structure_hook_func(lambda kind: kind == str | int, _structure_number_or_text)
for _kind in (str, int, bool):
    _CONVERTER.register_structure_hook(_kind, _strict(_kind))
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
