"""A root that an earlier version wrote is found complete: same specs, nothing computed, not one byte written.

`fixtures/old_root` was made by the version before the packages moved; its README tells how. It keeps what decides
whether a stage is complete (manifests, plans, catalog, dead letters, pointer) and what readers open (rows, weights).
Videos, tars, features, codebook and optimiser are files of the recorded size, full of zeros: a stage that read one
would fail. The listing of the source has names and sizes only, for memory has no times or ETags. Whether today's
stages would compute the same bytes once more is not tested here.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

import videobert
from videobert.errors import PipelineError
from videobert.evaluate.config import Gates
from videobert.flow import StageResult, run_stage
from videobert.query.embeddings import open_embeddings, resolve_embed_spec
from videobert.query.search import nearest
from videobert.recipes import RECIPES, Recipe, demo
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.spec import digest, output_config
from videobert.runtime.storage import Store
from videobert.stages import all_stages

FOLDER = Path(__file__).parent / "fixtures" / "old_root"
BATCH, SOURCE = "2026-01-01", "memory://old-root-source"
ORDER = ("ingest", "shard", "features", "codebook", "tokens", "pretrain", "evaluate", "embed")

RAISED = {"ingest": 2, "features": 4, "tokens": 2, "evaluate": 3}
"""Stage -> its version, where that was raised on purpose since: its results, and all that come after, are computed once
more in every root, as the changelog says. Such a stage is not run here, and its spec is held at what it was, so that
no other stage changes unnoticed behind it.
- ingest 2: captions by the specifications of their formats, links in sources, a new column
- features 4: mirrored pictures, late starts, last pictures that stand, videos shorter than a clip
- tokens 2: what is said in a damaged gap goes to no clip, and nothing silent spans a gap
- evaluate 3: the zero-shot prompt ends as the narration ends
"""

ADDED = {"finetune": 2, "predict": 1}
"""Stages that the old root knows nothing of."""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A copy of the old root, and its source."""
    root = tmp_path / "root"
    shutil.copytree(FOLDER / "root", root)
    for manifest in _manifests(root):
        for output in manifest["outputs"]:
            if not (root / output["path"]).exists():
                (root / output["path"]).write_bytes(bytes(output["size_bytes"]))
    memory = MemoryFileSystem()
    for name, size in json.loads((FOLDER / "source.json").read_text()).items():
        memory.pipe_file(f"{SOURCE}/{name}", bytes(size))
    memory.pipe_file(f"{SOURCE}/truth/truth.jsonl", (FOLDER / "truth.jsonl").read_bytes())
    yield root
    memory.rm(SOURCE, recursive=True)


@pytest.fixture
def raised_as_before(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stages that were raised have the spec that they had."""
    today, recorded = {stage.name: stage.version for stage in all_stages()}, _recorded()["versions"]
    configs = {
        type(getattr(_recipe(), manifest["stage"])): manifest["config"]
        for manifest in _manifests(root)
        if manifest["stage"] in RAISED
    }
    monkeypatch.setattr(
        "videobert.runtime.spec.output_config", lambda config: configs.get(type(config)) or output_config(config)
    )
    _set_versions(today | {name: recorded[name] for name in RAISED})
    yield
    _set_versions(today)


def test_versions_are_those_recorded_but_for_what_was_raised_on_purpose() -> None:
    assert {stage.name: stage.version for stage in all_stages()} == _recorded()["versions"] | RAISED | ADDED


@pytest.mark.parametrize("recipe", ["demo", "paper"])
def test_the_config_of_a_recipe_gives_the_digest_that_it_gave(recipe: str) -> None:
    config = RECIPES[recipe]()
    then = {stage: found for stage, found in _recorded()[recipe].items() if stage not in RAISED}
    assert {stage: digest(output_config(getattr(config, stage))) for stage in then} == then


@pytest.mark.slow
def test_every_stage_finds_itself_complete(root: Path, raised_as_before: None) -> None:
    before, store = _objects(root), Store(str(root))
    done = _run_all(_recipe(), store)
    assert [(result.stage, result.spec) for result in done] == _committed(root)
    assert not any(result.computed for result in done) and store.writes == 0
    assert _objects(root) == before


def test_a_stage_of_another_config_finds_nothing(root: Path, raised_as_before: None) -> None:
    """One byte more a shard is another spec; it would be computed, from videos that are none."""
    recipe = _recipe()
    changed = dataclasses.replace(recipe, shard=dataclasses.replace(recipe.shard, shard_bytes=150_001))
    with pytest.raises(PipelineError):
        _run_all(changed, Store(str(root)))


def test_its_rows_are_found_by_its_own_model_with_the_scores_of_then(root: Path) -> None:
    recorded, store = json.loads((FOLDER / "search.json").read_text()), Store(str(root))
    query = videobert.open(str(root)).encode(recorded["text"])
    hits = nearest(open_embeddings(store, resolve_embed_spec(store)), query, top=50)
    assert {hit.row_id: hit.score for hit in hits} == pytest.approx(recorded["rows"], abs=1e-4)


def _recipe() -> Recipe:
    """What the fixture was made with: the demo with a very small model."""
    base = demo()
    shape = dataclasses.replace(base.pretrain.architecture, layers=1, hidden=32, heads=2, intermediate=32)
    return dataclasses.replace(
        base,
        ingest=dataclasses.replace(base.ingest, source=f"{SOURCE}/videos/{{batch}}", files_per_part=4),
        shard=dataclasses.replace(base.shard, shard_bytes=150_000),
        features=dataclasses.replace(base.features, chunk_minutes=0.1),
        codebook=dataclasses.replace(base.codebook, branching=3, depth=2, heldout_fraction=0.4),
        pretrain=dataclasses.replace(
            base.pretrain, architecture=shape, steps=4, warmup_steps=0, checkpoint_every_steps=2, batch_size=4,
            retrieval_dim=16,
        ),
        evaluate=dataclasses.replace(base.evaluate, labels=f"{SOURCE}/truth/truth.jsonl", gates=Gates()),
    )  # fmt: skip


def _run_all(recipe: Recipe, store: Store) -> list[StageResult]:
    """All stages in order; what comes after the codebook takes the one there is."""
    done: list[StageResult] = []
    for name in (name for name in ORDER if name not in RAISED):
        codebook = next((result.spec for result in done if result.stage == "codebook"), "")
        selection = Selection(codebook=codebook)
        done += run_stage(recipe, store, name, batches=(BATCH,), selection=selection, executor=LocalExecutor())
    return done


def _set_versions(versions: Mapping[str, int]) -> None:
    for stage in all_stages():
        object.__setattr__(stage, "version", versions[stage.name])  # it is frozen, for every other purpose


def _recorded() -> dict[str, dict[str, Any]]:
    """Stage -> digest of its config, for every recipe; and stage -> version."""
    found: dict[str, dict[str, Any]] = json.loads((FOLDER / "configs.json").read_text())
    return found


def _committed(root: Path) -> list[tuple[str, str]]:
    """(stage, spec) of the manifests below the root, in the order of the stages, without those that were raised."""
    specs = {manifest["stage"]: manifest["spec"] for manifest in _manifests(root)}
    return [(stage, specs[stage]) for stage in ORDER if stage not in RAISED]


def _manifests(root: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in root.rglob("_manifest.json")]


def _objects(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
