"""The kitchen's tasks at token level: examples by split, and what an observer who knows the grammar answers.

C classes; N clips; K components; A actions; T tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tests.benchmarks.learning.world import World
from videobert.demo.grammar import random_for
from videobert.demo.labels import FAMILIES, STEP_TASKS, VIDEO_TASKS, asked_of, caption_of
from videobert.demo.task_oracle import answer_shares, pair_answers, step_counts, step_shares, video_shares
from videobert.demo.tokens import SampledVideo
from videobert.evaluate.config import PROMPT
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.sight import Sight
from videobert.labels.records import LabelRow
from videobert.tasks.base import Example, Task
from videobert.tasks.registry import get_task

__all__ = ["CAPTIONS_TESTED", "COMPONENTS", "TASKS", "Observed", "TaskData", "observers", "task_data", "with_residuals"]

TASKS = (*STEP_TASKS, *VIDEO_TASKS, "questions", "captions")
KINDS = {"questions": "open-questions", "captions": "captions"}
CAPTIONS_TESTED = 150
"""Sentences are written word by word, which takes longer than all else."""
COMPONENTS = 8
"""Of the residuals."""
SIGHT = Sight(reads="both", around=0, by_segment=True)
Labelled = list[tuple[SampledVideo, tuple[int, int], LabelRow]]
Observed = tuple[list[str], list[Any]]
"""Names of the classes, none where there are no classes, and an output for every row of a task."""


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """Everything that an encoder needs to learn a task and to be measured."""

    kind: Task
    facts: dict[str, Any]
    splits: dict[str, list[Example]]
    """Examples with the clips, and with what is said meanwhile or asked, of which a network may leave one out."""
    ceilings: dict[str, list[Any]]
    """The outputs of observers for the test examples, by name."""

    def targets(self, split: str) -> list[Any]:
        return [example.target for example in self.splits[split]]

    def reading(self, reads: str, *, by_segment: bool = False) -> dict[str, list[Example]]:
        """The splits without what a network does not read; a question is always read."""
        whole = {s: [e if by_segment else replace(e, segments=()) for e in found] for s, found in self.splits.items()}
        if reads == "text":
            return {s: [e.without_video() for e in found] for s, found in whole.items()}
        if reads == "video" and not self.kind.asks:
            return {s: [e.without_text() for e in found] for s, found in whole.items()}
        return whole


def task_data(
    world: World,
    name: str,
    videos: dict[str, list[SampledVideo]],
    config: FinetuneConfig,
    observed: dict[str, Observed],
) -> TaskData:
    """A task over videos by split. Test rows whose answer no training row has are left out, as the stage does.

    `observed` is what `observers` say of the test videos.
    """
    kind = get_task(KINDS.get(name, "classification"))
    rows = {split: _rows(found, name) for split, found in videos.items()}
    if name == "captions":
        rows["test"] = rows["test"][:CAPTIONS_TESTED]
    facts = kind.facts([row for _, _, row in rows["train"]], replace(config, reads="both"))
    facts["prompt"] = list(world.text(PROMPT + world.stop))

    def encode(text: str) -> tuple[int, ...]:
        return world.text(" ".join(word for word in text.split() if word in world.ids))

    splits: dict[str, list[Example]] = {}
    known: list[bool] = []
    for split, found in rows.items():
        made = [_example(world, sampled, span, row, kind, facts, encode) for sampled, span, row in found]
        splits[split] = [e for e in made if e.target is not None]
        if split == "test":
            known = [e.target is not None for e in made]
    ceilings = {}
    for who, (names, answers) in observed.items():
        columns = [names.index(label) for label in facts["labels"]] if names else None
        rows_of = answers if columns is None else [row[columns] for row in answers]
        ceilings[who] = list(itertools.compress(rows_of, known))
    return TaskData(kind=kind, facts=facts, splits=splits, ceilings=ceilings)


def with_residuals(world: World, videos: Sequence[SampledVideo]) -> list[SampledVideo]:
    """The same videos with what their tokens drop: the way from a token's centroid to the clip's feature, [N, K].

    The feature lies around the centre of the action on the screen, also where the token is noise; in each component its
    spread is the length of a centre. So tokens and residuals together tell more than the observer of tokens knows.
    """
    count, actions = world.channel.size(world.kitchen.actions), world.kitchen.actions
    rng = np.random.default_rng(2)
    centres_AK = rng.standard_normal((actions, COMPONENTS)) / np.sqrt(COMPONENTS)
    centroids_TK = rng.standard_normal((count, COMPONENTS)) / np.sqrt(COMPONENTS)
    for action, ids in enumerate(world.channel.owned(actions)):
        centroids_TK[ids.ravel()] = centres_AK[action]
    found = []
    for sampled in videos:
        own = sampled.video
        lengths = [segment.last_clip - segment.first_clip for segment in own.segments]
        shown_NK = centres_AK[np.repeat([step.action for step in sampled.recipe.steps], lengths)]
        noise_NK = random_for(world.kitchen.seed, f"residuals/{sampled.recipe.key}").standard_normal(shown_NK.shape)
        residuals_NK = (shown_NK + noise_NK - centroids_TK[own.visual]).astype(np.float16)
        found.append(replace(sampled, video=replace(own, residuals=residuals_NK)))
    return found


def _rows(videos: Sequence[SampledVideo], name: str) -> Labelled:
    """(video, clips, label) of every row, in the order of the observer's answers."""
    found: Labelled = []
    for sampled in videos:
        own, whole = sampled.video, (0, len(sampled.video.visual))
        if name in VIDEO_TASKS:
            value = VIDEO_TASKS[name](sampled.recipe)
            label = {"value": value} if isinstance(value, float) else {"label": tuple(value)}
            found.append((sampled, whole, LabelRow(video=own.video_id, **label)))
        elif name == "questions":
            for verb, noun in asked_of(sampled.recipe):
                found.append((sampled, whole, LabelRow(video=own.video_id, question=verb, answer=noun)))
        elif name == "captions":
            for number, (one, two) in enumerate(itertools.pairwise(own.segments)):
                text = caption_of(sampled.recipe.steps[number : number + 2])
                row = LabelRow(video=f"{own.video_id}:{number}", text=text)
                found.append((sampled, (one.first_clip, two.last_clip), row))
        else:
            for number, segment in enumerate(own.segments):
                if said := STEP_TASKS[name](sampled.recipe, number):
                    row = LabelRow(video=own.video_id, label=(said,))
                    found.append((sampled, (segment.first_clip, segment.last_clip), row))
    return found


