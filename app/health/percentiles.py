"""Percentiles by nearest rank: each is a value that was measured. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Percentiles(NamedTuple):
    """Half, all but a twentieth and all but a hundredth of the values are at most these."""

    p50: int
    p95: int
    p99: int


def percentiles_of(values: Sequence[int]) -> Percentiles | None:
    """The percentiles; None of no values."""
    if not values:
        return None
    ordered = sorted(values)
    ranks = (max(math.ceil(percent * len(ordered) / 100), 1) for percent in (50, 95, 99))
    return Percentiles(*(ordered[rank - 1] for rank in ranks))
