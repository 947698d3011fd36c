"""A small kitchen and the whole pipeline over it, run once for the tests of this folder."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from videobert.admin.promotion import promote
from videobert.demo.broken import write_broken
from videobert.demo.grammar import demo_kitchen
from videobert.demo.render import write_kitchen
from videobert.evaluate.config import Gates
from videobert.flow import StageResult, run_stage
from videobert.recipes import Recipe, demo
from videobert.resolve import Selection
from videobert.runtime.executor import Executor, LocalExecutor
from videobert.runtime.storage import Store
from videobert.stages import flow_of

BATCHES = ("2026-01-01", "2026-01-02")


@dataclass(frozen=True)
class Run:
    """A finished run."""

    root: Path
    recipe: Recipe
    results: list[StageResult]

    @property
    def store(self) -> Store:
        return Store(str(self.root))

    def spec(self, stage: str) -> str:
        return next(result.spec for result in self.results if result.stage == stage)


def small_recipe(corpus: Path) -> Recipe:
    """The demo with a few steps of training, its videos outside the root."""
    base = demo()
    return dataclasses.replace(
        base,
        ingest=dataclasses.replace(base.ingest, source=f"{corpus}/videos/{{batch}}", files_per_part=3),
        shard=dataclasses.replace(base.shard, shard_bytes=600_000),
        codebook=dataclasses.replace(base.codebook, branching=4, depth=2, heldout_fraction=0.3),
        pretrain=dataclasses.replace(
            base.pretrain, steps=6, warmup_steps=0, checkpoint_every_steps=3, batch_size=8, threads=1
        ),
        evaluate=dataclasses.replace(base.evaluate, labels=f"{corpus}/truth/truth.jsonl", gates=Gates()),
    )


def run_all(recipe: Recipe, store: Store, executor: Executor, batches: tuple[str, ...] = BATCHES) -> list[StageResult]:
    """Every stage in order, and the promotion."""
    results: list[StageResult] = []
    selection = Selection()
    for name in (*flow_of("ingest"), "codebook", "tokens", "pretrain", "evaluate", "embed"):
        done = run_stage(recipe, store, name, batches=batches, selection=selection, executor=executor)
        results += done
        if name == "codebook":
            selection = Selection(codebook=done[0].spec)
    promote(recipe, store, next(r.spec for r in results if r.stage == "pretrain"))
    return results


def objects(root: Path) -> dict[str, bytes]:
    """Every object below a root."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight kitchen videos and three broken files in two batches."""
    folder = tmp_path_factory.mktemp("corpus")
    write_kitchen(demo_kitchen(1), out_url=str(folder), batches=BATCHES, videos_per_batch=4)
    write_broken(str(folder), BATCHES)
    return folder


@pytest.fixture(scope="session")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The whole pipeline, in this process."""
    root = tmp_path_factory.mktemp("root")
    recipe = small_recipe(corpus)
    return Run(root, recipe, run_all(recipe, Store(str(root)), LocalExecutor()))


@pytest.fixture
def copied(run: Run, tmp_path: Path) -> Run:
    """The same run in a folder that a test may change."""
    root = tmp_path / "root"
    shutil.copytree(run.root, root)
    return dataclasses.replace(run, root=root)
