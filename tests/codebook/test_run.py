"""The stage: which clips a codebook is fitted on, and that workers, files and batches change no byte of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from videobert.codebook.config import CodebookConfig
from videobert.codebook.load import load_codebook
from videobert.codebook.run import run
from videobert.errors import InputError
from videobert.features.rows import features_schema
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.held_out import is_held_out
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.parquet import table_bytes
from videobert.runtime.storage import Store, sha256

CONFIG = CodebookConfig(branching=3, depth=2, vocabulary_size=120, heldout_fraction=0.3, device="cpu")
CLIPS, DIMENSION = 8, 6
VIDEOS = [sha256(f"video {n}".encode()) for n in range(30)]
VECTORS: dict[str, NDArray[np.float32]] = {
    video: np.random.default_rng(n).normal(size=(CLIPS, DIMENSION)).astype(np.float32) for n, video in enumerate(VIDEOS)
}


class Cluster(LocalExecutor):
    """Three workers, which here take turns."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[int] = []

    @property
    def width(self) -> int:
        return 3

    def worker_group(self, worker: Any, arguments: Any) -> Any:
        self.groups.append(len(arguments))
        return super().worker_group(worker, arguments)


def inputs(root: Path, *files: list[str]) -> Inputs:
    """Two batches with these videos in their files."""
    store = Store(str(root))
    manifests: dict[str, list[Manifest]] = {"features": [], "ingest": []}
    half = len(files) // 2
    for batch, some in (("a", files[:half]), ("b", files[half:])):
        for stage in manifests:
            outputs = []
            for number, videos in enumerate(some):
                data = table_bytes(features(videos) if stage == "features" else catalog(videos))
                path = f"{stage}/{batch}/{number}.parquet"
                store.write(path, data)
                outputs.append(
                    Output(
                        shard=number, input_digest="", path=path, sha256=sha256(data), size_bytes=len(data), counts={}
                    )
                )
            manifest = Manifest(stage=stage, spec="s", batch=batch, config={}, sources=(), outputs=tuple(outputs))
            manifests[stage].append(manifest)
    return Inputs(store=store, upstream={stage: tuple(found) for stage, found in manifests.items()})


def features(videos: list[str]) -> pa.Table:
    clips = np.tile(np.arange(CLIPS, dtype=np.int32), len(videos))
    flat = np.array([VECTORS[video] for video in videos], np.float32).ravel()
    return pa.table(
        [
            pa.array([video for video in videos for _ in range(CLIPS)]),
            pa.array(clips),
            clips * 1.5,
            clips * 1.5 + 1.5,
            pa.FixedSizeListArray.from_arrays(pa.array(flat), DIMENSION),
        ],
        schema=features_schema(DIMENSION),
    )


def catalog(videos: list[str]) -> pa.Table:
    return pa.table({"video_id": videos, "cues": [[{"text": "now we chop the onion"}] for _ in videos]})


def fitted(found: Inputs, config: CodebookConfig, executor: LocalExecutor) -> bytes:
    manifest = run(config, found, executor)
    return load_codebook(found.store, manifest).to_bytes()


@pytest.mark.parametrize("sample", [0, 50])
def test_workers_files_and_batches_change_no_byte(tmp_path: Path, sample: int) -> None:
    config = dataclasses.replace(CONFIG, sample_clips=sample)
    whole = fitted(inputs(tmp_path / "one", VIDEOS), config, LocalExecutor())
    # The second file repeats a video of the first: another batch may hold the same bytes.
    files = (VIDEOS[20:], VIDEOS[19:21], VIDEOS[5:20], VIDEOS[:5])
    assert fitted(inputs(tmp_path / "many", *files), config, LocalExecutor()) == whole
    cluster = Cluster()
    some = dataclasses.replace(config, worker_clips=10)
    assert fitted(inputs(tmp_path / "workers", *files), some, cluster) == whole
    assert cluster.groups == [3]


def test_videos_held_out_are_not_fitted_on(tmp_path: Path) -> None:
    executor = Cluster()
    found = inputs(tmp_path, VIDEOS[:13], VIDEOS[13:])
    manifest = run(CONFIG, found, executor)
    training = [video for video in VIDEOS if not is_held_out(video, CONFIG.heldout_fraction)]
    assert manifest.facts["clips"] == CLIPS * len(training) < CLIPS * len(VIDEOS)
    assert load_codebook(found.store, manifest).level_counts[0].sum() == CLIPS * len(training)
    assert executor.groups == []  # too few clips for a cluster


def test_nothing_to_fit_on_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no clips to fit a codebook on"):
        run(CONFIG, inputs(tmp_path, [], []), LocalExecutor())


def test_the_held_out_share_follows_the_number_of_videos() -> None:
    config = dataclasses.replace(CONFIG, heldout_fraction=0.25, heldout_videos=200)
    assert [config.heldout_share(videos) for videos in (1, 7, 8, 800, 10_000)] == [0.0, 0.0, 0.25, 0.25, 0.02]
    assert CONFIG.heldout_share(1) == CONFIG.heldout_fraction


def test_a_video_that_the_catalog_no_longer_knows_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="videobert")
    found = inputs(tmp_path, VIDEOS[:5], VIDEOS[5:])
    for manifest in found.upstream["ingest"]:
        for output in manifest.outputs:
            found.store.write(output.path, table_bytes(catalog(VIDEOS[:3])))
    manifest = run(dataclasses.replace(CONFIG, moments="found"), found, LocalExecutor())
    assert (manifest.facts["moment"]["point"], manifest.facts["moment"]["shift_seconds"]) == (0.5, 0.0)
    assert "too few captions" in caplog.text and "explain" not in caplog.text
