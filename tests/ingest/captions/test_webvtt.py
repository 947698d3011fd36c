"""WebVTT: cases worked out by hand from the parsing algorithm of the W3C recommendation, sections 6.1 to 6.5."""

from __future__ import annotations

import pytest

from videobert.ingest.captions.webvtt import parse_webvtt, plain_text

_A = "00:00.000 --> 00:01.000"
_B = "00:02.000 --> 00:03.000"

Expected = list[tuple[str, float, float, str]]
"""Identifier, start, end, text with its tags."""


def _one(text: str = "text", *, identifier: str = "", start: float = 0.0, end: float = 1.0) -> Expected:
    return [(identifier, start, end, text)]


FILES: dict[str, tuple[str, Expected | None]] = {
    # The signature (6.1, steps 3 to 5); None: no WebVTT.
    "nothing after it": ("WEBVTT", []),
    "a line end after it": ("WEBVTT\n", []),
    "a header and the end": ("WEBVTT header", []),
    "a space after it": (f"WEBVTT \n\n{_A}\ntext", _one()),
    "a tab and words after it": (f"WEBVTT\tby hand\n\n{_A}\ntext", _one()),
    "a byte-order mark before it": (f"\ufeffWEBVTT\n\n{_A}\ntext", _one()),
    "two marks before it": (f"\ufeff\ufeffWEBVTT\n\n{_A}\ntext", None),
    "letters after it": (f"WEBVTTs\n\n{_A}\ntext", None),
    "lower case": (f"webvtt\n\n{_A}\ntext", None),
    "a space before it": (f" WEBVTT\n\n{_A}\ntext", None),
    "an empty line before it": (f"\nWEBVTT\n\n{_A}\ntext", None),
    "cut short": ("WEBVT", None),
    "an empty file": ("", None),
    # Line ends (6.1, step 1).
    "carriage returns": (f"WEBVTT\r\r{_A}\rone\rtwo\r", _one("one\ntwo")),
    "carriage returns and line feeds": (f"WEBVTT\r\n\r\n{_A}\r\none\r\ntwo\r\n\r\n", _one("one\ntwo")),
    "no line end at the end": (f"WEBVTT\n\n{_A}\ntext", _one()),
    "other separators end no line": (f"WEBVTT\n\n{_A}\none\u2028two\x0bthree\x0cfour\x85",
     _one("one\u2028two\x0bthree\x0cfour\x85")),
    "a zero is the replacement character": (f"WEBVTT\n\x00\n{_A}\none\x00two", _one("one\ufffdtwo")),
    "a zero after it": (f"WEBVTT\x00\n\n{_A}\ntext", None),
    # The header block (step 10): lines after the signature belong to it.
    "metadata in the header": (f"WEBVTT\nKind: captions\nLanguage: en\n\n{_A}\ntext", _one()),
    "times end the header": (f"WEBVTT\n{_A}\ntext", _one()),
    "times end the header after metadata": (f"WEBVTT\nKind: captions\n{_A}\ntext", _one()),
    "a name in the header names no cue": (f"WEBVTT\nname\n{_A}\ntext", _one()),
    "many empty lines": (f"WEBVTT\n\n\n\n{_A}\ntext\n\n\n\n{_B}\nmore\n\n\n", [*_one(), ("", 2.0, 3.0, "more")]),
    # Blocks (6.1, collect a block).
    "an identifier": (f"WEBVTT\n\nname\n{_A}\ntext", _one(identifier="name")),
    "an identifier of digits": (f"WEBVTT\n\n1\n{_A}\ntext", _one(identifier="1")),
    "an identifier of two lines is a comment": (f"WEBVTT\n\none\ntwo\n{_A}\ntext", _one()),
    "an identifier like a comment": (f"WEBVTT\n\nNOTE\n{_A}\ntext", _one(identifier="NOTE")),
    "an identifier like a style": (f"WEBVTT\n\nSTYLE\n{_A}\ntext", _one(identifier="STYLE")),
    "two arrows in a line": (f"WEBVTT\n\n-->\n{_A}\ntext", _one()),
    "no empty line between cues": (f"WEBVTT\n\n{_A}\none\n{_B}\ntwo", [*_one("one"), ("", 2.0, 3.0, "two")]),
    "a name between cues is text": (f"WEBVTT\n\n{_A}\none\nname\n{_B}\ntwo", [*_one("one\nname"),
     ("", 2.0, 3.0, "two")]),
    "times twice": (f"WEBVTT\n\n{_A}\n{_B}\ntwo", [*_one(""), ("", 2.0, 3.0, "two")]),
    "no text": (f"WEBVTT\n\n{_A}\n\n{_B}\ntwo", [*_one(""), ("", 2.0, 3.0, "two")]),
    "a blank is a row": (f"WEBVTT\n\n{_A}\n \ntext\n", _one(" \ntext")),
    "text after an empty line is lost": (f"WEBVTT\n\n{_A}\none\n\ntwo\n\n{_B}\nthree", [*_one("one"),
     ("", 2.0, 3.0, "three")]),
    "digits on the last line": (f"WEBVTT\n\n{_A}\nPreheat to\n350\n", _one("Preheat to\n350")),
    "an arrow in the text": (f"WEBVTT\n\n{_A}\none --> two\nthree", _one("")),
    "a comment": (f"WEBVTT\n\nNOTE nobody says this\n\n{_A}\ntext\n\nNOTE\nnor\nthis", _one()),
    "a comment without an empty line after it": (f"WEBVTT\n\nNOTE comment\n{_A}\ntext",
     _one(identifier="NOTE comment")),
    "a style sheet": (f"WEBVTT\n\nSTYLE\n::cue {{ color: red }}\n\n{_A}\ntext", _one()),
    "a style sheet after a cue": (f"WEBVTT\n\n{_A}\ntext\n\nSTYLE\n::cue {{}}\n", _one()),
    "a region": (f"WEBVTT\n\nREGION\nid:bill\nwidth:40%\n\n{_A} region:bill\ntext", _one()),
    "broken times": (f"WEBVTT\n\n00:00.000 -> 00:01.000\none\n\n{_B}\ntwo", [("", 2.0, 3.0, "two")]),
    "broken times hide their text": (f"WEBVTT\n\n0:0 --> 1\none\n\n{_B}\ntwo", [("", 2.0, 3.0, "two")]),
    "broken times before good ones": (f"WEBVTT\n\n0 --> 1\n{_B}\ntwo", [("", 2.0, 3.0, "two")]),
    # Settings follow the times and change none.
    "settings": (f"WEBVTT\n\n{_A} align:start position:0% line:-1 size:50%\ntext", _one()),
    "settings that are none": (f"WEBVTT\n\n{_A} foo:bar :: align: \ntext", _one()),
    "settings without a blank": (f"WEBVTT\n\n{_A}align:start\ntext", _one()),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FILES.values(), ids=FILES.keys())
