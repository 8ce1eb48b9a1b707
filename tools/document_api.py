"""Writes docs/api: the functions and values of `vmio.app`, from their signatures and docstrings.

`python tools/document_api.py FOLDER` writes the pages; a test compares them.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from vmio import app

_WIDTH = 96
_SECTION = re.compile(r"^(Args|Returns|Raises|Yields):\n", re.MULTILINE)
_ITEM = re.compile(r"^    (\w+): ", re.MULTILINE)
_HEAD = """\
# Python API

`from vmio import app` imports the functions behind the verbs of the command line. Everything here
is typed and raises `vmio.errors.VmioError` or one of its subclasses if something is wrong with an
input, a tool or a call. Three programs to start from are in [examples](../../examples/):
check_folder.py, print_command.py and compare_layouts.py.

This folder is generated from the code by `make docs`.

| module | |
|---|---|
"""


def list_functions() -> dict[str, list[str]]:
    """Returns the public functions of each module of `vmio.app`."""
    modules: dict[str, list[str]] = {}
    for name in app.__all__:
        value = getattr(app, name)
        if inspect.isroutine(value) and value.__module__.startswith("vmio.app."):
            modules.setdefault(value.__module__.rpartition(".")[2], []).append(name)
    return dict(sorted(modules.items()))


def list_values() -> list[type]:
    """Returns the public classes."""
    return [value for name in app.__all__ if inspect.isclass(value := getattr(app, name))]


def render_signature(name: str) -> str:
    """Returns a function's signature on one line, or with a line for each parameter."""
    function = getattr(app, name)
    signature = inspect.signature(function)
    kind = "async def" if inspect.iscoroutinefunction(function) else "def"
    words = re.sub(r"'([^']*)'", r"\1", str(signature.return_annotation))
    parts = []
    keyword_only = False
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts.append("*")
        text = f"{parameter.name}: {parameter.annotation}"
        if parameter.default is not inspect.Parameter.empty:
            default = parameter.default
            text += " = ..." if callable(default) else f" = {default!r}"
        parts.append(text)
    line = f"{kind} {name}({', '.join(parts)}) -> {words}"
    if len(line) <= _WIDTH:
        return line
    return f"{kind} {name}(\n" + "".join(f"    {part},\n" for part in parts) + f") -> {words}"


def render_docstring(text: str) -> Iterator[str]:
    """Yields a docstring's paragraphs in Markdown."""
    head, *sections = _SECTION.split(text)
    yield head.strip()
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        intro, *items = _ITEM.split(body)
        if not items:
            yield f"**{title}:** {' '.join(intro.split())}"
            continue
        pairs = zip(items[::2], items[1::2], strict=True)
        yield f"**{title}:**\n\n" + "\n".join(
            f"- `{name}`: {' '.join(words.split())}" for name, words in pairs
        )


def render_module(module: str, names: list[str]) -> str:
    """Returns the page of one module's functions."""
    home = sys.modules[f"vmio.app.{module}"]
    parts = [f"# {module}", inspect.cleandoc(home.__doc__ or "")]
    for name in names:
        parts += [f"## {name}", f"```python\n{render_signature(name)}\n```"]
        parts += render_docstring(inspect.getdoc(getattr(app, name)) or "")
    return "\n\n".join(parts) + "\n"


def render_values(values: list[type]) -> str:
    """Returns the page of the classes, with their fields and methods."""
    parts = ["# Values", "The arguments and results of functions. Each is `app.NAME`."]
    for value in values:
        parts += [f"## {value.__name__}", (inspect.getdoc(value) or "").partition("\n\n")[0]]
        fields = inspect.get_annotations(value)
        public = [f"- `{name}: {kind}`" for name, kind in fields.items() if name[0] != "_"]
        if public:
            parts.append("\n".join(public))
    return "\n\n".join(parts) + "\n"


def render_pages() -> dict[str, str]:
    """Returns the text of every page by its file name."""
    functions, values = list_functions(), list_values()
    pages = {f"{module}.md": render_module(module, names) for module, names in functions.items()}
    rows = [
        f"| [{module}]({module}.md) | {', '.join(f'`{name}`' for name in names)} |\n"
        for module, names in functions.items()
    ]
    rows.append(f"| [values](values.md) | {', '.join(f'`{v.__name__}`' for v in values)} |\n")
    return pages | {"README.md": _HEAD + "".join(rows), "values.md": render_values(values)}


def main(folder: str) -> None:
    """Writes every page into a folder."""
    for name, text in render_pages().items():
        Path(folder, name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
