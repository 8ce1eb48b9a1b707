"""The rules and their pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmio.lint.pages import Page

__all__ = ["list_rules", "read_rule"]


def list_rules() -> tuple[Page, ...]:
    """Returns the page of every rule, in the order of their codes."""
    from vmio.lint.pages import parse_page
    from vmio.lint.registry import RULES, load_rule

    return tuple(parse_page(load_rule(entry)) for entry in RULES)


def read_rule(code: str) -> Page:
    """Returns the page of one rule.

    Args:
        code: The rule's code or its name.

    Raises:
        UsageError: There is no such rule.
    """
    from vmio.lint.pages import parse_page
    from vmio.lint.registry import find_rule, load_rule

    return parse_page(load_rule(find_rule(code)))
