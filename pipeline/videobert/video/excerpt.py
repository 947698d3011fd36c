"""A few seconds of a video as a browser plays them, and one picture of it, made in memory.

Runs in the decoder's own process (see `isolated`). Pictures are shown as players show them: turned, with square pixels.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from videobert.errors import VideoError
from videobert.video.decode import Beat, PacketMeter, ignore_beat, open_video, packets_of, video_stream
from videobert.video.displayed import DisplayedFrame
from videobert.video.limits import DecoderLimits
from videobert.video.orientation import OrientationMeter
from videobert.video.sound import LAYOUT, RATE, sound_frames
from videobert.video.timing import time_zero

__all__ = ["excerpt", "picture"]

_LONGER_SIDE = 1280
_MOST_RATE = 30
_X264 = {"preset": "veryfast", "crf": "23", "bf": "0"}
_SEEK_BACK_SECONDS = 5
"""Indices count in decoding times, by which a key frame may stand before a time after which it is shown."""


def picture(path: str | Path, seconds: float, *, width: int, limits: DecoderLimits, beat: Beat = ignore_beat) -> bytes:
    """JPEG of what is on screen at a time, at most `width` pixels wide. Raises VideoError when nothing can be shown."""
    shown = None
    for at, frame in _shown_frames(path, seconds, limits=limits, beat=beat, most=width):
        if shown is not None and at > seconds:
            break
        shown = frame
    if shown is None:
        raise VideoError("undecodable", f"no picture of the video can be shown at {seconds:g} s")
    image = VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="rgb24").reformat(format="yuvj420p")
    sink = io.BytesIO()
    with av.open(sink, "w", format="mjpeg") as output:
        stream = output.add_stream("mjpeg", rate=1, options={"qmin": "3", "qmax": "5"})
        stream.width, stream.height, stream.pix_fmt = image.width, image.height, "yuvj420p"
        output.mux([*stream.encode(image), *stream.encode(None)])
    return sink.getvalue()


def excerpt(path: str | Path, start: float, end: float, *, limits: DecoderLimits, beat: Beat = ignore_beat) -> bytes:
    """`start` to `end` seconds as MP4: H.264, at most 1280 pixels long and 30 pictures a second, and AAC.

    Every browser plays it from its first byte. Raises VideoError when nothing of it can be decoded.
    """
    sink, base = io.BytesIO(), Fraction(1, 90_000)
    with av.open(sink, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}) as output:
        stream: VideoStream | None = None
        packets: list[Packet[Any]] = []
        last = Fraction(-1)
        for at, image in _shown_frames(path, start, limits=limits, beat=beat, most=_LONGER_SIDE):
            if at >= end:
                break
            seconds = max(at - Fraction(start), Fraction(0))
            if seconds - last < Fraction(9, 10 * _MOST_RATE):
                continue
            if stream is None:
                stream = output.add_stream("libx264", rate=_MOST_RATE, options=_X264)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt, stream.codec_context.time_base = "yuv420p", base
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base, last = round(seconds / base), base, seconds
            packets += stream.encode(frame)
        if stream is None:
            raise VideoError("undecodable", f"nothing of the video can be shown from {start:g} s to {end:g} s")
        packets += stream.encode(None)
        packets += _sound(output, sound_frames(path, start, end, limits=limits, beat=beat))
        output.mux(sorted(packets, key=lambda packet: (packet.dts or 0) * (packet.time_base or base)))
    return sink.getvalue()


def _sound(output: OutputContainer, frames: Iterator[AudioFrame]) -> Iterator[Packet[Any]]:
    """A stream of it is added with the first frame: a video without sound gets none."""
    stream: AudioStream | None = None
    for frame in frames:
        stream = stream or output.add_stream("aac", rate=RATE, layout=LAYOUT)
        yield from stream.encode(frame)
    if stream is not None:
        yield from stream.encode(None)


def _shown_frames(
    path: str | Path, start: float, *, limits: DecoderLimits, beat: Beat, most: int
) -> Iterator[tuple[Fraction, NDArray[np.uint8]]]:
    """(seconds, uint8 [H, W, 3]) from the picture that is on screen at `start` on; sides are even, at most `most`."""
    scalers, turn_of = (VideoReformatter(), VideoReformatter()), OrientationMeter()
    before: tuple[Fraction, VideoFrame] | None = None

    def scaled(frame: VideoFrame) -> NDArray[np.uint8]:
        shown = DisplayedFrame(frame, scalers, pixel_aspect=aspect, orientation=turn_of(frame))
        return shown.rgb(_even_size(*shown.shape, most=most))

    with open_video(path, limits=limits) as container:
        stream = video_stream(container, limits=limits)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        for at, frame in _frames(container, stream, start, PacketMeter(limits, beat)):
            if at <= start:
                before = (at, frame)
                continue
            if before is not None:
                yield before[0], scaled(before[1])
                before = None
            yield at, scaled(frame)
        if before is not None:  # the last picture stands until the end
            yield before[0], scaled(before[1])


def _frames(
    container: InputContainer, stream: VideoStream, start: float, meter: PacketMeter
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """Decoded frames in order, from a key frame at or before `start` where the file can be sought in."""
    zero = time_zero(container) or Fraction(0)
    if start > _SEEK_BACK_SECONDS:
        container.seek(round((start - _SEEK_BACK_SECONDS + float(zero)) * av.time_base))
    for packet in packets_of(container, stream):
        meter()
        try:
            frames = packet.decode()
        except MemoryError:
            raise
        except av.FFmpegError:  # a damaged packet does not spoil the others
            continue
        for frame in frames:
            if frame.pts is not None and frame.time_base is not None:
                yield frame.pts * frame.time_base - zero, frame


def _even_size(width: Fraction, height: Fraction, *, most: int) -> tuple[int, int]:
    """Of the same shape, no larger than it is, as H.264 takes it."""
    factor = min(Fraction(1), Fraction(most) / max(width, height))
    across, down = (max(2, round(side * factor / 2) * 2) for side in (width, height))
    return across, down
