"""The words for what explanations hold."""

from __future__ import annotations

from vmio.lint.explain import HEEDED_BY, Setting
from vmio.report.explanation.words import describe_setting


def test_every_setting_that_is_heeded_has_words() -> None:
    """What is known to be heeded is described by its own words, and a limit by those of limits."""
    throttles = describe_setting(
        Setting(name="iops", written="", verdict="used", value="1", by="qemu")
    )
    assert throttles == "throttles the disk"
    for name, actor in HEEDED_BY.items():
        setting = Setting(name=name, written="", verdict="used", value="1", by=actor)
        assert describe_setting(setting) not in {"", throttles}
