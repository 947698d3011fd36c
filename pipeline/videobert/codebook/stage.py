"""What only codebook knows: its place in the flow and what it is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from videobert.codebook.config import CodebookConfig
from videobert.runtime.stage_kinds import CorpusStage, Lookup, Upstream

if TYPE_CHECKING:
    from videobert.runtime.executor import Executor
    from videobert.runtime.inputs import Inputs
    from videobert.runtime.manifest import Manifest

__all__ = ["CODEBOOK"]


class Codebook(CorpusStage[CodebookConfig]):
    name = "codebook"
    reads = ("features", "ingest")
    folder = "codebooks/{spec}"
    version = 1
    summary = "fit hierarchical k-means centroids and the WordPiece vocabulary"
    parts = ("train",)
    config = CodebookConfig
    artifact = "codebook"
    takes_batches = True

    def run(self, config: CodebookConfig, inputs: Inputs, executor: Executor) -> Manifest:
        from videobert.codebook.run import run

        return run(config, inputs, executor)

    def upstream(self, lookup: Lookup, batches: Sequence[str]) -> Upstream:
        """The batches that are named, or all that have features."""
        specs = {name: lookup.spec(name) for name in self.reads}
        keys = sorted(batches) or lookup.committed_batches(self.reads[0], specs[self.reads[0]])
        return {name: tuple(lookup.batch_manifest(name, spec, key) for key in keys) for name, spec in specs.items()}


CODEBOOK = Codebook()
