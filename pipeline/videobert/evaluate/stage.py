"""What only evaluate knows: its place in the flow and what it measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from videobert.evaluate.config import EvaluateConfig
from videobert.runtime.stage_kinds import CorpusStage, Lookup, Upstream

if TYPE_CHECKING:
    from videobert.runtime.executor import Executor
    from videobert.runtime.inputs import Inputs
    from videobert.runtime.manifest import Manifest

__all__ = ["EVALUATE"]


class Evaluate(CorpusStage[EvaluateConfig]):
    name = "evaluate"
    reads = ("tokens", "codebook", "pretrain")
    folder = "reports/{spec}"
    version = 3
    summary = "zero-shot, retrieval and codebook health; gates, JSON and one HTML page"
    parts = ("train",)
    hours = 6
    config = EvaluateConfig

    def spec(self, config: EvaluateConfig, inputs: Inputs) -> str:
        """Other labels, another evaluation."""
        from videobert.evaluate.labels import read_labels
        from videobert.runtime.spec import corpus_spec
        from videobert.runtime.storage import sha256

        labels, _ = read_labels(config, inputs.store.root)
        return corpus_spec(self, config, inputs.sources, extra={"labels": sha256(labels)})

    def run(self, config: EvaluateConfig, inputs: Inputs, executor: Executor) -> Manifest:
        from videobert.evaluate.run import run

        return run(config, inputs, executor)

    def upstream(self, lookup: Lookup, batches: Sequence[str]) -> Upstream:
        """The chosen model, its codebook, and the tokens that it was trained on."""
        codebook, model = lookup.artifact("codebook"), lookup.artifact("pretrain")
        spec = model.source_spec("tokens")
        tokens = (lookup.batch_manifest("tokens", spec, key) for key in codebook.facts["batches"])
        return {"codebook": (codebook,), "pretrain": (model,), "tokens": tuple(tokens)}


EVALUATE = Evaluate()