def test_files(text: str, expected: Expected | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="no WebVTT"):
            list(parse_webvtt(text))
        return
    found = [(cue.identifier, cue.start_seconds, cue.end_seconds, cue.text) for cue in parse_webvtt(text)]
    assert found == expected


TIMES: dict[str, tuple[float, float] | None] = {
    "00:00.000 --> 00:01.500": (0.0, 1.5),
    "00:00:00.000 --> 00:00:01.500": (0.0, 1.5),
    "00:00:59.999 --> 00:59:59.999": (59.999, 3599.999),
    "61:00:00.000 --> 99:59:59.999": (219_600.0, 359_999.999),
    "0:00:01.000 --> 100:00:00.001": (1.0, 360_000.001),
    "1000000:00:00.000 --> 1000000:00:01.000": (3.6e9, 3.6e9 + 1),
    "00:00.000-->00:01.500": (0.0, 1.5),
    "\t00:00.000\t-->\t00:01.500": (0.0, 1.5),
    " \f00:00.000 \f--> \f00:01.500": (0.0, 1.5),
    "00:01.500 --> 00:00.000": (1.5, 0.0),  # parsed; never shown
    "0:01.000 --> 00:02.000": None,  # one digit makes hours, and then a part is missing
    "60:00.000 --> 61:00.000": None,
    "00:60.000 --> 01:00.000": None,
    "00:60:00.000 --> 02:00:00.000": None,
    "00:00:60.000 --> 00:02:00.000": None,
    "00:00:1.000 --> 00:00:02.000": None,
    "00:0:01.000 --> 00:00:02.000": None,
    "000:01.000 --> 00:02.000": None,
    "00:001.000 --> 00:02.000": None,
    "00:01,000 --> 00:02,000": None,
    "00:01.00 --> 00:02.000": None,
    "00:01.0000 --> 00:02.000": None,
    "00:01 --> 00:02": None,
    "00:01. --> 00:02.": None,
    "00.01.000 --> 00.02.000": None,
    "-00:01.000 --> 00:02.000": None,
    "+00:01.000 --> 00:02.000": None,
    "00:01.000 --> ": None,
    "--> 00:02.000": None,
    "00:01.000 --> --> 00:02.000": None,
    "00:01.000 -- > 00:02.000": None,
    "00:01.000 x --> 00:02.000": None,
    "00:01.000 --> x 00:02.000": None,
    "\u0660\u0660:\u0660\u0661.000 --> 00:02.000": None,  # digits of another script
    "\u00a000:01.000 --> 00:02.000": None,  # no white space of ASCII
}


