"""The process behind `isolated.IsolatedDecoder`: `python -m videobert.video.isolated_child LIMITS [gpu]`.

Takes its limits in JSON, and reads one order a line, in JSON too; answers with messages of a JSON head and raw bytes.
A message is a `part` of the answer, its `end`, a `beat` (still at work), a `refusal` of the video, or the `loss` of
this process, which ends with its input.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import queue
import resource
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from videobert.errors import InputError, VideoError
from videobert.video.clips import ClipRange
from videobert.video.decode import probe
from videobert.video.excerpt import excerpt, picture
from videobert.video.frames import ClipDecoder
from videobert.video.limits import DecoderLimits
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipRequest
from videobert.video.tracks import read_sound, read_subtitles

__all__ = ["HEADER", "main"]

HEADER = struct.Struct("<II")
"""Bytes of the head and of what follows it."""
_BEAT_SECONDS = 1.0
_PIPE_BYTES = 1 << 20


def main() -> None:
    """Serve until standard input ends."""
    limits = DecoderLimits(**json.loads(sys.argv[1]))
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    _confine(limits.memory_bytes, on_gpu="gpu" in sys.argv[2:])
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read_orders, args=(orders,), daemon=True).start()
    say = _Voice(answers)
    # What nobody foresaw, such as a name in a file that PyAV cannot decode, costs that file and is told.
    sys.excepthook = lambda kind, error, _: say(
        "loss", {"reason": "decoder-crash", "message": f"{kind.__name__}: {error}"}
    )
    say("part")
    while True:
        order = orders.get()
        try:
            for head, body in _answer(order, limits, say):
                say("part", head, body)
            say("end")
        except VideoError as error:
            refusal = {"reason": error.reason, "message": str(error), "salvageable_seconds": error.salvageable_seconds}
            say("refusal", refusal)
        except InputError as error:
            say("misuse", {"message": str(error)})
        except MemoryError:
            say("loss", {"reason": "decoder-memory", "message": f"memory_bytes={limits.memory_bytes} do not suffice"})


def _answer(order: dict[str, Any], limits: DecoderLimits, say: _Voice) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The parts of the answer to one order."""
    path = Path(order["path"])
    if order["do"] == "probe":
        yield dataclasses.asdict(probe(path, limits=limits, beat=say.beat)), b""
    elif order["do"] == "subtitles":
        yield {"cues": read_subtitles(path, language=order["language"], limits=limits, beat=say.beat)}, b""
    elif order["do"] == "sound":
        for samples in read_sound(path, limits=limits, beat=say.beat):
            yield {}, samples.tobytes()
        yield {}, b""
    elif order["do"] == "picture":
        yield {}, picture(path, order["seconds"], width=order["width"], limits=limits, beat=say.beat)
    elif order["do"] == "excerpt":
        yield {}, excerpt(path, order["start"], order["end"], limits=limits, beat=say.beat)
    else:
        request = ClipRequest(**{**order["request"], "frame_ticks": tuple(order["request"]["frame_ticks"])})
        options, clip_range = DecodeOptions(**order["options"]), ClipRange(**order["clip_range"])
        decoder = ClipDecoder(
            path, request, options, limits=limits, clip_range=clip_range, follow_seconds=order["follow_seconds"],
            beat=say.beat,
        )  # fmt: skip
        for clip in decoder:
            gray = b"" if clip.gray is None else clip.gray.tobytes()
            head = {"index": clip.index, "shape": clip.rgb.shape, "good_seconds": float(decoder.good_until)}
            yield head, clip.rgb.tobytes() + gray
        damaged = [(float(start), float(end)) for start, end in decoder.damaged]
        yield {
            "damaged": damaged, "frames_decoded": decoder.frames_decoded, "packets": decoder.meter.packets,
            "refused_until": float(decoder.refused_until), "zero_moved": decoder.zero_moved,
            "held_from": None if decoder.held_from is None else float(decoder.held_from),
        }, b""  # fmt: skip


class _Voice:
    """Writes messages to the pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        with suppress(OSError):  # a clip at once where the machine allows; the usual 64 KiB take eleven turns
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._last = time.monotonic()

    def __call__(self, kind: str, head: dict[str, Any] | None = None, body: bytes = b"") -> None:
        text = json.dumps({**(head or {}), "is": kind}).encode()
        for part in (HEADER.pack(len(text), len(body)) + text, body):
            view = memoryview(part)
            while len(view):
                view = view[os.write(self._pipe, view) :]
        self._last = time.monotonic()

    def beat(self, good_seconds: float) -> None:
        """Called for every packet: tell from time to time that the work goes on."""
        if time.monotonic() - self._last > _BEAT_SECONDS:
            self("beat", {"good_seconds": good_seconds})


def _confine(memory_bytes: int, *, on_gpu: bool) -> None:
    """No more memory than allowed, no file written, no core dump; the first to go when the machine runs out.

    CUDA reserves as many addresses as there are bytes on all GPUs: with one, only what can be written to is limited.
    """
    resource.setrlimit(resource.RLIMIT_DATA if on_gpu else resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, whose end closes standard input


def _read_orders(orders: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)  # the owner is gone, and the main thread may never come back from a video


if __name__ == "__main__":
    main()
