"""JSON of five tools, each recognised by its keys; what is recognised by nobody says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from videobert.ingest.captions import Captions, read_captions

EXPECTED = [(1.0, 2.5, "Cut the onion"), (3.0, 4.0, "Stir")]

FORMS: dict[str, tuple[Any, str]] = {
    "json3": (
        {"wireMagic": "pb3", "pens": [{}], "events": [
            {"tStartMs": 0, "dDurationMs": 9000, "id": 1, "wpWinPosId": 1},
            {"tStartMs": 1000, "dDurationMs": 1500, "segs": [{"utf8": "Cut"}, {"utf8": " the", "tOffsetMs": 300},
                                                              {"utf8": " onion"}]},
            {"tStartMs": 2490, "dDurationMs": 10, "wWinId": 1, "aAppend": 1, "segs": [{"utf8": "\n"}]},
            {"tStartMs": 3000, "dDurationMs": 1000, "segs": [{"utf8": "Stir"}]}]},
        "json3",
    ),
    "youtube-transcript-api": (
        [{"text": "Cut the onion", "start": 1.0, "duration": 1.5}, {"text": "Stir", "start": 3.0, "duration": 1.0}],
        "transcript",
    ),
    "youtube-transcript-api with its video": (
        {"video_id": "x", "language_code": "en", "snippets": [
            {"text": "Cut the onion", "start": 1.0, "duration": 1.5}, {"text": "Stir", "start": 3.0, "duration": 1.0}]},
        "transcript",
    ),
    "whisper.cpp": (
        {"systeminfo": "AVX = 1", "model": {}, "params": {}, "result": {"language": "en"}, "transcription": [
            {"timestamps": {"from": "00:00:01,000", "to": "00:00:02,500"}, "offsets": {"from": 1000, "to": 2500},
             "text": " Cut the onion"},
            {"timestamps": {"from": "00:00:03,000", "to": "00:00:04,000"}, "offsets": {"from": 3000, "to": 4000},
             "text": " Stir"}]},
        "whisper.cpp",
    ),
    "whisper": (
        {"text": " Cut the onion Stir", "language": "en", "segments": [
            {"id": 0, "seek": 0, "start": 1.0, "end": 2.5, "text": " Cut the onion", "tokens": [1], "words": []},
            {"id": 1, "seek": 0, "start": 3, "end": 4, "text": " Stir"}]},
        "whisper",
    ),
    "transformers": (
        {"text": "Cut the onion Stir", "chunks": [{"timestamp": [1.0, 2.5], "text": " Cut the onion"},
                                                   {"timestamp": [3.0, 4.0], "text": " Stir"},
                                                   {"timestamp": [5.0, None], "text": " Cut off"}]},
        "transformers",
    ),
    "yt-dlp's info": (
        {"id": "x", "title": "t", "language": "en", "chapters": [
            {"start_time": 1.0, "end_time": 2.5, "title": "Cut the onion"},
             {"start_time": 3, "end_time": 4, "title": "Stir"}]},
        "chapters",
    ),
}  # fmt: skip


def _read(value: Any, suffix: str = ".json") -> Captions:
    return read_captions(json.dumps(value).encode(), suffix)


@pytest.mark.parametrize(("value", "form"), FORMS.values(), ids=FORMS.keys())
def test_each_form_is_known_by_its_keys(value: Any, form: str) -> None:
    read = _read(value)
    assert [(cue.start_seconds, cue.end_seconds, cue.text) for cue in read.cues] == EXPECTED
    assert read.form == form


def test_rows_of_a_window_of_json3_last_until_the_next_one_comes_in() -> None:
    events = [
        {"tStartMs": 0, "dDurationMs": 5000, "wWinId": 1, "segs": [{"utf8": "one"}]},
        {"tStartMs": 1990, "wWinId": 1, "dDurationMs": 3010, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {"tStartMs": 2000, "dDurationMs": 4000, "wWinId": 1, "segs": [{"utf8": "two"}]},
    ]
    cues = _read({"events": events}, ".json3").cues
    assert [(cue.start_seconds, cue.end_seconds, cue.text) for cue in cues] == [(0.0, 2.0, "one"), (2.0, 6.0, "two")]


@pytest.mark.parametrize(
    "value", [{"id": "x", "title": "t", "chapters": None}, {"id": "x", "title": "t"}, [], {"events": []},
     {"segments": []},
              {"segments": [{"start": "x", "end": 1, "text": "t"}, {"start": 0, "end": 1},
               {"start": 0, "end": True, "text": "t"}]}]
)  # fmt: skip
def test_a_file_without_a_cue_is_read_and_holds_none(value: Any) -> None:
    assert _read(value).cues == []


@pytest.mark.parametrize(
    "value", [{}, {"a": 1}, 3, "x", None, {"segments": "x"}, {"events": 3}, ["x"], {"segments": [1]}]
)
def test_other_json_is_a_value_error_that_says_so(value: Any) -> None:
    with pytest.raises(ValueError, match=r"form that is not known|is an object with"):
        _read(value)


def test_lines_of_json_are_no_captions() -> None:
    with pytest.raises(ValueError, match="no JSON"):
        read_captions(b'{"replayChatItemAction": {}}\n{"replayChatItemAction": {}}\n', ".json")