def _example(
    world: World, sampled: SampledVideo, span: tuple[int, int], row: LabelRow, kind: Task, facts: Any, encode: Any
) -> Example:
    target = kind.target(row, facts, encode)
    if kind.name == "captions":  # compared as ids, which is what is written where there is no tokenizer
        target = replace(target, text=" ".join(map(str, target.ids)))
    return SIGHT.example(sampled.video, *span, words=lambda said: kind.text_of(row, said, encode), target=target)


def observers(world: World, name: str, videos: list[SampledVideo]) -> dict[str, Observed]:
    """What observers answer who know the grammar: `ceiling`, who knows where each step begins as well, and one who has
    to find it, where that differs."""
    found = {"ceiling": observe(world, name, videos, told=True)}
    if name in VIDEO_TASKS or name == "questions":
        found["ceiling, bounds not told"] = observe(world, name, videos, told=False)
    return found


def observe(world: World, name: str, videos: list[SampledVideo], *, told: bool) -> Observed:
    """The observer's output for every row of some videos; `told`: knowing where each step begins."""
    grammar, channel = world.grammar, world.channel
    if name == "steps":
        return [], [np.array([count]) for count in step_counts(grammar, channel, videos, told=told)]
    if name == "captions":
        words = [(grammar.words(one), grammar.words(two)) for one, two in pair_answers(grammar, channel, videos)]
        said = [" then ".join(f"{verb} the {noun}" for verb, noun in pair) for pair in words]
        return [], [" ".join(map(str, world.text(sentence))) for sentence in said]
    if name == "questions":
        asked = [[verb for verb, _ in asked_of(v.recipe)] for v in videos]
        return list(grammar.nouns), answer_shares(grammar, channel, videos, asked, told=told)
    if name in VIDEO_TASKS:
        names = list(grammar.nouns) if name == "ingredients" else list(FAMILIES)
        return names, list(video_shares(grammar, channel, videos, task=name, told=told))
    steps = [(v, number) for v in videos for number in range(len(v.recipe.steps))]
    found_NC = step_shares(grammar, channel, videos, task=name)
    shares = [row for row, (v, n) in zip(found_NC, steps, strict=True) if STEP_TASKS[name](v.recipe, n)]
    return list(grammar.nouns if name == "noun" else grammar.verbs), shares
