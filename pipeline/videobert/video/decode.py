"""The seam to FFmpeg: opening a local file safely, and what it says about itself.

Videos are hostile input. Only the `file` protocol and ordinary containers are allowed: a playlist (hls, dash, concat)
could make the decoder read other files or the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.codec.codec import Codec
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.subtitles.stream import SubtitleStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from videobert.errors import InputError, VideoError
from videobert.video.growing import GrowingFile
from videobert.video.limits import DecoderLimits
from videobert.video.orientation import orientation_of
from videobert.video.timing import declared_end, time_zero

__all__ = [
    "REASONS", "Beat", "PacketMeter", "SubtitleTrack", "VideoProbe", "describe", "ignore_beat", "nvdec", "open_video",
    "packets_of", "probe", "sound_stream", "video_stream",
]  # fmt: skip

REASONS = (
    "undecodable", "no-video-stream", "too-large", "too-long", "too-many-packets",
    "decoder-crash", "decoder-memory", "decoder-timeout",
)  # fmt: skip
"""Every `VideoError.reason` of whatever opens a video."""

Beat = Callable[[float], None]
"""Called for every packet, with the seconds from the start of the video that are good so far: the work goes on."""

_CONTAINERS = "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,ogg,gif,flv,asf"
_FURTHER_MICROSECONDS = str(12 * 3600 * 1_000_000)
"""FFmpeg looks at 5 s otherwise, and at 5 MB in any case."""
_FIRST_MICROSECONDS = "1000000"
_CONTEXTS: list[HWAccel] = []
"""Keep a GPU's context alive between videos, so that not every video makes one."""
_TEXT_CODECS = frozenset({"mov_text", "subrip", "webvtt", "ass", "ssa", "text"})


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
    """Degrees by which a player turns the picture counterclockwise, 0, 90, 180 or 270; where the file says so, after
    it has mirrored the picture left to right."""
    sample_aspect_ratio: float
    fps: float | None
    """Average frame rate; none when the container does not tell."""
    duration_seconds: float | None
    """Until pictures and sound have ended. From the header, so not proven; none when the container does not tell."""
    has_audio: bool
    sound_codec: str
    """Of the sound that a player plays; empty without any, `unknown` where there is no decoder for it."""
    subtitles: tuple[SubtitleTrack, ...]


def ignore_beat(good_seconds: float) -> None:
    """The beat that nobody hears."""


class PacketMeter:
    """Counts the packets of one reading and refuses a file of too many."""

    def __init__(self, limits: DecoderLimits, beat: Beat) -> None:
        self._limit, self._beat = limits.max_packets, beat
        self.packets = 0

    def __call__(self, good_seconds: float = 0.0) -> None:
        self.packets += 1
        if self.packets > self._limit:
            raise VideoError(
                "too-many-packets", f"the file holds more than max_packets={self._limit}",
                salvageable_seconds=good_seconds,
            )  # fmt: skip
        self._beat(good_seconds)


@cache
def nvdec(gpu: int) -> HWAccel:
    """The video engine of a GPU, for `open_video`; what it does not know, the CPU decodes. One CUDA context a process.

    Raises `InputError` when it cannot be used, which is no fault of a video.
    """
    engine = HWAccel("cuda", device=str(gpu), options={"primary_ctx": "1"})
    try:
        _CONTEXTS.append(engine.create(Codec("h264", "r")))
    except (av.FFmpegError, NotImplementedError) as error:
        raise InputError(
            f"decoder='nvdec' cannot use GPU {gpu} ({error}); "
            "see that the driver with its libnvcuvid is visible here (containers: NVIDIA_DRIVER_CAPABILITIES with "
            "video), or take decoder='cpu'"
        ) from error
    return engine


@contextmanager
def open_video(
    path: str | Path, *, limits: DecoderLimits, engine: HWAccel | None = None, growing: GrowingFile | None = None
) -> Iterator[InputContainer]:
    """Open a local file; FFmpeg's own errors inside the block surface as `VideoError("undecodable")`.

    `growing` is that file while it is being written: it is read as it comes, from as little as FFmpeg needs to begin.
    """
    local = Path(path)
    if not local.is_file():
        raise InputError(f"video {str(path)!r} is not a local file; copy it to this machine before decoding")
    options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS, "max_pixels": str(limits.max_pixels)}
    try:
        opened = _opened(f"file:{local.absolute()}", options, engine) if growing is None else _begun(growing, options)
        with opened as container:
            yield container
    except MemoryError:
        raise  # one of FFmpeg's errors too, but not a property of the file
    except av.FFmpegError as error:
        raise VideoError("undecodable", f"FFmpeg cannot read this file: {error.strerror}") from error


