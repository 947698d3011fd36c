"""SubRip as players read it; FFmpeg, which most of them use, is asked as well."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from videobert.ingest.captions import clean_cues, parse_captions
from videobert.ingest.captions.subrip import without_markup

Cues = list[tuple[float, float, str]]

_FIRST = "00:00:01,000 --> 00:00:02,000"
_SECOND = "00:00:04,000 --> 00:00:06,000"

FILES: dict[str, tuple[str, Cues]] = {
    "digits end a cue": (
        f"1\n{_FIRST}\nPreheat the oven to\n350\n\n2\n{_SECOND}\nChop.\n",
        [(1.0, 2.0, "Preheat the oven to 350"), (4.0, 6.0, "Chop.")],
    ),
    "digits end the file": (f"1\n{_FIRST}\nPreheat the oven to\n350", [(1.0, 2.0, "Preheat the oven to 350")]),
    "digits end a cue, numbers missing": (
        f"{_FIRST}\nPreheat the oven to\n350\n\n{_SECOND}\nChop.",
        [(1.0, 2.0, "Preheat the oven to 350"), (4.0, 6.0, "Chop.")],
    ),
    "digits are all that is said": (
        f"1\n{_FIRST}\n3\n\n2\n{_SECOND}\n2\n\n3\n00:00:07,000 --> 00:00:08,000\n1\n",
        [(1.0, 2.0, "3"), (4.0, 6.0, "2"), (7.0, 8.0, "1")],
    ),
    "numbers and empty lines missing": (f"{_FIRST}\nChop\n350\n{_SECOND}\nFry",
     [(1.0, 2.0, "Chop 350"), (4.0, 6.0, "Fry")]),
    "empty lines missing": (f"1\n{_FIRST}\nChop\n2\n{_SECOND}\nFry", [(1.0, 2.0, "Chop"), (4.0, 6.0, "Fry")]),
    "an empty line in a cue": (f"1\n{_FIRST}\nChop\n\nit\n\n2\n{_SECOND}\nFry",
     [(1.0, 2.0, "Chop it"), (4.0, 6.0, "Fry")]),
    "an empty line after a number": (f"1\n{_FIRST}\nChop\n\n2\n\n{_SECOND}\nFry",
     [(1.0, 2.0, "Chop"), (4.0, 6.0, "Fry")]),
    "every line end doubled": (f"1\n\n{_FIRST}\n\nHeat to\n\n350\n\n2\n\n{_SECOND}\n\nFry\n\n",
     [(1.0, 2.0, "Heat to 350"), (4.0, 6.0, "Fry")]),
    "an empty line after what was said, one number missing": (f"1\n{_FIRST}\n350\n\n{_SECOND}\nFry",
     [(1.0, 2.0, "350"), (4.0, 6.0, "Fry")]),
    "an empty cue": (f"1\n{_FIRST}\n\n2\n{_SECOND}\nFry", [(4.0, 6.0, "Fry")]),
    "dots": ("1\n00:00:01.000 --> 00:00:02.500\nChop\n", [(1.0, 2.5, "Chop")]),
    "no hours": ("1\n00:01,000 --> 00:02.500\nChop\n", [(1.0, 2.5, "Chop")]),
    "one digit of hours": ("1\n0:00:01,000 --> 1:00:02,500\nChop\n", [(1.0, 3602.5, "Chop")]),
    "three digits of hours": ("1\n100:00:01,000 --> 100:00:02,000\nChop\n", [(360_001.0, 360_002.0, "Chop")]),
    "no milliseconds": ("1\n00:00:01 --> 00:00:02\nChop\n", [(1.0, 2.0, "Chop")]),
    "no blanks": ("1\n00:00:01,000-->00:00:02,000\nChop\n", [(1.0, 2.0, "Chop")]),
    "coordinates": (f"1\n{_FIRST}  X1:63 X2:223 Y1:43 Y2:58\nChop\n", [(1.0, 2.0, "Chop")]),
    "empty lines before": (f"\n\n1\n{_FIRST}\nChop\n", [(1.0, 2.0, "Chop")]),
    "carriage returns": (f"1\r{_FIRST}\rChop\rit\r\r2\r{_SECOND}\rFry\r", [(1.0, 2.0, "Chop it"), (4.0, 6.0, "Fry")]),
    "line ends of Windows": (f"1\r\n{_FIRST}\r\nChop\r\n\r\n2\r\n{_SECOND}\r\nFry\r\n",
     [(1.0, 2.0, "Chop"), (4.0, 6.0, "Fry")]),
    "line ends converted twice": (f"1\r\r\n{_FIRST}\r\r\nChop\r\r\n350\r\r\n", [(1.0, 2.0, "Chop 350")]),
    "tags": (f"1\n{_FIRST}\n<i>Chop</i> <font color=\"#fff\">it</font> {{\\an8}}{{i}}now{{/i}}\n",
     [(1.0, 2.0, "Chop it now")]),
    "brackets that are text": (f"1\n{_FIRST}\nI <3 you, a < b > c, 1 -> 2, <- there\n",
     [(1.0, 2.0, "I <3 you, a < b > c, 1 -> 2, <- there")]),
    "references": (f"1\n{_FIRST}\nTom &amp; Jerry&#39;s\n", [(1.0, 2.0, "Tom & Jerry's")]),
    "times in the text": (f"1\n{_FIRST}\nat 00:00:05,000 we --> stir\n", [(1.0, 2.0, "at 00:00:05,000 we --> stir")]),
    "an arrow in the text": (f"1\n{_FIRST}\nonion --> pan\n", [(1.0, 2.0, "onion --> pan")]),
}  # fmt: skip


def _plain(text: str, suffix: str = ".srt") -> Cues:
    return [(cue.start_seconds, cue.end_seconds, cue.text) for cue in parse_captions(text.encode(), suffix)]


@pytest.mark.parametrize(("text", "expected"), FILES.values(), ids=FILES.keys())
def test_files(text: str, expected: Cues) -> None:
    assert _plain(text) == expected


def _ffmpeg(text: str, path: Path) -> Cues:
    path.write_bytes(text.encode())
    cues = []
    with av.open(f"file:{path}", format="srt") as container:
        for packet in container.demux():
            if packet.pts is not None and packet.size:
                assert packet.duration is not None
                start, length = packet.pts * packet.time_base, packet.duration * packet.time_base
                cues.append((float(start), float(start + length), bytes(packet).decode()))
    return cues


_OTHERWISE = {
    "no hours", "no milliseconds",  # FFmpeg wants both, VLC neither
    # FFmpeg takes what was said for a number.
    "digits end a cue, numbers missing", "numbers and empty lines missing",
    "an empty line after what was said, one number missing",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in FILES if name not in _OTHERWISE])
def test_ffmpeg_finds_the_same(name: str, tmp_path: Path) -> None:
    text, expected = FILES[name]
    found = clean_cues((start, end, without_markup(said)) for start, end, said in _ffmpeg(text, tmp_path / "a.srt"))
    assert [(cue.start_seconds, cue.end_seconds, cue.text) for cue in found] == expected


def test_a_webvtt_file_with_the_wrong_ending_is_read_as_one() -> None:
    text = "WEBVTT\n\nNOTE nobody says this\n\nname\n00:01.000 --> 00:02.000\nChop &lt;it&gt;\n"
    assert _plain(text) == [(1.0, 2.0, "Chop <it>")]


@pytest.mark.parametrize("name", FILES.keys())
def test_subrip_with_the_ending_of_webvtt_is_read_as_subrip(name: str) -> None:
    text, expected = FILES[name]
    assert _plain(text, ".vtt") == expected


def test_what_has_no_times_holds_no_cue() -> None:
    assert _plain("a shopping list\n350 g of flour\n") == []
