"""A label, an answer, a choice, a caption or a similarity of a fine-tuned model: what words and clips add to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from videobert.applications.explain.core import integrated_gradients
from videobert.applications.explain.hit import explain_hit
from videobert.applications.explain.readers import CaptionReader, FusedReader, JoinedReader, Reader
from videobert.applications.explain.sequence import clips_read
from videobert.tasks.base import Example
from videobert.tasks.captioner import VideoBertForVideoCaptioning
from videobert.tasks.choices import VideoBertForMultipleChoice
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.retrieval import VideoBertForRetrieval
from videobert.tasks.sequences import fitted

__all__ = ["AnswerExplanation", "Explained", "explain_similarity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerExplanation:
    """As of a hit; words and clips are those that the network reads, which are fewer where the span is too long."""

    words: NDArray[np.float64]
    clips: NDArray[np.float64]
    word_attention: NDArray[np.float64]
    clip_attention: NDArray[np.float64]
    """Share of each in what the head or the decoder reads, by attention rollout; of a similarity -1 for words."""
    score: float
    """The logit of the label or choice; of a regression, the value in units of its spread; the mean log probability
    per word piece of a caption; the similarity."""
    baseline: float
    """The same when words and clips are all masked."""


class Explained:
    """One example of a network; of choices, a question with one of them as its text."""

    def __init__(
        self,
        network: VideoBertForVideoClassification | VideoBertForMultipleChoice | VideoBertForVideoCaptioning,
        example: Example,
        *,
        caption: Sequence[int] = (),
    ) -> None:
        """`caption` is what a captioner is taken to have written, as word pieces; it stays while the rest is masked."""
        self._reader: Reader
        if isinstance(network, VideoBertForVideoCaptioning):
            self._reader = CaptionReader(network, example, caption)
        elif isinstance(network, VideoBertForVideoClassification) and network.fusion is not None:
            self._reader = FusedReader(network, example)
        else:
            self._reader = JoinedReader(network, example)
        self._said, self._shown = self._reader.sequences[0], self._reader.sequences[-1]
        self.clips = self._shown.clips
        """Numbers of the example's clips that the network reads."""

    def explain(self, label: int = 0) -> AnswerExplanation:
        """Why the logit of this class is what it is; 0 of a choice or a caption."""
        sequences = self._reader.sequences
        found = integrated_gradients(
            lambda *rows: self._reader.scores(*rows)[:, label], [s.rows for s in sequences],
            [s.masked for s in sequences],
        )  # fmt: skip
        with torch.no_grad():
            flows = self._reader.attention()
        words, clips = self._said.word_places, self._shown.clip_places
        return AnswerExplanation(
            words=found.parts[0][words], clips=found.parts[-1][clips], word_attention=flows[0][words],
            clip_attention=flows[-1][clips], score=found.score, baseline=found.baseline,
        )  # fmt: skip

    def score_without(self, label: int = 0, *, words: Sequence[int] = (), clips: Sequence[int] = ()) -> float:
        """The score when some words and clips are masked, by their numbers: what they were worth."""
        rows = [sequence.without(words, clips)[None] for sequence in self._reader.sequences]
        with torch.no_grad():
            return float(self._reader.scores(*rows)[0, label])


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
    return explanation, clips_read(network.encoder, shown)
