"""Which words and clips a score comes from: integrated gradients, and attention rollout.

L tokens of a sequence, D hidden width, H heads, S steps of a path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Attribution", "integrated_gradients", "rollout"]

STEPS = 48
"""Points of the Gauss-Legendre rule: on the demo's model the sum is within .001 of the difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """What each token of each sequence adds to a score."""

    parts: tuple[NDArray[np.float64], ...]
    """[L] of every sequence; all together add up to `score` - `baseline`."""
    score: float
    baseline: float
    """Of the sequences with every token masked."""


def integrated_gradients(
    score: Callable[..., Tensor], rows: Sequence[Tensor], baselines: Sequence[Tensor], *, steps: int = STEPS
) -> Attribution:
    """Sundararajan, Taly and Yan (2017): gradients along the straight path from the baselines, times the difference.

    `score` takes the rows [S, L, D] of each sequence and returns [S]; `rows` and `baselines` are [L, D].
    """
    points_S, weights_S = np.polynomial.legendre.leggauss(steps)
    share_S11 = torch.from_numpy((points_S + 1) / 2).to(rows[0])[:, None, None]
    weight_S11 = torch.from_numpy(weights_S / 2).to(rows[0])[:, None, None]
    path = [(b + share_S11 * (r - b)).requires_grad_(True) for r, b in zip(rows, baselines, strict=True)]
    gradients = torch.autograd.grad(score(*path).sum(), path)
    parts = [
        ((weight_S11 * gradient_SLD).sum(0) * (r - b)).sum(-1).double().numpy()
        for gradient_SLD, r, b in zip(gradients, rows, baselines, strict=True)
    ]
    with torch.no_grad():
        whole, nothing = (float(score(*(x.unsqueeze(0) for x in given))[0]) for given in (rows, baselines))
    return Attribution(parts=tuple(parts), score=whole, baseline=nothing)


def rollout(shares: Sequence[Tensor], pool_L: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of every token in the states that are pooled, [L], adding up to 1 (Abnar and Zuidema, 2020).

    `shares` is the attention [H, L, L] of every layer, `pool_L` weighs the states. Half of each layer is its input.
    """
    flow_LL = np.eye(len(pool_L))
    for share_HLL in shares:
        mixed_LL = 0.5 * share_HLL.double().mean(0).numpy() + 0.5 * np.eye(len(pool_L))
        flow_LL = mixed_LL @ flow_LL
    return np.asarray(pool_L / pool_L.sum() @ flow_LL)
