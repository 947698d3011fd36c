"""A long video in chunks gives the very bytes of the video read in one go, whatever is wrong with it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.faults.reference import objects_of
from tests.video.test_ending import slides
from tests.video.videos import moving_square, write_video
from videobert.features.config import FeaturesConfig
from videobert.features.long_videos import ChunkTask, join_chunks
from videobert.features.rows import ClipRows
from videobert.features.worker import FeaturesWorker
from videobert.flow import run_stage
from videobert.ingest.config import IngestConfig
from videobert.recipes import Recipe
from videobert.resolve import Selection
from videobert.runtime.executor import Executor, LocalExecutor, Worker
from videobert.runtime.manifest import Output
from videobert.runtime.shards import ShardTask
from videobert.runtime.split_shards import SplitShard
from videobert.runtime.storage import Store
from videobert.runtime.tar import TarWriter
from videobert.shard.config import ShardConfig

pytestmark = pytest.mark.slow

SECONDS, RATE = 24, 20
CONTAINERS = {"mp4": "mov,mp4,m4a,3gp,3g2,mj2", "mkv": "matroska,webm"}
CONFIG = FeaturesConfig(frames_per_clip=1, device="cpu")
X264 = {"preset": "ultrafast", "bf": "2"}


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeaturesWorker, FeaturesWorker, Store]:
    """One that reads videos in one go, and one that cuts them into chunks of five seconds."""
    store = Store(str(tmp_path_factory.mktemp("root")))
    whole, cut = (FeaturesWorker(dataclasses.replace(CONFIG, chunk_minutes=m), store) for m in (30.0, 5 / 60))
    return whole, cut, store


def constant(path: Path, **options: str) -> Path:
    frames = [moving_square(number) for number in range(SECONDS * RATE)]
    return write_video(path, frames, fps=RATE, keyframe_every=30, options=X264 | options)


def variable(path: Path) -> Path:
    """Frames at any time, and a hold of four seconds over the end of a chunk."""
    times = [Fraction(number * number % 7, 200) + Fraction(number, RATE) for number in range(SECONDS * RATE)]
    kept = [(time, moving_square(number)) for number, time in enumerate(times) if not 8 < time < 12 or number % 90 == 0]
    return write_video(path, [image for _, image in kept], times=[time for time, _ in kept], options=X264)


def damaged(path: Path, *, at: float) -> Path:
    content = bytearray(constant(path).read_bytes())
    start = round(at * len(content))
    content[start : start + 900] = bytes(900)
    path.write_bytes(content)
    return path


def cut_off(path: Path) -> Path:
    content = constant(path).read_bytes()
    path.write_bytes(content[: round(0.7 * len(content))])
    return path


CASES: dict[str, tuple[Callable[[Path], Path], str, bool]] = {
    "constant rate": (constant, "mp4", True),
    "open groups of pictures": (lambda path: constant(path, **{"x264-params": "open-gop=1"}), "mkv", True),
    "variable rate": (variable, "mkv", True),
    "damage within a chunk": (lambda path: damaged(path, at=0.3), "mkv", True),
    "damage on a seam": (lambda path: damaged(path, at=0.2), "mkv", False),
    "no key frames": (lambda path: constant(path, **{"x264-params": "intra-refresh=1"}), "mp4", False),
    "cut off": (cut_off, "mkv", False),
    "sound that outlasts the pictures": (
        lambda path: slides(path, [n / 10 for n in range(240)], sound=36),
        "mp4",
        True,
    ),
}
"""How a video is made, its container, and whether its chunks are used."""


@pytest.mark.parametrize("name", CASES)
def test_chunks_change_no_byte(
    name: str, workers: tuple[FeaturesWorker, FeaturesWorker, Store], tmp_path: Path
) -> None:
    whole, cut, store = workers
    make, ending, fits = CASES[name]
    pack(store, make(tmp_path / f"video.{ending}"), container=CONTAINERS[ending])
    shard = ShardTask(
        shard=0, input_digest=name, payload="00000.tar", path=f"{name}/whole", receipt=f"{name}/whole.json"
    )
    expected, chunks = in_parts(whole, shard)
    assert (
        not chunks
        and expected.counts["videos"] == 1
        and bool(expected.counts["damaged_milliseconds"])
        == (name in ("damage within a chunk", "damage on a seam", "cut off"))
    )
    found, chunks = in_parts(cut, dataclasses.replace(shard, path=f"{name}/cut"))
    assert [chunk.clip_range.first for chunk in chunks] == [0, 3, 6, 9, 12]
    assert store.read(found.path) == store.read(expected.path)
    assert (found.counts, found.rejects) == (expected.counts, expected.rejects)
    with (tmp_path / "spool").open("w+b") as spool:
        rows = ClipRows(spool, dimension=2560, options=CONFIG.decoding)
        assert join_chunks(store, chunks, rows, max_packets=9_999) == fits
        assert not join_chunks(store, chunks, rows, max_packets=SECONDS * RATE - 1)  # a limit of the whole video
        store.delete([chunks[-1].path])
        assert not join_chunks(store, chunks, rows, max_packets=9_999)  # another run has swept
        assert rows.counts["videos"] == fits


def test_chunks_of_clips_that_overlap_change_no_byte(tmp_path: Path) -> None:
    """One begins every 0.4 s, and the last is held for want of pictures."""
    store = Store(str(tmp_path / "root"))
    config = dataclasses.replace(CONFIG, clip_stride=0.4, last_clip="hold")
    whole, cut = (FeaturesWorker(dataclasses.replace(config, chunk_minutes=m), store) for m in (30.0, 5 / 60))
    pack(store, constant(tmp_path / "video.mp4"), container=CONTAINERS["mp4"])
    shard = ShardTask(shard=0, input_digest="x", payload="00000.tar", path="x/whole", receipt="x/whole.json")
    expected, _ = in_parts(whole, shard)
    found, chunks = in_parts(cut, dataclasses.replace(shard, path="x/cut"))
    assert expected.counts["clips"] == 58 and expected.counts["incomplete_clips"] == 1 and len(chunks) == 5
    assert store.read(found.path) == store.read(expected.path) and found.counts == expected.counts
    with (tmp_path / "spool").open("w+b") as spool:
        assert join_chunks(store, chunks, ClipRows(spool, dimension=2560, options=config.decoding), max_packets=9_999)


def pack(store: Store, video: Path, *, container: str) -> None:
    """A tar of one video."""
    metadata = {"video_id": "v", "uri": "v", "container": container, "duration_seconds": SECONDS}
    with (video.parent / "tar").open("w+b") as sink:
        tar = TarWriter(sink)
        tar.add("v.json", json.dumps(metadata).encode())
        tar.add_file(f"v{video.suffix}", video)
        tar.close()
    store.write("00000.tar", video.parent / "tar")


def in_parts(worker: FeaturesWorker, shard: ShardTask) -> tuple[Output, tuple[ChunkTask, ...]]:
    """The shard, and the chunks that were asked for."""
    answer = worker(shard)
    chunks: tuple[ChunkTask, ...] = ()
    if isinstance(answer, SplitShard):
        chunks = answer.parts
        for chunk in chunks:
            assert worker(chunk) is None
        answer = worker(answer.task)
    assert isinstance(answer, Output)
    return answer, chunks


class Killed(Exception):
    """What ends a run in its middle."""


class Mortal(LocalExecutor):
    """Ends after some tasks."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self._left = tasks

    def map(self, worker: Worker, arguments: tuple[Any, ...], tasks: Sequence[Any]) -> Iterator[Any]:
        for result in super().map(worker, arguments, tasks):
            yield result
            self._left -= 1
            if not self._left:
                raise Killed


