"""FFmpeg in a process of its own: a video that crashes, hangs or bloats it is lost, and nothing else is.

Videos are hostile input, and a decoder is a million lines of C. The process has no credentials in its environment,
can write no file, and answers through a pipe in JSON and raw bytes; a fresh one takes the place of one that died.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError, PipelineError, VideoError
from videobert.video.clips import ClipRange
from videobert.video.decode import SubtitleTrack, VideoProbe
from videobert.video.isolated_child import HEADER
from videobert.video.limits import DecoderLimits
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipFrames, ClipRequest

__all__ = ["IsolatedClips", "IsolatedDecoder"]

_Message = tuple[dict[str, Any], bytearray]

_START_SECONDS = 120.0
_MAX_PART_BYTES = 256 << 20
"""Far above any clip or caption track: what a broken process claims beyond it is not allocated."""
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "CUDA_VISIBLE_DEVICES")


class _LostError(Exception):
    """The process is of no use any more."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class IsolatedDecoder:
    """`decode.probe`, the readers of `tracks` and `frames.ClipDecoder`, run by a process that may die.

    All raise `VideoError` with a reason of `decode.REASONS`. Does one thing at a time. The process starts with the
    first of them and ends with this object, or with the process that owns it, however that comes about. `on_gpu` is for
    options with a `decoding_gpu`, whose driver wants more address space than any limit.
    """

    def __init__(self, limits: DecoderLimits, *, on_gpu: bool = False) -> None:
        self._limits, self._on_gpu = limits, on_gpu
        self._child: _Child | None = None
        self._good_seconds = 0.0

    def probe(self, path: str | Path) -> VideoProbe:
        """See `decode.probe`."""
        (facts, _), *_ = self.ask({"do": "probe", "path": str(path)})
        return VideoProbe(**{**facts, "subtitles": tuple(SubtitleTrack(**track) for track in facts["subtitles"])})

    def subtitles(self, path: str | Path, *, language: str = "") -> list[tuple[float, float, str]]:
        """See `tracks.read_subtitles`."""
        (found, _), *_ = self.ask({"do": "subtitles", "path": str(path), "language": language})
        return [(start, end, text) for start, end, text in found["cues"]]

    def sound(self, path: str | Path) -> NDArray[np.float32]:
        """Samples of the first audio track at 16 kHz, mono, from -1 to 1, shape [samples]."""
        blocks = [np.frombuffer(body, np.int16) for _, body in self.ask({"do": "sound", "path": str(path)})]
        return np.concatenate(blocks).astype(np.float32) / np.float32(32768)

    def picture(self, path: str | Path, seconds: float, *, width: int) -> bytes:
        """See `excerpt.picture`."""
        (_, body), *_ = self.ask({"do": "picture", "path": str(path), "seconds": seconds, "width": width})
        return bytes(body)

    def excerpt(self, path: str | Path, start: float, end: float) -> bytes:
        """See `excerpt.excerpt`."""
        (_, body), *_ = self.ask({"do": "excerpt", "path": str(path), "start": start, "end": end})
        return bytes(body)

    def clips(
        self,
        path: str | Path,
        request: ClipRequest,
        options: DecodeOptions,
        *,
        clip_range: ClipRange = ClipRange(),  # noqa: B008 - frozen
        follow_seconds: float = 0.0,
    ) -> IsolatedClips:
        """See `frames.ClipDecoder`. A file that grows takes its time: only `stall_seconds` bounds it."""
        return IsolatedClips(self, path, request, options, clip_range, follow_seconds)

    def ask(self, order: dict[str, Any]) -> Generator[_Message]:
        """The parts of an answer. A process that is lost is replaced, and what came before is not given again."""
        given, self._good_seconds = 0, 0.0
        for attempt in range(1, self._limits.tries + 1):
            with closing(self._answer(order)) as parts:
                try:
                    for number, part in enumerate(parts):
                        if number >= given:
                            given += 1
                            yield part
                    return
                except _LostError as lost:
                    last = VideoError(lost.reason, str(lost), attempt, self._good_seconds)
        raise last

    def close(self) -> None:
        """End the process; the next question starts another."""
        if self._child is not None:
            self._child.end()
        self._child = None

    def _answer(self, order: dict[str, Any]) -> Generator[_Message]:
        child = self._child = self._child or _Child(self._limits, on_gpu=self._on_gpu)
        left = math.inf if order.get("follow_seconds") else self._limits.decode_seconds
        ended = False
        try:
            child.send(order)
            while True:
                asked = time.monotonic()
                head, body = child.receive(min(self._limits.stall_seconds, left))
                left -= time.monotonic() - asked
                self._good_seconds = max(self._good_seconds, head.pop("good_seconds", 0.0))
                kind = head.pop("is")
                ended = kind in ("end", "refusal", "misuse")
                if kind == "part":
                    yield head, body
                elif kind == "refusal":
                    raise VideoError(**head)
                elif kind == "misuse":
                    raise InputError(head["message"])
                elif kind == "loss":
                    raise _LostError(**head)
                elif ended:
                    return
        finally:
            if not ended:  # nobody knows what it would say next
                self.close()


