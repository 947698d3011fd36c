"""Which of a video's captions are taken: files next to it, tracks in it, a speech model, and at last its chapters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from videobert.errors import VideoError
from videobert.ingest.captions.cues import Cue, clean_cues
from videobert.ingest.captions.json_forms import CHAPTERS
from videobert.ingest.captions.read import MAX_CAPTION_BYTES, Captions, read_captions
from videobert.ingest.captions.subrip import without_markup
from videobert.ingest.core import SourceFile
from videobert.ingest.language import language_tag
from videobert.ingest.sidecars import AFTER_EMBEDDED, BEFORE_EMBEDDED, LAST
from videobert.ingest.speech import Transcriber
from videobert.runtime.filesystem import open_filesystem
from videobert.video.decode import VideoProbe
from videobert.video.isolated import IsolatedDecoder
from videobert.video.tracks import choose_track

__all__ = ["CaptionFinder", "FoundCaptions", "is_object"]

_ENDINGS = {".vtt": "vtt", ".srt": "srt", ".ass": "ass", ".ssa": "ass", ".ttml": "ttml", ".dfxp": "ttml"}


@dataclass(slots=True, kw_only=True)
class FoundCaptions:
    """The captions of one video, and what was looked at on the way."""

    cues: list[Cue] = field(default_factory=list)
    source: str = "none"
    """Form of the file (`vtt`, `srt`, `ass`, `ttml`, `json`, `chapters`), `embedded`, `speech` or `none`."""
    language: str = ""
    """BCP 47; empty when nothing tells."""
    notes: list[str] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    """For the column `caption_files`."""

    chapters: tuple[dict[str, Any], list[Cue], str] | None = None
    """The first chapters that a file holds: its entry in `files`, cues and language."""

    def take(self, cues: list[Cue], source: str, language: str) -> bool:
        """Take these where there are any; whether there are."""
        if cues:
            self.cues, self.source, self.language = cues, source, language
        return bool(cues)

    def take_chapters(self) -> None:
        """Titles of chapters, where nothing tells what was said."""
        if self.chapters:
            entry, cues, language = self.chapters
            entry["taken"] = self.take(cues, CHAPTERS, language)


class CaptionFinder:
    """Looks for the captions of one video after another. A video without any is legal."""

    def __init__(self, decoder: IsolatedDecoder, transcribe: Transcriber | None, language: str) -> None:
        self._decoder = decoder
        self._transcribe = transcribe
        self._language = language

    def find(self, file: SourceFile, facts: VideoProbe, local: Path) -> FoundCaptions:
        """The first that hold a cue, in the order that the module names."""
        found = FoundCaptions()
        if not (
            self._from_files(found, file, BEFORE_EMBEDDED)
            or self._from_tracks(found, facts, local)
            or self._from_files(found, file, AFTER_EMBEDDED)
            or self._from_speech(found, facts, local)
            or self._from_files(found, file, LAST)
        ):
            found.take_chapters()
        return found

    def _from_files(self, found: FoundCaptions, file: SourceFile, turn: int) -> bool:
        for sidecar in file.sidecars:
            if sidecar.turn != turn:
                continue
            suffix = PurePosixPath(sidecar.uri).suffix.lower()
            entry = {"uri": sidecar.uri, "cues": 0, "taken": False, "note": ""}
            found.files.append(entry)
            try:
                read = read_captions(_bytes_of(sidecar.uri), suffix, language=sidecar.language)
            except ValueError as error:
                entry["note"] = str(error)
                found.notes.append(f"{sidecar.uri}: {error}")
                continue
            entry["cues"], entry["note"] = len(read.cues), "; ".join(_remarks(read, suffix))
            if entry["note"]:
                found.notes.append(f"{sidecar.uri}: {entry['note']}")
            language = sidecar.language or language_tag(read.language)
            if read.form == CHAPTERS:
                found.chapters = found.chapters or (entry, read.cues, language)
            elif found.take(read.cues, read.form if read.form in _ENDINGS.values() else "json", language):
                entry["taken"] = True
                return True
        return False

    def _from_tracks(self, found: FoundCaptions, facts: VideoProbe, local: Path) -> bool:
        tracks = [track for track in facts.subtitles if track.is_text]
        chosen = choose_track([track.language for track in tracks], self._language)
        if chosen is None:
            return False
        try:
            raw = self._decoder.subtitles(local, language=self._language)
        except VideoError as error:  # the pictures may be good all the same
            found.notes.append(f"subtitles: {error.reason}: {error}")
            return False
        cues = clean_cues((start, end, without_markup(text)) for start, end, text in raw)
        return found.take(cues, "embedded", language_tag(tracks[chosen].language or ""))

    def _from_speech(self, found: FoundCaptions, facts: VideoProbe, local: Path) -> bool:
        if self._transcribe is None or not facts.has_audio:
            return False
        try:
            cues, language = self._transcribe(self._decoder.sound(local))
        except VideoError as error:
            found.notes.append(f"sound: {error.reason}: {error}")
            return False
        return found.take(cues, "speech", language_tag(language))


def is_object(uri: str) -> bool:
    """False for a pipe, a device or a folder, which a local name may stand for: reading them may never end."""
    filesystem, path = open_filesystem(uri)
    return not isinstance(filesystem, LocalFileSystem) or not Path(path).exists() or Path(path).is_file()


def _remarks(read: Captions, suffix: str) -> Iterator[str]:
    if not read.cues:
        yield f"holds no cue ({read.form})"
    if suffix in _ENDINGS and read.form != _ENDINGS[suffix]:
        yield f"read as {read.form}, which it is"
    if not read.encoding.startswith("utf-"):
        yield f"read as {read.encoding}"


def _bytes_of(uri: str) -> bytes:
    """The bytes of a caption file, and not many more than are allowed however large it is."""
    if not is_object(uri):
        raise ValueError("a pipe, a device or a folder")
    filesystem, path = open_filesystem(uri)
    try:
        with filesystem.open(path, "rb") as source:
            return bytes(source.read(MAX_CAPTION_BYTES + 1))
    except FileNotFoundError as error:
        raise ValueError("vanished since it was listed") from error
    except PermissionError as error:
        raise ValueError("may not be read") from error
