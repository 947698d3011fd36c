"""`videobert finetune` and `predict`: learn a task from labels, and answer for every segment or video."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from videobert.cli.dry_run import print_plan
from videobert.cli.stages import Compute, result_line
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.stage import FINETUNE
from videobert.flow import run_stage
from videobert.predict.tuned import find_tuned
from videobert.recipes import Recipe
from videobert.resolve import Resolver, Selection

__all__ = ["FinetuneCommand", "PredictCommand", "figure_lines"]


@dataclass(frozen=True, kw_only=True)
class FinetuneCommand(Compute):
    """Fine-tune the promoted model on labels, and compare it with its controls.

    videobert finetune --task classification --labels labels.csv --root R

    The same labels and configuration are found done; a killed run resumes. `videobert predict` applies the result.
    """

    task: str = ""
    """What is learnt, such as classification; empty: what the recipe says."""
    labels: str = ""
    """Table of labels: .csv, .jsonl or .parquet; empty: that of the recipe."""
    search: str = ""
    """`trials=20`: try so many configurations on Ray Tune, and fine-tune with the one that is best on the validation
    split. A killed search resumes."""
    model: str = "current"
    """Spec of the pretrained model, `current` for the promoted one; empty: the one this recipe makes."""

    def execute(self) -> None:
        said = self.config.finetune
        said = replace(said, task=self.task or said.task, labels=self.labels or said.labels)
        config = replace(self.config, finetune=said)
        store, selection = self.store(), Selection(model=self.model)
        if self.dry_run:
            print_plan(config, store, ["finetune"], self.batches, selection)
            return
        if self.search:
            config = replace(config, finetune=self._searched(config, selection))
        (result,) = run_stage(
            config, store, "finetune", batches=self.batches, selection=selection, executor=self.executor.build()
        )
        print(result_line(result))
        folder = result.manifest.rpartition("/")[0]
        metrics = json.loads(store.read(f"finetuned/{result.spec}/metrics.json"))
        for line in figure_lines(metrics["figures"]):
            print(line)
        print(f"report    {folder}/report.html")

    def _searched(self, config: Recipe, selection: Selection) -> FinetuneConfig:
        """The best configuration of a search, which needs Ray."""
        from videobert.finetune.search import parse_search, search
        from videobert.runtime.ray_executor import RayExecutor

        trials, executor = parse_search(self.search), replace(self.executor, kind="ray").build()
        assert isinstance(executor, RayExecutor)
        inputs = Resolver(config, self.store(), selection).corpus_inputs(FINETUNE, self.batches)
        found = search(config.finetune, inputs, executor, trials=trials)
        print(f"search    {trials} trials, the best with {found.search}")
        return found


@dataclass(frozen=True, kw_only=True)
class PredictCommand(Compute):
    """Answer with a fine-tuned model for every segment or video of some batches.

    videobert predict --root R --batch 2026-01-05

    Rows go to predictions/task=SPEC, where `videobert sql "select * from predictions"` finds them.
    """

    task: str = ""
    """Spec of the fine-tuned model; empty: the only one below the root."""

    def execute(self) -> None:
        store = self.store()
        selection = Selection(task=find_tuned(store, self.task).spec)
        if self.dry_run:
            print_plan(self.config, store, ["predict"], self.batches, selection)
            return
        for result in run_stage(
            self.config, store, "predict", batches=self.batches, selection=selection, executor=self.executor.build()
        ):
            print(result_line(result), flush=True)


def figure_lines(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line for the network and each control, and one that says which controls are better by the first figure."""
    width = max(len(who) for who in figures)
    for who, found in figures.items():
        yield f"{who:<{width}}  " + ", ".join(f"{name} {figure['value']:.3f}" for name, figure in found.items())
    (network, own), *controls = figures.items()
    first = next(iter(own))
    if better := [who for who, found in controls if found[first]["value"] > own[first]["value"]]:
        yield (
            f"{network} is worse than: {', '.join(better)}. More labels, finetune.patience or epochs, a lower "
            "finetune.encoder-rate or finetune.freeze encoder may help"
        )