@pytest.mark.parametrize(("line", "expected"), TIMES.items())
def test_times(line: str, expected: tuple[float, float] | None) -> None:
    cues = list(parse_webvtt(f"WEBVTT\n\n{line}\ntext"))
    assert [(cue.start_seconds, cue.end_seconds) for cue in cues] == ([expected] if expected else [])


TEXTS = {
    # Tags of every kind (6.4).
    "<b>bold</b> <i>it</i> <u>under</u>": "bold it under",
    "<v Bob>hello</v>": "hello", "<v.loud Bob Smith>hello": "hello", "<c.yellow.bg_blue>hi</c>": "hi",
    "<lang en>hi</lang>": "hi", "<ruby>base<rt>above</rt></ruby>": "baseabove", "<unknown>hi</unknown>": "hi",
    "one<00:00:01.000>two<00:02.000>three": "onetwothree", "<1>x": "x", "<>x": "x", "</>x": "x", "<.>x": "x",
    "<b\tc>x</b\n>y": "xy", "<b &amp; &gt;>x": "x",
    # What nobody closes ends with the cue.
    "<b>bold": "bold", "bold</b>": "bold", "<i><b>x</i></b>": "x", "x<b": "x", "x<": "x", "x</": "x", "x<v Bob": "x",
    "x<00:00:01": "x", "x<c.yellow": "x", "a < b": "a ", "a < b > c": "a  c", "<<b>>x": ">x", "a > b": "a > b",
    "<b>x<b>y</b": "xy", "<v >x": "x",
    # Character references (6.4, as in HTML).
    "&amp; &lt; &gt;": "& < >", "a&nbsp;b": "a\u00a0b", "&lrm;a&rlm;": "\u200ea\u200f", "&AMP;": "&",
    "&amp": "&", "&ampx": "&x", "&notit;": "\u00acit;", "&": "&", "&&amp;": "&&", "& amp;": "& amp;",
    "&unknown;": "&unknown;", "&#65;&#x42;": "AB", "&#65": "A", "&#;": "&#;", "&#x;": "&#x;", "&#0;": "\ufffd",
    "&#x110000;": "\ufffd", "&#128;": "\u20ac", "&am<b>p;": "&amp;", "&lt;b&gt;": "<b>", "&amp;lt;": "&lt;",
    "&CounterClockwiseContourIntegral;": "\u2233", "Tom &amp; Jerry's": "Tom & Jerry's",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TEXTS.items())
def test_texts(text: str, expected: str) -> None:
    assert plain_text(text) == expected
