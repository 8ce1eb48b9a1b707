"""Student's interval: how far the mean of a few runs can be trusted."""

from __future__ import annotations

import math

__all__ = ["student_t_quantile"]


def student_t_quantile(probability: float, degrees: int) -> float:
    """Returns the t that a Student-distributed value stays below with that probability.

    The distribution has a closed form for whole degrees of freedom, in the angle whose tangent is
    t / sqrt(degrees); bisecting that angle inverts it, since more angle is more probability.

    Source: Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    if probability < 0.5:  # noqa: PLR2004  # the distribution is symmetric
        return -student_t_quantile(1 - probability, degrees)
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        if (1 + _central_probability(middle, degrees)) / 2 < probability:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def _central_probability(angle: float, degrees: int) -> float:
    """Returns the probability of lying between -t and t, where t = sqrt(degrees) tan(angle)."""
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    total, term = 0.0, cosine if odd else 1.0
    for power in range(1 + odd, degrees, 2):
        total += term
        term *= cosine * cosine * power / (power + 1)
    return (angle + sine * total) * 2 / math.pi if odd else sine * total
