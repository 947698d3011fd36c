"""The door to all formats: a file is read by its form, whatever its ending says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from videobert.ingest.captions.cues import Cue, TimedText, clean_cues
from videobert.ingest.captions.encodings import decode_text
from videobert.ingest.captions.json_forms import parse_json
from videobert.ingest.captions.subrip import holds_times, parse_subrip
from videobert.ingest.captions.substation import is_substation, parse_substation
from videobert.ingest.captions.ttml import is_ttml, parse_ttml
from videobert.ingest.captions.webvtt import is_webvtt, parse_webvtt, plain_text

__all__ = ["MAX_CAPTION_BYTES", "Captions", "parse_captions", "read_captions"]

MAX_CAPTION_BYTES = 16 << 20
_JSON = (".json", ".json3")
_NAMES = {".vtt": "WebVTT", ".ass": "SubStation", ".ssa": "SubStation", ".ttml": "TTML", ".dfxp": "TTML"}
_HEAD_CHARACTERS = 4_000
_VTT_LANGUAGE = re.compile(r"^Language:[ \t]*([A-Za-z0-9-]{1,35})[ \t]*$", re.MULTILINE)
_XML_LANGUAGE = re.compile(r"""<(?:\w+:)?tt\b[^>]*\bxml:lang=["']([A-Za-z0-9-]{1,35})["']""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Captions:
    """What one file says."""

    cues: list[Cue]
    form: str
    """`vtt`, `srt`, `ass`, `ttml`, or the form of JSON."""
    encoding: str
    language: str
    """As the file itself names it; empty for none."""


def parse_captions(data: bytes, suffix: str) -> list[Cue]:
    """Cues of a caption file in time order. Raises ValueError where nothing can be read."""
    return read_captions(data, suffix).cues


def read_captions(data: bytes, suffix: str, *, language: str = "") -> Captions:
    """Read the bytes of a caption file. `language`: a BCP 47 tag from the file's name, for the guess of its encoding.

    Raises ValueError with the reason where it has no form that is known; a file that has one may hold no cues.
    """
    if len(data) > MAX_CAPTION_BYTES:
        raise ValueError(f"{len(data):,} bytes of captions; at most {MAX_CAPTION_BYTES:,} are read")
    text, encoding = decode_text(data, language=language)
    form, said, heard = _by_form(text, suffix)
    return Captions(cues=clean_cues(said), form=form, encoding=encoding, language=heard)


def _by_form(text: str, suffix: str) -> tuple[str, Iterable[TimedText], str]:
    """(form, cues, language). The ending decides only where the text begins like nothing that is known."""
    if suffix in _JSON:
        return parse_json(text)
    if is_webvtt(text):
        cues = ((cue.start_seconds, cue.end_seconds, plain_text(cue.text)) for cue in parse_webvtt(text))
        return "vtt", cues, _declared(_VTT_LANGUAGE, text.partition("\n\n")[0])
    text = text.replace("\x00", "")  # WebVTT alone says what a zero is
    if is_substation(text):
        return "ass", parse_substation(text), ""
    if is_ttml(text):
        return "ttml", parse_ttml(text), _declared(_XML_LANGUAGE, text)
    if suffix == ".srt" or holds_times(text):
        return "srt", parse_subrip(text), ""
    raise ValueError(f"no {_NAMES.get(suffix, suffix)}: it begins with {text[:20]!r}")


def _declared(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text[:_HEAD_CHARACTERS])
    return match[1] if match else ""
