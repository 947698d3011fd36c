"""Task `captions`: a sentence for every segment or video, by a Transformer decoder over the encoder's states.

BLEU-4 (Papineni et al. 2002), ROUGE-L (Lin 2004) and CIDEr-D (Vedantam et al. 2015), as aac-metrics computes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videobert.finetune.config import FinetuneConfig
from videobert.labels.records import LabelRow
from videobert.model.network import VideoBert
from videobert.tasks.base import Answer, Encode, Task
from videobert.tasks.caption_metrics import caption_figures, caption_measure, plain
from videobert.tasks.captioner import VideoBertForVideoCaptioning
from videobert.tasks.probe import nearest

__all__ = ["Caption", "Captions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """What should be written."""

    ids: tuple[int, ...]
    of: tuple[str, float | None, float | None]
    """Video and span: captions of the same are references of each other."""
    text: str


class Captions(Task):
    name = "captions"
    by_loss = probes = True
    probe_name = "nearest caption"
    summary = "a sentence for every segment or video"
    needs = "`text`"

    def takes(self, row: LabelRow) -> bool:
        return bool(row.text)

    def facts(self, rows: Sequence[LabelRow], config: FinetuneConfig) -> dict[str, Any]:
        return {}

    def target(self, row: LabelRow, facts: Mapping[str, Any], encode: Encode) -> Any:
        ids = encode(row.text)
        of = (row.video, row.start_seconds, row.end_seconds)
        return Caption(ids=ids, of=of, text=row.text) if ids else None

    def network(
        self, encoder: VideoBert, facts: Mapping[str, Any], config: FinetuneConfig
    ) -> VideoBertForVideoCaptioning:
        options = config.captions
        return VideoBertForVideoCaptioning(
            encoder, layers=options.layers, dropout=config.dropout, label_smoothing=config.label_smoothing,
            longest=options.longest, beams=options.beams, length_penalty=options.length_penalty, seed=config.seed,
        )  # fmt: skip

    def load(self, encoder: VideoBert, directory: Path, settings: Mapping[str, Any]) -> VideoBertForVideoCaptioning:
        return VideoBertForVideoCaptioning.restored(encoder, directory, settings)

    def figures(self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]) -> dict[str, float]:
        return caption_figures(outputs, [(target.of, target.text) for target in targets])

    def measure(
        self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]
    ) -> Callable[[Sequence[int]], dict[str, float]]:
        return caption_measure(outputs, [(target.of, target.text) for target in targets])

    def constant(self, targets: Sequence[Any], facts: Mapping[str, Any], count: int) -> list[Any]:
        """The sentence that is most common among the training rows."""
        said = Counter(target.text for target in targets)
        return [min(said, key=lambda text: (-said[text], text))] * count

    def probe(
        self,
        features: Mapping[str, NDArray[np.float32]],
        targets: Mapping[str, Sequence[Any]],
        facts: Mapping[str, Any],
        config: FinetuneConfig,
    ) -> list[Any]:
        """The caption of the training example whose features are nearest."""
        return [targets["train"][place].text for place in nearest(features["train"], features["test"])]

    def answers(self, outputs: Sequence[Any], facts: Mapping[str, Any]) -> list[Answer]:
        return [Answer(text=words) for words in outputs]

    def worth(self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]) -> list[float]:
        """Share of the words of caption and reference that both have."""
        found = []
        for words, target in zip(outputs, targets, strict=True):
            own, right = set(plain(words).split()), set(plain(target.text).split())
            found.append(len(own & right) / max(1, len(own | right)))
        return found

    def say(self, row: LabelRow) -> str:
        return row.text
