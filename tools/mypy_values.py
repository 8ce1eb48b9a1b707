"""A plugin of mypy: `vmio.values.replace` takes the fields of the value, of their types."""

from __future__ import annotations

from collections.abc import Callable

from mypy.nodes import ARG_NAMED_OPT, ARG_POS
from mypy.plugin import FunctionSigContext, Plugin
from mypy.types import CallableType, FunctionLike, Instance, get_proper_type

_REPLACE = "vmio.values.replace"


class ValuesPlugin(Plugin):
    """What mypy asks about functions of vmio's."""

    def get_function_signature_hook(
        self, fullname: str
    ) -> Callable[[FunctionSigContext], FunctionLike] | None:
        """Returns what tells the arguments of `replace` from those of its value's class."""
        return _describe_replace if fullname == _REPLACE else None


def _describe_replace(context: FunctionSigContext) -> CallableType:
    """Returns the signature that `replace` has for the value that it is called with."""
    signature = context.default_signature
    if not context.args or not context.args[0]:
        return signature
    value = get_proper_type(context.api.get_expression_type(context.args[0][0]))
    if not isinstance(value, Instance):
        return signature
    made = value.type.get("__init__")
    init = get_proper_type(made.type) if made is not None else None
    if not isinstance(init, CallableType):
        return signature
    fields = [
        (name, kind)
        for name, kind in zip(init.arg_names[1:], init.arg_types[1:], strict=True)
        if name is not None
    ]
    return signature.copy_modified(
        arg_names=[None, *(name for name, _ in fields)],
        arg_kinds=[ARG_POS, *(ARG_NAMED_OPT for _ in fields)],
        arg_types=[value, *(kind for _, kind in fields)],
        ret_type=value,
        variables=[],
    )


def plugin(version: str) -> type[Plugin]:  # noqa: ARG001 - mypy calls it so
    """Returns the plugin, whatever mypy's version."""
    return ValuesPlugin
