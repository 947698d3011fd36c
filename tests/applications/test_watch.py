"""A video is watched clip by clip, and what is told of it in the end is what a batch holds."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import av
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import videobert
from tests.small_root import SmallRoot
from videobert.errors import InputError

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
