"""What the verbs' tests share."""

from __future__ import annotations

import pytest

from vmio import app


@pytest.fixture
def few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks plans by a tenth of the requests, for tests that expect no figure and no order."""
    defaults = app.rank_plans.__kwdefaults__ or {}
    monkeypatch.setattr(app.rank_plans, "__kwdefaults__", defaults | {"requests": 500})
