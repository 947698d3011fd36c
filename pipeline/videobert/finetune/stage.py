"""What only finetune knows: what it is trained on, and that its labels are part of its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from videobert.finetune.config import FinetuneConfig
from videobert.runtime.stage_kinds import CorpusStage, Lookup, Upstream

if TYPE_CHECKING:
    from videobert.runtime.executor import Executor
    from videobert.runtime.inputs import Inputs
    from videobert.runtime.manifest import Manifest

__all__ = ["FINETUNE"]


class Finetune(CorpusStage[FinetuneConfig]):
    name = "finetune"
    reads = ("tokens", "pretrain")
    folder = "finetuned/{spec}"
    version = 2
    summary = "train a head, and the encoder with it, on labels; metrics with controls, one HTML page"
    parts = ("finetune",)
    hours = 24
    config = FinetuneConfig
    artifact = "task"
    takes_batches = True

    def spec(self, config: FinetuneConfig, inputs: Inputs) -> str:
        """Other labels, another model."""
        from videobert.finetune.labels import label_digests, read_labels
        from videobert.finetune.views import view_manifests
        from videobert.runtime.spec import corpus_spec

        labels = read_labels(config, inputs.store.root)
        views = {f"view {n}": manifest.digest for n, manifest in enumerate(view_manifests(config, inputs))}
        return corpus_spec(self, config, inputs.sources, extra=label_digests(labels) | views)

    def run(self, config: FinetuneConfig, inputs: Inputs, executor: Executor) -> Manifest:
        from videobert.finetune.run import run

        return run(config, inputs, executor)

    def upstream(self, lookup: Lookup, batches: Sequence[str]) -> Upstream:
        """The chosen model, and the tokens of its batches, or of those that are named."""
        model = lookup.artifact("pretrain")
        spec = model.source_spec("tokens")
        tokens = (lookup.batch_manifest("tokens", spec, key) for key in batches or model.facts["batches"])
        return {"pretrain": (model,), "tokens": tuple(tokens)}


FINETUNE = Finetune()
