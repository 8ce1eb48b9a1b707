"""A prediction as JSON."""

from __future__ import annotations

import json
from typing import Any

import attrs

from vmio.sim.simulator import Estimate, Prediction

__all__ = ["SCHEMA", "render_prediction_json", "tabulate_prediction"]

SCHEMA = 1


def render_prediction_json(prediction: Prediction) -> str:
    """Returns one document; every figure is a mean with the ends of its interval."""
    table = {"schema": SCHEMA, "predicted": True, **tabulate_prediction(prediction)}
    return json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False)


def tabulate_prediction(prediction: Prediction) -> dict[str, Any]:
    """Returns a prediction as plain values; where it is bistable there is no mean."""

    def leave_out_mean(_: type, __: object, value: object) -> object:
        if prediction.bistable and isinstance(value, Estimate):
            return {"mean": None, "low": value.low, "high": value.high}
        return value

    return attrs.asdict(prediction, value_serializer=leave_out_mean)
