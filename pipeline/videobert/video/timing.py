"""What a container says about time: where it starts, and where each of its streams ends."""

from __future__ import annotations

import re
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

__all__ = ["declared_end", "time_zero"]

_TAG = re.compile(r"(\d+):(\d\d):(\d\d\.\d+)")


def time_zero(container: InputContainer) -> Fraction | None:
    """Start of the container in seconds, from which captions count; none when it does not tell."""
    start = container.start_time
    return None if start is None else Fraction(start, av.time_base)


def declared_end(container: InputContainer, stream: VideoStream | AudioStream, *, zero: Fraction) -> Fraction | None:
    """When a stream ends as its header tells, in seconds from time zero; none when it does not.

    `zero` is the start of the container, or its first frame's time. Headers that tell when a stream ends, and not how
    long it lasts, are those of a cut that starts late: its Matroska from 30 s to 39 s says 39.
    """
    seconds = _told(container, stream)
    if seconds is None:
        return None
    start = zero if stream.start_time is None or stream.time_base is None else stream.start_time * stream.time_base
    if _tells_ends(container) and seconds >= start:  # a length that mkvmerge counted of FFmpeg's file may be less
        return seconds - zero
    return start - zero + seconds


def _told(container: InputContainer, stream: VideoStream | AudioStream) -> Fraction | None:
    """The length of the container is that of its only stream; else it may be another stream's."""
    if tag := _TAG.fullmatch(stream.metadata.get("DURATION", "")):  # in Matroska, such as 00:01:02.503000000
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    if len(container.streams) == 1 and container.duration:
        return Fraction(container.duration, av.time_base)
    return None


def _tells_ends(container: InputContainer) -> bool:
    """Whether lengths of this file are counted from time stamp 0: ASF, and Matroska by FFmpeg or libwebm."""
    muxer = {name.lower(): text for name, text in container.metadata.items()}.get("encoder", "")
    matroska = container.format.name == "matroska,webm" and muxer.startswith(("Lavf", "libwebm"))
    return matroska or container.format.name == "asf"
