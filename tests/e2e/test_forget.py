"""videobert forget: nothing of the video is left, everything else is as it was, and nothing has to be done again."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import BATCHES, Run, objects
from tests.e2e.test_bad_input import videobert
from tests.faults.reference import check_manifests
from videobert.admin.forget import forget
from videobert.errors import ConflictError, InputError
from videobert.flow import run_stage
from videobert.query.build import build_index
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor, Worker
from videobert.runtime.storage import Store, file_sha256
from videobert.tokens.read import read_shard

AFTER = ("ingest", "shard", "features", "tokens", "embed")


@pytest.fixture
def video(corpus: Path) -> str:
    """A video that shares its shard with others, or not: whatever the plan made of it."""
    return file_sha256(corpus / "videos" / BATCHES[0] / "kitchen-00001.mp4")


def run_again(run: Run, stages: tuple[str, ...] = AFTER) -> int:
    """Objects that the stages write."""
    store = Store(str(run.root))
    for name in stages:
        selection = Selection(codebook=run.spec("codebook")) if name == "tokens" else Selection(model="current")
        run_stage(run.recipe, store, name, batches=BATCHES, selection=selection, executor=LocalExecutor())
    return store.writes


def rows_of(root: Path, folder: str) -> dict[str, list[Any]]:
    """Rows below a folder by video, whatever their files."""
    found: dict[str, list[Any]] = {}
    for path in sorted((root / folder).rglob("*.parquet")):
        for row in pq.read_table(path, partitioning=None).to_pylist():
            found.setdefault(row["video_id"], []).append(row)
    for path in sorted((root / folder).rglob("*.tar")):
        if folder == "tokens":
            for sample in read_shard(Store(str(root)), path.relative_to(root).as_posix()):
                found.setdefault(sample["video_id"], []).append(sample)
    return found


def test_nothing_of_it_is_left_and_all_else_is_as_it_was(copied: Run, video: str) -> None:
    before = {folder: rows_of(copied.root, folder) for folder in ("catalog", "features", "tokens", "embeddings")}
    assert all(video in rows for rows in before.values())
    store = Store(str(copied.root))
    index = build_index(store, copied.spec("embed"))
    lines: list[str] = []
    forget(store, video, report=lines.append)
    after = objects(copied.root)
    gone = [output.path for output in index.outputs if output.path not in after]
    assert [index.facts["files"][path][0][0].split("/")[2] for path in gone] == [f"batch={BATCHES[0]}"]
    check_manifests(after)
    holders = {path.split("/")[0] for path, data in after.items() if video.encode() in data or video in path}
    assert holders == {"forgotten"}
    for folder, rows in before.items():
        assert rows_of(copied.root, folder) == {key: value for key, value in rows.items() if key != video}
    assert any(line.startswith("still there") and "kitchen-00001.mp4" in line for line in lines)
    trained = {line.split()[3] for line in lines if line.startswith("still knows")}
    assert trained <= {copied.spec("codebook"), copied.spec("pretrain")}


def test_afterwards_every_stage_finds_its_work_done(copied: Run, video: str) -> None:
    forget(Store(str(copied.root)), video)
    before = objects(copied.root)
    assert run_again(copied) == 0
    assert objects(copied.root) == before


def test_it_writes_what_the_stages_would_have_written(copied: Run, video: str) -> None:
    forget(Store(str(copied.root)), video)
    forgotten = _contents(copied.root)
    for name in ("shards", "features", "tokens", "embeddings"):
        for path in (copied.root / name).glob(f"*/batch={BATCHES[0]}/*"):
            if path.is_file() and path.name != "_plan.json":
                path.unlink()
    run_again(copied)
    assert _contents(copied.root) == forgotten


def _contents(root: Path) -> dict[tuple[str, int], str]:
    """sha256 of every shard, whatever its file is called."""
    found = {}
    for path in root.rglob(f"batch={BATCHES[0]}/_manifest.json"):
        manifest = json.loads(path.read_bytes())
        for output in manifest["outputs"]:
            found[manifest["stage"], output["shard"]] = output["sha256"]
    return found


def test_it_does_not_come_back_under_another_name(copied: Run, corpus: Path, video: str, tmp_path: Path) -> None:
    grown = tmp_path / "corpus"
    shutil.copytree(corpus, grown)
    source = f"{grown}/videos/{{batch}}"
    recipe = dataclasses.replace(copied.recipe, ingest=dataclasses.replace(copied.recipe.ingest, source=source))
    shutil.copy(grown / "videos" / BATCHES[0] / "kitchen-00001.mp4", grown / "videos" / BATCHES[0] / "another.mp4")
    store = Store(str(tmp_path / "fresh"))
    (tmp_path / "fresh" / "forgotten").mkdir(parents=True)
    forget(Store(str(copied.root)), video)
    shutil.copytree(copied.root / "forgotten", tmp_path / "fresh" / "forgotten", dirs_exist_ok=True)
    (result,) = run_stage(recipe, store, "ingest", batches=BATCHES[:1], selection=Selection(), executor=LocalExecutor())
    assert result.counts["forgotten"] == 2
    assert video not in rows_of(tmp_path / "fresh", "catalog") and video not in rows_of(
        tmp_path / "fresh", "dead_letters"
    )


class _ForgetsMeanwhile(LocalExecutor):
    """A video is forgotten while a stage is at work on it."""

    def __init__(self, root: Path, video: str) -> None:
        super().__init__()
        self._root, self._video = root, video

    def map(self, worker: Worker, arguments: tuple[Any, ...], tasks: Any) -> Any:
        yield from super().map(worker, arguments, tasks)
        forget(Store(str(self._root)), self._video)


def test_a_stage_that_is_at_work_meanwhile_does_not_bring_it_back(copied: Run, video: str) -> None:
    shutil.rmtree(next((copied.root / "tokens").iterdir()) / f"batch={BATCHES[0]}")
    store, selection = Store(str(copied.root)), Selection(codebook=copied.spec("codebook"))
    with pytest.raises(ConflictError, match="run this again"):
        run_stage(
            copied.recipe, store, "tokens", batches=BATCHES[:1], selection=selection,
            executor=_ForgetsMeanwhile(copied.root, video),
        )  # fmt: skip
    assert video not in rows_of(copied.root, "tokens")
    run_again(copied, ("tokens", "embed"))
    assert video not in rows_of(copied.root, "tokens")


def test_a_dead_letter_can_be_forgotten(copied: Run, corpus: Path) -> None:
    (path,) = (corpus / "videos").rglob("broken-text.mp4")
    video = file_sha256(path)
    assert video in rows_of(copied.root, "dead_letters")
    forget(Store(str(copied.root)), video)
    assert video not in rows_of(copied.root, "dead_letters")
    assert run_again(copied) == 0


def test_a_dry_run_writes_nothing_and_an_unknown_video_is_refused(copied: Run, video: str) -> None:
    before = objects(copied.root)
    done = videobert("forget", video, "--root", str(copied.root), "--dry-run")
    assert done.returncode == 0 and done.stdout.count("would rewrite") >= 5
    assert objects(copied.root) == before
    with pytest.raises(InputError, match="holds"):
        forget(Store(str(copied.root)), "0" * 64)
    with pytest.raises(InputError, match="no video id"):
        forget(Store(str(copied.root)), "kitchen-00001")
