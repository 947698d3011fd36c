"""SubStation: what is said, without what styles it."""

from __future__ import annotations

import time

import pytest

from videobert.ingest.captions import parse_captions, read_captions

HEAD = """[Script Info]
; made by hand
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def _event(text: str, kind: str = "Dialogue") -> str:
    return f"{kind}: 0,0:00:01.50,0:00:02.75,Default,Bob,0,0,0,,{text}\n"


@pytest.mark.parametrize("suffix", [".ass", ".ssa", ".srt"])
def test_dialogue_is_read_whatever_the_ending(suffix: str) -> None:
    text = HEAD + _event(r"{\b1}Cut{\b0} the onion\Nand, then,\hstir") + _event("not said", "Comment")
    read = read_captions(text.encode(), suffix)
    assert [(cue.start_seconds, cue.end_seconds, cue.text) for cue in read.cues] == [
        (1.5, 2.75, "Cut the onion and, then, stir")
    ]
    assert read.form == "ass"


def test_drawings_are_no_text_and_layers_are_said_once() -> None:
    text = HEAD + _event(r"{\p1}m 0 0 l 100 0 100 100{\p0}") + _event("Stir") + _event("Stir")
    assert [cue.text for cue in parse_captions(text.encode(), ".ass")] == ["Stir"]


def test_a_file_that_is_none_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no SubStation"):
        parse_captions(b"a shopping list", ".ass")


@pytest.mark.parametrize("line", ["{\\" * 400_000, "{" * 800_000, "\\N" * 400_000, "{\\p1" * 200_000], ids=range(4))
def test_a_line_of_any_length_takes_linear_time(line: str) -> None:
    started = time.process_time()
    cues = parse_captions((HEAD + _event(line) + _event("Stir")).encode(), ".ass")
    assert time.process_time() - started < 3 and cues[-1].text == "Stir"
