"""Captions are hostile text: every file gives cues in order, or a ValueError, and no markup."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest.captions import MAX_CAPTION_BYTES, Cue, clean_cues, decode_text, parse_captions

VTT = "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nCut the café onion\n\n00:00:03.000 --> 00:00:04.000\nStir\n"
SRT = "1\n00:00:01,000 --> 00:00:02,500\nCut the café onion\n\n2\n00:00:03,000 --> 00:00:04,000\nStir\n"
CUES = [(1.0, 2.5, "Cut the café onion"), (3.0, 4.0, "Stir")]

YOUTUBE = """WEBVTT
Kind: captions
Language: en

00:00:00.000 --> 00:00:02.000 align:start position:0%
 \u0020
first<00:00:00.500><c> we</c><00:00:01.000><c> cut</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
first we cut
 \u0020

00:00:02.010 --> 00:00:04.000 align:start position:0%
first we cut
the<00:00:02.500><c> onion</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
the onion
 \u0020

00:00:04.010 --> 00:00:06.000 align:start position:0%
the onion
then stir
"""


def _plain(cues: list[Cue]) -> list[tuple[float, float, str]]:
    return [(cue.start_seconds, cue.end_seconds, cue.text) for cue in cues]


def _vtt(*cues: tuple[str, str, str]) -> bytes:
    return ("WEBVTT\n\n" + "\n\n".join(f"{start} --> {end}\n{text}" for start, end, text in cues) + "\n").encode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
@pytest.mark.parametrize(("suffix", "text"), [(".vtt", VTT), (".srt", SRT)])
def test_any_common_encoding_is_read(encoding: str, suffix: str, text: str) -> None:
    assert _plain(parse_captions(text.encode(encoding), suffix)) == CUES


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-32-be", "utf-32-le"])
def test_byte_order_marks_tell_the_encoding(encoding: str) -> None:
    assert decode_text("\ufeffüber".encode(encoding)).strip("\ufeff") == "über"


@pytest.mark.parametrize("suffix", [".vtt", ".srt"])
def test_line_ends_of_other_systems_do_not_matter(suffix: str) -> None:
    text = VTT if suffix == ".vtt" else SRT
    assert _plain(parse_captions(text.replace("\n", "\r\n").encode(), suffix)) == CUES


def test_rolling_captions_are_said_once() -> None:
    assert [cue.text for cue in parse_captions(YOUTUBE.encode(), ".vtt")] == ["first we cut", "the onion", "then stir"]


def test_words_said_again_later_stay() -> None:
    again = _vtt(("00:00.000", "00:01.000", "stir"), ("00:05.000", "00:06.000", "stir"))
    assert [cue.text for cue in parse_captions(again, ".vtt")] == ["stir", "stir"]


def test_cues_without_duration_or_text_go_and_order_is_time() -> None:
    data = _vtt(
        ("00:05.000", "00:06.000", "late"), ("00:01.000", "00:01.000", "zero"),
        ("00:03.000", "00:02.000", "negative"),
        ("00:00.500", "00:04.000", "long"), ("00:01.000", "00:02.000", "inside"),
        ("00:02.000", "00:03.000", "<i> </i>"),
    )  # fmt: skip
    assert _plain(parse_captions(data, ".vtt")) == [
        (0.5, 4.0, "long"), (1.0, 2.0, "inside"), (5.0, 6.0, "late")
    ]  # fmt: skip


def test_markup_goes_and_text_stays() -> None:
    data = _vtt(("00:01.000", "00:02.000", "<v Bob><b>cut</b> &amp; <c.yellow>stir</c> {\\an8}now\u0007\u202e"))
    assert [cue.text for cue in parse_captions(data, ".vtt")] == ["cut & stir now"]


@pytest.mark.parametrize(
    "value",
    [
        {"text": "all", "segments": [{"id": 0, "start": 1.0, "end": 2.5, "text": " Cut the café onion"},
                                     {"start": 3, "end": 4, "text": "Stir"}]},
        {"title": "t", "chapters": [{"start_time": 1.0, "end_time": 2.5, "title": "Cut the café onion"},
                                    {"start_time": 3, "end_time": 4, "title": "Stir"}]},
        [{"start": 1.0, "end": 2.5, "text": "Cut the café onion"}, {"start": 3, "end": 4, "text": "Stir"}],
        {"cues": [{"start": 1.0, "end": 2.5, "text": "Cut the café onion"}, {"start": 3, "end": 4, "text": "Stir"},
                  {"start": "x", "end": 4, "text": "no time"}, {"start": 5, "end": 6}]},
    ],
    ids=["whisper", "yt-dlp", "list", "cues"],
)  # fmt: skip
def test_json_of_whisper_and_yt_dlp(value: Any) -> None:
    assert _plain(parse_captions(json.dumps(value).encode(), ".json")) == CUES


def test_an_info_file_without_chapters_holds_no_cues() -> None:
    assert parse_captions(b'{"id": "x", "chapters": null}', ".json") == []


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (b"", ".json"), (b"{", ".json"), (b"3", ".json"), (b'["x"]', ".json"), (b"[" * 100_000, ".json"),
        (b'{"segments": "x"}', ".json"), (b'[{"start": 1' + b"0" * 400 + b', "end": 2, "text": "x"}]', ".json"),
        (b" " * (MAX_CAPTION_BYTES + 1), ".vtt"),
    ],
    ids=["empty", "cut", "number", "strings", "deep", "text", "huge-number", "huge-file"],
)  # fmt: skip
def test_what_cannot_be_read_is_a_value_error(data: bytes, suffix: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_captions(data, suffix)


@given(data=st.binary(max_size=300), suffix=st.sampled_from([".vtt", ".srt", ".json"]))
def test_no_bytes_break_the_reader(data: bytes, suffix: str) -> None:
    try:
        cues = parse_captions(data, suffix)
    except ValueError:
        return
    assert all(0 <= cue.start_seconds < cue.end_seconds and cue.text for cue in cues)


_PIECE = st.sampled_from(
    ["WEBVTT\n\n", "00:00:01.000 --> 00:00:02.000\n", "1\n", "99:99:99,999 --> 00:00:01,000\n", "-->", "text\n", "\n\n",
     "<c>", "</c", "{\\an8}", "NOTE\n", "00:01 --> \n", "1e9:00:00.000 --> 2e9\n", "\x00", "&lt;b&gt;", "STYLE\n"]
)  # fmt: skip


@given(pieces=st.lists(_PIECE, max_size=14), suffix=st.sampled_from([".vtt", ".srt"]))
def test_no_arrangement_of_caption_parts_breaks_the_reader(pieces: list[str], suffix: str) -> None:
    test = "".join(pieces).encode()
    try:
        cues = parse_captions(test, suffix)
    except ValueError:
        return
    assert all(0 <= cue.start_seconds < cue.end_seconds and cue.text for cue in cues)


_SECONDS = st.floats(width=32) | st.integers(-5, 50)


@given(raw=st.lists(st.tuples(_SECONDS, _SECONDS, st.text(max_size=30)), max_size=8))
def test_clean_cues_are_plain_finite_and_in_order(raw: list[tuple[float, float, str]]) -> None:
    cues = clean_cues(raw)
    assert [c.start_seconds for c in cues] == sorted(c.start_seconds for c in cues)
    for cue in cues:
        assert 0 <= cue.start_seconds < cue.end_seconds < float("inf")
        assert cue.text and cue.text.isprintable() and cue.text == " ".join(cue.text.split())
