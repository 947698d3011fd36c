"""The seam to FFmpeg: opening a local file safely, what it says about itself, and its subtitle cues.

Videos are hostile input. Only the `file` protocol and ordinary containers are allowed: a playlist (hls, dash, concat)
could make the decoder read other files or the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.errors import InputError, VideoError

__all__ = [
    "REASONS",
    "SubtitleTrack",
    "VideoProbe",
    "declared_seconds",
    "open_video",
    "probe",
    "quarter_turns",
    "read_subtitles",
    "time_zero",
    "video_stream",
]

REASONS = ("undecodable", "no-video-stream", "too-short", "too-large", "too-long")
"""Every `VideoError.reason` of this stage."""

_CONTAINERS = "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,ogg,gif,flv,asf"
_TEXT_CODECS = frozenset({"mov_text", "subrip", "webvtt", "ass", "ssa", "text"})
_OTHER_TAGS = {"cs": "cze", "de": "ger", "el": "gre", "es": "spa", "ja": "jpn", "nl": "dut", "pl": "pol", "pt": "por",
               "sv": "swe", "tr": "tur", "zh": "chi"}  # fmt: skip
"""ISO 639-2 tags in files that do not begin with the two-letter code."""
_MATROSKA_DURATION = re.compile(r"(\d+):(\d\d):(\d\d\.\d+)")
_ASS_OVERRIDES = re.compile(r"\{\\[^}]*\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtitleTrack:
    """An embedded subtitle track."""

    codec: str
    language: str | None
    """As tagged, usually ISO 639-2 (`eng`)."""
    is_text: bool
    """False for bitmap subtitles, which hold no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoProbe:
    """What a container says about its best video stream; the first frame was decoded to prove it."""

    container: str
    codec: str
    width: int
    """Stored pixels, before rotation."""
    height: int
    rotation: int
    """Degrees by which a player turns the picture counterclockwise: 0, 90, 180 or 270."""
    sample_aspect_ratio: float
    fps: float | None
    """Average frame rate; none when the container does not tell."""
    duration_seconds: float | None
    """From the header, so not proven; none when the container does not tell."""
    has_audio: bool
    subtitles: tuple[SubtitleTrack, ...]


@contextmanager
def open_video(path: str | Path, *, max_pixels: int = 36_000_000) -> Iterator[InputContainer]:
    """Open a local file; FFmpeg's own errors inside the block surface as `VideoError("undecodable")`."""
    local = Path(path)
    if not local.is_file():
        raise InputError(f"video {str(path)!r} is not a local file; copy it to this machine before decoding")
    options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS, "max_pixels": str(max_pixels)}
    try:
        with av.open(f"file:{local.absolute()}", "r", options=options, metadata_errors="replace") as container:
            yield container
    except av.FFmpegError as error:
        raise VideoError("undecodable", f"FFmpeg cannot read this file: {error.strerror}") from error


def video_stream(container: InputContainer, *, max_pixels: int) -> VideoStream:
    """The stream a player would show, set to one decoding thread and never to allocate more than `max_pixels`."""
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        raise VideoError("no-video-stream", "the file holds no video stream (cover art does not count)")
    if stream.codec_context is None:
        raise VideoError("undecodable", "this FFmpeg has no decoder for the video stream")
    if stream.width * stream.height > max_pixels:
        raise VideoError("too-large", f"{stream.width}x{stream.height} is above max_pixels={max_pixels}")
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = "NONE"
    stream.codec_context.options = {"max_pixels": str(max_pixels)}
    return stream


def time_zero(container: InputContainer) -> Fraction | None:
    """Start of the container in seconds, from which captions count; none when it does not tell."""
    start = container.start_time
    return None if start is None else Fraction(start, av.time_base)


def declared_seconds(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Length of the video stream as its header tells; none when it does not (the container's may be the sound's)."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    # Matroska keeps it in a tag such as 00:01:02.503000000, counted from the start of the container.
    tag = _MATROSKA_DURATION.fullmatch(stream.metadata.get("DURATION", ""))
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])
    if len(container.streams) == 1 and container.duration:
        return Fraction(container.duration, av.time_base)
    return None


def quarter_turns(frame: VideoFrame) -> int:
    """Counterclockwise quarter turns that a player applies to this frame, 0 to 3."""
    return round(frame.rotation / 90) % 4


def probe(path: str | Path, *, max_pixels: int = 36_000_000) -> VideoProbe:
    """Describe a local video, decoding its first frame.

    Raises `VideoError` with a reason of `REASONS`, `InputError` when the path is no local file.
    """
    with open_video(path, max_pixels=max_pixels) as container:
        stream = video_stream(container, max_pixels=max_pixels)
        frame = next(container.decode(stream), None)
        if frame is None:
            raise VideoError("undecodable", "no frame of the video stream can be decoded")
        duration = declared_seconds(container, stream)
        if duration is None and container.duration:
            duration = Fraction(container.duration, av.time_base)
        return VideoProbe(
            container=container.format.name,
            codec=stream.codec.canonical_name,
            width=frame.width,
            height=frame.height,
            rotation=90 * quarter_turns(frame),
            sample_aspect_ratio=float(stream.sample_aspect_ratio or 1),
            fps=float(stream.average_rate) if stream.average_rate else None,
            duration_seconds=None if duration is None else float(duration),
            has_audio=bool(container.streams.audio),
            subtitles=tuple(_describe(track) for track in container.streams.subtitles),
        )


def _describe(track: SubtitleStream) -> SubtitleTrack:
    codec = track.codec.canonical_name if track.codec_context else "unknown"
    return SubtitleTrack(codec=codec, language=track.language, is_text=codec in _TEXT_CODECS)


def read_subtitles(path: str | Path, *, language: str = "") -> list[tuple[float, float, str]]:
    """(start seconds, end seconds, text) of an embedded text track in time order; lines of a cue end in a newline.

    `language` is a two- or three-letter code: a track tagged so is taken before an untagged one, and one tagged
    otherwise never; without it the first text track is taken. Empty when there is none. Raises `VideoError`.
    """
    with open_video(path) as container:
        tracks = [s for s in container.streams.subtitles if _describe(s).is_text]
        if language:
            tagged = [s for s in tracks if _speaks(s.language, language)]
            tracks = tagged or [s for s in tracks if s.language in (None, "und")]
        if not tracks:
            return []
        zero = time_zero(container) or Fraction(0)
        cues = []
        for packet in container.demux(tracks[0]):
            if packet.pts is None or not packet.duration:
                continue
            start = packet.pts * packet.time_base - zero
            text = "\n".join(_plain(s) for s in packet.decode() if isinstance(s, AssSubtitle))
            if text.strip():
                cues.append((float(start), float(start + packet.duration * packet.time_base), text))
        return sorted(cues)


def _speaks(tag: str | None, language: str) -> bool:
    short = language.lower()[:2]
    return tag is not None and (tag.lower()[:2] == short or tag.lower() == _OTHER_TAGS.get(short))


def _plain(subtitle: AssSubtitle) -> str:
    """Text of an ASS event without override tags (FFmpeg turns every text format into ASS)."""
    text = _ASS_OVERRIDES.sub("", subtitle.dialogue.decode("utf-8", "replace"))
    return text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
