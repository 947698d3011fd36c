"""The small corpus of the fault tests, and an undisturbed run over it: what every resumed run is compared with."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults.crash import CrashStore, boundaries, in_child
from videobert.admin.forget import forget
from videobert.admin.promotion import promote
from videobert.demo.broken import write_broken
from videobert.demo.grammar import demo_kitchen
from videobert.demo.render import read_truth, write_kitchen
from videobert.evaluate.config import Gates
from videobert.finetune.config import FinetuneConfig
from videobert.flow import StageResult, run_stage
from videobert.labels.read import to_json_lines
from videobert.labels.records import LabelRow
from videobert.recipes import Recipe, demo
from videobert.resolve import Selection
from videobert.runtime.executor import Executor, LocalExecutor
from videobert.runtime.manifest import Manifest
from videobert.runtime.storage import Store, file_sha256, sha256

__all__ = ["STEPS", "Reference", "check_manifests", "objects_of", "put_objects", "run_step"]

BATCH = "2026-01-01"
STEPS = (
    "ingest", "shard", "features", "codebook", "tokens", "pretrain", "evaluate", "embed", "promote", "finetune",
    "predict", "forget",
)  # fmt: skip
"""The stages, the pointer, and the removal of one video."""


def tiny_recipe(corpus: Path) -> Recipe:
    """The demo over one batch in several shards, with a few steps of a very small model."""
    base = demo()
    shape = dataclasses.replace(base.pretrain.architecture, layers=1, hidden=32, heads=2, intermediate=32)
    return dataclasses.replace(
        base,
        ingest=dataclasses.replace(base.ingest, source=f"{corpus}/videos/{{batch}}", files_per_part=4),
        shard=dataclasses.replace(base.shard, shard_bytes=150_000),
        features=dataclasses.replace(base.features, chunk_minutes=0.1),  # the first video of a tar comes in chunks
        codebook=dataclasses.replace(base.codebook, branching=3, depth=2, heldout_fraction=0.4),
        pretrain=dataclasses.replace(
            base.pretrain, architecture=shape, steps=4, warmup_steps=0, checkpoint_every_steps=2,
            keep_checkpoints=1, batch_size=4, retrieval_dim=16,
        ),
        evaluate=dataclasses.replace(base.evaluate, labels=f"{corpus}/truth/truth.jsonl", gates=Gates()),
        finetune=FinetuneConfig(labels=f"{corpus}/labels.jsonl", epochs=2, batch_size=2, bootstrap_draws=5),
    )  # fmt: skip


def write_corpus(folder: Path) -> None:
    """Four kitchen videos and three broken files."""
    kitchen = dataclasses.replace(demo_kitchen(1), steps_min=2, steps_max=2)
    write_kitchen(kitchen, out_url=str(folder), batches=(BATCH,), videos_per_batch=4)
    write_broken(str(folder), (BATCH,))
    rows = read_truth(str(folder))
    videos = sorted({row.video_id for row in rows})
    splits = dict(zip(videos, ("test", "validation", "train", "train"), strict=True))
    labels = [
        LabelRow(
            video=row.video_id, start_seconds=row.start_seconds, end_seconds=row.end_seconds,
            label=("first" if row.step else "second",), split=splits[row.video_id],
        )
        for row in rows
    ]  # fmt: skip
    (folder / "labels.jsonl").write_bytes(to_json_lines(labels))


def run_step(recipe: Recipe, store: Store, step: str, executor: Executor) -> list[StageResult]:
    """One stage, the promotion, or the removal of a video."""
    if step == "promote":
        (model,) = store.folders("models")
        promote(recipe, store, model)
        return []
    if step == "forget":
        forget(store, file_sha256(Path(recipe.ingest.source.format(batch=BATCH)) / "kitchen-00001.mp4"))
        return []
    if step in ("finetune", "predict"):
        selection = Selection(model="current")
        return run_stage(recipe, store, step, batches=(BATCH,), selection=selection, executor=executor)
    codebooks = store.folders("codebooks") if step in ("tokens", "pretrain", "evaluate", "embed") else ()
    selection = Selection(codebook=codebooks[0] if codebooks else "")
    return run_stage(recipe, store, step, batches=(BATCH,), selection=selection, executor=executor)


def objects_of(store: Store) -> dict[str, bytes]:
    """Every object below the root."""
    return {path: store.read(path) for path in store.list("")}


def put_objects(store: Store, objects: Mapping[str, bytes]) -> None:
    for path, data in objects.items():
        store.write(path, data)


def check_manifests(objects: Mapping[str, bytes]) -> None:
    """What a reader trusts: every file that a manifest names is there, with the bytes it names."""
    for path, data in objects.items():
        if path.endswith("/_manifest.json"):
            for output in Manifest.from_bytes(data).outputs:
                assert sha256(objects[output.path]) == output.sha256, f"{path} names {output.path}"


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: the objects before every step and after the last, and each step's write boundaries."""

    recipe: Recipe
    folder: Path
    boundaries: Mapping[str, list[str]]

    @staticmethod
    def make(folder: Path) -> Reference:
        """Write the corpus and run all steps, each in a process of its own. A finished one is taken as it is."""
        corpus, recipe = folder / "corpus", tiny_recipe(folder / "corpus")
        store = Store(str(folder / "000"))
        if not (folder / "corpus").exists():
            write_corpus(corpus)
        for number, step in enumerate(STEPS):
            after = folder / f"{number + 1:03d}"
            if after.exists():
                continue
            work = functools.partial(_undisturbed, recipe, folder, number, step)
            assert in_child(work) == 0, f"the undisturbed run failed in {step}"
        del store
        return Reference(recipe, folder, {step: boundaries(folder / f"{step}.ledger") for step in STEPS})

    def before(self, step: str) -> dict[str, bytes]:
        """The objects with which a step begins."""
        return objects_of(Store(str(self.folder / f"{STEPS.index(step):03d}")))

    def after(self, step: str) -> dict[str, bytes]:
        """The objects with which it ends."""
        return objects_of(Store(str(self.folder / f"{STEPS.index(step) + 1:03d}")))


def _undisturbed(recipe: Recipe, folder: Path, number: int, step: str) -> None:
    target = folder / f"{number + 1:03d}.new"
    put_objects(Store(str(target)), objects_of(Store(str(folder / f"{number:03d}"))))
    ledger = folder / f"{step}.ledger"
    ledger.unlink(missing_ok=True)
    run_step(recipe, CrashStore(str(target), ledger), step, LocalExecutor())
    target.rename(folder / f"{number + 1:03d}")
