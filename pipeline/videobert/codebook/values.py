"""Which values of features a codebook takes, and how exact float32 is about them. Without torch."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError

__all__ = ["LARGEST_VALUE", "UNDERFLOW", "UNIT", "check_values"]

LARGEST_VALUE = 1e16
"""Beyond it squared distances could leave float32."""
UNIT = 2.0**-24
"""Relative error of one rounding in float32."""
UNDERFLOW = 1e-34
"""Products below float32's normal range lose digits; what they can add up to is left to float64 as well."""


def check_values(vectors: NDArray[np.float32]) -> float:
    """Largest magnitude of the vectors; InputError when one is NaN, infinite or beyond `LARGEST_VALUE`."""
    largest = max(float(vectors.max()), -float(vectors.min())) if vectors.size else 0.0
    if not largest <= LARGEST_VALUE:
        found = f"{largest}" if math.isfinite(largest) else "NaN or infinity"
        raise InputError(
            f"the features hold {found}, which no codebook takes; reject those clips in the features stage"
        )
    return largest
