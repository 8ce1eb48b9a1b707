"""JSON that means what it says: no text is taken for a number, and none that cannot be written."""

from __future__ import annotations

from typing import Any, get_args, get_origin

import cattrs
from cattrs.cols import homogenous_tuple_structure_factory

__all__ = ["make_strict_converter"]


def make_strict_converter(*, forbid_extra_keys: bool = False) -> cattrs.Converter:
    """Returns what makes values of a document of JSON's, and refuses what is of another type."""
    converter = cattrs.Converter(forbid_extra_keys=forbid_extra_keys)
    for kind in (int, bool):
        converter.register_structure_hook(kind, _strict(kind))
    converter.register_structure_hook(str, _structure_text)
    converter.register_structure_hook_factory(_is_list, _structure_list)
    return converter


def _strict(kind: type) -> Any:  # noqa: ANN401 - cattrs' own hook type
    def structure(value: object, _: object) -> object:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, not {str(value)[:60]!r}")
        return value

    return structure


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


def _structure_text(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected str, not {str(value)[:60]!r}")
    # Half of a surrogate pair is no text, but may stand for a byte of a file's name.
    value.encode("utf-8", "surrogateescape")
    return value
