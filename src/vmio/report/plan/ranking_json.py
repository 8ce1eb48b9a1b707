"""A ranking of layouts as JSON."""

from __future__ import annotations

from typing import TypedDict

from vmio.report.envelope import Count, render_document
from vmio.report.prediction.json import PredictionData, describe_prediction
from vmio.sim.ranking import Criterion, Ranking

__all__ = ["RankingData", "render_ranking_json"]


class PlaceData(TypedDict):
    """A place, from 1; a range for layouts that cannot be distinguished."""

    first: Count
    last: Count


class RankedLayoutData(TypedDict):
    """A layout with its place."""

    names: list[str]
    """The policies that produce it, and `as it is`."""
    place: PlaceData
    iothreads: list[str]
    prediction: PredictionData


class LeftOutData(TypedDict):
    """A layout without a prediction."""

    name: str
    reason: str


class RankingData(TypedDict):
    """Layouts ordered by prediction."""

    warnings: list[str]
    """Why the predictions may not apply to a guest of this host."""
    ranked_by: Criterion
    layouts: list[RankedLayoutData]
    """Best first."""
    left_out: list[LeftOutData]
    notes: list[str]
    """What the predictions do not include."""


def render_ranking_json(ranking: Ranking) -> str:
    """Returns each layout with its names, its place and its prediction as a document."""
    data: RankingData = {
        "warnings": list(ranking.layouts[0].prediction.warnings),
        "ranked_by": ranking.by,
        "layouts": [
            {
                "names": list(each.layout.names),
                "place": {"first": each.first, "last": each.last},
                "iothreads": [thread.id for thread in each.layout.topology.iothreads],
                "prediction": describe_prediction(each.prediction),
            }
            for each in ranking.layouts
        ],
        "left_out": [{"name": name, "reason": reason} for name, reason in ranking.left_out],
        "notes": list(ranking.notes),
    }
    return render_document("ranking", data)
