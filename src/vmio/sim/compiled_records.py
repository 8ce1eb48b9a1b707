"""The simulator's records in the form of compiled code: blocks of memory.

Numba's compiler sees a record of `vmio.sim.records` as a row of 64-bit words, one for each field
in
order: a number, a boolean, or the address of another record or of a list. A list is its length,
followed by its elements. Compiled code therefore reads `loop.poll_ns` with one load, and runs the
same source as the interpreter.

A `Block` contains all records that can be reached from one. Nothing is checked at run time: a
wrong index, or a field that was never set, reads or writes elsewhere. The interpreter raises an
error for these, so the tests run everything in both.

Numba's own types were tried or considered first. Structured NumPy arrays, with indices as
references, ran at a tenth of the speed and took twice as long to compile. `structref` counts
references, so records that refer to each other, as loops and queues do, would never be freed.

Source: Numba 0.6x, "Extending Numba", the low-level API.
"""

from __future__ import annotations

import operator
from functools import cache
from typing import Any, Final, get_args, get_origin, get_type_hints

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import RefType, iternext_impl
from numba.core.types.common import SimpleIterableType, SimpleIteratorType
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_builtin,
    lower_getattr_generic,
    lower_setattr_generic,
    models,
    overload,
    register_model,
)

__all__ = ["Block", "find_record"]

_WORD_BYTES: Final = 8

_WORD = ir.IntType(64)


class Block:
    """A copy of a record and of all records and lists that can be reached from it."""

    def __init__(self, root: object) -> None:
        self._places: dict[int, int] = {}
        self._parts: list[tuple[int, Any]] = []
        size, waiting = 0, [root]
        while waiting:
            part = waiting.pop()
            if id(part) in self._places:
                continue
            self._places[id(part)] = size
            self._parts.append((size, part))
            if isinstance(part, list):
                size += 1 + len(part)
                waiting += [] if _holds_numbers(part) else part
            else:
                values = _get_values(part)
                size += len(values)
                waiting += [each for each in values if not isinstance(each, int | None)]
        self._words = np.zeros(size, dtype=np.int64)
        for place, part in self._parts:
            row = [len(part), *part] if isinstance(part, list) else _get_values(part)
            words = row if _holds_numbers(part) else [self._encode(each) for each in row]
            self._words[place : place + len(row)] = words

    @property
    def address(self) -> int:
        """The address of the first record."""
        return int(self._words.ctypes.data)

    def _encode(self, value: object) -> int:
        """Returns a number unchanged, and the address of anything else; 0 for what is not set."""
        if isinstance(value, int | None):
            return value or 0
        return self.address + _WORD_BYTES * self._places[id(value)]

    def read_back(self) -> None:
        """Copies numbers and booleans back into the records, and numbers back into the lists.

        References of fields and lists to records are not copied.
        """
        for place, part in self._parts:
            if _holds_numbers(part):
                part[:] = self._words[place + 1 : place + 1 + len(part)].tolist()
            elif not isinstance(part, list):
                values = _get_values(part)
                words = self._words[place : place + len(values)].tolist()
                for name, value, word in zip(
                    _list_fields(part.__class__), values, words, strict=True
                ):
                    if isinstance(value, int) and word != value:
                        setattr(part, name, type(value)(word))


def _holds_numbers(part: object) -> bool:
    return isinstance(part, list) and (not part or isinstance(part[0], int))


@cache
def _list_fields(of: type[Any]) -> tuple[str, ...]:
    return tuple(get_type_hints(of))


def _get_values(record: Any) -> list[Any]:
    """Returns the fields of a record; None for those that are not set yet."""
    return [getattr(record, name, None) for name in _list_fields(record.__class__)]


class _RecordType(types.Type):
    """A record: the address of its first field."""

    def __init__(self, of: type) -> None:
        super().__init__(name=f"Record({of.__module__}.{of.__qualname__})")
        self.of = of


class _ListType(SimpleIterableType):
    """A list: the address of its length, which the elements follow."""

    def __init__(self, element: types.Type) -> None:
        super().__init__(f"List({element})", _ListIteratorType(element))
        self.element = element


class _ListIteratorType(SimpleIteratorType):
    def __init__(self, element: types.Type) -> None:
        super().__init__(f"ListIterator({element})", element)


@register_model(_RecordType)
@register_model(_ListType)
class _AddressModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, _WORD)


@register_model(_ListIteratorType)
class _ListIteratorModel(models.StructModel):
    """The address of the next element, which changes, and the end."""

    def __init__(self, manager: Any, kind: types.Type) -> None:
        members = [("place", types.EphemeralPointer(types.int64)), ("end", types.int64)]
        super().__init__(manager, kind, members)


