"""`videobert search`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import videobert
from tests.cli.conftest import Refused, Told
from tests.query.silent import copy_half_silent, is_silent
from tests.small_root import BATCHES, SmallRoot
from videobert.query.filters import Captions

QUERY = "stir the egg"


def test_a_sentence_finds_segments_best_first(told: Told, small_root: SmallRoot) -> None:
    lines = told("search", QUERY, "--root", small_root.root, "--top", "4")
    scores = [float(line.split()[0]) for line in lines]
    assert len(scores) == 4 and scores == sorted(scores, reverse=True)
    hits = [json.loads(line) for line in told("search", QUERY, "--root", small_root.root, "--top", "4", "--json")]
    assert [line.split()[-1] for line in lines] == [hit["row_id"] for hit in hits]
    assert set(hits[0]) == {
        "score", "row_id", "title", "start_seconds", "end_seconds", "text", "source_uri", "batch"
    }  # fmt: skip


def test_batches_with_blanks_between_them_are_batches(told: Told, small_root: SmallRoot) -> None:
    both = told("search", QUERY, "--root", small_root.root, "--top", "99", "--batch", ", ".join(BATCHES))
    assert both == told("search", QUERY, "--root", small_root.root, "--top", "99")
    first = told("search", QUERY, "--root", small_root.root, "--top", "99", "--batch", f" {BATCHES[0]} ", "--json")
    assert {json.loads(line)["batch"] for line in first} == {BATCHES[0]}


def test_rows_like_one_and_the_limit_per_video(told: Told, small_root: SmallRoot) -> None:
    row = told("search", QUERY, "--root", small_root.root, "--top", "1")[0].split()[-1]
    like = told("search", "--like", row, "--root", small_root.root, "--top", "99", "--per-video", "1")
    videos = [line.split()[-1].split(":")[0] for line in like]
    assert len(videos) == len(set(videos)) > 1 and row not in " ".join(like)


def test_filters_narrow(told: Told, small_root: SmallRoot) -> None:
    every = [json.loads(line) for line in told("search", QUERY, "--root", small_root.root, "--top", "99", "--json")]
    some = told(
        "search", QUERY, "--root", small_root.root, "--top", "99", "--json", "--from", "3", "--to", "6", "--video",
        every[0]["row_id"][:8],
    )  # fmt: skip
    expected = [
        hit for hit in every
        if hit["end_seconds"] > 3 and hit["start_seconds"] < 6 and hit["row_id"][:8] == every[0]["row_id"][:8]
    ]  # fmt: skip
    assert [json.loads(line) for line in some] == expected


def test_wrong_questions(refused: Refused, small_root: SmallRoot) -> None:
    root = ("--root", small_root.root)
    assert "either a text, --like ROW_ID or --file" in refused("search", *root)
    assert "either a text, --like ROW_ID or --file" in refused("search", QUERY, "--like", "a:0", *root)
    assert "no row 'a:0'" in refused("search", "--like", "a:0", *root)
    assert "at least 1" in refused("search", QUERY, *root, "--top", "0")
    assert "per_video is -1" in refused("search", QUERY, *root, "--per-video", "-1")
    assert "not before" in refused("search", QUERY, *root, "--from", "3", "--to", "3")
    assert "batch 2030-01-01 has no embeddings" in refused("search", QUERY, *root, "--batch", "2030-01-01")
    assert "holds no words" in refused("search", " ", *root)


def test_segments_with_and_without_a_text(told: Told, refused: Refused, small_root: SmallRoot, tmp_path: Path) -> None:
    root = copy_half_silent(small_root, tmp_path / "demo")
    asked = ("search", QUERY, "--root", root, "--top", "99", "--json")
    every = [json.loads(line) for line in told(*asked)]
    cases: list[tuple[Captions, bool]] = [("with", False), ("without", True)]
    for captions, silent in cases:
        expected = [hit for hit in every if is_silent(hit["row_id"]) == silent]
        assert 0 < len(expected) < len(every)
        assert [json.loads(line) for line in told(*asked, "--captions", captions)] == expected
        found = videobert.open(root).search(QUERY, top=99, captions=captions)
        assert [asdict(hit) for hit in found] == expected
        assert videobert.open(root).search(QUERY, top=2, captions=captions) == found[:2]
    assert told(*asked, "--by", "words", "--captions", "without") == []
    assert "leave the others out" in refused("search", QUERY, "--root", root, "--encoder", "x", "--captions", "with")
