"""A kept kitchen as the gates want it: rendered videos after the token stage, their steps labelled.

Of what `tests.benchmarks.learning.kitchen --keep FOLDER` has made.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tests.benchmarks.learning.kitchen import BATCHES, recipe_of, shown, true_steps
from tests.benchmarks.learning.world import World
from videobert.codebook.load import load_codebook, load_tokenizer
from videobert.demo.grammar import Recipe, build_kitchen, demo_kitchen, random_for
from videobert.demo.tokens import SampledVideo, TokenChannel, sample_pairs
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.job import training_windows
from videobert.runtime.held_out import is_held_out
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.storage import Store
from videobert.tokens.read import read_samples
from videobert.tokens.records import Segment, TokenizedVideo

__all__ = ["Rendered"]


@dataclass(frozen=True)
class Rendered(World):
    """Words and visual tokens as the pipeline made them; the channel is what the encoder and the codebook are."""

    root: Path = Path()

    @classmethod
    def below(cls, root: Path) -> Rendered:
        """The kitchen of one seed: the folder is called by it."""
        return cls(kitchen=demo_kitchen(int(root.name)), root=root)

    @cached_property
    def store(self) -> Store:
        """All stages' outputs."""
        return Store(str(self.root))

    @cached_property
    def codebook(self) -> Manifest:
        """The only one."""
        return self._only("codebook", "codebooks", "")

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """WordPiece, learnt from the narration."""
        return load_tokenizer(self.store, self.codebook)

    @cached_property
    def centroids_NF(self) -> NDArray[np.float32]:
        """What the visual tokens stand for."""
        return load_codebook(self.store, self.codebook).centroids

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word -> id."""
        found: dict[str, int] = self.tokenizer.get_vocab(with_added_tokens=True)
        return found

    @cached_property
    def words(self) -> Vocabulary:
        """The layout of all ids."""
        return Vocabulary.from_wordpiece(self.ids, leaves=len(self.centroids_NF))

    @property
    def stop(self) -> str:
        """Narration is punctuated."""
        return "."

    def text(self, sentence: str) -> tuple[int, ...]:
        """Ids of a sentence."""
        return tuple(self.tokenizer.encode(sentence, add_special_tokens=False).ids)

    def training(self) -> list[TokenizedVideo]:
        """The training share, as `pretrain` reads it."""
        config = recipe_of(self.kitchen.seed).pretrain
        return list(training_windows(self.store, self._tokens, self.codebook, config).read(0, lambda: None))

    def held_out(self) -> list[SampledVideo]:
        """The other videos, cut into the steps of their recipes."""
        return self._share(held_out=True)

    def in_order(self, pairs: int, *, held_out: bool) -> list[SampledVideo]:
        """Steps of 10 to 16 rendered clips, the first half of one verb's motion, the second of another's.

        Verbs 2 k and 2 k + 1 share their motions, the one in this order, the other in that, as opening and closing do:
        no clip tells which it is. Clips are drawn from those of one share that show the motion, whatever their noun;
        the narration is honest.
        """
        kitchen = dataclasses.replace(self.kitchen, narration_current=1.0, narration_neighbour=0.0)
        shape = TokenChannel(ids_per_action=2, tokens_min=10, tokens_max=16, ordered=True)
        pools: defaultdict[str, list[int]] = defaultdict(list)
        for video in self._share(held_out=held_out):
            for step, segment in zip(video.recipe.steps, video.video.segments, strict=True):
                pools[step.verb] += video.video.visual[segment.first_clip : segment.last_clip].tolist()
        split = "held out" if held_out else "training"
        return [self._drawn(v, pools) for v in sample_pairs(kitchen, pairs, split=f"order/{split}", channel=shape)]

    def _drawn(self, sampled: SampledVideo, pools: Mapping[str, Sequence[int]]) -> SampledVideo:
        rng, verbs = random_for(self.kitchen.seed, f"order/{sampled.recipe.key}"), self.grammar.verbs
        visual, segments = sampled.video.visual.copy(), []
        for step, segment in zip(sampled.recipe.steps, sampled.video.segments, strict=True):
            pair = step.verb, verbs[verbs.index(step.verb) ^ 1]
            clips = np.arange(segment.first_clip, segment.last_clip)
            for verb, part in zip(pair, np.array_split(clips, 2), strict=True):
                visual[part] = rng.choice(pools[verb], len(part))
            text = step.caption + self.stop
            segments.append(dataclasses.replace(segment, text=text, text_ids=self.text(text)))
        video = dataclasses.replace(sampled.video, visual=visual, segments=tuple(segments))
        return dataclasses.replace(sampled, video=video)

    def _share(self, *, held_out: bool) -> list[SampledVideo]:
        steps = true_steps(self.root / "incoming" / "truth" / "truth.jsonl")
        samples = read_samples(self.store, [output for tokens in self._tokens for output in tokens.outputs])
        fraction = self.codebook.facts["heldout_fraction"]
        return [self._cut(s, steps[s["video_id"]]) for s in samples if is_held_out(s["video_id"], fraction) == held_out]

    def _cut(self, sample: dict[str, Any], truth: list[dict[str, Any]]) -> SampledVideo:
        recipe = build_kitchen(self.kitchen).recipe(truth[0]["file"].rsplit(".", 1)[0])
        segments, steps = [], []
        for told, first, last in shown(truth, sample):
            step = recipe.steps[told["step"]]
            assert (step.verb, step.noun) == (told["verb"], told["noun"]), told
            text = step.caption + self.stop
            seconds = {name: told[name] for name in ("start_seconds", "end_seconds")}
            segments.append(Segment(**seconds, first_clip=first, last_clip=last, text=text, text_ids=self.text(text)))
            steps.append(step)
        video = TokenizedVideo(
            video_id=sample["video_id"], visual=np.array(sample["visual"], np.int32), segments=tuple(segments)
        )
        return SampledVideo(video=video, recipe=Recipe(key=recipe.key, steps=tuple(steps)))

    @cached_property
    def _tokens(self) -> tuple[Manifest, ...]:
        return tuple(self._only("tokens", "tokens", batch) for batch in BATCHES)

    def _only(self, stage: str, folder: str, batch: str) -> Manifest:
        (spec,) = self.store.folders(folder)
        manifest = load_manifest(self.store, stage, spec, batch)
        assert manifest is not None, f"{stage} {spec} {batch} is not committed"
        return manifest
