"""Names of caption files: whose they are, in which language, and which of several is read first.

`talk.mp4` owns `talk.vtt`, `talk.mp4.vtt`, `talk.en.sdh.srt`, `talk.info.json` of its folder; upper and lower case and
the two spellings of an accent do not matter, unless another video has the very name.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from videobert.ingest.language import language_tag, same_language

__all__ = [
    "AFTER_EMBEDDED", "BEFORE_EMBEDDED", "LAST", "SUFFIXES", "Sidecar", "SidecarName", "VideoNames", "is_chat",
    "precedence",
]  # fmt: skip

SUFFIXES = (".vtt", ".srt", ".ass", ".ssa", ".ttml", ".dfxp", ".json3", ".json")
"""In the order of preference among equals."""
_FEW_WORDS = frozenset({"forced", "foreign", "commentary"})
_SECOND_CHOICE = frozenset({"sdh", "cc", "hi", "auto", "asr", "generated"})
"""With sounds described, or written by a machine."""
_OTHER_WORDS = frozenset(
    {"full", "default", "orig", "original", "captions", "subtitles", "subs", "transcript", "whisper", "info"}
)
_WORDS = _FEW_WORDS | _SECOND_CHOICE | _OTHER_WORDS
_NO_CAPTIONS = frozenset({"live_chat", "rechat", "comments"})
_THREE_LETTERS = frozenset({"ast", "bho", "ceb", "chr", "cmn", "fil", "gsw", "haw", "hmn", "kok", "mai", "scn", "yue"})
"""Languages without a tag of two letters whose captions are common. Most words of three letters, such as `one` and
`web`, are tags of some language too."""
_MAX_WORDS = 4

BEFORE_EMBEDDED, AFTER_EMBEDDED, LAST = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """A file that may hold the captions of a video."""

    uri: str
    etag: str
    language: str
    """BCP 47, as its name tells; empty for none."""
    turn: int
    """`BEFORE_EMBEDDED` subtitles of the video; `AFTER_EMBEDDED` in another language than is wanted; `LAST`: chapters,
    after a speech model too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarName:
    """What the name of a caption file says."""

    suffix: str
    words: tuple[str, ...]
    """What is between the name of the video and the suffix."""

    @property
    def language(self) -> str:
        """The first word that is a language; `hi` after one means hard of hearing."""
        return next((tag for word in self.words if (tag := _language(word))), "")

    @property
    def is_info(self) -> bool:
        """yt-dlp's description of the video."""
        return self.suffix == ".json" and self.words[-1:] == ("info",)


class VideoNames:
    """The videos of one folder, by every name that a sidecar may call them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[str, list[str]] = {}
        self._loose: dict[str, list[str]] = {}
        for name in names:
            for called in (name, name.rpartition(".")[0]):
                self._exact.setdefault(called, []).append(name)
                self._loose.setdefault(_loosely(called), []).append(name)

    def of_sidecar(self, name: str) -> tuple[list[str], SidecarName]:
        """The videos that a caption file belongs to, none or all of one name, and what its name says.

        The longest name wins: `a.b.vtt` belongs to `a.b.mp4`, and to `a.mp4` only when there is no `a.b.mp4`.
        """
        base, _, ending = name.rpartition(".")
        parts = base.split(".")
        for cut in range(len(parts), max(0, len(parts) - _MAX_WORDS - 1), -1):
            words = tuple(word.lower() for word in parts[cut:])
            if len(words) > 1 and not all(word in _WORDS or _language(word) for word in words):
                continue  # one word may be anything
            called = ".".join(parts[:cut])
            if found := self._exact.get(called) or self._loose.get(_loosely(called)):
                return found, SidecarName(suffix=f".{ending.lower()}", words=words)
        return [], SidecarName(suffix=f".{ending.lower()}", words=())


def is_chat(name: str) -> bool:
    """What viewers wrote during a broadcast, which downloaders save as if it were a subtitle."""
    return any(word.lower() in _NO_CAPTIONS for word in name.split(".")[1:-1])


def precedence(name: SidecarName, wanted: str) -> tuple[int, tuple[object, ...]]:
    """(turn, order within it): language before kind before format. `wanted`: a BCP 47 tag, or empty for any."""
    language = name.language
    distance = _distance(language, wanted)
    turn = LAST if name.is_info else AFTER_EMBEDDED if distance == _OTHER else BEFORE_EMBEDDED
    kind = 2 * bool(_FEW_WORDS & set(name.words)) + bool(_SECOND_CHOICE & set(name.words) and name.words[0] != "hi")
    original = "orig" not in "-".join(name.words)
    return turn, (kind >= 2, distance, kind, original, language, SUFFIXES.index(name.suffix))


_OTHER = 4


def _distance(language: str, wanted: str) -> int:
    if not wanted:
        return int(bool(language))  # what has no tag is the language of the video
    if not language:
        return 3
    if not same_language(language, wanted):
        return _OTHER
    return 0 if language == wanted else 1 if language.startswith(f"{wanted}-") else 2


def _language(word: str) -> str:
    if word in _WORDS and word != "hi":
        return ""
    tag = language_tag(word)
    return tag if len(tag) != 3 or tag in _THREE_LETTERS else ""


def _loosely(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
