"""Every bad input of every class ends as rows or as one dead letter, as its case foretells, and harms no other."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from tests.hostile.conftest import Bad
from tests.hostile.corpus.case import ROWS
from tests.hostile.corpus.clip import Clip, encode_clip
from tests.hostile.corpus.damaged import flipped
from tests.hostile.corpus.unusual import still, tiny_packets
from tests.hostile.endings import BATCH, harvest, hostile_recipe
from videobert.video.isolated import IsolatedDecoder
from videobert.video.limits import DecoderLimits
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipRequest

KINDS = {
    "codec or size", "damaged middle", "duplicate", "empty", "flipped bits", "huge picture", "lying duration", "name",
    "new resolution", "no video", "one frame", "script", "sound only", "still", "time stamps", "tiny packets",
    "truncated",
}  # fmt: skip


def test_each_file_ends_once_and_as_foretold(bad: Bad) -> None:
    assert {case.kind for case in bad.cases.values()} == KINDS
    assert bad.harvest.lost == [] and bad.harvest.twice == 0
    wrong = {
        path: (case.note, bad.harvest.endings[path])
        for path, case in bad.cases.items()
        if len(bad.harvest.endings[path]) != 1 or bad.harvest.endings[path][0] not in case.ends
    }
    assert wrong == {}


def test_counts_balance_at_every_stage(bad: Bad) -> None:
    ingest, shard, features = (result.counts for result in bad.harvest.results)
    assert ingest["videos"] + ingest["rejects"] == len(bad.cases)
    assert shard["videos"] + 1 == ingest["videos"] and shard["rejects"] == 0  # one video lies there under two names
    assert features["videos"] + features["rejects"] == shard["videos"]
    assert features["clips"] == sum(len(bad.harvest.rows[path]) for path in bad.harvest.rows) - 1


def test_dead_letters_tell_stage_reason_attempts_and_what_can_be_saved(bad: Bad) -> None:
    letters = bad.harvest.letters
    assert {letter["attempts"] for letter in letters.values()} == {1}
    assert letters["far.mkv"]["salvageable_seconds"] == 2.0
    cut = letters["cut-6-h264.mkv"]
    assert cut["reason"] == "undecodable" and cut["salvageable_seconds"] == 1.0
    assert letters["text.mp4"]["video_id"] and letters["text.mp4"]["salvageable_seconds"] == 0


def test_the_good_part_is_kept_and_the_lost_range_is_noted(bad: Bad) -> None:
    noted: dict[str, list[list[float]]] = {}
    for path in sorted((bad.root / "features").rglob("*.parquet")):
        metadata = pq.read_schema(path).metadata or {}
        noted |= json.loads(metadata.get(b"damaged_seconds", b"{}"))
    catalog = [row for p in (bad.root / "catalog").rglob("*.parquet") for row in pq.read_table(p).to_pylist()]
    ids = {Path(row["uri"]).name: row["video_id"] for row in catalog}
    for name, clips in (("hole-plain.mp4", 6), ("hole-h264.mkv", 6), ("hole-mpeg4.avi", 6), ("hole-mpeg2.mpg", 5)):
        lost = {n for a, b in noted[ids[name]] for n in range(clips) if a < (n + 1) * 1.5 and n * 1.5 < b}
        assert lost and set(bad.harvest.rows[name]) == set(range(clips)) - lost and {0, 1, clips - 1}.isdisjoint(lost)
    assert ids["codec-00.mp4"] not in noted
    total = sum(end - start for ranges in noted.values() for start, end in ranges)
    counted = bad.harvest.results[-1].counts["damaged_milliseconds"]
    assert abs(1000 * total - counted) <= len(noted)


def test_one_parts_company_does_not_change_another_ones_rows(bad: Bad, tmp_path: Path) -> None:
    """The good files alone, in parts and shards of their own, have the rows that they had among the bad ones."""
    good = [path for path, case in bad.cases.items() if case.kind == "codec or size"]
    for name in good:
        (tmp_path / "v" / BATCH).mkdir(parents=True, exist_ok=True)
        shutil.copy(bad.folder / BATCH / name, tmp_path / "v" / BATCH / name)
    alone = harvest(hostile_recipe(tmp_path / "v"), tmp_path / "root", good)
    assert _vectors(tmp_path / "root").items() <= _vectors(bad.root).items()
    assert all(alone.endings[path] == [ROWS] for path in good)


def _vectors(root: Path) -> dict[tuple[str, int], tuple[float, ...]]:
    rows = [row for path in (root / "features").rglob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return {(row["video_id"], row["clip"]): tuple(row["feature"]) for row in rows}


def test_a_second_run_writes_nothing(bad: Bad) -> None:
    again = harvest(bad.recipe, bad.root, bad.cases)
    assert not any(result.computed for result in again.results) and again.endings == bad.harvest.endings


def test_changed_bytes_at_one_path_are_another_video(tmp_path: Path) -> None:
    path = tmp_path / "v" / BATCH / "a.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_clip(Clip()))
    recipe = hostile_recipe(tmp_path / "v")
    first = harvest(recipe, tmp_path / "root", ["a.mp4"])
    path.write_bytes(encode_clip(Clip(key=1, frames=70)))
    second = harvest(recipe, tmp_path / "root", ["a.mp4"])
    assert (first.rows["a.mp4"], second.rows["a.mp4"]) == ([0], [0, 1]) and second.endings["a.mp4"] == [ROWS]
    path.write_bytes(b"broken since")
    assert harvest(recipe, tmp_path / "root", ["a.mp4"]).endings["a.mp4"] == ["ingest undecodable"]


def test_limits_end_in_dead_letters_that_name_them(tmp_path: Path) -> None:
    folder = tmp_path / "v" / BATCH
    folder.mkdir(parents=True)
    (folder / "large.mp4").write_bytes(encode_clip(Clip(width=640, height=360)))
    (folder / "long.mp4").write_bytes(still(seconds=60))
    (folder / "tiny.avi").write_bytes(tiny_packets(3_000))
    (folder / "good.mp4").write_bytes(encode_clip(Clip()))
    limits = DecoderLimits(max_pixels=200_000, max_seconds=30, max_packets=2_000)
    found = harvest(
        hostile_recipe(tmp_path / "v", limits=limits),
        tmp_path / "root",
        ["large.mp4", "long.mp4", "tiny.avi", "good.mp4"],
    )
    assert Counter(ending for endings in found.endings.values() for ending in endings) == {
        "ingest too-large": 1, "features too-long": 1, "features too-many-packets": 1, ROWS: 1
    }  # fmt: skip
    assert found.letters["tiny.avi"]["salvageable_seconds"] == 2.0


def test_memory_stays_flat_over_ten_hours_of_one_still(tmp_path: Path) -> None:
    """Six hundred clips in, the decoder's process is no larger than after ten."""
    path = tmp_path / "still.mp4"
    path.write_bytes(still(seconds=36_000))
    decoder, request = IsolatedDecoder(DecoderLimits()), ClipRequest(frame_ticks=(0,), size=32, gray_size=16)
    before = set(psutil.Process().children())
    sizes = []
    for number, _ in enumerate(decoder.clips(path, request, DecodeOptions())):
        if number in (10, 600):
            (child,) = set(psutil.Process().children()) - before
            sizes.append(child.memory_info().rss)
        if number > 600:
            break
    assert sizes[1] < sizes[0] * 1.05


def test_flipped_bits_follow_from_seed_and_key() -> None:
    data = bytes(1_000)
    assert flipped(data, seed=1, key="a") == flipped(data, seed=1, key="a") != data
    assert len({flipped(data, seed=1, key="a"), flipped(data, seed=2, key="a"), flipped(data, seed=1, key="b")}) == 3
