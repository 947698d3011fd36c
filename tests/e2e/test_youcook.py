"""`videobert youcook` on a finished run: videos that nobody trained on, annotated in the public format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.conftest import Run
from tests.evaluate.test_youcook import annotation_file
from videobert.cli.youcook import YoucookCommand
from videobert.demo.grammar import demo_kitchen
from videobert.demo.render import write_kitchen
from videobert.errors import InputError
from videobert.evaluate.action_table import action_table
from videobert.evaluate.youcook import parse_annotations, word_lists
from videobert.model.scoring import zero_shot
from videobert.query.model import open_model
from videobert.recipes import RECIPES, Recipe
from videobert.runtime.held_out import is_held_out


def truth_of(corpus: Path) -> list[dict[str, object]]:
    lines = (corpus / "truth" / "truth.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def annotations_of(truth: list[dict[str, object]], *, subset: str = "validation") -> bytes:
    entries: dict[str, tuple[str, list[tuple[float, float, str]]]] = {}
    for row in truth:
        span = float(str(row["start_seconds"])), float(str(row["end_seconds"])), f"{row['verb']} the {row['noun']}"
        entries.setdefault(Path(str(row["file"])).stem, (subset, []))[1].append(span)
    return annotation_file(entries)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of another kitchen under names of their own."""
    folder = tmp_path_factory.mktemp("strangers")
    write_kitchen(demo_kitchen(7), out_url=str(folder), batches=("b",), videos_per_batch=2)
    for path in (folder / "videos" / "b").iterdir():
        path.rename(path.with_name(path.name.replace("kitchen-", "yt_")))
    return folder


def test_one_command_goes_from_videos_and_annotations_to_the_rows_of_the_table(
    copied: Run, strangers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def recipe() -> Recipe:
        return copied.recipe

    monkeypatch.setitem(RECIPES, "demo", recipe)
    (tmp_path / "annotations.json").write_bytes(annotations_of(truth_of(strangers)).replace(b"kitchen-", b"yt_"))
    command = YoucookCommand(
        annotations=str(tmp_path / "annotations.json"), root=str(copied.root), videos=f"{strangers}/videos/b"
    )
    command.execute()
    first = capsys.readouterr().out
    assert "VideoBERT, language prior" in first and "VideoBERT, cross-modal" in first
    assert (
        f"{len(truth_of(strangers))} clips of the validation set; left out: 0 video missing, 0 trained on, 0 name"
        in first
    )
    shutil.rmtree(strangers / "videos" / "b")  # the second time nothing is read but tokens
    command = YoucookCommand(annotations=str(tmp_path / "annotations.json"), root=str(copied.root))
    command.execute()
    assert capsys.readouterr().out == first


def test_figures_are_those_of_a_full_ranking_and_training_videos_are_left_out(run: Run, corpus: Path) -> None:
    truth = truth_of(corpus)
    data = (
        annotations_of(truth)[:-2]
        + b', "nobody": {"subset": "validation", "annotations": '
        + json.dumps([{"segment": [0, 3], "id": 0, "sentence": "stir the egg"}]).encode()
        + b"}}}"
    )
    opened = open_model(run.store)
    # Kitchen videos of both batches share their names, so each name stands for the first file that bears it.
    clips = parse_annotations(data, "x", subset="validation")
    lists = word_lists(clip.caption for clip in clips)
    table = action_table(opened, clips, lists, batches=("2026-01-01",))
    samples = {Path(s["uri"]).stem: s for s in opened.samples(("2026-01-01",))}
    held = {name for name, sample in samples.items() if is_held_out(sample["video_id"], 0.3)}
    assert table.left_out["video missing"] >= 1 and table.left_out["trained on"] > 0
    asked = [clip for clip in clips if clip.video in held]
    assert table.clips + table.left_out["too short"] == len(asked)
    assert table.clips + sum(table.left_out.values()) == len(clips)
    names = [name for name, *_ in table.rows]
    assert names == ["VideoBERT, language prior", "VideoBERT, cross-modal"]
    vocabulary = opened.tokenizer.get_vocab(with_added_tokens=True)
    prompt = opened.text_ids("now let me show you how to [MASK] the [MASK]")
    every = range(opened.model.vocabulary.text_size)
    prior = zero_shot(opened.model, prompt, [None], verb_ids=every, noun_ids=every)
    best = np.argsort(-prior.verbs[0])[:5]
    hits = [vocabulary.get(clip.caption.split()[0], -1) in best for clip in asked]
    assert table.rows[0][2] == pytest.approx(np.mean(hits), abs=1e-9)


def test_a_name_that_two_videos_bear_is_not_guessed_at(run: Run, corpus: Path) -> None:
    clips = parse_annotations(annotations_of(truth_of(corpus)), "x")
    table = action_table(open_model(run.store), clips, word_lists(clip.caption for clip in clips))
    assert table.left_out["name not unique"] == len(clips) and table.clips == 0


def test_missing_annotations_are_an_input_error(run: Run) -> None:
    with pytest.raises(InputError, match="are not there"):
        YoucookCommand(annotations="nowhere.json", root=str(run.root)).execute()
