"""The kitchen at token level, ready for training: videos with word ids, labelled test steps, vocabulary, prompt.

N steps of some videos, in the order of the videos.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from videobert.demo.grammar import Kitchen, KitchenConfig, build_kitchen
from videobert.demo.tokens import SampledVideo, TokenChannel, sample_pairs, vocabulary
from videobert.model.vocabulary import Vocabulary
from videobert.tokens.records import TokenizedVideo

__all__ = ["Leaves", "World", "actions", "shuffled", "stretches"]

Leaves = NDArray[np.int32]
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class World:
    """One kitchen and its channel."""

    kitchen: KitchenConfig = dataclasses.field(default_factory=KitchenConfig)
    channel: TokenChannel = dataclasses.field(default_factory=TokenChannel)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word -> id, special tokens first."""
        return {word: number for number, word in enumerate((*SPECIALS, *vocabulary(self.kitchen)))}

    @cached_property
    def words(self) -> Vocabulary:
        """The layout of all ids."""
        return Vocabulary.from_wordpiece(self.ids, leaves=self.channel.size(self.kitchen.actions))

    @property
    def stop(self) -> str:
        """How a sentence ends."""
        return ""

    @property
    def centroids_NF(self) -> NDArray[np.float32] | None:
        """What the visual tokens stand for; nothing but themselves here."""
        return None

    @property
    def grammar(self) -> Kitchen:
        """Actions, transitions, popularity."""
        return build_kitchen(self.kitchen)

    @property
    def candidates(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids of the verbs and of the nouns, in the order of the grammar."""
        return self.text(" ".join(self.grammar.verbs)), self.text(" ".join(self.grammar.nouns))

    def text(self, sentence: str) -> tuple[int, ...]:
        """Ids of a sentence."""
        return tuple(self.ids[word] for word in sentence.split())

    def videos(self, pairs: int, *, split: str) -> list[SampledVideo]:
        """Videos with at least `pairs` steps; another split holds other videos."""
        return [self._with_ids(v) for v in sample_pairs(self.kitchen, pairs, split=split, channel=self.channel)]

    def _with_ids(self, sampled: SampledVideo) -> SampledVideo:
        segments = tuple(dataclasses.replace(s, text_ids=self.text(s.text)) for s in sampled.video.segments)
        return dataclasses.replace(sampled, video=dataclasses.replace(sampled.video, segments=segments))


def stretches(videos: list[SampledVideo]) -> list[Leaves]:
    """Visual tokens of every step."""
    return [v.video.visual[s.first_clip : s.last_clip] for v in videos for s in v.video.segments]


def actions(videos: list[SampledVideo]) -> NDArray[np.int64]:
    """The action on the screen of every step, [N]."""
    return np.array([step.action for v in videos for step in v.recipe.steps])


def shuffled(videos: list[TokenizedVideo], *, seed: int) -> list[TokenizedVideo]:
    """The same sentences, each over the tokens of a step drawn without replacement from the whole corpus."""
    owned = [v.visual[s.first_clip : s.last_clip] for v in videos for s in v.segments]
    order = iter(np.random.default_rng(seed).permutation(len(owned)))
    found = []
    for video in videos:
        parts = [owned[next(order)] for _ in video.segments]
        ends = np.cumsum([len(part) for part in parts])
        segments = tuple(
            dataclasses.replace(s, first_clip=int(end) - len(part), last_clip=int(end))
            for s, part, end in zip(video.segments, parts, ends, strict=True)
        )
        found.append(dataclasses.replace(video, visual=np.concatenate(parts), segments=segments))
    return found
