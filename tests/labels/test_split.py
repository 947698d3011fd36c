"""Labels find their videos, and videos fall into one split."""

from __future__ import annotations

from dataclasses import replace

import pytest

from videobert.errors import InputError
from videobert.labels.match import match_videos
from videobert.labels.records import LabelRow
from videobert.labels.split import split_rows
from videobert.runtime.held_out import is_held_out

VIDEOS = {"a" * 64: "s3://b/one.mp4", "b" * 64: "s3://b/x/two.mp4", "c" * 64: "s3://b/y/two.mp4"}


@pytest.mark.parametrize("name", ["a" * 64, "s3://b/one.mp4", "one.mp4", "one"])
def test_a_video_is_named_by_id_uri_or_file(name: str) -> None:
    found, unknown = match_videos([LabelRow(video=name), LabelRow(video="none")], VIDEOS, "l.csv")
    assert [video_id for video_id, _ in found] == ["a" * 64] and len(unknown) == 1


def test_a_name_of_two_videos_and_names_of_none_are_refused() -> None:
    with pytest.raises(InputError, match=r"line 7 of labels l\.csv names 'two\.mp4', which 2 videos"):
        match_videos([LabelRow(video="two.mp4", line=7)], VIDEOS, "l.csv")
    with pytest.raises(InputError, match="none of the 3 videos"):
        match_videos([LabelRow(video="none")], VIDEOS, "l.csv")


def rows(count: int) -> list[tuple[str, LabelRow]]:
    """Two rows of each video."""
    ids = [f"{number:064x}" for number in range(count)]
    return [(i, LabelRow(video=i, line=n)) for n, i in enumerate([*ids, *ids], start=1)]


def test_videos_are_drawn_whole_and_test_holds_what_pretraining_held_out() -> None:
    splits = split_rows(rows(200), "l.csv", validation=0.2, test=0.25)
    members = {split: {video for video, _ in found} for split, found in splits.items()}
    assert not members["train"] & members["test"] and not members["validation"] & (members["train"] | members["test"])
    assert sum(map(len, splits.values())) == 400
    everyone = set().union(*members.values())
    assert {video for video in everyone if is_held_out(video, 0.25)} == members["test"]
    assert all(0.1 < len(members[split]) / 200 < 0.35 for split in ("validation", "test"))


def test_a_group_stays_together() -> None:
    grouped = [(video, replace(row, group=f"speaker {int(video, 16) % 20}")) for video, row in rows(200)]
    splits = split_rows(grouped, "l.csv", validation=0.2, test=0.25)
    groups = [{row.group for _, row in found} for found in splits.values()]
    assert sum(map(len, groups)) == 20


def test_named_splits_are_kept_and_validation_is_drawn_from_train() -> None:
    named = [(video, replace(row, split="test" if int(video, 16) < 50 else "train")) for video, row in rows(200)]
    splits = split_rows(named, "l.csv", validation=0.2, test=0.25)
    assert {int(video, 16) for video, _ in splits["test"]} == set(range(50))
    assert 30 < len(splits["validation"]) < 100


def test_leakage_and_gaps_are_refused() -> None:
    one, two = LabelRow(video="v", line=2, split="train"), LabelRow(video="v", line=9, split="test")
    with pytest.raises(InputError, match=r"lines 2 and 9 of labels l\.csv put video 'v' into train and test"):
        split_rows([("v", one), ("v", two)], "l.csv", validation=0.0, test=0.2)
    one, two = replace(one, group="ann"), replace(two, video="w", group="ann")
    with pytest.raises(InputError, match=r"put group 'ann' into train and test"):
        split_rows([("v", one), ("w", two)], "l.csv", validation=0.0, test=0.2)
    with pytest.raises(InputError, match=r"line 3 of labels l\.csv has no split"):
        split_rows([("v", one), ("w", LabelRow(video="w", line=3))], "l.csv", validation=0.2, test=0.2)
    with pytest.raises(InputError, match=r"leave the validation split empty"):
        split_rows([("v", one)], "l.csv", validation=0.2, test=0.2)
