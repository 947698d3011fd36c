"""The sound of a few seconds of a video, as a browser plays it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from videobert.errors import VideoError
from videobert.video.decode import Beat, PacketMeter, open_video, packets_of
from videobert.video.limits import DecoderLimits
from videobert.video.timing import time_zero

__all__ = ["LAYOUT", "RATE", "sound_frames"]

RATE, LAYOUT = 48_000, "stereo"
_SEEK_BACK_SECONDS = 1
_PRIMING = 1024
"""Samples that an AAC encoder puts before the first: sound is this much late, 21 ms, instead of before second 0."""


def sound_frames(
    path: str | Path, start: float, end: float, *, limits: DecoderLimits, beat: Beat
) -> Iterator[AudioFrame]:
    """Frames for an AAC encoder from `start` to `end` seconds, which its clock counts from 0.

    None where there is no sound; what is damaged is left out, since pictures without it are worth more than an error.
    """
    resampler = AudioResampler(format="fltp", layout=LAYOUT, rate=RATE, frame_size=_PRIMING)
    with suppress(VideoError), open_video(path, limits=limits) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream) or stream.codec_context is None:
            return
        zero = time_zero(container) or Fraction(0)
        if start > _SEEK_BACK_SECONDS:
            container.seek(round((start - _SEEK_BACK_SECONDS + float(zero)) * av.time_base))
        meter = PacketMeter(limits, beat)
        for packet in packets_of(container, stream):
            meter()
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except av.FFmpegError:
                continue
            for frame in frames:
                if not isinstance(frame, AudioFrame) or frame.pts is None or frame.time_base is None:
                    continue
                at = frame.pts * frame.time_base - zero
                if at >= end:
                    return
                if at >= start:
                    frame.pts = round((at - Fraction(start)) / frame.time_base)
                    yield from _delayed(resampler.resample(frame))
        yield from _delayed(resampler.resample(None))


def _delayed(frames: list[AudioFrame]) -> Iterator[AudioFrame]:
    for frame in frames:
        if frame.pts is not None:
            frame.pts += _PRIMING
        yield frame
