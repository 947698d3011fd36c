"""The two kinds of stage, and what every stage can be asked. A stage's folder answers; nobody else knows its rules.

Light to import: what computes is imported when it is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from videobert.runtime.stage import Stage

if TYPE_CHECKING:
    from videobert.runtime.executor import Executor
    from videobert.runtime.inputs import Inputs
    from videobert.runtime.manifest import Manifest, Output
    from videobert.runtime.shards import ShardTask
    from videobert.runtime.storage import Store

__all__ = ["AnyBatchStage", "AnyCorpusStage", "AnyStage", "BatchStage", "CorpusStage", "Lookup", "Upstream"]

ConfigT = TypeVar("ConfigT")
Upstream = Mapping[str, "tuple[Manifest, ...]"]
"""Stage name -> its manifests: one, or one per batch for a corpus stage, sorted by batch."""


class Lookup(Protocol):
    """Where a stage finds what it reads. What is not committed is an InputError that says how to make it."""

    def batch_manifest(self, name: str, spec: str, batch: str) -> Manifest:
        """The commit of a batch stage."""
        ...

    def artifact(self, name: str) -> Manifest:
        """The commit of a corpus stage: the chosen one, that of a chosen artifact, or the one this recipe makes."""
        ...

    def spec(self, name: str, **given: str) -> str:
        """The spec that this recipe gives to a stage; `given` names specs of stages that it reads."""
        ...

    def committed_batches(self, name: str, spec: str) -> list[str]:
        """Batches of a stage and spec that are committed, sorted; at least one."""
        ...


class BatchStage(Stage, ABC, Generic[ConfigT]):
    """A stage that runs once per batch, shard by shard."""

    scope = "batch"
    config: type[ConfigT]
    can_be_shared: ClassVar[bool] = False
    """Whether several jobs may split a batch: its shards follow from what is committed. Others plan theirs."""

    @abstractmethod
    def spec(self, config: ConfigT, upstream: Mapping[str, str]) -> str:
        """The name of its output under this config, from the specs of the stages that it reads."""

    @abstractmethod
    def run(self, config: ConfigT, inputs: Inputs, executor: Executor) -> Manifest:
        """Do what is not done of a batch, and commit it."""

    def batches(self, lookup: Lookup) -> list[str]:
        """Batches at which it could run: those at which the first stage it reads is committed."""
        return lookup.committed_batches(self.reads[0], lookup.spec(self.reads[0]))

    def upstream(self, lookup: Lookup, batch: str) -> Upstream:
        """What it reads of a batch: as this recipe makes it, and the chosen artifacts."""
        return {name: (_read(lookup, name, batch),) for name in self.reads}

    def shard_tasks(self, manifest: Manifest, inputs: Inputs) -> list[ShardTask]:
        """What its shards are made of when it plans over `inputs` now; none where that is not up to manifests."""
        return []

    @abstractmethod
    def drop_video(self, source: Path, target: Path, video_id: str) -> dict[str, int]:
        """Copy a file of it without a video: the bytes that it would have written without it.

        Returns what left, as counts of the file that go down; empty when the video was not in it.
        """

    def outputs_with(self, store: Store, manifest: Manifest, video_id: str) -> list[Output]:
        """The outputs whose files hold a video."""
        from videobert.runtime.parquet import read_table

        def ids(output: Output) -> list[Any]:
            found: list[Any] = read_table(store, output.path, columns=["video_id"])["video_id"].to_pylist()
            return found

        return [output for output in manifest.outputs if video_id in ids(output)]

    def counts_without(self, counts: Mapping[str, int], lost: Mapping[str, int], videos: int) -> dict[str, int]:
        """Counts of an output after `videos` rows and rejects left it."""
        return {name: value - lost.get(name, 0) for name, value in counts.items()}

    def plan_keys(
        self, store: Store, manifest: Manifest | None, plan: Sequence[Sequence[str]], video_id: str
    ) -> set[str]:
        """Keys of its plan that stand for a forgotten video."""
        return set()

    def after_forgetting(self, store: Store, manifest: Manifest) -> None:
        """Renew what follows from a commit that lost a video, besides its dead letters. May be called again."""

    def source_uris(self, store: Store, manifest: Manifest, video_id: str) -> set[str]:
        """Where a video still lies outside of the root, as far as this stage knows."""
        return set()

    def outside(self, config: ConfigT, store: Store, batch: str) -> str:
        """What it looks at that no manifest holds, such as the URL of a bucket's prefix; empty: nothing."""
        return ""

    def outside_digest(self, outside: str, batch: str) -> str:
        """Digest of how that looks now."""
        return ""


class CorpusStage(Stage, ABC, Generic[ConfigT]):
    """A stage that runs once over many batches and leaves one artifact."""

    scope = "corpus"
    config: type[ConfigT]
    artifact: ClassVar[str] = ""
    """The word by which users choose one, as in `--model SPEC`; empty: nothing reads it."""
    takes_batches: ClassVar[bool] = False
    """Whether users name the batches; the others read those of the artifact that they are made from."""

    @abstractmethod
    def run(self, config: ConfigT, inputs: Inputs, executor: Executor) -> Manifest:
        """Make the artifact, resume it, or find it committed."""

    @abstractmethod
    def upstream(self, lookup: Lookup, batches: Sequence[str]) -> Upstream:
        """What it reads."""

    def spec(self, config: ConfigT, inputs: Inputs) -> str:
        """The name of the artifact: it depends on the very manifests that it reads."""
        from videobert.runtime.spec import corpus_spec

        return corpus_spec(self, config, inputs.sources)

    def current(self, store: Store) -> str:
        """Spec of the artifact that readers take now. Raises InputError where there is none."""
        from videobert.errors import InputError

        raise InputError(f"{self.name} has no current artifact; name one by its spec (`videobert status`)")


AnyBatchStage = BatchStage[Any]
AnyCorpusStage = CorpusStage[Any]
AnyStage = AnyBatchStage | AnyCorpusStage


def _read(lookup: Lookup, name: str, batch: str) -> Manifest:
    from videobert.runtime.stage import stage_record

    if stage_record(name).scope == "corpus":
        return lookup.artifact(name)
    return lookup.batch_manifest(name, lookup.spec(name), batch)
