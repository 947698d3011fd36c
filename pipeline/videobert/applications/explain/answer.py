"""A label, an answer, a choice or a similarity of a fine-tuned model: what each word and each clip adds to it.

L tokens, D hidden width, S steps.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videobert.applications.explain.core import integrated_gradients, rollout
from videobert.applications.explain.hit import explain_hit
from videobert.model.network import VideoBert
from videobert.tasks.base import Example
from videobert.tasks.choices import VideoBertForMultipleChoice
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.padded import PaddedClassifier, PaddedJudge
from videobert.tasks.retrieval import VideoBertForRetrieval
from videobert.tasks.sequences import fitted, laid_out

__all__ = ["AnswerExplanation", "Explained", "explain_similarity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerExplanation:
    """As of a hit; words and clips are those that the network reads, which are fewer where the span is too long."""

    words: NDArray[np.float64]
    clips: NDArray[np.float64]
    word_attention: NDArray[np.float64]
    clip_attention: NDArray[np.float64]
    """Share of each in what the head reads, by attention rollout; of a similarity -1 for words."""
    score: float
    """The logit of the label or choice; of a regression, the value in units of its spread; the similarity."""
    baseline: float
    """The same when words and clips are all masked."""


class Explained:
    """One example of a network that reads it in one sequence; of choices, a question with one of them as its text.

    Raises InputError for a classifier with `fusion` cross.
    """

    def __init__(self, network: VideoBertForVideoClassification | VideoBertForMultipleChoice, example: Example) -> None:
        self._network: PaddedClassifier | PaddedJudge
        if isinstance(network, VideoBertForMultipleChoice):
            self._network = PaddedJudge(network.encoder)
        else:
            self._network = PaddedClassifier(network)
        self._network.eval()
        encoder = network.encoder
        ids_L, types_L, positions_L, residuals_LK = laid_out(encoder, example)
        text, _ = fitted(encoder, example)
        self.clips = _clips_read(encoder, example)
        """Those of the example's clips that the network reads."""
        self.word_places = 1 + np.arange(len(text))
        self.clip_places = len(ids_L) - 1 - len(self.clips) + np.arange(len(self.clips))
        masked_L = ids_L.copy()
        masked_L[self.clip_places] = masked_L[self.word_places] = encoder.vocabulary.mask
        self._types = torch.from_numpy(types_L)
        self._positions = torch.arange(len(ids_L)) if positions_L is None else torch.from_numpy(positions_L)
        table = encoder.bert.embeddings.word_embeddings
        self._rows, self._masked = (table(torch.from_numpy(x)).detach() for x in (ids_L, masked_L))
        if residuals_LK is not None and encoder.reading.components:
            self._rows = self._rows + encoder.residual(torch.from_numpy(residuals_LK).float()).detach()
        pool = self._network.pool
        self._pool_L = np.ones(len(ids_L)) if pool == "mean" else (np.arange(len(ids_L)) == 0).astype(float)

    def explain(self, label: int) -> AnswerExplanation:
        """Why the logit of this class is what it is; 0 of a choice."""
        found = integrated_gradients(lambda rows_SLD: self._logits(rows_SLD)[:, label], [self._rows], [self._masked])
        shares: list[Tensor] = []
        with torch.no_grad():
            self._logits(self._rows[None], shares)
        flow_L = rollout([share[0] for share in shares], self._pool_L)
        (adds_L,) = found.parts
        return AnswerExplanation(
            words=adds_L[self.word_places], clips=adds_L[self.clip_places], word_attention=flow_L[self.word_places],
            clip_attention=flow_L[self.clip_places], score=found.score, baseline=found.baseline,
        )  # fmt: skip

    def score_without(self, label: int, places: Collection[int]) -> float:
        """The logit when the tokens at these places are masked: what they were worth."""
        rows_LD = self._rows.clone()
        rows_LD[list(places)] = self._masked[list(places)]
        with torch.no_grad():
            return float(self._logits(rows_LD[None])[0, label])

    def _logits(self, rows_SLD: Tensor, shares: list[Tensor] | None = None) -> Tensor:
        keep_SL = torch.ones(rows_SLD.shape[:2])
        return self._network.logits(
            rows_SLD, self._types.expand(keep_SL.shape), self._positions.expand(keep_SL.shape), keep_SL, shares
        )


def explain_similarity(network: VideoBertForRetrieval, example: Example) -> tuple[AnswerExplanation, NDArray[np.int64]]:
    """Why a sentence is as near to a span as it is, by both towers; and the clips that are read, by their numbers."""
    assert example.footage is not None
    shown = replace(example, text_ids=())
    text, _ = fitted(network.encoder, replace(example, footage=None))
    _, footage = fitted(network.encoder, shown)
    assert footage is not None
    found = explain_hit(network.encoder, text, footage)
    explanation = AnswerExplanation(
        words=found.words, clips=found.clips, word_attention=np.full(len(found.words), -1.0),
        clip_attention=found.attention, score=found.score, baseline=found.baseline,
    )  # fmt: skip
    return explanation, _clips_read(network.encoder, shown)


def _clips_read(encoder: VideoBert, example: Example) -> NDArray[np.int64]:
    """Numbers of the clips of the example's footage that there is room for."""
    if example.footage is None:
        return np.empty(0, np.int64)
    numbered = replace(example.footage, leaves=np.arange(len(example.footage)))
    _, kept = fitted(encoder, replace(example, footage=numbered))
    assert kept is not None
    return kept.leaves.astype(np.int64)
