"""A video is watched clip by clip, and what is told of it in the end is what a batch holds."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import av
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import videobert
from tests.small_root import SmallRoot
from videobert.applications.watch.captions import LiveCaptions
from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.flow import StageResult, run_stage
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.storage import Store

_NOT_OF_THE_VIDEO = ["batch_key", "shard", "source_uri"]


def source_of(small: SmallRoot) -> tuple[Path, pa.Table]:
    """A video with captions, and its rows in the batch."""
    rows = videobert.open(small.root).embeddings()
    first = rows.to_table(filter=pc.field("level") == "segment").to_pylist()[0]
    table = rows.to_table(filter=pc.field("video_id") == first["video_id"]).drop_columns(["batch", "model"])
    return Path(urlsplit(first["source_uri"]).path), table.sort_by([("segment", "ascending")])


def written(path: Path) -> pa.Table:
    return pq.read_table(path).sort_by([("segment", "ascending")])


def test_the_rows_of_a_finished_video_are_those_of_its_batch(small_root: SmallRoot, tmp_path: Path) -> None:
    video, expected = source_of(small_root)
    found = list(
        videobert.open(small_root.root).watch(file=str(video), out=str(tmp_path / "rows.parquet"), per_hour=1e6)
    )
    rows = written(tmp_path / "rows.parquet")
    assert rows.drop_columns(_NOT_OF_THE_VIDEO).equals(expected.drop_columns(_NOT_OF_THE_VIDEO))
    assert rows["source_uri"].to_pylist() == expected["source_uri"].to_pylist()
    clips = [one for one in found if one.kind == "clip"]
    assert [one.start_seconds for one in clips] == [1.5 * i for i in range(len(clips))] and len(clips) > 3
    assert all(one.like and one.forecast and len(one.next_tokens) == 2 for one in clips)
    assert clips[0].surprise == -1 and all(one.surprise > 0 for one in clips[1:])
    told = {one.row_id: one for one in found if one.kind == "row"}
    assert list(told) == [row["row_id"] for row in pq.read_table(tmp_path / "rows.parquet").to_pylist()]
    for segment in (one for one in found if one.kind == "segment"):
        (row,) = [r for r in told.values() if (r.start_seconds, r.text) == (segment.start_seconds, segment.text)]
        assert segment.embedding == pytest.approx(row.embedding, abs=1e-5) and segment.alarm


@pytest.mark.slow
def test_fine_tuned_heads_say_of_a_finished_video_what_the_batch_predicts(
    small_root: SmallRoot, tmp_path: Path
) -> None:
    """A classifier that was trained on the steps of the small root, over a video that it was not trained on."""
    shutil.copytree(small_root.root, tmp_path / "demo")
    rows = [json.loads(line) for line in (small_root.folder / "corpus/truth/truth.jsonl").read_text().splitlines()]
    verbs, videos = (sorted({row[name] for row in rows}) for name in ("verb", "video_id"))
    split = dict(zip(videos, ("test", "validation", "train", "train", "train", "train"), strict=True))
    labels = [
        {
            "video": row["video_id"], "start_seconds": row["start_seconds"], "end_seconds": row["end_seconds"],
            "label": ("even", "odd")[verbs.index(row["verb"]) % 2], "split": split[row["video_id"]],
        }
        for row in rows
    ]  # fmt: skip
    (tmp_path / "demo" / "labels.jsonl").write_text("".join(json.dumps(label) + "\n" for label in labels))
    config = FinetuneConfig(
        labels="{root}/labels.jsonl", epochs=3, batch_size=4, learning_rate=3e-3, bootstrap_draws=20
    )

    def stage(name: str) -> list[StageResult]:
        recipe, selection = replace(small_root.recipe, finetune=config), Selection(model="current")
        store = Store(str(tmp_path / "demo"))
        return run_stage(recipe, store, name, batches=(), selection=selection, executor=LocalExecutor())

    (tuned,) = stage("finetune")
    stage("predict")
    files = sorted((tmp_path / "demo" / "predictions").rglob("*.parquet"))
    told = {row["row_id"]: row for path in files for row in pq.read_table(path, partitioning=None).to_pylist()}
    video = Path(urlsplit(next(row for row in told.values() if row["video_id"] == videos[0])["source_uri"]).path)
    found = list(videobert.open(str(tmp_path / "demo")).watch(file=str(video)))
    own = {one.row_id: one.labels for one in found if one.kind == "row" and ":" in one.row_id}
    assert set(own) == {row_id for row_id, row in told.items() if row["video_id"] == videos[0]} and len(own) > 1
    for row_id, labels_of in own.items():
        assert list(labels_of) == [tuned.spec] and list(labels_of[tuned.spec]) == told[row_id]["labels"]
        assert list(labels_of[tuned.spec].values()) == pytest.approx(told[row_id]["scores"], abs=1e-6)
    scores = [row["scores"][row["labels"].index("odd")] for row in told.values()]
    assert max(scores) - min(scores) > 1e-3, "all rows are alike; this proves nothing"
    clips = [one for one in found if one.kind != "row"]
    assert clips and all(set(one.labels[tuned.spec]) == {"even", "odd"} for one in clips)


def test_a_file_that_grows_gives_the_rows_of_the_finished_file(small_root: SmallRoot, tmp_path: Path) -> None:
    live, whole = tmp_path / "live.ts", tmp_path / "whole.ts"
    source, _ = source_of(small_root)
    remux(source, whole)
    for video in (live, whole):
        video.with_suffix(".vtt").write_bytes(source.with_suffix(".vtt").read_bytes())
    root, data = videobert.open(small_root.root), whole.read_bytes()
    *_, last = root.watch(file=str(whole), every=0, out=str(tmp_path / "whole.parquet"))
    live.write_bytes(data[: len(data) // 2])
    kinds = list[str]()
    for record in root.watch(file=str(live), follow=5.0, every=2, out=str(tmp_path / "live.parquet")):
        if not kinds:  # it speaks before the rest is there
            with live.open("ab") as sink:
                sink.write(data[len(data) // 2 :])
        kinds.append(record.kind)
    assert kinds[0] == "clip" and kinds.count("segment") >= 2 and record.row_id == last.row_id
    mine, theirs = (written(tmp_path / f"{name}.parquet") for name in ("live", "whole"))
    assert mine.drop_columns(["source_uri", "title"]).equals(theirs.drop_columns(["source_uri", "title"]))


def remux(source: Path, target: Path) -> None:
    """The same pictures in a container that can be read while it is written."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = given.streams.video[0]
        copied = made.add_stream_from_template(stream)
        for packet in given.demux(stream):
            if packet.dts is not None:
                packet.stream = copied
                made.mux(packet)


