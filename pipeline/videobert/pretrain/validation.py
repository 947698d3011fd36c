"""The videos kept aside from training, and the loss on them: the same examples, masked alike, at every check."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from videobert.model.batch import collate
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig, Validation
from videobert.pretrain.data import PretrainData
from videobert.pretrain.distributed import each_alone
from videobert.pretrain.objective import PARTS, counts, loss_sums, loss_weights
from videobert.pretrain.precision import autocast
from videobert.pretrain.seeding import seed_of
from videobert.pretrain.windows import Windows
from videobert.tokens.records import TokenizedVideo

__all__ = ["LEAST_VIDEOS", "Validator", "keep_aside"]

LEAST_VIDEOS = 5
"""Training videos of which one can be spared."""


def keep_aside(windows: Windows, validation: Validation) -> tuple[Windows, list[TokenizedVideo]]:
    """The windows without some videos of the first, and these. A video's content decides, not where it lies.

    None is kept aside without checks, of fewer than `LEAST_VIDEOS`, and where they would have too few segments.
    """
    if not validation.checks:
        return windows, []
    first = windows.read(0, lambda: None)
    aside = _chosen([video for video in first if video.segments], validation)
    left_out, ready = {video.video_id for video in aside}, {0: first}

    def read(number: int, rest: Callable[[], None]) -> Sequence[TokenizedVideo]:
        videos = ready.pop(number, None) or windows.read(number, rest)
        ready.clear()  # a resumed run that begins in another window does not hold the first as well
        return [video for video in videos if video.video_id not in left_out]

    return Windows(segments=windows.segments, read=read), aside


def _chosen(videos: Sequence[TokenizedVideo], validation: Validation) -> list[TokenizedVideo]:
    if len(videos) < LEAST_VIDEOS:
        return []
    chosen, segments = [], 0
    for video in sorted(videos, key=_draw)[: max(1, round(validation.fraction * len(videos)))]:
        if segments < validation.most_segments:
            chosen.append(video)
            segments += len(video.segments)
    return chosen if segments >= validation.least_segments else []


def _draw(video: TokenizedVideo) -> tuple[bytes, str]:
    return hashlib.sha256(f"kept aside {video.video_id}".encode()).digest(), video.video_id


class Validator:
    """The loss of a model on videos kept aside, over each of their segments once."""

    def __init__(
        self, videos: Sequence[TokenizedVideo], model: VideoBert, config: PretrainConfig, device: torch.device
    ) -> None:
        segments = sum(len(video.segments) for video in videos)
        own = replace(config, seed=seed_of(config.seed, "validation"), accumulation=1)
        batch = replace(own, batch_size=min(config.batch_size, max(8, 2 * segments)))
        data = PretrainData(videos, vocabulary=model.vocabulary, config=batch, max_length=model.max_length)
        self._batches = [collate(data.examples(step)) for step in range(data.steps_of(1.0))]
        self._model, self._config, self._device = model, config, device

    def loss(self) -> dict[str, float]:
        """`loss` and its parts, as in the curve of training; the same on every worker that has the same weights."""
        model, config = self._model, self._config
        sums = torch.zeros(len(PARTS), device=self._device)
        count = torch.zeros(len(PARTS), dtype=torch.float64)
        model.eval()
        with torch.inference_mode(), each_alone():
            for batch in self._batches:
                count += counts(batch)
                with autocast(config, self._device):
                    sums += loss_sums(model, batch.to(self._device), weights=config.weights)
        model.train()
        means = (sums.cpu().double() / count).float()
        parts = {name: value for name, value in zip(PARTS, means.tolist(), strict=True) if value == value}
        weights = loss_weights(config.weights, torch.device("cpu"))
        return {"loss": float((means * weights).nan_to_num().sum()), **parts}