class IsolatedClips:
    """Iterates over the undamaged clips of a file, in order; the counters are final when the iteration ends."""

    def __init__(
        self,
        decoder: IsolatedDecoder,
        path: str | Path,
        request: ClipRequest,
        options: DecodeOptions,
        clip_range: ClipRange,
        follow_seconds: float,
    ) -> None:
        self._decoder, self._path, self._request, self._options = decoder, path, request, options
        self._clip_range, self._follow_seconds = clip_range, follow_seconds
        self.damaged: list[tuple[float, float]] = []
        """Half-open ranges in seconds whose frames could not be trusted."""
        self.frames_decoded = self.packets = 0
        self.refused_until = 0.0
        self.held_from: float | None = None
        """See `frames.ClipDecoder`."""
        self.zero_moved = False
        """See `frames.ClipDecoder`."""

    def __iter__(self) -> Generator[ClipFrames]:
        request = self._request
        order = {
            "do": "clips", "path": str(self._path), "request": dataclasses.asdict(request),
            "options": dataclasses.asdict(self._options), "clip_range": dataclasses.asdict(self._clip_range),
            "follow_seconds": self._follow_seconds,
        }  # fmt: skip
        with closing(self._decoder.ask(order)) as parts:
            for head, body in parts:
                if "index" not in head:
                    self.damaged = [(start, end) for start, end in head["damaged"]]
                    self.frames_decoded, self.packets = head["frames_decoded"], head["packets"]
                    self.refused_until, self.held_from = head["refused_until"], head["held_from"]
                    self.zero_moved = head["zero_moved"]
                    continue
                colour, pixels = tuple(head["shape"]), np.frombuffer(body, np.uint8)
                size = math.prod(colour)
                gray = None
                if request.gray_size is not None:
                    gray = pixels[size:].reshape(self._options.ticks_per_clip, request.gray_size, request.gray_size)
                yield ClipFrames(index=head["index"], rgb=pixels[:size].reshape(colour), gray=gray)


class _Child:
    """One process, and the two pipes to it."""

    def __init__(self, limits: DecoderLimits, *, on_gpu: bool) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "videobert.video.isolated_child", json.dumps(dataclasses.asdict(limits))]
        command += ["gpu"] if on_gpu else []
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0
        )
        self.end = weakref.finalize(self, _end, self._process)
        try:
            self.receive(_START_SECONDS)
        except _LostError as lost:
            self.end()
            raise PipelineError(f"the decoder's process does not start: {lost}; see its message above") from lost

    def send(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died; the answer that does not come will tell
            self._process.stdin.write(json.dumps(order).encode() + b"\n")

    def receive(self, seconds: float) -> _Message:
        """The next message, which must begin within so many seconds."""
        sizes = HEADER.unpack(self._read(HEADER.size, seconds))
        if max(sizes) > _MAX_PART_BYTES:
            raise _LostError("decoder-crash", f"the decoder's process announces {max(sizes):,} bytes")
        head, body = self._read(sizes[0], seconds), self._read(sizes[1], seconds)
        return json.loads(head), body

    def _read(self, size: int, seconds: float) -> bytearray:
        assert self._process.stdout is not None
        pipe, data = self._process.stdout.fileno(), bytearray(size)
        view = memoryview(data)
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        while len(view):
            if seconds <= 0 or not poll.poll(1000 * seconds):  # time that is over is over, whatever waits to be read
                raise _LostError("decoder-timeout", f"the decoder came no further within {max(seconds, 0):.0f} s")
            count = os.readv(pipe, [view])
            if not count:
                raise _LostError("decoder-crash", f"the decoder's process died: {self._fate()}")
            view = view[count:]
        return data

    def _fate(self) -> str:
        code = self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()
