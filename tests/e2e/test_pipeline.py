"""The main job over a small corpus: contract, readers, resumption."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import BATCHES, Run, objects, run_all, small_recipe
from tests.faults.crash import Moment, boundaries
from videobert.flow import run_stage
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.manifest import load_manifest
from videobert.runtime.storage import Store, sha256


def test_every_video_is_rows_or_one_dead_letter(run: Run, corpus: Path) -> None:
    files = [p for p in (corpus / "videos").rglob("*") if p.suffix in (".mp4", ".webm", ".mov")]
    letters = [row for p in (run.root / "dead_letters").rglob("*.parquet") for row in pq.read_table(p).to_pylist()]
    paths = (run.root / "embeddings").rglob("*.parquet")
    embedded = {v for p in paths for v in pq.read_table(p, partitioning=None)["video_id"].to_pylist()}
    assert len(letters) == 3
    assert {row["reason"] for row in letters} <= {"empty", "undecodable"}
    assert len(embedded) + len(letters) == len(files)


def test_manifests_tell_the_truth(run: Run) -> None:
    for result in run.results:
        manifest = load_manifest(run.store, result.stage, result.spec, result.batch)
        assert manifest is not None
        for output in manifest.outputs:
            assert sha256(run.store.read(output.path)) == output.sha256, output.path


def test_shards_keep_their_number_through_the_stages(run: Run) -> None:
    numbers = {
        name: [o.shard for o in manifest.outputs]
        for name in ("shard", "features", "tokens", "embed")
        if (manifest := load_manifest(run.store, name, run.spec(name), BATCHES[0]))
    }
    assert len(numbers["shard"]) > 1
    assert numbers["shard"] == numbers["features"] == numbers["tokens"] == numbers["embed"]


def test_second_run_writes_nothing(copied: Run) -> None:
    before = objects(copied.root)
    store = Store(str(copied.root))
    results = run_all(copied.recipe, store, LocalExecutor())
    assert store.writes == 0
    assert not any(result.computed for result in results)
    assert objects(copied.root) == before


def test_a_second_machine_writes_the_same_bytes(run: Run, tmp_path: Path) -> None:
    run_all(run.recipe, Store(str(tmp_path)), LocalExecutor(processes=2))
    assert objects(tmp_path) == objects(run.root)


def test_a_late_video_opens_a_new_shard_and_changes_no_old_one(corpus: Path, tmp_path: Path) -> None:
    grown, store = tmp_path / "corpus", Store(str(tmp_path / "root"))
    shutil.copytree(corpus, grown)
    recipe = small_recipe(grown)
    run_all(recipe, store, LocalExecutor())
    before = _shards(tmp_path / "root")
    made = next((grown / "videos" / BATCHES[1]).glob("kitchen-*.mp4"))
    shutil.copy(made, grown / "videos" / BATCHES[0] / "late.mp4")
    for name in ("ingest", "shard", "features", "tokens", "embed"):
        run_stage(
            recipe, store, name, batches=BATCHES[:1], selection=Selection(model="current"), executor=LocalExecutor()
        )
    after = _shards(tmp_path / "root")
    assert {path: after[path] for path in before} == before
    opened = set(after) - set(before)
    assert sorted(path.split("/")[0] for path in opened) == ["embeddings", "features", "shards", "tokens"]
    assert all(f"batch={BATCHES[0]}" in path for path in opened)


def _shards(root: Path) -> dict[str, bytes]:
    """Every numbered file of the stages after ingest."""
    kinds = ("shards/", "features/", "tokens/", "embeddings/")
    return {p: data for p, data in objects(root).items() if p.startswith(kinds) and p.endswith((".tar", ".parquet"))}


@pytest.mark.parametrize(("part", "moment"), [(0.25, "before"), (0.6, "torn"), (0.9, "before")])
def test_killed_at_a_write_it_resumes_to_the_same_bytes(
    run: Run, corpus: Path, tmp_path: Path, part: float, moment: Moment
) -> None:
    """The whole job, killed at a quarter of its writes, in the middle of a later one, and near its end."""
    root, ledger = tmp_path / "root", tmp_path / "ledger"
    victim = int(part * len(objects(run.root)))
    script = (
        "from pathlib import Path; from tests.e2e.conftest import run_all, small_recipe;"
        "from tests.faults.crash import CrashStore; from videobert.runtime.executor import LocalExecutor;"
        f"store = CrashStore({str(root)!r}, Path({str(ledger)!r}), {victim}, {moment!r});"
        f"run_all(small_recipe(Path({str(corpus)!r})), store, LocalExecutor())"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL and len(boundaries(ledger)) == victim + 1
    run_all(run.recipe, Store(str(root)), LocalExecutor())
    assert objects(root) == objects(run.root)


def test_the_report_stands_alone(run: Run) -> None:
    page = (run.root / "reports" / run.spec("evaluate") / "report.html").read_text()
    assert "Zero-shot classification" in page
    assert "http://" not in page and "https://" not in page
    metrics = json.loads((run.root / "reports" / run.spec("evaluate") / "metrics.json").read_text())
    assert metrics["zero_shot"]["spans"] > 0
    assert 0 <= metrics["retrieval"]["recall_at_10"] <= 1
