"""`videobert run` and `videobert stage`: compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Literal, Self

import tyro

from videobert.admin.promoted import follows_promoted, run_with_promoted
from videobert.admin.promotion import promote
from videobert.batch_key import batch_key_of, parse_batch_keys
from videobert.cli.dry_run import print_plan
from videobert.cli.ray_job import RayJob
from videobert.cli.what_next import what_next
from videobert.errors import InputError
from videobert.flow import StageResult, run_stage
from videobert.recipes import DEFAULT_RECIPE, Recipe, get_recipe
from videobert.resolve import Selection
from videobert.runtime.executor import Executor, LocalExecutor
from videobert.runtime.inputs import Share
from videobert.runtime.storage import Store
from videobert.stages import CorpusStage, get_stage, run_order

__all__ = ["Compute", "ExecutorOptions", "RunCommand", "StageCommand", "result_line"]


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """Where the work runs; changes no output."""

    kind: Literal["local", "ray"] = "local"
    """`local`: this machine's processes. `ray`: actors of the cluster at RAY_ADDRESS, or a fresh local one."""
    workers: int = 0
    """Workers of a batch stage at once; 0: one local process, or as many Ray actors as fit."""
    train_workers: int = 1
    """Workers of Ray Train in `pretrain`."""
    cpus_per_worker: float = 1.0
    """CPU share that a Ray actor asks for."""
    gpus_per_worker: float = 0.0
    """GPU share that a Ray actor or training worker asks for."""
    encoders: int = 0
    """Ray actors that encode for all workers of `features`: they take the GPUs, and the workers only decode, on nodes
    without. 0: every worker encodes what it decodes."""
    accelerator_type: str = ""
    """Ray's name of a GPU model, such as `H100`; empty takes any."""

    def build(self) -> Executor:
        """The executor; Ray is imported only when asked for."""
        if self.kind == "local":
            if self.train_workers != 1:
                raise InputError(f"executor.train-workers is {self.train_workers}; several need --executor.kind ray")
            if self.encoders:
                raise InputError(f"executor.encoders is {self.encoders}; they need --executor.kind ray")
            return LocalExecutor(max(1, self.workers))
        from videobert.runtime.ray_executor import ActorOptions, RayExecutor

        options = ActorOptions(
            num_cpus=self.cpus_per_worker, num_gpus=self.gpus_per_worker, accelerator_type=self.accelerator_type
        )
        return RayExecutor(
            workers=self.workers, train_workers=self.train_workers, servers=self.encoders, options=options
        )


