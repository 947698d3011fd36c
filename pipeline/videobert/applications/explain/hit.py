"""A text and a span of video as the rows of tokens that enter the model, and the cosine between them.

L tokens, D hidden width, S steps.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videobert.applications.explain.core import Attribution, integrated_gradients, rollout
from videobert.model.network import VideoBert
from videobert.model.padded import PaddedNetwork, unit_mean_of
from videobert.pretrain.data import layout_footage, residual_rows
from videobert.tokens.footage import Footage

__all__ = ["HitExplanation", "explain_hit", "score_without"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HitExplanation:
    """What each word and each clip adds to a cosine."""

    words: NDArray[np.float64]
    clips: NDArray[np.float64]
    frame: float
    """Of special tokens: 0, as they are in the baseline too."""
    attention: NDArray[np.float64]
    """Share of each clip in the video's vector, by attention rollout."""
    score: float
    baseline: float
    """Of a text and a video that are all masked."""


class _Side:
    """One sequence: fixed types and positions, and its rows with and without what it says."""

    def __init__(
        self, model: VideoBert, network: PaddedNetwork, head: torch.nn.Linear,
        text_N: NDArray[np.int64] | None, footage: Footage | None,
    ) -> None:  # fmt: skip
        vocabulary = model.vocabulary
        if footage is not None:
            footage = footage.fitted(model.max_length - 3 - model.reading.context_clips)
        ids_L, types_L, positions_L, clips = layout_footage(text_N, footage, vocabulary=vocabulary)
        self.said = clips if text_N is None else slice(1, 1 + len(text_N))
        self._network, self._head = network, head
        self._types = torch.from_numpy(types_L)
        self._positions = torch.arange(len(ids_L)) if positions_L is None else torch.from_numpy(positions_L)
        own_L = np.ones(len(ids_L))
        if footage is not None and model.reading.span_pooling:
            own_L = ((types_L == 1) & (ids_L >= vocabulary.first_visual)).astype(np.float64)
        self.pool_L = own_L
        masked_L = ids_L.copy()
        masked_L[self.said] = vocabulary.mask
        table = network.embeddings.word_embeddings
        self.rows, self.baseline = (table(torch.from_numpy(x)).detach() for x in (ids_L, masked_L))
        if model.reading.components and (rest_LK := residual_rows(footage, len(ids_L), clips)) is not None:
            self.rows = self.rows + model.residual(torch.from_numpy(rest_LK).float()).detach()

    def vectors(self, rows_SLD: Tensor, shares: list[Tensor] | None = None) -> Tensor:
        """Unit vectors [S, R]."""
        keep_SL = torch.ones(rows_SLD.shape[:2])
        pool_SL = torch.from_numpy(self.pool_L).float().expand(len(rows_SLD), -1)
        entering = self._network.embedded(rows_SLD, self._types, self._positions)
        return unit_mean_of(self._head, self._network.hidden(entering, keep_SL, shares), pool_SL)


def _sides(model: VideoBert, text_ids: Collection[int], footage: Footage) -> tuple[_Side, _Side]:
    network = PaddedNetwork(model)
    text = _Side(model, network, model.retrieval_text, np.array([*text_ids], np.int64), None)
    return text, _Side(model, network, model.retrieval_video, None, footage)


def explain_hit(model: VideoBert, text_ids: Collection[int], footage: Footage) -> HitExplanation:
    """Why a text and a span are as near as they are. The clips around the span are explained too."""
    text, video = _sides(model, text_ids, footage)

    def cosine(text_SLD: Tensor, video_SLD: Tensor) -> Tensor:
        return (text.vectors(text_SLD) * video.vectors(video_SLD)).sum(-1)

    found: Attribution = integrated_gradients(cosine, (text.rows, video.rows), (text.baseline, video.baseline))
    shares: list[Tensor] = []
    with torch.no_grad():
        video.vectors(video.rows.unsqueeze(0), shares)
    flow_L = rollout([share[0] for share in shares], video.pool_L)
    words_L, clips_L = found.parts
    words, clips = words_L[text.said], clips_L[video.said]
    return HitExplanation(
        words=words, clips=clips, attention=flow_L[video.said], score=found.score, baseline=found.baseline,
        frame=float(words_L.sum() + clips_L.sum() - words.sum() - clips.sum()),
    )  # fmt: skip


def score_without(model: VideoBert, text_ids: Collection[int], footage: Footage, clips: Collection[int]) -> float:
    """The cosine when some clips are masked: what they were worth."""
    text, video = _sides(model, text_ids, footage)
    rows_LD = video.rows.clone()
    places = [video.said.start + clip for clip in clips]
    rows_LD[places] = video.baseline[places]
    with torch.no_grad():
        pair = text.vectors(text.rows.unsqueeze(0)), video.vectors(rows_LD.unsqueeze(0))
        return float((pair[0] * pair[1]).sum())