@cache
def _find_fields(of: type) -> dict[str, tuple[int, types.Type]]:
    """Returns for each field of a record the index of its word, and its type."""
    return {
        name: (number, _find_type(hint))
        for number, (name, hint) in enumerate(get_type_hints(of).items())
    }


def _find_type(hint: Any) -> types.Type:
    if get_origin(hint) is list:
        return _ListType(_find_type(*get_args(hint)))
    if hint is int:
        return types.int64
    return types.boolean if hint is bool else _RecordType(hint)


@infer_getattr
class _RecordAttributes(AttributeTemplate):
    key = _RecordType

    def generic_resolve(self, record: _RecordType, name: str) -> Any:  # type: ignore[override]
        _, kind = _find_fields(record.of).get(name, (0, None))
        return kind


def _point(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _WORD.as_pointer())


def _load(context: Any, builder: Any, kind: types.Type, address: Any) -> Any:
    word = builder.load(_point(builder, address))
    return context.cast(builder, word, types.int64, kind) if kind == types.boolean else word


def _store(context: Any, builder: Any, kind: types.Type, address: Any, value: Any) -> None:
    word = context.cast(builder, value, kind, types.int64) if kind == types.boolean else value
    builder.store(word, _point(builder, address))


def _find_field(builder: Any, record: _RecordType, base: Any, name: str) -> tuple[Any, types.Type]:
    number, kind = _find_fields(record.of)[name]
    return builder.add(base, _WORD(number * _WORD_BYTES)), kind


@lower_getattr_generic(_RecordType)
def _get_field(context: Any, builder: Any, record: _RecordType, base: Any, name: str) -> Any:
    address, kind = _find_field(builder, record, base, name)
    return _load(context, builder, kind, address)


@lower_setattr_generic(_RecordType)
def _set_field(context: Any, builder: Any, signature: Any, values: Any, name: str) -> None:
    address, kind = _find_field(builder, signature.args[0], values[0], name)
    _store(context, builder, kind, address, values[1])


@lower_builtin(operator.is_, _RecordType, _RecordType)
def _is_same(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return builder.icmp_signed("==", *values)


def _find_element(builder: Any, base: Any, index: Any) -> Any:
    place = builder.add(index, _WORD(1))
    return builder.add(base, builder.mul(place, _WORD(_WORD_BYTES)))


@intrinsic
def _get_length(typing: Any, items: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_point(builder, values[0]))

    return types.int64(items), generate


@intrinsic
def _get_element(typing: Any, items: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _load(context, builder, items.element, _find_element(builder, *values))

    return items.element(items, types.int64), generate


@intrinsic
def _set_element(typing: Any, items: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        base, index, value = values
        _store(context, builder, items.element, _find_element(builder, base, index), value)
        return context.get_dummy_value()

    return types.void(items, types.int64, items.element), generate


@overload(len, strict=False)
def _overload_len(items: Any) -> Any:
    if isinstance(items, _ListType):
        return lambda items: _get_length(items)  # type: ignore[call-arg]  # noqa: PLW0108 - numba wants a function of Python
    return None


@overload(operator.getitem, strict=False)
def _overload_getitem(items: Any, index: Any) -> Any:
    if isinstance(items, _ListType):
        return lambda items, index: _get_element(items, index)  # type: ignore[call-arg]  # noqa: PLW0108 - as above
    return None


@overload(operator.setitem, strict=False)
def _overload_setitem(items: Any, index: Any, value: Any) -> Any:
    if isinstance(items, _ListType):
        return lambda items, index, value: _set_element(items, index, value)  # type: ignore[call-arg]  # noqa: PLW0108 - as above
    return None


@lower_builtin("getiter", _ListType)
def _begin(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    iterator = context.make_helper(builder, signature.return_type)
    length = builder.load(_point(builder, values[0]))
    first = builder.add(values[0], _WORD(_WORD_BYTES))
    iterator.place = cgutils.alloca_once_value(builder, first)
    iterator.end = builder.add(first, builder.mul(length, _WORD(_WORD_BYTES)))
    return iterator._getvalue()  # noqa: SLF001 - so numba calls it everywhere


@lower_builtin("iternext", _ListIteratorType)
@iternext_impl(RefType.UNTRACKED)
def _go_on(context: Any, builder: Any, signature: Any, values: Any, result: Any) -> None:
    kind = signature.args[0]
    iterator = context.make_helper(builder, kind, values[0])
    place = builder.load(iterator.place)
    is_valid = builder.icmp_signed("<", place, iterator.end)
    result.set_valid(is_valid)
    with builder.if_then(is_valid):
        result.yield_(_load(context, builder, kind.yield_type, place))
        builder.store(builder.add(place, _WORD(_WORD_BYTES)), iterator.place)


def find_record(of: type) -> Any:
    """Returns a function for compiled code that turns an address into a record of this kind."""

    @intrinsic
    def find(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return values[0]

        return _RecordType(of)(types.int64), generate

    return find
