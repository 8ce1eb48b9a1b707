"""The words for what explanations hold."""

from __future__ import annotations

from vmio.lint.explain import USED_BY, Setting
from vmio.report.explanation.words import describe_setting


def test_every_setting_that_is_used_has_words() -> None:
    """Each used setting is described in its own words, and a limit in those of limits."""
    throttles = describe_setting(
        Setting(name="iops", written="", verdict="used", value="1", by="qemu")
    )
    assert throttles == "throttles the disk"
    for name, actor in USED_BY.items():
        setting = Setting(name=name, written="", verdict="used", value="1", by=actor)
        assert describe_setting(setting) not in {"", throttles}
