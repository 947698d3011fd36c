"""The smallest whole run: six videos in two batches, and a model of two steps. Made once per test run, in seconds."""

from __future__ import annotations

import dataclasses
import fcntl
import json
from dataclasses import dataclass
from pathlib import Path

from videobert.admin.promotion import promote
from videobert.demo.broken import write_broken
from videobert.demo.grammar import demo_kitchen
from videobert.demo.render import write_kitchen
from videobert.evaluate.config import Gates
from videobert.flow import run_stage
from videobert.recipes import Recipe, demo
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.storage import Store
from videobert.stages import run_order

__all__ = ["BATCHES", "SmallRoot", "small_root_at"]

BATCHES = ("2026-01-01", "2026-01-02")


@dataclass(frozen=True)
class SmallRoot:
    """A finished run with its promoted model."""

    folder: Path
    """Holds the root as `demo`, as `make demo` leaves it, and the videos as `corpus`."""
    recipe: Recipe
    specs: dict[str, str]
    """Stage -> its spec."""

    @property
    def root(self) -> str:
        return str(self.folder / "demo")


def small_root_at(folder: Path) -> SmallRoot:
    """The run in that folder; of several processes that ask, the first makes it and the others wait."""
    made, specs = folder / "small", folder / "small.json"
    with (folder / "small.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not specs.exists():
            specs.write_text(json.dumps(_make(made)))
    return SmallRoot(made, _recipe(made / "corpus"), json.loads(specs.read_text()))


def _make(folder: Path) -> dict[str, str]:
    """Write the videos, three of them broken, and run all stages in this process: the spec of each stage."""
    corpus = folder / "corpus"
    kitchen = dataclasses.replace(demo_kitchen(1), steps_min=2, steps_max=3)
    write_kitchen(kitchen, out_url=str(corpus), batches=BATCHES, videos_per_batch=3)
    write_broken(str(corpus), BATCHES)
    recipe, store = _recipe(corpus), Store(str(folder / "demo"))
    specs, selection = dict[str, str](), Selection()
    for name in run_order():
        results = run_stage(recipe, store, name, batches=BATCHES, selection=selection, executor=LocalExecutor())
        specs[name] = results[0].spec
        if name == "codebook":
            selection = Selection(codebook=specs[name])
    promote(recipe, store, specs["pretrain"])
    return specs


def _recipe(corpus: Path) -> Recipe:
    base = demo()
    shape = dataclasses.replace(base.pretrain.architecture, layers=1, hidden=32, heads=2, intermediate=32)
    return dataclasses.replace(
        base,
        ingest=dataclasses.replace(base.ingest, source=f"{corpus}/videos/{{batch}}"),
        shard=dataclasses.replace(base.shard, shard_bytes=600_000),
        codebook=dataclasses.replace(base.codebook, branching=3, depth=2, heldout_fraction=0.4),
        pretrain=dataclasses.replace(
            base.pretrain, architecture=shape, steps=2, warmup_steps=0, checkpoint_every_steps=1, keep_checkpoints=1,
            batch_size=8, threads=1,
        ),
        evaluate=dataclasses.replace(base.evaluate, labels=f"{corpus}/truth/truth.jsonl", gates=Gates()),
    )  # fmt: skip