def test_a_killed_batch_in_chunks_ends_with_the_objects_of_one_that_was_not_cut(tmp_path: Path) -> None:
    source = tmp_path / "videos" / "b"
    source.mkdir(parents=True)
    constant(source / "long.mp4")
    write_video(source / "short.mp4", [moving_square(number) for number in range(40)])
    features = {minutes: dataclasses.replace(CONFIG, chunk_minutes=minutes) for minutes in (30.0, 5 / 60)}
    whole, cut = (
        Recipe(ingest=IngestConfig(source=f"{tmp_path}/videos/{{batch}}"), shard=ShardConfig(shard_bytes=1), features=f)
        for f in features.values()
    )

    def run(recipe: Recipe, root: str, stage: str, executor: Executor) -> dict[str, bytes]:
        store = Store(str(tmp_path / root))
        run_stage(recipe, store, stage, batches=["b"], selection=Selection(), executor=executor)
        return objects_of(store)

    for stage in ("ingest", "shard"):
        run(whole, "cut", stage, LocalExecutor())
    shutil.copytree(tmp_path / "cut", tmp_path / "whole")
    with pytest.raises(Killed):
        run(cut, "cut", "features", Mortal(4))  # two shards, one of which is to be cut, and two chunks
    left = objects_of(Store(str(tmp_path / "cut")))
    assert len([path for path in left if "/_chunks/" in path]) == 2
    assert run(cut, "cut", "features", LocalExecutor(2)) == run(whole, "whole", "features", LocalExecutor())
