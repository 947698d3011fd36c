"""What both rivals train on: kitchen sequences over BERT's and the paper's vocabulary, one size of encoder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from videobert.demo.grammar import KitchenConfig
from videobert.demo.tokens import TokenChannel, sample_pairs, vocabulary
from videobert.model.batch import Batch, collate
from videobert.model.network import VideoBert
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.config import Architecture, LossWeights, PretrainConfig
from videobert.pretrain.data import Example, PretrainData
from videobert.pretrain.objective import PARTS, counts, loss_sums
from videobert.tokens.records import TokenizedVideo

__all__ = ["MAX_LENGTH", "SIZES", "Setting", "kitchen_videos"]

MAX_LENGTH = 128
"""Longest sequence, and what the yardstick pads to: the length of BERT's first phase."""

SIZES = {
    "tiny": Architecture(layers=2, hidden=32, heads=2, intermediate=64, max_length=MAX_LENGTH),
    "small": Architecture(layers=4, hidden=256, heads=4, intermediate=1024, max_length=MAX_LENGTH),
    "base": Architecture(layers=12, hidden=768, heads=12, intermediate=3072, max_length=MAX_LENGTH),
    "large": Architecture(layers=24, hidden=1024, heads=16, intermediate=4096, max_length=MAX_LENGTH),
}

WORDS = Vocabulary(text_size=30_522, leaves=12**4)
PAIRS, HELD_OUT_PAIRS = 4_000, 500
FIRST_WORD, WORD_STRIDE = 1_000, 97
"""Kitchen words are spread over the WordPiece ids, which they do not fill."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One comparison; everything follows from its fields."""

    size: str = "small"
    batch: int = 32
    """Sequences a step."""
    steps: int = 8
    threads: int = 1
    device: str = "cpu"
    precision: str = "fp32"
    retrieval: float = 0.0
    """Weight of our InfoNCE loss, which the yardstick has not."""

    @cached_property
    def videos(self) -> list[TokenizedVideo]:
        """Training videos with word ids."""
        return kitchen_videos(PAIRS, split="train")

    @cached_property
    def config(self) -> PretrainConfig:
        """Ours. The clozes weigh what they weigh in the yardstick's one mean over all masked tokens."""
        weights = {name: float(share) for name, share in zip(PARTS, self._shares(), strict=False)}
        return dataclasses.replace(self._plain, weights=LossWeights(**weights, retrieval=self.retrieval))

    @property
    def _plain(self) -> PretrainConfig:
        return PretrainConfig(
            architecture=SIZES[self.size], freeze_visual=False, learning_rate=3e-4, batch_size=self.batch,
            steps=self.steps, precision="bf16" if self.precision == "bf16" else "fp32", device=self.device,
            threads=self.threads, log_every_steps=1,
        )  # fmt: skip

    @cached_property
    def data(self) -> PretrainData:
        """The examples of every step."""
        return PretrainData(self.videos, vocabulary=WORDS, config=self._plain, max_length=MAX_LENGTH)

    def model(self) -> VideoBert:
        """Fresh weights, the same at every call."""
        return VideoBert.create(self._plain, vocabulary=WORDS)

    def examples(self) -> list[Example]:
        """All sequences of the run in order."""
        return [example for step in range(self.steps) for example in self.data.examples(step)]

    def steps_of(self, videos: list[TokenizedVideo], *, epochs: float) -> int:
        """Steps of a run of so many epochs over `videos`."""
        config = dataclasses.replace(self._plain, steps=0, epochs=epochs)
        return PretrainData(videos, vocabulary=WORDS, config=config, max_length=MAX_LENGTH).steps

    def lengths(self) -> list[list[int]]:
        """Real tokens of every sequence, by step."""
        return [[len(example.ids_L) for example in self.data.examples(step)] for step in range(self.steps)]

    def masked_losses(self, model: VideoBert) -> Tensor:
        """Mean masked-LM loss of each batch of held-out sequences without dropout, [batches]."""
        model.eval()
        return torch.tensor([_masked_loss(model, batch) for batch in self._held_out])

    def masked_loss(self, model: VideoBert, *, step: int) -> float:
        """Mean masked-LM loss of one batch of the training sequences."""
        return _masked_loss(model, collate(self.data.examples(step)))

    @cached_property
    def _held_out(self) -> list[Batch]:
        config = dataclasses.replace(self._plain, batch_size=64)
        videos = kitchen_videos(HELD_OUT_PAIRS, split="held-out")
        data = PretrainData(videos, vocabulary=WORDS, config=config, max_length=MAX_LENGTH)
        return [collate(data.examples(step)) for step in range(8)]

    def _shares(self) -> Tensor:
        """Share of each cloze in the masked tokens."""
        total = sum((counts(collate(self.data.examples(step)))[:4] for step in range(16)), torch.zeros(4))
        return total / total.sum()


def _masked_loss(model: VideoBert, batch: Batch) -> float:
    with torch.inference_mode():
        sums = loss_sums(model, batch.to(model.device), weights=LossWeights(retrieval=0.0))[:4]
    return float(sums.sum()) / len(batch.masked_M)


def kitchen_videos(pairs: int, *, split: str) -> list[TokenizedVideo]:
    """Videos with at least `pairs` steps, each a sentence over 12 to 60 visual tokens."""
    kitchen = KitchenConfig()
    owned = kitchen.actions * TokenChannel().ids_per_action
    channel = TokenChannel(background_ids=WORDS.leaves - owned, tokens_min=12, tokens_max=60)
    ids = {word: FIRST_WORD + WORD_STRIDE * number for number, word in enumerate(vocabulary(kitchen))}
    found = []
    for sampled in sample_pairs(kitchen, pairs, split=split, channel=channel):
        segments = tuple(
            dataclasses.replace(segment, text_ids=tuple(ids[word] for word in segment.text.split()))
            for segment in sampled.video.segments
        )
        found.append(dataclasses.replace(sampled.video, segments=segments))
    return found