@dataclass(frozen=True, kw_only=True)
class Compute:
    """What every command that computes asks for."""

    root: str
    """Where everything is written: a path or an fsspec URL such as s3://bucket/prefix."""
    batch: str = ""
    """Batch keys, separated by commas; empty: all that are there."""
    recipe: str = DEFAULT_RECIPE
    """Configuration: a name, a TOML file, or module:function; every field below can be changed by its flag."""
    executor: ExecutorOptions = field(default_factory=ExecutorOptions)
    """Where the work runs."""
    config: Annotated[Recipe, tyro.conf.arg(name="")] = field(default_factory=Recipe)
    """The configuration of every stage."""
    dry_run: bool = False
    """Say what is committed and what would run, and stop."""

    @classmethod
    def with_recipe(cls, arguments: Sequence[str]) -> Self:
        """Defaults of the recipe named on the command line; what has none must be given."""
        name = _recipe_name(arguments)
        needed = {f.name: tyro.MISSING for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
        return cls(**needed, recipe=name, config=get_recipe(name))

    @property
    def batches(self) -> tuple[str, ...]:
        return parse_batch_keys(self.batch)

    def for_source(self, source: str) -> tuple[Recipe, tuple[str, ...]]:
        """Configuration and batches when the videos below `source` are meant; a source is a batch of its name."""
        if not source:
            if not self.batches:
                raise InputError("neither videos nor batches are named; give a folder, as in: videobert run VIDEOS")
            return self.config, self.batches
        if "{batch}" in source and not self.batches:
            raise InputError(f"{source} holds {{batch}}, but none is named; give --batch KEY, or a folder")
        source = source if "://" in source else str(Path(source).expanduser().absolute())
        config = replace(self.config, ingest=replace(self.config.ingest, source=source))
        return config, self.batches or (batch_key_of(source),)

    def store(self) -> Store:
        store = Store(self.root)
        if not self.dry_run:
            store.check_root()
        return store


@dataclass(frozen=True, kw_only=True)
class StageCommand(Compute):
    """Run one stage over one batch, several, or the corpus."""

    name: tyro.conf.Positional[str]
    """The stage: ingest, shard, features, codebook, tokens, pretrain, embed, evaluate, finetune or predict."""
    codebook: str = ""
    """Spec of the codebook to use; empty: the model's, else the one this recipe makes."""
    model: str = ""
    """Spec of the model to use, or `current` for the promoted one; empty: the one this recipe makes."""
    task: str = ""
    """Spec of the fine-tuned model to use; empty: the one this recipe makes of the model and its labels."""
    share: str = "1/1"
    """Do one share of the shards, such as 2/8: several jobs split a huge batch, the last to end commits it."""

    def execute(self) -> None:
        stage = get_stage(self.name)
        if self.batches and isinstance(stage, CorpusStage) and not stage.takes_batches:
            raise InputError(
                f"--batch {self.batch} says nothing to {self.name}: it reads the batches of its codebook; leave it "
                "out, or fit a codebook on these batches first"
            )
        store = self.store()
        selection = Selection(codebook=self.codebook, model=self.model, task=self.task)
        if self.dry_run:
            print_plan(self.config, store, [self.name], self.batches, selection)
            return
        job = RayJob.ours(self.config, store, self.name, recipe=self.recipe, batches=self.batches, model=self.model)
        executor, share = self.executor.build(), _share(self.share)
        if self.model == "current" and follows_promoted(self.name):
            results = run_with_promoted(
                self.config, store, self.name, batches=self.batches, executor=executor, share=share
            )  # fmt: skip
        else:
            results = run_stage(
                self.config, store, self.name, batches=self.batches, executor=executor, selection=selection,
                share=share,
            )  # fmt: skip
        for result in results:
            print(result_line(result))
        if job:
            job.write_result(results)


@dataclass(frozen=True, kw_only=True)
class RunCommand(Compute):
    """Run all stages: ingest to features of every batch, train, evaluate, embed, promote when the gates hold.

    `videobert run VIDEOS --root R` takes any folder or prefix, with the recipe for one's own videos.
    """

    source: tyro.conf.Positional[str] = ""
    """Prefix of the videos, also with `{batch}`; empty: that of the recipe, for the batches of --batch."""

    def execute(self) -> None:
        from videobert.cli.check import report_check

        config, batches = self.for_source(self.source)
        store = self.store()
        if self.dry_run:
            print_plan(config, store, run_order(), batches, Selection())
            return
        report_check(config, store, batches)
        executor = self.executor.build()
        chosen: dict[str, str] = {}
        done: list[StageResult] = []
        for name in run_order():
            results = run_stage(config, store, name, batches=batches, selection=Selection(**chosen), executor=executor)
            done += results
            for result in results:
                print(result_line(result), flush=True)
            stage = get_stage(name)
            if isinstance(stage, CorpusStage) and stage.artifact:
                chosen[stage.artifact] = results[0].spec
        print(promote(config, store, chosen["model"], executor=executor))
        print(*what_next(store, done), sep="\n")


def _recipe_name(arguments: Sequence[str]) -> str:
    """The value of --recipe before the rest is parsed, since it decides the defaults of the other flags."""
    for position, argument in enumerate(arguments):
        if argument == "--recipe" and position + 1 < len(arguments):
            return arguments[position + 1]
        if argument.startswith("--recipe="):
            return argument.removeprefix("--recipe=")
    return DEFAULT_RECIPE


def result_line(result: StageResult) -> str:
    counts = ", ".join(f"{value:,} {name}" for name, value in result.counts.items() if value)
    done = f"{result.seconds:.1f} s" if result.computed or not result.manifest else "already committed"
    if not result.manifest:
        done += ", our share is done; the batch is committed when the other shares are"
    return f"{result.stage:<9} {result.batch or 'corpus':<12} {result.spec:<24} {done}{'; ' + counts if counts else ''}"


def _share(text: str) -> Share:
    index, _, count = text.partition("/")
    try:
        return Share(index=int(index), count=int(count))
    except ValueError as error:
        raise InputError(f"--share {text!r} is no share; write it as 2/8, the second of eight") from error
