"""What only pretrain knows: its place in the flow, its spec, what it is trained on, which model is promoted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from videobert.errors import InputError
from videobert.pretrain.config import PretrainConfig
from videobert.runtime.stage_kinds import CorpusStage, Lookup, Upstream

if TYPE_CHECKING:
    from videobert.runtime.executor import Executor
    from videobert.runtime.inputs import Inputs
    from videobert.runtime.manifest import Manifest
    from videobert.runtime.storage import Store

__all__ = ["PRETRAIN"]


class Pretrain(CorpusStage[PretrainConfig]):
    name = "pretrain"
    reads = ("tokens", "codebook")
    folder = "models/{spec}"
    version = 2
    summary = "train VideoBERT: masked cloze, alignment, retrieval"
    parts = ("train",)
    hours = 7 * 24
    config = PretrainConfig
    artifact = "model"

    def spec(self, config: PretrainConfig, inputs: Inputs) -> str:
        from videobert.pretrain.spec import pretrain_spec

        return pretrain_spec(config, inputs)

    def run(self, config: PretrainConfig, inputs: Inputs, executor: Executor) -> Manifest:
        from videobert.pretrain.run import run

        return run(config, inputs, executor)

    def upstream(self, lookup: Lookup, batches: Sequence[str]) -> Upstream:
        """The tokens of every batch of the codebook."""
        codebook = lookup.artifact("codebook")
        spec = lookup.spec("tokens", features=codebook.source_spec("features"), codebook=codebook.spec)
        tokens = (lookup.batch_manifest("tokens", spec, key) for key in codebook.facts["batches"])
        return {"codebook": (codebook,), "tokens": tuple(tokens)}

    def current(self, store: Store) -> str:
        from videobert.runtime.pointer import read_pointer

        pointer = read_pointer(store)
        if pointer is None:
            raise InputError(
                f"no model is promoted below {store.root}; train one (`videobert run`), or name one with --model"
            )
        return pointer.model_spec


PRETRAIN = Pretrain()
