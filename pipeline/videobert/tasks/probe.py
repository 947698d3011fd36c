"""Plain models on frozen features: what fine-tuning must beat.

B examples, D width of the features, C classes or candidates, Q queries, R options of all examples, O of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from videobert.evaluate.metrics import retrieval_ranks

__all__ = ["fit_choice", "fit_map", "fit_probe", "nearest"]

_NO_SPREAD = 1e-6
"""Of a feature in units of its size: that is rounding."""
DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)
"""L2 weights, of which the validation split chooses."""
STEPS = 100


def fit_probe(
    features: Mapping[str, NDArray[np.float32]], truth: Mapping[str, NDArray[Any]], *, problem_type: str, classes: int
) -> list[NDArray[np.float32]]:
    """Probabilities [C] or values [1] of the test rows, by a model of the training rows on standardised features."""
    rows = _standard(features)
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


def fit_choice(
    features: Mapping[str, NDArray[np.float32]],
    sizes: Mapping[str, Sequence[int]],
    targets: Mapping[str, Sequence[int]],
) -> list[NDArray[np.float32]]:
    """Probabilities [O] of the options of the test examples: one linear score of each option, compared by softmax.

    Features [R, D] by split are those of all options, one example after the other, of which each has `sizes`.
    """
    rows = _standard(features)
    wanted = {split: torch.tensor(found) for split, found in targets.items()}
    best, chosen = np.inf, torch.zeros(())
    for decay in DECAYS:
        weights_E1 = _fit(rows["train"], wanted["train"], _between(sizes["train"]), classes=1, decay=decay)
        scores_R1 = _with_one(rows["validation"]) @ weights_E1
        if (found := float(_between(sizes["validation"])(scores_R1, wanted["validation"]))) < best:
            best, chosen = found, weights_E1
    scores_R = (_with_one(rows["test"]) @ chosen)[:, 0]
    return [scores_O.softmax(0).numpy().astype(np.float32) for scores_O in torch.split(scores_R, list(sizes["test"]))]


def _between(sizes: Sequence[int]) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy of the right option among those of its example, from the scores of all, [R, 1]."""

    def loss(scores_R1: Tensor, wanted_B: Tensor) -> Tensor:
        parts = torch.split(scores_R1[:, 0], list(sizes))
        return F.cross_entropy(pad_sequence(list(parts), batch_first=True, padding_value=-torch.inf), wanted_B)

    return loss


def fit_map(videos: Mapping[str, NDArray[np.float32]], texts: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """Cosine of each test text with what a linear map (ridge regression) makes of each test video, [Q, C].

    Both are features [B, D] by split, row i of one belonging to row i of the other.
    """
    seen, said = _standard(videos), _standard(texts)
    moments_DD = seen["train"].T @ seen["train"] / len(seen["train"])
    shared_DD = seen["train"].T @ said["train"] / len(seen["train"])
    best, chosen = np.inf, np.zeros(0)
    for decay in DECAYS:
        map_DD = torch.linalg.solve(moments_DD + decay * torch.eye(len(moments_DD), dtype=torch.float64), shared_DD)
        near_QC, tested_QC = (
            (F.normalize(said[split]) @ F.normalize(seen[split] @ map_DD).T).numpy() for split in ("validation", "test")
        )
        if (found := float(retrieval_ranks(near_QC).mean())) < best:
            best, chosen = found, tested_QC
    return chosen


def nearest(train_BD: NDArray[np.float32], test_QD: NDArray[np.float32]) -> NDArray[np.int64]:
    """Row of the training features that is nearest to each of the test's by cosine, [Q]; the first of equal ones."""
    rows = _standard({"train": train_BD, "test": test_QD})
    return (F.normalize(rows["test"]) @ F.normalize(rows["train"]).T).argmax(dim=1).numpy()


def _standard(features: Mapping[str, NDArray[np.float32]]) -> dict[str, Tensor]:
    """Features by split in units of the training rows' spread, from their mean on; 0 where these are all the same."""
    mean_D, spread_D = features["train"].mean(axis=0), features["train"].std(axis=0)
    spread_D = np.where(spread_D <= _NO_SPREAD * (1 + np.abs(mean_D)), np.inf, spread_D)
    return {split: torch.from_numpy((found - mean_D) / spread_D).double() for split, found in features.items()}


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
