"""The pictures behind a row, as bytes that a browser plays: the source itself, an excerpt of it, or one frame."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Response
from fastapi.responses import StreamingResponse

from videobert.errors import InputError
from videobert.query.footage import Footage, find_footage
from videobert.query.rows import Row
from videobert.serve.cache import FileCache
from videobert.serve.fresh import FreshRoot
from videobert.serve.options import ServeOptions
from videobert.serve.ranges import Part, blocks
from videobert.serve.scratch import Scratch
from videobert.video.limits import DecoderLimits

if TYPE_CHECKING:
    from videobert.video.isolated import IsolatedDecoder

__all__ = ["FootageServer", "UnplayableError", "media_type"]

_LIMITS = DecoderLimits(memory_bytes=2 << 30, stall_seconds=15, decode_seconds=60, tries=1)
_PLAYED = {"mp4": {"h264", "av1", "vp9"}, "webm": {"vp8", "vp9", "av1"}}
_HEARD = {"mp4": {"aac", "mp3", "opus", "flac"}, "webm": {"opus", "vorbis"}}
"""Of other sound browsers say nothing: they play the pictures in silence."""
_TYPES = {"mp4": "video/mp4", "webm": "video/webm"}


class UnplayableError(InputError):
    """Browsers do not play a video as it came."""


class FootageServer:
    """Reads tars, decodes in processes of their own (see `video.isolated`) and keeps what it made under a bound."""

    def __init__(self, root: FreshRoot, scratch: Scratch, options: ServeOptions) -> None:
        self._root, self._options = root, options
        self.cache = FileCache(scratch.folder(), options.cache_bytes)
        self._started: list[IsolatedDecoder] = []
        self._free: queue.LifoQueue[IsolatedDecoder | None] = queue.LifoQueue()
        for _ in range(options.decoders):
            self._free.put(None)

    def close(self) -> None:
        """End the decoders."""
        for decoder in self._started:
            decoder.close()

    def find(self, row_id: str, spec: str) -> Footage:
        """Where the video of a row is. Raises InputError for what is not there."""
        lineage = self._root.lineage(row_id, model=spec)
        return self._root.remembered(("footage", row_id, spec), lambda: find_footage(self._root.store, lineage))

    def plays(self, found: Footage) -> bool:
        """Whether browsers play its container, codec and sound; some they refuse all the same, those of 10 bits."""
        container = _container(found)
        if found.metadata["codec"] not in _PLAYED.get(container, ()):
            return False
        return not found.metadata["has_audio"] or self._sound_codec(found) in _HEARD[container]

    def source(self, found: Footage, header: str, *, playable: bool = False) -> Response:
        """The bytes of the video as they came, or a range of them. `playable`: raise UnplayableError where browsers
        would not play them, or not their sound.
        """
        if playable and not self.plays(found):
            raise UnplayableError("browsers do not play this video with its sound; ask for clip.mp4 of the row")
        part = Part.of(header, size=found.size, etag=found.video_id)
        if part.status == 416:
            return Response(status_code=416, headers=part.headers)
        body = self._stored(found, part.begin, part.count)
        return StreamingResponse(body, status_code=part.status, headers=part.headers, media_type=media_type(found))

    def excerpt(self, found: Footage, row: Row, header: str) -> Response:
        """The seconds of the row as H.264, which every browser plays."""
        start, end = row.start_seconds, min(row.end_seconds, row.start_seconds + self._options.most_excerpt_seconds)
        key = f"excerpt {found.video_id} {start} {end}"
        return self._made(key, header, "video/mp4", found, lambda decoder, path: decoder.excerpt(path, start, end))

    def picture(self, found: Footage, seconds: float, width: int) -> Response:
        """JPEG of what is on screen at a time."""
        key = f"picture {found.video_id} {seconds:.3f} {width}"
        return self._made(
            key, "", "image/jpeg", found, lambda decoder, path: decoder.picture(path, seconds, width=width)
        )

    def _made(
        self, key: str, header: str, kind: str, found: Footage, make: Callable[[IsolatedDecoder, Path], bytes]
    ) -> Response:
        with self._cached(key, found, make) as path, path.open("rb") as made:
            part = Part.of(header, size=path.stat().st_size, etag=path.name)
            body = b"".join(blocks(made, part.begin, part.count))
        return Response(body, status_code=part.status, headers=part.headers, media_type=kind)

    def _sound_codec(self, found: Footage) -> str:
        """The catalog does not tell it; asked of a decoder once."""
        key = f"sound {found.video_id}"
        with self._cached(key, found, lambda decoder, path: decoder.probe(path).sound_codec.encode()) as path:
            return path.read_text()

    @contextmanager
    def _cached(self, key: str, found: Footage, make: Callable[[IsolatedDecoder, Path], bytes]) -> Iterator[Path]:
        """What a decoder makes of a copy of the video."""

        def write(target: Path) -> None:
            copy = self.cache.file(f"source {found.video_id}", lambda path: self._copy(found, path))
            with copy as source, self._decoder() as decoder:
                target.write_bytes(make(decoder, source))

        with self.cache.file(key, write) as path:
            yield path

    def _copy(self, found: Footage, target: Path) -> None:
        with target.open("wb") as sink:
            for block in self._stored(found, 0, found.size):
                sink.write(block)

    def _stored(self, found: Footage, begin: int, count: int) -> Iterator[bytes]:
        with self._root.store.open(found.tar) as source:
            yield from blocks(source, found.offset + begin, count)

    @contextmanager
    def _decoder(self) -> Iterator[IsolatedDecoder]:
        decoder = self._free.get() or self._start()
        try:
            yield decoder
        finally:
            self._free.put(decoder)

    def _start(self) -> IsolatedDecoder:
        from videobert.video.isolated import IsolatedDecoder  # PyAV: whoever only searches does not wait for it

        decoder = IsolatedDecoder(_LIMITS)
        self._started.append(decoder)
        return decoder


def media_type(found: Footage) -> str:
    """What to call the bytes: nothing that a browser would show as a page."""
    return _TYPES.get(_container(found), "application/octet-stream")


def _container(found: Footage) -> str:
    names = str(found.metadata["container"]).split(",")
    if "mp4" in names:
        return "mp4"
    # FFmpeg calls both Matroska and its subset for the web `matroska,webm`.
    return "webm" if "webm" in names and found.suffix == ".webm" else ""
