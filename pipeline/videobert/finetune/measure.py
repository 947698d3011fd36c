"""What a fine-tuned network is worth on the test split, with the controls that it must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from videobert.finetune.config import FinetuneConfig
from videobert.finetune.data import Labelled
from videobert.model.network import VideoBert
from videobert.pretrain.seeding import generator, seed_of
from videobert.tasks.base import Example, Task, TaskNetwork
from videobert.tasks.metrics import bootstrap
from videobert.tasks.sequences import frozen_features

__all__ = ["measure", "shuffled"]


def measure(
    task: Task, network: TaskNetwork, pretrained: VideoBert, labelled: Labelled, config: FinetuneConfig
) -> tuple[dict[str, Any], list[Any]]:
    """(figures of the network and of each control, each with an interval over videos; the network's outputs).

    Controls: `majority` looks at nothing. `shuffled video`: the network, with the videos of other examples; `video left
    out`: without any. `linear probe`, for captions `nearest caption`: a linear model on what the pretrained encoder,
    untouched, makes of the same; `text only`: that without the video. With `pool` words both also on those words.
    """
    test = labelled.examples["test"]
    outputs = network.outputs(test)
    found = {"fine-tuned": outputs}
    targets = {split: [e.target for e in examples] for split, examples in labelled.examples.items()}
    if constant := task.constant(targets["train"], labelled.facts, len(test)):
        found["majority"] = constant
    if config.reads != "text":
        found["shuffled video"] = network.outputs(shuffled(test, seed=config.seed, asked=task.asks))
    if config.reads == "both" and task.reads_alone:
        found["video left out"] = network.outputs([example.without_video() for example in test])
    if task.probes:
        found |= _probes(task, pretrained, labelled, targets, config)
    found |= task.controls(pretrained, labelled.examples, labelled.facts, config)
    groups = [row.group or e.video_id for e, row in zip(test, labelled.rows["test"], strict=True)]
    figures = {name: _with_intervals(task, given, targets["test"], groups, labelled, config)
               for name, given in found.items()}  # fmt: skip
    return figures, outputs


def _probes(
    task: Task, pretrained: VideoBert, labelled: Labelled, targets: Mapping[str, list[Any]], config: FinetuneConfig
) -> dict[str, list[Any]]:
    """Linear models on what the pretrained encoder makes of the examples, with the video and without."""
    inputs = {task.probe_name: labelled.examples}
    if config.reads == "both":
        inputs["text only"] = {
            split: [e.without_video() for e in examples] for split, examples in labelled.examples.items()
        }
    ways: dict[str, Sequence[int]] = {"": ()}
    if prompt := labelled.facts.get("prompt"):
        ways[" on words"] = prompt
    found = {}
    for (name, by_split), (way, asked) in product(inputs.items(), ways.items()):
        features = {split: frozen_features(pretrained, own, prompt=asked) for split, own in by_split.items()}
        found[name + way] = task.probe(features, targets, labelled.facts, config)
    return found


def shuffled(examples: Sequence[Example], *, seed: int, asked: bool) -> list[Example]:
    """The same examples, each with the clips of another one; `asked`: the words of each are a question."""
    order = generator(seed, "shuffled").permutation(len(examples))
    taken = {int(own): examples[int(other)] for own, other in zip(order, np.roll(order, 1), strict=True)}
    return [example.with_clips_of(taken[i], asked=asked) for i, example in enumerate(examples)]


def _with_intervals(
    task: Task,
    outputs: Sequence[Any],
    targets: Sequence[Any],
    groups: Sequence[str],
    labelled: Labelled,
    config: FinetuneConfig,
) -> dict[str, Any]:
    figures = task.measure(outputs, targets, labelled.facts)
    seed = seed_of(config.seed, "bootstrap", bits=63)
    intervals = bootstrap(figures, groups, draws=config.bootstrap_draws, seed=seed)
    return {
        name: {"value": value, **({"interval": list(intervals[name])} if intervals else {})}
        for name, value in figures(range(len(outputs))).items()
    }
