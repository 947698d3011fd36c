"""Two seconds of video in any container and codec that FFmpeg writes here: what the bad inputs are made of."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio import AudioStream
from av.video import VideoStream
from numpy.typing import NDArray

__all__ = ["Clip", "encode_clip", "picture", "sound_only"]

_CLOCK = Fraction(1, 90_000)
_SAME_BYTES = "asm=0"
"""x264's vector code writes other bytes on other processors, with AVX-512 even from run to run, and damage would then
hit another picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What to encode."""

    key: int = 0
    """Decides the colour, so that clips of different keys have different bytes."""
    container: str = "mp4"
    """FFmpeg's name of the muxer."""
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    width: int = 96
    height: int = 64
    frames: int = 40
    fps: int = 20
    times: Sequence[Fraction] | None = None
    """Presentation times in seconds in place of the constant rate."""
    rotation: int = 0
    """Degrees by which a player turns the picture."""
    sound: bool = False
    keyframe_every: int = 10
    codec_options: Mapping[str, str] = field(default_factory=dict)
    container_options: Mapping[str, str] = field(default_factory=dict)


def picture(number: int, *, key: int, width: int, height: int) -> NDArray[np.uint8]:
    """A bright square that moves over a textured ground, uint8 [height, width, 3]."""
    rows, columns = np.mgrid[:height, :width]
    ground = np.stack([(rows * 3 + 37 * key) % 97, (columns * 5) % 89, (rows + columns) % 71], axis=-1)
    image = ground.astype(np.uint8)
    left = (2 * number) % max(1, width - 16)
    image[height // 3 : height // 3 + 16, left : left + 16] = (250, 220, 40)
    return image


def encode_clip(clip: Clip) -> bytes:
    """The file's bytes."""
    out = io.BytesIO()
    options = {"fflags": "+bitexact", **clip.container_options}
    with av.open(out, "w", format=clip.container, options=options) as container:
        coding = dict(clip.codec_options)
        if clip.codec == "libx264":
            coding["x264-params"] = ":".join([_SAME_BYTES, *filter(None, [coding.get("x264-params")])])
        stream = container.add_stream(clip.codec, rate=clip.fps, options=coding)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, clip.pixel_format
        stream.gop_size = clip.keyframe_every
        stream.codec_context.thread_count = 1
        if clip.times is not None:
            stream.codec_context.time_base = _CLOCK
        if clip.rotation:
            stream.set_display_rotation(clip.rotation)
        packets: list[av.Packet[Any]] = []
        sound = container.add_stream("aac", rate=48_000, layout="mono") if clip.sound else None
        for number in range(clip.frames):
            image = picture(number, key=clip.key, width=clip.width, height=clip.height)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=clip.pixel_format)
            if clip.times is not None:
                frame.pts, frame.time_base = round(clip.times[number] / _CLOCK), _CLOCK
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if sound is not None:
            packets += _silence(sound, seconds=clip.frames / clip.fps)
        container.mux(packets)
    return out.getvalue()


def sound_only(*, seconds: float = 2.0) -> bytes:
    """An mp4 that holds nothing but silence."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        container.mux(_silence(container.add_stream("aac", rate=48_000, layout="mono"), seconds=seconds))
    return out.getvalue()


def _silence(stream: AudioStream, *, seconds: float) -> list[av.Packet[Any]]:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, round(48_000 * seconds)), np.float32), format="fltp", layout="mono")
    frame.sample_rate = 48_000
    return [*stream.encode(frame), *stream.encode(None)]
