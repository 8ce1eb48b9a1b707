"""Rules are found by code, name and family without being imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vmio.errors import UsageError
from vmio.lint.registry import RULES, find_rule, select_rules


@pytest.mark.parametrize("text", ["TH001", "th001", "iothread-ignored-by-controller"])
def test_find_rule_takes_code_and_name(text: str) -> None:
    """A rule is found by its code in either case and by its name."""
    assert find_rule(text).code == "TH001"


def test_find_rule_suggests_what_was_meant() -> None:
    """A slip in a code or name is answered with the nearest one."""
    with pytest.raises(UsageError) as caught:
        find_rule("cache-unsave")
    assert "cache-unsave" in caught.value.message
    assert caught.value.hint == "did you mean cache-unsafe?"


def test_select_rules_without_words_takes_all() -> None:
    """Every rule runs unless something else is asked for."""
    assert select_rules() == RULES


def test_select_rules_takes_families_and_takes_away() -> None:
    """A family's letters select its rules, and ignoring wins over selecting."""
    chosen = [entry.code for entry in select_rules(["TH", "cache-unsafe"], ["TH002", "th003"])]
    threads = [entry.code for entry in RULES if entry.code.startswith("TH")]
    assert chosen == ["SA001", *(code for code in threads if code not in {"TH002", "TH003"})]


@pytest.mark.parametrize("text", ["", "XX", "TH9", "iothread"])
def test_select_rules_refuses_what_means_no_rule(text: str) -> None:
    """A word that selects nothing is a slip, not a wish for silence."""
    with pytest.raises(UsageError):
        select_rules([text])


def test_registry_imports_no_rule() -> None:
    """Listing and selecting rules costs none of their imports."""
    code = (
        "import sys; from vmio.lint.registry import select_rules; select_rules(['TH']);"
        "print(*[name for name in sys.modules if name.startswith('vmio.lint.rules')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
