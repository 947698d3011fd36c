"""A linear model on frozen features: what fine-tuning must beat. B examples, D width of the features, C classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["fit_probe"]

DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)
"""L2 weights, of which the validation split chooses."""
STEPS = 100


def fit_probe(
    features: Mapping[str, NDArray[np.float32]], truth: Mapping[str, NDArray[Any]], *, problem_type: str, classes: int
) -> list[NDArray[np.float32]]:
    """Probabilities [C] or values [1] of the test rows, by a model of the training rows on standardised features."""
    mean_D = features["train"].mean(axis=0)
    spread_D = np.maximum(features["train"].std(axis=0), 1e-6)
    rows = {split: torch.from_numpy((found - mean_D) / spread_D).double() for split, found in features.items()}
    wanted = {split: torch.from_numpy(found) for split, found in truth.items()}
    centre, spread = 0.0, 1.0
    if problem_type == "regression":
        centre, spread = float(wanted["train"].mean()), float(wanted["train"].std(correction=0)) or 1.0
        wanted = {split: (found - centre) / spread for split, found in wanted.items()}
    loss = _LOSSES[problem_type]
    best, chosen = np.inf, torch.zeros(())
    for decay in DECAYS:
        weights_EC = _fit(rows["train"], wanted["train"], loss, classes=classes, decay=decay)
        found = float(loss(_with_one(rows["validation"]) @ weights_EC, wanted["validation"]))
        if found < best:
            best, chosen = found, weights_EC
    logits_BC = _with_one(rows["test"]) @ chosen
    if problem_type == "regression":
        logits_BC = logits_BC * spread + centre
    elif problem_type == "multi_label_classification":
        logits_BC = logits_BC.sigmoid()
    else:
        logits_BC = logits_BC.softmax(dim=-1)
    return list(logits_BC.numpy().astype(np.float32))


def _fit(rows_BD: Tensor, wanted: Tensor, loss: Callable[[Tensor, Tensor], Tensor], *, classes: int, decay: float
) -> Tensor:  # fmt: skip
    """Weights [D + 1, C] by L-BFGS; the last row is the bias, which does not decay."""
    rows_BE = _with_one(rows_BD)
    weights_EC = torch.zeros(rows_BE.shape[1], classes, dtype=rows_BE.dtype, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights_EC], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        total = loss(rows_BE @ weights_EC, wanted) + decay * (weights_EC[:-1] ** 2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weights_EC.detach()


def _with_one(rows_BD: Tensor) -> Tensor:
    return F.pad(rows_BD, (0, 1), value=1.0)


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "single_label_classification": lambda logits_BC, wanted_B: F.cross_entropy(logits_BC, wanted_B),
    "multi_label_classification": lambda logits_BC, own_BC: F.binary_cross_entropy_with_logits(
        logits_BC, own_BC.double()
    ),
    "regression": lambda logits_B1, wanted_B: F.mse_loss(logits_B1[:, 0], wanted_B.double()),
}
