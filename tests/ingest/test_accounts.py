"""Every file below a source ends as exactly one thing, and the account says as which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.conftest import BATCH, CAPTIONS, Batch
from videobert.admin.forget import forget
from videobert.cli.files import FilesCommand
from videobert.errors import InputError
from videobert.ingest.accounts import STATES, account_path
from videobert.runtime.parquet import read_table
from videobert.runtime.storage import file_sha256


def _account(batch: Batch) -> dict[str, tuple[str, str, int | None]]:
    table = read_table(batch.store, account_path(BATCH))
    cut = len(f"file://{batch.folder}/")
    return {row["uri"][cut:]: (row["state"], row["detail"], row["cues"]) for row in table.to_pylist()}


def _fill(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[0], "a.mp4")
    batch.put(CAPTIONS.encode(), "a.en.vtt")
    batch.put(b"1\n00:00:00,000 --> 00:00:01,000\nNot needed.\n", "a.en.srt")
    batch.put(json.dumps({"id": "a", "title": "t", "chapters": []}).encode(), "a.info.json")
    batch.put(clips[1], "b.mp4")
    batch.put(b"{}", "same/a.json")
    batch.put(b"WEBVTT\n\nNOTE nothing is said\n", "b.vtt")
    batch.put("1\n00:00:00,000 --> 00:00:01,000\nIt\u2019s a caf\u00e9\n".encode("cp1252"), "b.srt")
    batch.put(clips[0], "same/a.mp4")
    batch.put(b"no video", "broken.mp4")
    batch.put(CAPTIONS.encode(), "broken.vtt")
    batch.put(CAPTIONS.encode(), "nobody.vtt")
    batch.put(b"x", "readme.txt")
    batch.put(clips[2], ".Trash-1000/files/old.mp4")
    batch.put(clips[2], "@eaDir/a.mp4/thumb.mp4")
    (batch.folder / "again").symlink_to("same")
    (batch.folder / "gone.mp4").symlink_to("nowhere")


def test_each_file_is_accounted_for_once(batch: Batch, clips: list[Path]) -> None:
    _fill(batch, clips)
    batch.run(language="en")
    account = _account(batch)
    dead = account.pop("broken.mp4"), account.pop("gone.mp4")
    assert [state for state, _, _ in dead] == ["dead letter"] * 2 and "undecodable" in dead[0][1]
    state, reason, _ = account.pop("same/a.json")
    assert state == "captions not read" and "form that is not known" in reason
    assert account == {
        "a.mp4": ("taken", "captions: vtt", 1), "a.en.vtt": ("captions read", "", 1),
        "a.en.srt": ("captions not needed", "vtt was taken", None),
        "a.info.json": ("captions not needed", "vtt was taken", None),
        "b.mp4": ("taken", "captions: srt", 1), "b.vtt": ("captions not read", "holds no cue (vtt)", 0),
        "b.srt": ("captions read", "read as cp1252", 1),
        "same/a.mp4": ("taken", f"captions: none; same bytes as file://{batch.folder}/a.mp4", 0),
        "broken.vtt": ("captions not needed", "its video could not be used", None),
        "nobody.vtt": ("captions of no video", "", None), "readme.txt": ("skipped", "extension .txt", None),
        ".Trash-1000/files/old.mp4": ("skipped", "hidden folder .Trash-1000", None),
        "@eaDir/a.mp4/thumb.mp4": ("skipped", "system folder @eaDir", None),
        "again": ("skipped", "link to a folder that is listed already", None),
    }  # fmt: skip


def test_b_json_is_tried_after_the_transcripts_that_players_read(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[1], "b.mp4")
    batch.put(b"{}", "b.json")
    batch.put(b"1\n00:00:00,000 --> 00:00:01,000\nStir.\n", "b.srt")
    batch.run()
    assert _account(batch)["b.json"] == ("captions not needed", "srt was taken", None)


def test_chapters_that_were_opened_and_left_say_so(batch: Batch, clips: list[Path]) -> None:
    chapters = {"id": "x", "chapters": [{"start_time": 0, "end_time": 1, "title": "Intro"}]}
    batch.put(clips[1], "b.mp4")
    batch.put(json.dumps(chapters).encode(), "b.info.json")
    row = batch.rows(batch.run())["b.mp4"]
    assert (row["caption_source"], row["cues"][0]["text"]) == ("chapters", "Intro")
    assert _account(batch)["b.info.json"] == ("captions read", "", 1)


def test_a_second_run_writes_no_account_and_a_changed_listing_does(batch: Batch, clips: list[Path]) -> None:
    batch.put(clips[0], "a.mp4")
    first = batch.run()
    writes = batch.store.writes
    batch.run()
    assert batch.store.writes == writes
    batch.put(b"x", "late.txt")
    assert batch.run().digest == first.digest  # the catalog is none of its business
    assert _account(batch)["late.txt"][0] == "skipped"


def test_an_account_that_was_lost_comes_back(batch: Batch, clips: list[Path]) -> None:
    _fill(batch, clips)
    batch.run()
    before = _account(batch)
    batch.store.delete([account_path(BATCH)])
    batch.run()
    assert _account(batch) == before and batch.fetched == ["broken.mp4", "gone.mp4"][: len(batch.fetched)]


def test_a_forgotten_video_is_forgotten_here_too_and_ingest_agrees(batch: Batch, clips: list[Path]) -> None:
    _fill(batch, clips)
    batch.run()
    forget(batch.store, file_sha256(clips[0]))
    account, path = _account(batch), account_path(BATCH)
    assert account["a.mp4"] == account["same/a.mp4"] == ("forgotten", "", None)
    assert account["a.en.vtt"] == ("captions not needed", "its video could not be used", None)
    assert account["b.mp4"] == ("taken", "captions: srt", 1)
    forgotten = batch.store.read(path)
    batch.run()
    assert batch.store.read(path) == forgotten
    batch.store.delete([path])
    batch.run()
    assert _account(batch) == account


def test_the_run_says_it_in_one_sentence(batch: Batch, clips: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    _fill(batch, clips)
    for _ in range(2):  # the second run finds all done
        caplog.clear()
        with caplog.at_level("INFO", logger="videobert"):
            batch.run(language="en")
        (said,) = [record.getMessage() for record in caplog.records if "files below" in record.getMessage()]
        assert "taken: 3, dead letter: 2, captions read: 2 (2 cues), captions not needed: 3" in said
        assert "captions not read: 2, captions of no video: 1, skipped: 4 (" in said


def test_the_command_shows_it(batch: Batch, clips: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    _fill(batch, clips)
    batch.put(b"x", "evil\x1b[31m.txt")
    batch.run(language="en")
    FilesCommand(root=batch.store.root, batch=BATCH).execute()
    shown = capsys.readouterr().out
    assert "       3 taken" in shown and "       2 skipped: extension .txt" in shown and "\x1b" not in shown
    FilesCommand(root=batch.store.root, batch=BATCH, state="captions of no video").execute()
    assert capsys.readouterr().out.split() == [
        "1", "captions", "of", "no", "video", f"'file://{batch.folder}/nobody.vtt'"
    ]  # fmt: skip


@pytest.mark.parametrize(("changes", "match"), [({"batch": "none"}, "stage ingest"), ({"state": "x"}, "files end as")])
def test_the_command_names_the_cure(batch: Batch, clips: list[Path], changes: dict[str, Any], match: str) -> None:
    batch.put(clips[0], "a.mp4")
    batch.run()
    with pytest.raises(InputError, match=match):
        FilesCommand(**{"root": batch.store.root, "batch": BATCH, **changes}).execute()
    assert len(set(STATES)) == 8
