"""One recipe as a video file: frame times, encoder, container, captions. Same config and key, same bytes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.audio import AudioStream
from numpy.typing import NDArray

from videobert.demo.grammar import KitchenConfig, Recipe, random_for
from videobert.demo.scene import SceneConfig, frames
from videobert.demo.speech import RATE, spoken_frames

__all__ = ["FRAME_RATES", "FilmFormat", "encode", "format_of", "sentence", "webvtt"]

FRAME_RATES: tuple[Fraction | None, ...] = (Fraction(24), Fraction(25), Fraction(30000, 1001), None)
"""None means variable: every frame lasts 1/30, 1/25, 1/20 or 1/15 s, at random."""
VARIABLE_TICKS = (3000, 3600, 4500, 6000)
TICK = Fraction(1, 90_000)
WEBM_SHARE = 0.06
"""Share of videos that are VP9 in WebM; the rest is H.264 in MP4."""

# One thread and no clock or random id in the container, so that the bytes repeat.
H264: dict[str, object] = {"preset": "ultrafast", "crf": "23", "threads": "1"}
VP9: dict[str, object] = {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0", "threads": "1", "row-mt": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmFormat:
    """Container, codec and frame rate of one video."""

    suffix: str
    """`.mp4` (H.264) or `.webm` (VP9)."""
    rate: Fraction | None
    """Frames a second; None = variable."""


def format_of(config: KitchenConfig, key: str) -> FilmFormat:
    """Which format the video `key` has."""
    rng = random_for(config.seed, f"format/{key}")
    rate = FRAME_RATES[int(rng.integers(len(FRAME_RATES)))]
    return FilmFormat(suffix=".webm" if rng.random() < WEBM_SHARE else ".mp4", rate=rate)


def encode(recipe: Recipe, *, config: KitchenConfig, scene: SceneConfig, film: FilmFormat, speech: bool) -> bytes:
    """The file's bytes. Raises InputError when `speech` is wanted and espeak-ng is missing."""
    rng = random_for(config.seed, f"pixels/{recipe.key}")
    ticks_N = _frame_ticks(recipe.seconds, film.rate, rng)
    out = io.BytesIO()
    webm = film.suffix == ".webm"
    with av.open(out, "w", format="webm" if webm else "mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libvpx-vp9" if webm else "libx264", rate=film.rate or Fraction(25))
        stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, "yuv420p"
        stream.codec_context.time_base = TICK
        stream.codec_context.gop_size = 50
        stream.options = VP9 if webm else H264
        # WebM takes no AAC, and Opus no rate but its own; PyAV resamples.
        voice: AudioStream | None = None
        if speech and webm:
            voice = container.add_stream("libopus", rate=48_000, layout="mono")
        elif speech:
            voice = container.add_stream("aac", rate=RATE, layout="mono")
        container.start_encoding()
        packets: list[av.Packet[Any]] = []
        drawn = frames(recipe, ticks_N[:-1].astype(np.float64) * float(TICK), config=scene, rng=rng)
        for start, end, planes in zip(ticks_N[:-1], ticks_N[1:], drawn, strict=True):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base, frame.duration = int(start), TICK, int(end - start)
            packets += stream.encode(frame)
        packets += stream.encode()
        if voice is not None:
            for sound in (*spoken_frames(recipe), None):
                packets += voice.encode(sound)
        container.mux(sorted(packets, key=_decode_seconds))
    return out.getvalue()


def _decode_seconds(packet: av.Packet[Any]) -> Fraction:
    return (packet.dts or 0) * packet.time_base


def _frame_ticks(seconds: float, rate: Fraction | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """Start of every frame and the end of the last, in ticks, shape [frames + 1]."""
    total = round(seconds / TICK)
    if rate is not None:
        count = round(seconds * rate)
        return np.asarray([round(i / rate / TICK) for i in range(count + 1)], np.int64)
    lengths = rng.choice(VARIABLE_TICKS, size=total // VARIABLE_TICKS[0] + 1)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return cast("NDArray[np.int64]", np.append(starts[starts < total - VARIABLE_TICKS[0]], total))


def sentence(caption: str) -> str:
    """A caption as a written sentence: capital first, full stop last."""
    return f"{caption[0].upper()}{caption[1:]}."


def webvtt(recipe: Recipe) -> str:
    """The narration as WebVTT, one cue per step."""
    cues = (
        f"{_clock(step.start_seconds)} --> {_clock(step.end_seconds)}\n{sentence(step.caption)}\n"
        for step in recipe.steps
    )
    return "\n".join(["WEBVTT\n", *cues])


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
