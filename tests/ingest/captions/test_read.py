"""Captions are hostile text: every file gives cues in order, or a ValueError, and no markup."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videobert.ingest.captions import MAX_CAPTION_BYTES, Cue, clean_cues, decode_text, parse_captions, read_captions

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
    assert decode_text("\ufeffüber".encode(encoding)) == ("über", encoding)


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("said", ["Cut the café", "Нарежьте лук", "切洋葱", "קצוץ בצל"])
@pytest.mark.parametrize("suffix", [".vtt", ".srt", ".json"])
def test_utf_16_without_a_mark_is_read(encoding: str, said: str, suffix: str) -> None:
    texts = {".vtt": VTT, ".srt": SRT, ".json": json.dumps([{"start": 1, "end": 2.5, "text": "Cut the café onion"}])}
    text = texts[suffix].replace("\\u00e9", "é").replace("Cut the café onion", said)
    assert _plain(parse_captions(text.encode(encoding), suffix))[0] == (1.0, 2.5, said)


def test_single_zeros_make_no_text_utf_16() -> None:
    assert _plain(parse_captions(SRT.replace("Stir", "S\x00tir\x00").encode(), ".srt")) == CUES


def test_a_zero_in_webvtt_is_the_replacement_character_and_no_part_of_a_time() -> None:
    cues = [("00:01.000", "00:02.000", "S\x00tir"), ("00:0\x003.000", "00:04.000", "lost")]
    assert _plain(parse_captions(_vtt(*cues), ".vtt")) == [(1.0, 2.0, "S\ufffdtir")]


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


def test_a_time_that_is_no_number_moves_no_other_cue() -> None:
    none, raw = float("nan"), [(2.0, 3.0, "b"), (float("nan"), 1.0, "x"), (1.0, 2.0, "a"), (0.0, float("nan"), "y")]
    assert [cue.text for cue in clean_cues([*raw, (none, none, "z"), (0.0, 1.0, "first")])] == ["first", "a", "b"]


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
        assert (
            cue.text
            and cue.text.translate({0x200C: "", 0x200D: ""}).isprintable()
            and cue.text == " ".join(cue.text.split())
        )


_HOSTILE_LINES = {
    "braces": "{\\" * 400_000, "brackets": "< " * 400_000, "tags": "<a" * 400_000, "spaces": "<" + " " * 800_000,
    "letters": "a" * 800_000, "arrows": "-->" * 300_000, "entities": "&lt;" * 200_000,
    "empty lines": "\n" * 800_000 + "x", "lines of braces": "{{{{{{{{\n" * 90_000, "digits": "1\n" * 400_000,
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".vtt", ".srt"])
@pytest.mark.parametrize("line", _HOSTILE_LINES.values(), ids=_HOSTILE_LINES.keys())
def test_a_line_of_any_length_takes_linear_time(line: str, suffix: str) -> None:
    text = (VTT if suffix == ".vtt" else SRT).replace("Cut the café onion", f"Cut {line} it")
    started = time.process_time()
    cues = parse_captions(text.encode(), suffix)
    assert time.process_time() - started < 3  # quadratic ones take minutes
    assert cues[-1].text == "Stir" and all(len(cue.text) <= 2_000 for cue in cues)


def test_the_cues_of_a_file_are_limited() -> None:
    clock = [f"{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}" for n in range(51_000)]
    many = "WEBVTT\n\n" + "".join(f"{at}.000 --> {at}.500\nsay {at}\n\n" for at in clock)
    assert len(parse_captions(many.encode(), ".vtt")) == 50_000


@pytest.mark.parametrize(
    "text", ["قطّع البصل", "חתכו את הבצל", "\u202bقطّع البصل\u202c", "切洋葱", "Cut\u2066 the\u2069 onion"]
)  # fmt: skip
def test_scripts_of_any_direction_stay_and_their_control_characters_go(text: str) -> None:
    (cue,) = parse_captions(_vtt(("00:01.000", "00:02.000", text)), ".vtt")
    assert cue.text == " ".join("".join(c if c not in "\u202b\u202c\u2066\u2069" else " " for c in text).split())


def test_scripts_of_the_other_kind_lose_their_tags_and_stay_text() -> None:
    data = _vtt(
        ("00:01.000", "00:02.000", "<script>alert(1)</script> <img src=x onerror=alert(2)> &lt;b&gt; javascript:x")
    )
    (cue,) = parse_captions(data, ".vtt")
    assert cue.text == "alert(1) <b> javascript:x"


@pytest.mark.parametrize(
    ("head", "language"),
    [("WEBVTT\nKind: captions\nLanguage: en\n", "en"), ("WEBVTT\n\nNOTE\nLanguage: en\n", ""), ("WEBVTT\n", "")],
)
def test_the_header_of_youtube_names_the_language(head: str, language: str) -> None:
    read = read_captions(f"{head}\n00:00.000 --> 00:01.000\nLanguage: de\n".encode(), ".vtt")
    assert (read.language, read.form, read.encoding) == (language, "vtt", "utf-8")


def test_overlaps_stay_and_keep_their_times() -> None:
    data = _vtt(
        ("00:01.000", "00:05.000", "one"), ("00:02.000", "00:03.000", "two"), ("00:02.500", "00:09.000", "three")
    )
    assert _plain(parse_captions(data, ".vtt")) == [(1.0, 5.0, "one"), (2.0, 3.0, "two"), (2.5, 9.0, "three")]


CASES = 2_000


def test_thousands_of_mutated_caption_files_are_cues_or_a_value_error() -> None:
    """`CASES` of each kind: bytes turned over, cut out, doubled and swapped, seeded."""
    seeds = {
        ".vtt": YOUTUBE.encode(),
        ".srt": SRT.encode("utf-16"),
        ".json": json.dumps([{"start": 1, "end": 2, "text": "a"}]).encode(),
    }
    for suffix, data in seeds.items():
        for case in range(CASES):
            try:
                cues = parse_captions(_mutated(data, case), suffix)
            except ValueError:
                continue
            assert all(0 <= cue.start_seconds < cue.end_seconds < float("inf") and cue.text for cue in cues)


def _mutated(data: bytes, case: int) -> bytes:
    rng, changed = np.random.default_rng([case, len(data)]), bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        at, length = int(rng.integers(len(changed) + 1)), int(rng.integers(12))
        way = int(rng.integers(4))
        if way == 0 and at < len(changed):
            changed[at] = int(rng.integers(256))
        elif way == 1:
            del changed[at : at + length]
        elif way == 2:
            changed[at:at] = changed[at : at + length] * int(rng.integers(1, 5))
        else:
            changed[at:at] = rng.bytes(length)
    return bytes(changed)
