"""Ingest over real small videos: catalogue, dead letters, what is read again and what is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.conftest import BATCH, CAPTIONS, Batch
from tests.video.test_decode import write_subtitled
from videobert.errors import EmptyBatchError, InputError, VideoError
from videobert.ingest.config import IngestConfig
from videobert.ingest.listing import nothing_in
from videobert.ingest.run import run
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.inputs import Inputs
from videobert.runtime.parquet import read_table
from videobert.runtime.shards import load_plan
from videobert.runtime.storage import Store, file_sha256
from videobert.video.isolated import IsolatedDecoder


def test_rows_say_what_the_file_is(batch: Batch, clips: list[Path]) -> None:
    path = batch.put(clips[0], "sub/talk one.mp4")
    batch.put(CAPTIONS.encode(), "sub/talk one.en.vtt")
    manifest = batch.run()
    row = batch.rows(manifest)["talk one.mp4"]
    assert row["video_id"] == file_sha256(path) and row["uri"] == f"file://{path}"
    assert (row["width"], row["height"], row["codec"], row["has_audio"]) == (64, 48, "h264", True)
    assert row["fps"] == pytest.approx(10) and row["duration_seconds"] == pytest.approx(2, abs=0.1)
    assert row["title"] == "talk one" and row["size_bytes"] == path.stat().st_size
    assert (row["caption_source"], row["caption_language"], row["caption_note"]) == ("vtt", "en", "")
    assert row["cues"] == [{"start_seconds": 0.0, "end_seconds": 1.0, "text": "Cut the onion."}]
    assert manifest.counts == {"videos": 1, "rejects": 0}


def test_every_file_is_a_row_or_one_dead_letter(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[1], "b.mp4")
    batch.put(b"", "empty.mp4")
    batch.put(b"a shopping list, no video. " * 50, "text.mp4")
    batch.put(clips[2].read_bytes()[:2_000], "cut.mp4")
    (batch.folder / "gone.mp4").symlink_to(batch.folder / "nowhere")
    manifest = batch.run()
    assert list(batch.rows(manifest)) == ["b.mp4"]
    assert batch.letters() == {
        "empty.mp4": "empty", "text.mp4": "undecodable", "cut.mp4": "undecodable", "gone.mp4": "vanished"
    }  # fmt: skip
    assert manifest.counts == {"videos": 1, "rejects": 4}


def test_broken_captions_cost_a_note_and_no_video(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[1], "a.mp4")
    batch.put(b"[" * 50_000, "a.json")
    row = batch.rows(batch.run())["a.mp4"]
    assert row["caption_source"] == "none" and row["cues"] == [] and "a.json" in row["caption_note"]


def test_the_preferred_language_wins(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[1], "a.mp4")
    batch.put(CAPTIONS.replace("Cut the onion", "Zwiebel schneiden").encode(), "a.de.vtt")
    batch.put(CAPTIONS.encode(), "a.en.vtt")
    assert batch.rows(batch.run())["a.mp4"]["caption_language"] == "de"
    assert batch.rows(batch.run(language="en"))["a.mp4"]["caption_language"] == "en"


def test_embedded_subtitles_in_the_wanted_language_come_before_a_file_in_another(batch: Batch, tmp_path: Path) -> None:
    batch.put(write_subtitled(tmp_path / "a.mkv", "subrip", [(0, 900, "Chop.")]), "a.mkv")
    batch.put(CAPTIONS.replace("Cut the onion", "Zwiebel schneiden").encode(), "a.de.vtt")
    row = batch.rows(batch.run(language="en"))["a.mkv"]
    assert (row["caption_source"], row["cues"][0]["text"]) == ("embedded", "Chop.")
    row = batch.rows(batch.run(language="de"))["a.mkv"]
    assert (row["caption_source"], row["caption_language"]) == ("vtt", "de")


@pytest.mark.parametrize(("tag", "noted"), [("eng", "en"), ("ger", "de"), ("chi", "zh"), ("und", "")])
def test_the_language_of_a_track_is_noted_as_a_tag(batch: Batch, tmp_path: Path, tag: str, noted: str) -> None:
    batch.put(write_subtitled(tmp_path / "a.mkv", "subrip", [(0, 900, "Chop.")], language=tag), "a.mkv")
    assert batch.rows(batch.run())["a.mkv"]["caption_language"] == noted


def test_a_language_that_is_no_tag_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"'english_us'.*'en'"):
        IngestConfig(language="english_us")


def test_a_source_without_videos_says_what_is_there(batch: Batch) -> None:
    for name in ("a.txt", "b.vtt", ".c.mp4", "d.txt"):
        batch.put(b"x", name)
    with pytest.raises(InputError, match=r"found .*a\.txt \(extension \.txt\).* and 1 more"):
        batch.run()


def test_a_second_run_reads_and_writes_nothing(batch: Batch, clips: list[Path]) -> None:
    for number, clip in enumerate(clips):
        batch.put(clip, f"{number}.mp4")
    first = batch.run()
    assert batch.fetched == ["0.mp4", "1.mp4", "2.mp4"]
    writes = batch.store.writes
    assert batch.run().digest == first.digest
    assert batch.fetched == [] and batch.store.writes == writes


def test_a_second_run_opens_no_part_from_which_nothing_has_left(
    batch: Batch, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):  # a part each
        batch.put(clips[0], f"{name}.mp4")
        first = batch.run()
    (batch.folder / "b.mp4").unlink()
    opened: list[str] = []

    def recorded(store: Store, path: str, **options: Any) -> Any:
        opened.append(path)
        return read_table(store, path, **options)

    monkeypatch.setattr("videobert.ingest.run.read_table", recorded)
    assert batch.run().digest == first.digest
    assert opened == [first.outputs[1].path]


def test_a_late_video_is_the_only_one_read(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[0], "b.mp4")
    batch.put(clips[1], "c.mp4")
    first = batch.run()
    batch.put(clips[2], "a.mp4")
    second = batch.run()
    assert batch.fetched == ["a.mp4"]
    assert second.outputs[0] == first.outputs[0] and len(second.outputs) == 2
    assert sorted(batch.rows(second)) == ["a.mp4", "b.mp4", "c.mp4"]


def test_changed_bytes_are_read_again_and_their_neighbours_are_not(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[0], "a.mp4")
    batch.put(clips[1], "b.mp4")
    before = batch.rows(batch.run())
    batch.put(clips[2], "a.mp4")
    after = batch.rows(batch.run())
    assert batch.fetched == ["a.mp4"]
    assert after["a.mp4"]["video_id"] == file_sha256(clips[2]) != before["a.mp4"]["video_id"]
    assert after["b.mp4"] == before["b.mp4"]


def test_a_caption_that_comes_later_is_found(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[0], "a.mp4")
    batch.run()
    batch.put(CAPTIONS.encode(), "a.vtt")
    assert batch.rows(batch.run())["a.mp4"]["caption_source"] == "vtt"


def test_a_video_that_left_the_source_keeps_its_row(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[0], "a.mp4")
    batch.put(clips[1], "b.mp4")
    first = batch.run()
    before = batch.rows(first)
    (batch.folder / "a.mp4").unlink()
    assert batch.run().digest == first.digest and batch.fetched == []
    batch.put(clips[2], "b.mp4")
    rows = batch.rows(batch.run())
    assert batch.fetched == ["b.mp4"] and rows["a.mp4"] == before["a.mp4"]


def test_a_cured_video_loses_its_dead_letter(batch: Batch, clips: list[Path]) -> None:
    batch.put(b"no video", "a.mp4")
    batch.put(clips[1], "b.mp4")
    batch.run()
    assert batch.letters() == {"a.mp4": "undecodable"}
    batch.put(clips[0], "a.mp4")
    assert sorted(batch.rows(batch.run())) == ["a.mp4", "b.mp4"]
    assert batch.letters() == {} and batch.fetched == ["a.mp4"]


def test_another_configuration_replaces_the_catalog_and_its_dead_letters(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[0], "a.mp4")
    batch.put(b"no video", "b.mov")
    batch.run()
    manifest = batch.run(extensions=(".mp4",))
    assert list(batch.rows(manifest)) == ["a.mp4"] and batch.letters() == {}
    listed = {path for path in batch.store.list("catalog") if path.endswith(".parquet")}
    assert listed == {output.path for output in manifest.outputs}


def test_a_name_is_taken_literally(batch: Batch, clips: list[Path]) -> None:
    names = ["a::b.mp4", "[x]*?.mp4", "50% #1.mp4", "ü–<b>.mp4"]
    for name in names:
        batch.put(clips[0], name)
    assert sorted(batch.rows(batch.run())) == sorted(names)


def test_an_unknown_batch_names_those_that_are_there(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[0], "a.mp4")
    shutil.move(batch.folder, batch.folder.parent / "2026-02-02")
    with pytest.raises(InputError, match=r"has no videos.*nothing lies below.*holds 2026-02-02"):
        batch.run()
    assert batch.store.writes == 0


def test_a_prefix_without_videos_is_an_input_error(batch: Batch) -> None:
    batch.put(b"x", "readme.txt")
    with pytest.raises(EmptyBatchError, match=r"has no videos: none below .* ends in .*\.mp4"):
        batch.run()
    (batch.folder / "readme.txt").unlink()
    with pytest.raises(EmptyBatchError, match="nothing lies below"):
        batch.run()


@pytest.mark.parametrize("there", ["no prefix", "an empty prefix", "only _SUCCESS"])
def test_a_day_without_videos_says_so_without_contradiction(batch: Batch, clips: list[Path], there: str) -> None:
    batch.put(clips[0], "a.mp4")
    shutil.move(batch.folder, batch.folder.parent / "2026-02-02")
    if there != "no prefix":
        batch.folder.mkdir()
    if there == "only _SUCCESS":
        batch.put(b"", "_SUCCESS")
    with pytest.raises(EmptyBatchError) as caught:
        batch.run()
    told = str(caught.value)
    assert told.startswith(f"batch '{BATCH}' has no videos") and told.count(BATCH) == 2  # the second is the source
    assert "does not exist" not in told and batch.store.writes == 0


def test_a_name_that_is_no_day_is_wrong_rather_than_empty(tmp_path: Path) -> None:
    assert not isinstance(nothing_in("late-uplods", "nothing lies there"), EmptyBatchError)


@pytest.mark.parametrize("key", ["", "..", "a/b", "../x", ".hidden", "a b", "x" * 101, "a\n", "ü", "{root}"])
def test_a_bad_batch_key_is_an_input_error(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match="no key"):
        run(IngestConfig(), Inputs(store=Store(str(tmp_path)), batch=key), LocalExecutor())


def test_a_batch_stays_with_its_source(batch: Batch, clips: list[Path], tmp_path: Path) -> None:
    batch.put(clips[0], "a.mp4")
    batch.run()
    shutil.copytree(batch.folder, tmp_path / "elsewhere")
    with pytest.raises(InputError, match="was ingested from"):
        batch.run(source=f"file://{tmp_path}/elsewhere")


def test_membership_is_kept_beside_the_catalog(batch: Batch, clips: list[Path]) -> None:
    for number, clip in enumerate(clips):
        batch.put(clip, f"{number}.mp4")
    batch.run()
    names = [[uri.rsplit("/", 1)[-1] for uri in part] for part in load_plan(batch.store, f"catalog/batch={BATCH}")]
    assert names == [["0.mp4", "1.mp4"], ["2.mp4"]]


def test_what_is_no_file_is_a_dead_letter_and_stops_nobody(batch: Batch, clips: list[Path]) -> None:
    """Opening a pipe waits for ever, reading a device never ends."""
    batch.put(clips[0], "a.mp4")
    os.mkfifo(batch.folder / "pipe.mp4")
    os.mkfifo(batch.folder / "a.vtt")
    (batch.folder / "device.mp4").symlink_to("/dev/zero")
    (batch.folder / "folder.mp4").symlink_to(batch.folder)
    Path(os.fsdecode(bytes(batch.folder) + b"/\xff\xfe.mp4")).write_bytes(b"x")
    manifest = batch.run()
    assert list(batch.rows(manifest)) == ["a.mp4"] and "pipe" in batch.rows(manifest)["a.mp4"]["caption_note"]
    assert batch.letters() == {
        "pipe.mp4": "no-file", "device.mp4": "no-file", "\\xff\\xfe.mp4": "vanished"
    }  # fmt: skip


def test_a_huge_caption_file_is_not_read_to_its_end(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[0], "a.mp4")
    with batch.put(CAPTIONS.encode(), "a.vtt").open("r+b") as file:
        file.truncate(1 << 40)  # a terabyte of nothing that takes no room
    assert "at most" in batch.rows(batch.run())["a.mp4"]["caption_note"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "latin-1"])
def test_captions_of_any_encoding_reach_the_catalog(batch: Batch, clips: list[Path], encoding: str) -> None:
    batch.put(clips[0], "a.mp4")
    batch.put(CAPTIONS.replace("onion", "café").encode(encoding), "a.vtt")
    (cue,) = batch.rows(batch.run())["a.mp4"]["cues"]
    assert cue["text"] == "Cut the café."


def test_poisonous_sound_or_subtitles_cost_a_note_and_no_video(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: IsolatedDecoder, path: Path, *, language: str = "") -> list[tuple[float, float, str]]:
        raise VideoError("decoder-crash", "the decoder's process died: SIGSEGV", 2)

    batch.put(write_subtitled(tmp_path / "a.mkv", "subrip", [(0, 900, "Chop.")]), "a.mkv")
    monkeypatch.setattr(IsolatedDecoder, "subtitles", die)
    row = batch.rows(batch.run())["a.mkv"]
    assert row["cues"] == [] and "decoder-crash" in row["caption_note"]
