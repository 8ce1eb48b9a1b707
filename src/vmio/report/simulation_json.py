"""A prediction as JSON."""

from __future__ import annotations

import json

import attrs

from vmio.sim.simulator import Prediction

__all__ = ["SCHEMA", "render_prediction_json"]

SCHEMA = 1


def render_prediction_json(prediction: Prediction) -> str:
    """Returns one document; every figure is a mean with the ends of its interval."""
    table = {"schema": SCHEMA, "predicted": True, **attrs.asdict(prediction)}
    return json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False)