def test_what_cannot_be_watched_is_told_in_a_sentence(small_root: SmallRoot, tmp_path: Path) -> None:
    root = videobert.open(small_root.root)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all" * 100)
    for options, told in (
        ({"file": str(tmp_path / "none.mp4")}, "is not there"),
        ({"file": str(broken)}, "cannot be used, undecodable"),
        ({"file": str(broken), "tasks": "finetune-1"}, "task 'finetune-1' is no fine-tuned model"),
        ({"file": str(broken), "per_hour": 0.001}, "fewer than one in the"),
        ({"file": str(broken), "per_hour": -1}, "not negative"),
        ({"file": str(broken), "window": 0}, "window 0"),
        ({"file": str(broken), "out": "rows.csv"}, "does not end in .parquet"),
    ):
        with pytest.raises(InputError, match=told):
            list(root.watch(**options))


def test_only_files_are_captions(tmp_path: Path) -> None:
    """Who may write next to a video could lead its readers elsewhere, or have them wait for ever."""
    captions = LiveCaptions(tmp_path / "a.mp4", language="en")
    (tmp_path / "elsewhere.txt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nsecret\n")
    (tmp_path / "a.vtt").symlink_to(tmp_path / "elsewhere.txt")
    (tmp_path / "a.en.vtt").symlink_to(tmp_path / "none")
    os.mkfifo(tmp_path / "a.srt")
    assert not captions.changed() and captions.cues == []
    (tmp_path / "a.vtt").unlink()
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nopen\n")
    assert captions.changed() and [cue["text"] for cue in captions.cues] == ["open"]
    (tmp_path / "a.vtt").unlink()
    assert captions.changed() and captions.cues == []
