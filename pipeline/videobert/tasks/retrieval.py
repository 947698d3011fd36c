"""Task `retrieval`: sentences find their segments. Two towers learn labelled pairs, the alignment head re-ranks.

Q queries, C candidates, R retrieval width, K candidates that are put in order anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from videobert.evaluate.metrics import median_rank, recall_at_k, retrieval_ranks, top_k
from videobert.finetune.config import FinetuneConfig
from videobert.labels.records import LabelRow
from videobert.model.network import VideoBert, at_least_float32
from videobert.pretrain.seeding import generator
from videobert.tasks.base import Answer, Encode, Example, Task, TaskNetwork
from videobert.tasks.files import save_network
from videobert.tasks.probe import fit_map
from videobert.tasks.sequences import encode as encode_examples
from videobert.tasks.sequences import frozen_features

__all__ = ["Ranks", "Retrieval", "VideoBertForRetrieval"]

RERANKED = 10
GROUP = 64
Ranks = tuple[float, float, int]
"""Rank of the right segment by vectors, after re-ranking, and the number of segments."""


class VideoBertForRetrieval(TaskNetwork):
    """VideoBERT's own retrieval and alignment heads."""

    heads = (
        "retrieval_text", "retrieval_video", "log_temperature", "retrieval_bias", "alignment",
    )  # fmt: skip

    def __init__(self, encoder: VideoBert) -> None:
        super().__init__()
        self.encoder = encoder

    @classmethod
    def restored(cls, encoder: VideoBert, folder: Path, settings: Mapping[str, Any]) -> Self:
        """The network of an opened folder."""
        network = cls(encoder)
        network.eval()
        return network

    def save_pretrained(self, directory: str | Path, **settings: Any) -> None:
        save_network(self, Path(directory), {"task": "retrieval", **settings})

    def texts(self, examples: Sequence[Example]) -> Tensor:
        """Unit vectors of what is said, [B, R]."""
        hidden_TD, tokens, place_B = encode_examples(self.encoder, [replace(e, footage=None) for e in examples])
        return self.encoder.text_vectors(hidden_TD, tokens, place_B)

    def videos(self, examples: Sequence[Example]) -> Tensor:
        """Unit vectors of what is shown, [B, R]."""
        hidden_TD, tokens, place_B = encode_examples(self.encoder, [replace(e, text_ids=()) for e in examples])
        return self.encoder.video_vectors(hidden_TD, tokens, place_B)

    def aligned(self, examples: Sequence[Example]) -> Tensor:
        """Log odds that text and video belong together, [B]."""
        hidden_TD, tokens, place_B = encode_examples(self.encoder, examples)
        return at_least_float32(self.encoder.alignment_logits(hidden_TD[tokens.packing.first_B[place_B]]))

    def losses(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """InfoNCE in both directions, and the alignment of each pair and of the text with the hardest other video.

        Pairs of equal sentences are no negatives of each other.
        """
        similarity_BB = self.texts(examples) @ self.videos(examples).T / self.encoder.temperature()
        same_BB = torch.tensor([[a.text_ids == b.text_ids for b in examples] for a in examples]).to(self.encoder.device)
        own_B = torch.arange(len(examples), device=same_BB.device)
        apart_BB = similarity_BB.masked_fill(same_BB & (own_B[:, None] != own_B), -torch.inf)
        losses_B = F.cross_entropy(apart_BB, own_B, reduction="none")
        losses_B = (losses_B + F.cross_entropy(apart_BB.T, own_B, reduction="none")) / 2
        hardest_B = similarity_BB.detach().masked_fill(same_BB, -torch.inf).argmax(dim=1)
        wrong = [replace(e, footage=examples[i].footage) for e, i in zip(examples, hardest_B.tolist(), strict=True)]
        right_B, wrong_B = self.aligned([*examples, *wrong]).chunk(2)
        others_B = ~same_BB.all(dim=1)  # where all sentences are equal, no video is wrong
        losses_B = losses_B + (F.softplus(-right_B) + F.softplus(wrong_B) * others_B) / 2
        return losses_B, torch.ones_like(losses_B)

    def outputs(self, examples: Sequence[Example]) -> list[Ranks]:
        """Ranks of each example's own segment among those of all examples."""
        training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                texts, videos = (self._all(part, examples) for part in (self.texts, self.videos))
                similarity_QC = (texts @ videos.T).cpu().numpy()
                ranks_Q = retrieval_ranks(similarity_QC)
                best_QK = top_k(similarity_QC, k=RERANKED)
                reranked = [self._reranked(examples, q, best_QK[q].tolist(), ranks_Q[q]) for q in range(len(examples))]
        finally:
            self.train(training)
        return [(float(rank), again, len(examples)) for rank, again in zip(ranks_Q, reranked, strict=True)]

    def predictions(self, examples: Sequence[Example]) -> list[float]:
        """How near each example's text is to its video, -1 to 1."""
        with torch.inference_mode():
            texts, videos = (self._all(part, examples) for part in (self.texts, self.videos))
        return [float(value) for value in (texts * videos).sum(dim=1)]

    def _all(self, part: Any, examples: Sequence[Example]) -> Tensor:
        found = [part(examples[i : i + GROUP]) for i in range(0, len(examples), GROUP)]
        return torch.cat(found) if found else torch.empty(0, self.encoder.retrieval_text.out_features)

    def _reranked(self, examples: Sequence[Example], query: int, best: list[int], rank: float) -> float:
        """Rank once the best are ordered by the alignment head; unchanged for one that is not among them."""
        if query not in best:
            return max(float(rank), len(best) + 1.0)
        logits_K = self.aligned([replace(examples[query], footage=examples[i].footage) for i in best])
        return float(retrieval_ranks(logits_K[None].cpu().numpy(), [best.index(query)])[0])


class Retrieval(Task):
    name = "retrieval"
    summary = "sentences find their segments: two towers, re-ranked by the alignment head"
    needs = "`text`"
    asks = True
    reads_alone = False

    def takes(self, row: LabelRow) -> bool:
        return bool(row.text)

    def facts(self, rows: Sequence[LabelRow], config: FinetuneConfig) -> dict[str, Any]:
        return {}

    def target(self, row: LabelRow, facts: Mapping[str, Any], encode: Encode) -> Any:
        return row.text if encode(row.text) else None

    def text_of(self, row: LabelRow, said: tuple[int, ...], encode: Encode) -> tuple[int, ...]:
        return encode(row.text)

    def network(self, encoder: VideoBert, facts: Mapping[str, Any], config: FinetuneConfig) -> VideoBertForRetrieval:
        return VideoBertForRetrieval(encoder)

    def load(self, encoder: VideoBert, directory: Path, settings: Mapping[str, Any]) -> VideoBertForRetrieval:
        return VideoBertForRetrieval.restored(encoder, directory, settings)

    def figures(self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]) -> dict[str, float]:
        ranks_Q, again_Q = (np.array([found[i] for found in outputs]) for i in (0, 1))
        figures = {f"recall_at_{k}": recall_at_k(ranks_Q, k=k) for k in (1, 5, 10)}
        figures["median_rank"] = median_rank(ranks_Q)
        figures |= {f"reranked_at_{k}": recall_at_k(again_Q, k=k) for k in (1, 5)}
        return figures | {"candidates": float(outputs[0][2])}

    def answers(self, outputs: Sequence[Any], facts: Mapping[str, Any]) -> list[Answer]:
        return [Answer(labels=("similarity",), scores=(value,)) for value in outputs]

    def worth(self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]) -> list[float]:
        return [-found[0] for found in outputs]

    def say(self, row: LabelRow) -> str:
        return row.text

    def told(self, output: Any, facts: Mapping[str, Any]) -> str:
        return f"rank {output[0]:g} of {output[2]}"

    def controls(
        self,
        pretrained: VideoBert,
        examples: Mapping[str, Sequence[Example]],
        facts: Mapping[str, Any],
        config: FinetuneConfig,
    ) -> dict[str, list[Any]]:
        """`majority`: the segments in an order drawn by lot, which is all that looking at nothing gives."""
        test = examples["test"]
        by_lot_Q = generator(config.seed, "order by lot").permutation(len(test)) + 1
        said, shown = (
            {
                split: frozen_features(pretrained, [replace(e, **blank) for e in found])
                for split, found in examples.items()
            }
            for blank in ({"footage": None}, {"text_ids": ()})
        )
        mapped_Q = retrieval_ranks(fit_map(shown, said))
        return {
            "majority": [(float(rank), float(rank), len(test)) for rank in by_lot_Q],
            "linear probe": [(float(rank), float(rank), len(test)) for rank in mapped_Q],
            "pretrained": VideoBertForRetrieval(pretrained).outputs(test),
        }