def _opened(url: str, options: dict[str, str], engine: HWAccel | None) -> InputContainer:
    """The container, read further where its first seconds do not tell the size of the picture.

    A transport stream of one picture and long sound is such: the packet of the picture ends where the next begins.
    """
    container = av.open(url, "r", options=options, metadata_errors="replace", hwaccel=engine)
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.codec_context is None or stream.width * stream.height:
        return container
    container.close()
    further = options | {"analyzeduration": _FURTHER_MICROSECONDS}
    return av.open(url, "r", options=further, metadata_errors="replace", hwaccel=engine)


def _begun(growing: GrowingFile, options: dict[str, str]) -> InputContainer:
    """The container of a file that is still written, after its first second; by default FFmpeg looks at five."""
    return av.open(growing, "r", options=options | {"analyzeduration": _FIRST_MICROSECONDS}, metadata_errors="replace")


def video_stream(container: InputContainer, *, limits: DecoderLimits) -> VideoStream:
    """The stream a player would show, set to one decoding thread and never to allocate more than `max_pixels`."""
    max_pixels = limits.max_pixels
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        raise VideoError("no-video-stream", "the file holds no video stream (cover art does not count)")
    if stream.codec_context is None:
        raise VideoError("undecodable", "this FFmpeg has no decoder for the video stream")
    if not stream.width * stream.height:  # FFmpeg forgets a size that it refuses, and has none for some broken files
        raise VideoError("undecodable", f"the size of the picture is unknown, or above max_pixels={max_pixels}")
    if stream.width * stream.height > max_pixels:
        raise VideoError("too-large", f"{stream.width}x{stream.height} is above max_pixels={max_pixels}")
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = "NONE"
    stream.codec_context.options = {"max_pixels": str(max_pixels)}
    return stream


def sound_stream(container: InputContainer) -> AudioStream | None:
    """The sound that a player would play with the pictures."""
    stream = container.streams.best("audio")
    return stream if isinstance(stream, AudioStream) else None


def packets_of(container: InputContainer, *streams: Any) -> Iterator[Packet[Any]]:
    """Packets of these streams (none: of all), the flushing ones last. Raises what FFmpeg raises.

    PyAV raises IndexError at a packet of a stream that the header did not name, as broken transport streams hold.
    """
    while True:
        try:
            yield from container.demux(*streams)
        except IndexError:
            continue
        return


def probe(path: str | Path, *, limits: DecoderLimits, beat: Beat = ignore_beat) -> VideoProbe:
    """Describe a local video, decoding its first frame.

    Raises `VideoError` with a reason of `REASONS`, `InputError` when the path is no local file.
    """
    with open_video(path, limits=limits) as container:
        stream, meter = video_stream(container, limits=limits), PacketMeter(limits, beat)
        frame = _first_frame(container, stream, meter)
        if frame is None:
            raise VideoError("undecodable", "no frame of the video stream can be decoded")
        duration, sound = _duration(container, stream, frame), sound_stream(container)
        return VideoProbe(
            container=container.format.name,
            codec=stream.codec.canonical_name,
            width=frame.width,
            height=frame.height,
            rotation=90 * orientation_of(frame).turns,
            sample_aspect_ratio=float(stream.sample_aspect_ratio or 1),
            fps=float(stream.average_rate) if stream.average_rate else None,
            duration_seconds=None if duration is None else float(duration),
            has_audio=bool(container.streams.audio),
            sound_codec=_codec_of(sound) if sound else "",
            subtitles=tuple(describe(track) for track in container.streams.subtitles),
        )


def _duration(container: InputContainer, stream: VideoStream, first: VideoFrame) -> Fraction | None:
    """Until the last of pictures and sound has ended, or all else in the file where neither tells."""
    zero = time_zero(container)
    if zero is None:
        zero = Fraction(0) if first.pts is None or first.time_base is None else first.pts * first.time_base
    ends = [declared_end(container, one, zero=zero) for one in (stream, sound_stream(container)) if one is not None]
    known = [end for end in ends if end is not None]
    if known:
        return max(known)
    return Fraction(container.duration, av.time_base) if container.duration else None


def _first_frame(container: InputContainer, stream: VideoStream, meter: PacketMeter) -> VideoFrame | None:
    for packet in packets_of(container, stream):
        meter()
        with suppress(av.FFmpegError):  # a damaged beginning does not spoil what follows
            for frame in packet.decode():
                return frame
    return None


def describe(track: SubtitleStream) -> SubtitleTrack:
    """What the container says about a subtitle track."""
    codec = _codec_of(track)
    return SubtitleTrack(codec=codec, language=track.language, is_text=codec in _TEXT_CODECS)


def _codec_of(track: AudioStream | SubtitleStream) -> str:
    return track.codec.canonical_name if track.codec_context else "unknown"
