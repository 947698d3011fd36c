"""The videos kept aside from training, and what is measured on them: the same examples, masked alike, every time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videobert.model.batch import Batch, collate
from videobert.model.network import VideoBert
from videobert.model.ranking import average_precisions
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
_SAID = 0.5
"""How much a sentence must be said over a span to be right there."""


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
    """The loss of a model on videos kept aside, over each of their segments once, and how well it ranks these."""

    def __init__(
        self, videos: Sequence[TokenizedVideo], model: VideoBert, config: PretrainConfig, device: torch.device
    ) -> None:
        segments = self._segments = sum(len(video.segments) for video in videos)
        own = replace(config, seed=seed_of(config.seed, "validation"), accumulation=1)
        batch = replace(own, batch_size=min(config.batch_size, max(8, 2 * segments)))
        data = PretrainData(videos, vocabulary=model.vocabulary, config=batch, max_length=model.max_length)
        steps = max(data.steps_of(1.0), data.contrast_steps)
        self._batches = [collate(data.examples(step)) for step in range(steps)]
        self._model, self._config, self._device = model, config, device

    def check(self) -> dict[str, float]:
        """`loss` and its parts, as in the curve of training, and `ranking` where that tells the best check.

        The same on every worker that has the same weights.
        """
        model, config = self._model, self._config
        sums = torch.zeros(len(PARTS), device=self._device)
        count = torch.zeros(len(PARTS), dtype=torch.float64)
        found = (
            _Found(self._segments) if config.validation.best_by == "ranking" and model.reading.span_pooling else None
        )
        model.eval()
        with torch.inference_mode(), each_alone():
            for batch in self._batches:
                count += counts(batch)
                moved = batch.to(self._device)
                with autocast(config, self._device):
                    hidden_TD = model(moved.tokens)
                    sums += loss_sums(model, moved, weights=config.weights, hidden_TD=hidden_TD)
                if found:
                    found.add(model, moved, hidden_TD)
        model.train()
        means = (sums.cpu().double() / count).float()
        parts = {name: value for name, value in zip(PARTS, means.tolist(), strict=True) if value == value}
        weights = loss_weights(config.weights, torch.device("cpu"))
        return {"loss": float((means * weights).nan_to_num().sum()), **parts, **(found.ranking() if found else {})}


class _Found:
    """Spans and sentences of all batches: how well are the first found by the second? C spans, S sentences."""

    def __init__(self, segments: int) -> None:
        self._segments = segments
        self._videos: list[NDArray[np.float32]] = []
        self._said: list[set[int]] = []
        self._texts: dict[int, NDArray[np.float32]] = {}

    def add(self, model: VideoBert, batch: Batch, hidden_TD: Tensor) -> None:
        """The spans of a batch, and the sentences that were not met before."""
        asked = batch.contrast
        self._videos += list(model.video_vectors(hidden_TD, batch.tokens, asked.videos_C).cpu().numpy())
        texts_SR = model.text_vectors(hidden_TD, batch.tokens, asked.texts_S).cpu().numpy()
        for number, text_R in zip(asked.numbers_S.tolist(), texts_SR, strict=True):
            self._texts.setdefault(number, text_R)
        said_CE = torch.where(asked.near_CE >= _SAID, asked.said_CE, 0)
        self._said += [set(row) - {0} for row in said_CE.tolist()]

    def ranking(self) -> dict[str, float]:
        """Mean average precision over the sentences, 0 to 1; nothing where none is said over any span.

        0 of a model whose vectors are no numbers.
        """
        if not self._texts:
            return {}
        once = slice(self._segments)  # what comes after them was seen before: the last batch begins anew
        scores_CS = np.stack(self._videos[once]) @ np.stack(list(self._texts.values())).T
        said_CS = np.array([[number in said for number in self._texts] for said in self._said[once]])
        precisions = average_precisions(scores_CS, said_CS)
        if not len(precisions):
            return {}
        return {"ranking": float(precisions.mean()) if np.isfinite(scores_CS).all() else 0.0}
