"""Encoders that fine-tuned VideoBERT is compared with: no pretraining, no words, continuous features.

B examples, N clips, R segments of all examples, F width of a feature, D hidden width, C classes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from videobert.pretrain.seeding import generator
from videobert.tasks.over_segments import OverSegments

__all__ = ["Clips", "MeanMlp", "SegmentTransformer", "VideoTransformer", "fit"]

Clips = NDArray[np.float32]
"""Features of the clips of one span, [N, F]."""


class VideoTransformer(nn.Module):
    """Projected features, learned positions, a Transformer encoder, the mean of its states, a linear head."""

    def __init__(self, features: int, classes: int, *, hidden: int, layers: int, heads: int, longest: int) -> None:
        super().__init__()
        self.project = nn.Linear(features, hidden)
        self.positions = nn.Parameter(torch.randn(longest, hidden) * 0.02)
        layer = nn.TransformerEncoderLayer(hidden, heads, 2 * hidden, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(hidden, classes)

    def forward(self, clips: Sequence[Clips]) -> Tensor:
        logits_BC: Tensor = self.head(self.means(clips))
        return logits_BC

    def means(self, clips: Sequence[Clips]) -> Tensor:
        """What the head reads, [B, D]."""
        rows_BNF, real_BN = _padded(clips, self.positions.shape[0])
        states_BND = self.project(rows_BNF) + self.positions[: rows_BNF.shape[1]]
        return _means(self.encoder(states_BND, src_key_padding_mask=~real_BN), real_BN)


class SegmentTransformer(nn.Module):
    """A VideoTransformer of each segment, and over them what VideoBERT has there."""

    def __init__(self, features: int, classes: int, *, hidden: int, layers: int, heads: int, longest: int) -> None:
        super().__init__()
        self.each = VideoTransformer(features, classes, hidden=hidden, layers=layers, heads=heads, longest=longest)
        self.over = OverSegments(hidden, heads, layers=1, dropout=0.1)

    def forward(self, spans: Sequence[Sequence[Clips]]) -> Tensor:
        rows_RD = self.each.means([clips for segments in spans for clips in segments])
        logits_BC: Tensor = self.each.head(self.over(rows_RD, [len(segments) for segments in spans]))
        return logits_BC


class MeanMlp(nn.Module):
    """Two layers on the mean feature: no order, no attention."""

    def __init__(self, features: int, classes: int, *, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, classes))

    def forward(self, clips: Sequence[Clips]) -> Tensor:
        logits_BC: Tensor = self.layers(_means(*_padded(clips, 10_000)))
        return logits_BC


def fit(
    network: nn.Module,
    train: tuple[Sequence[Clips] | Sequence[Sequence[Clips]], NDArray[np.generic]],
    worth: Callable[[nn.Module], float],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    epochs: int,
    rate: float,
    seed: int,
    batch: int = 32,
) -> nn.Module:
    """AdamW with warm-up and linear decay; the epoch of the best `worth` is kept. The same as for fine-tuning."""
    clips, targets = train
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    steps = epochs * -(-len(clips) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / (0.1 * steps + 1), (steps - step) / (0.9 * steps))
    )
    best, kept = -np.inf, copy.deepcopy(network.state_dict())
    torch.manual_seed(seed)
    for epoch in range(epochs):
        network.train()
        order = generator(seed, "baseline", epoch).permutation(len(clips))
        for begin in range(0, len(clips), batch):
            chosen = order[begin : begin + batch]
            optimiser.zero_grad()
            loss(network([clips[i] for i in chosen]), torch.from_numpy(targets[chosen])).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        network.eval()
        if (found := worth(network)) > best:
            best, kept = found, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    return network.eval()


def _padded(clips: Sequence[Clips], longest: int) -> tuple[Tensor, Tensor]:
    rows = [torch.from_numpy(found[:longest]) for found in clips]
    lengths_B = torch.tensor([len(row) for row in rows])
    rows_BNF = pad_sequence(rows, batch_first=True)
    return rows_BNF, torch.arange(rows_BNF.shape[1]) < lengths_B[:, None]


def _means(states_BND: Tensor, real_BN: Tensor) -> Tensor:
    return (states_BND * real_BN[..., None]).sum(dim=1) / real_BN.sum(dim=1, keepdim=True)
