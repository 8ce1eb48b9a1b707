"""A ranking of layouts as JSON."""

from __future__ import annotations

import json

from vmio.report.prediction.json import tabulate_prediction
from vmio.sim.ranking import Ranking

__all__ = ["SCHEMA", "render_ranking_json"]

SCHEMA = 1


def render_ranking_json(ranking: Ranking) -> str:
    """Returns one document: each layout with its names, its place and its prediction."""
    table = {
        "schema": SCHEMA,
        "predicted": True,
        "warnings": list(ranking.layouts[0].prediction.warnings),
        "ranked_by": ranking.by,
        "layouts": [
            {
                "names": list(each.layout.names),
                "place": {"first": each.first, "last": each.last},
                "iothreads": [thread.id for thread in each.layout.topology.iothreads],
                "prediction": tabulate_prediction(each.prediction),
            }
            for each in ranking.layouts
        ],
        "left_out": [{"name": name, "reason": reason} for name, reason in ranking.left_out],
        "notes": list(ranking.notes),
    }
    return json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False)
