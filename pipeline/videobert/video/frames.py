"""From a video file to the few small frames of each clip that an encoder needs, clip by clip, in flat memory.

Shapes: F frames of a clip for the encoder, T ticks a clip, H x W the encoder's picture, G side of the gray square.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from videobert.errors import VideoError
from videobert.features.config import FeaturesConfig
from videobert.video.clips import ClipRange, TickClock, clip_count, overlaps
from videobert.video.decode import (
    Beat,
    PacketMeter,
    declared_seconds,
    ignore_beat,
    nvdec,
    open_video,
    packets_of,
    time_zero,
    video_stream,
)  # fmt: skip
from videobert.video.displayed import DisplayedFrame
from videobert.video.geometry import by_shorter_side, in_patches, middle_square

__all__ = ["ClipDecoder", "ClipFrames", "ClipRequest"]

_MAX_FAILURES = 1000
_GAP_SECONDS = Fraction(1, 5)
"""Broadcast streams have a constant rate: a longer hole means lost packets, of which the decoder says nothing. In other
containers a hole is a picture that stands still."""

_REORDER_SECONDS = 60
"""Far above what frames may wait to be shown: a time beyond it is part of the damage."""
_SEEK_BACK_SECONDS = 5
"""Indices count in decoding times, by which a key frame may stand before a time after which it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRequest:
    """What an encoder wants to see of every clip."""

    frame_ticks: tuple[int, ...]
    """Ticks whose frames the encoder sees in colour."""
    size: int
    """Side of the square that the whole frame is squeezed to, unless a field below says otherwise."""
    gray_size: int | None = None
    """Side of a gray square for every tick of the clip, for motion; none when not needed."""
    shorter_side: int | None = None
    """The frame keeps its shape: its shorter side gets so many pixels, and the middle square of `size` is cut out."""
    max_patches: int | None = None
    """The frame keeps its shape and all of its picture: at most so many patches, each a square of `size`."""

    def __post_init__(self) -> None:
        if self.shorter_side is not None and (self.shorter_side < self.size or self.max_patches is not None):
            raise ValueError(f"a square is cut out of a side that is no shorter, and not of patches, got {self}")

    def scaled(self, width: Fraction, height: Fraction) -> tuple[int, int]:
        """Width and height that a frame of this shape is scaled to, before a square is cut out."""
        if self.shorter_side is not None:
            return by_shorter_side(width, height, self.shorter_side)
        if self.max_patches is not None:
            return in_patches(width, height, patch=self.size, most=self.max_patches)
        return self.size, self.size

    def cut(self, scaled_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the encoder sees of a scaled frame."""
        return scaled_HW3 if self.shorter_side is None else middle_square(scaled_HW3, self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFrames:
    """One clip, ready for an encoder."""

    index: int
    """The clip starts at index x clip_seconds."""
    rgb: NDArray[np.uint8]
    """Colour frames, shape [F, H, W, 3]."""
    gray: NDArray[np.uint8] | None
    """Luma of every tick, shape [T, G, G]."""

    def __post_init__(self) -> None:
        if self.rgb.dtype != np.uint8 or self.rgb.ndim != 4 or self.rgb.shape[3] != 3:
            raise ValueError(f"frames are uint8 [F, H, W, 3], got {self.rgb.dtype} {self.rgb.shape}")
        if self.gray is not None and (self.gray.dtype != np.uint8 or self.gray.ndim != 3):
            raise ValueError(f"gray frames are uint8 [T, G, G], got {self.gray.dtype} {self.gray.shape}")


class ClipDecoder:
    """Iterates over the undamaged clips of a file, in order; the counters are final when the iteration ends.

    Raises `VideoError` (see `decode.REASONS`), also when not one whole clip comes out. Good for one iteration.

    A `clip_range` is decoded from the key frame before it, and refused where that cannot be done, or where the demuxer
    fails; nothing in it tells whether the whole video would have given the same (see `chunks`).
    """

    def __init__(
        self,
        path: str | Path,
        request: ClipRequest,
        config: FeaturesConfig,
        *,
        clip_range: ClipRange = ClipRange(),  # noqa: B008 - frozen
        beat: Beat = ignore_beat,
    ) -> None:
        self._path, self._request, self._config, self._clip_range = path, request, config, clip_range
        self.meter = PacketMeter(config.limits, beat)
        self._ticks = config.ticks_per_clip
        self._clock = TickClock(config.rate, first=clip_range.first * self._ticks)
        self._scalers = (VideoReformatter(), VideoReformatter())
        self._pixel_aspect = Fraction(1)
        self._scaled = (request.size, request.size)
        self._zero: Fraction | None = None
        self._now: Fraction | None = None
        self._shown: DisplayedFrame | None = None
        self._shown_until = Fraction(0)
        self._filling: ClipFrames | None = None
        self._held: ClipFrames | None = None
        self._damaged_since: Fraction | None = None
        self.refused_until = Fraction(0)
        """Seconds from the start of the video up to which damage that was met may reach."""
        self._holes_are_losses = self._empty_repeats = False
        self.damaged: list[tuple[Fraction, Fraction]] = []
        """Half-open ranges in seconds whose frames could not be trusted."""
        self.frames_decoded = 0
        self.clips = 0

    def __iter__(self) -> Iterator[ClipFrames]:
        limits = self._config.limits
        gpu = self._config.decoding_gpu
        with open_video(self._path, limits=limits, engine=None if gpu is None else nvdec(gpu)) as container:
            stream = video_stream(container, limits=limits)
            for other in container.streams:
                if other.index != stream.index:
                    other.discard = Discard.all
            self._zero = time_zero(container)
            self._holes_are_losses = container.format.name in ("mpegts", "mpeg")
            # Theora writes a picture that is equal to the one before as no bytes, which FFmpeg's decoder refuses.
            self._empty_repeats = stream.codec.name == "theora"
            self._pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
            self._seek(container, stream)
            for packet in self._packets(container, stream):
                self.meter(float(self.good_until))
                for frame in self._decode(packet):
                    yield from self._accept(frame)
                if self._is_past_range:
                    return
            declared = declared_seconds(container, stream)
        yield from self._finish(declared)
        if not self.clips:
            length = f"one clip of {self._config.clip_seconds:g} s"
            if self.damaged or self._damaged_since is not None:
                raise self._refused("undecodable", f"the file is damaged and does not hold {length} unharmed")
            raise self._refused("too-short", f"{float(self._shown_until):.3f} s is less than {length}")

    @property
    def good_until(self) -> Fraction:
        """Seconds from the start of the video up to which all is well."""
        since = self._damaged_since if self._damaged_since is not None else self._shown_until
        return self.damaged[0][0] if self.damaged else since

    def _refused(self, reason: str, message: str) -> VideoError:
        return VideoError(reason, message, salvageable_seconds=float(self.good_until))

    def _seek(self, container: InputContainer, stream: VideoStream) -> None:
        """Go to the key frame before the clip range."""
        if not self._clip_range.first:
            return
        if self._zero is None or stream.time_base is None:
            raise self._refused("undecodable", "a video without a start cannot be read from its middle")
        start = self._zero + max(Fraction(0), self._clip_range.first * self._config.clip_length - _SEEK_BACK_SECONDS)
        container.seek(int(start / stream.time_base), stream=stream)

    @property
    def _is_past_range(self) -> bool:
        """Whether all clips of the clip range came out, or were found damaged."""
        last = self._clip_range.last
        if last is None or self._clock.next < (last + 1) * self._ticks:
            return False
        return self._held is None or self._held.index > last

    def _packets(self, container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
        """Packets, the flushing one last; a demuxer that fails is asked again, as it may have moved past the damage."""
        for _ in range(_MAX_FAILURES):
            try:
                yield from packets_of(container, stream)
            except av.FFmpegError:
                if self._clip_range != ClipRange():
                    raise
                self._open_damage()
            else:
                return

    def _decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        if packet.is_corrupt:
            self._open_damage(packet)
        if self._empty_repeats and not packet.size and packet.dts is not None:
            self._repeat(packet)
            return []
        try:
            frames = packet.decode()
        except av.FFmpegError:
            self._open_damage(packet)
            return []
        self.frames_decoded += len(frames)
        return frames

    def _repeat(self, packet: Packet[VideoStream]) -> None:
        """The frame on screen stays for the time of this packet too."""
        seconds = self._seconds(packet)
        if seconds is not None and packet.time_base is not None and self._damaged_since is None:
            self._shown_until = max(self._shown_until, seconds + (packet.duration or 0) * packet.time_base)

    def _seconds(self, shown: VideoFrame | Packet[VideoStream]) -> Fraction | None:
        """Presentation time from time zero: the container's start, else the first frame."""
        if shown.pts is None or shown.time_base is None:
            return None
        seconds = shown.pts * shown.time_base
        if self._zero is None:
            self._zero = seconds
        return seconds - self._zero

    def _accept(self, frame: VideoFrame) -> Iterator[ClipFrames]:
        """Show a new frame from its time on; a damaged one, and all that build on it, only mark the damage."""
        seconds = self._seconds(frame)
        if self._clip_range.first and self._now is None and not self._may_begin(frame, seconds):
            return
        if frame.is_corrupt or (self._holes_are_losses and self._is_late(seconds)):
            self._open_damage()
        if self._damaged_since is not None:
            if frame.is_corrupt or not frame.key_frame or seconds is None or seconds <= self.refused_until:
                return
            if seconds > self._damaged_since:
                self.damaged.append((self._damaged_since, seconds))
            self._damaged_since = None
        if seconds is None:
            seconds = self._shown_until
        if self._now is not None and seconds <= self._now:
            return
        limit = self._config.limits.max_seconds
        if float(seconds) > limit:
            raise self._refused("too-long", f"a frame at {float(seconds):.0f} s is above max_seconds={limit:g}")
        if frame.duration and frame.time_base:
            length = frame.duration * frame.time_base
        else:
            length = 1 / self._config.rate if self._now is None else seconds - self._now
        self._now, self._shown_until = seconds, seconds + length
        successor = DisplayedFrame(frame, self._scalers, self._pixel_aspect)
        yield from self._show(self._shown or successor, self._clock.until(seconds))
        self._shown = successor

    def _is_late(self, seconds: Fraction | None) -> bool:
        return seconds is not None and self._now is not None and seconds - self._shown_until > _GAP_SECONDS

    def _may_begin(self, frame: VideoFrame, seconds: Fraction | None) -> bool:
        """Whether a clip range may begin with this frame: those before a key frame build on what was not read."""
        if seconds is None or not frame.key_frame:
            return False
        if seconds * self._config.rate > self._clock.next:
            raise self._refused("undecodable", f"no key frame was found before clip {self._clip_range.first}")
        return True

    def _open_damage(self, packet: Packet[VideoStream] | None = None) -> None:
        """Trust no frame before the next key frame that is shown after `packet`.

        Frames come out some packets after they went in: a key frame may be one of those that the damage has met.
        """
        if self._damaged_since is None:
            self._damaged_since = self._shown_until
        seconds = None if packet is None or self._zero is None else self._seconds(packet)
        if seconds is not None and seconds < max(self._shown_until, self.refused_until) + _REORDER_SECONDS:
            self.refused_until = max(self.refused_until, seconds)

    def _show(self, shown: DisplayedFrame, ticks: range) -> Iterator[ClipFrames]:
        """Give a frame to these ticks; a full clip comes out once the video is known to last to its end."""
        if self._held is not None and self._is_whole(self._held):
            yield from self._release(self._held)
            self._held = None
        for tick in ticks:
            clip = self._place(tick, shown)
            if clip is not None and self._is_whole(clip):
                yield from self._release(clip)
            elif clip is not None:
                self._held = clip

    def _is_whole(self, clip: ClipFrames) -> bool:
        return clip.index < clip_count(self._shown_until, self._config.clip_length)

    def _place(self, tick: int, shown: DisplayedFrame) -> ClipFrames | None:
        """Put a frame where a tick wants it; the clip, when this tick was its last."""
        request = self._request
        index, position = divmod(tick, self._ticks)
        if self._filling is None:
            self._scaled = request.scaled(*shown.shape)
            width, height = self._scaled if request.shorter_side is None else (request.size, request.size)
            rgb = np.empty((len(request.frame_ticks), height, width, 3), np.uint8)
            gray = None
            if request.gray_size is not None:
                gray = np.empty((self._ticks, request.gray_size, request.gray_size), np.uint8)
            self._filling = ClipFrames(index=index, rgb=rgb, gray=gray)
        clip = self._filling
        for slot, wanted in enumerate(request.frame_ticks):
            if wanted == position:
                clip.rgb[slot] = request.cut(shown.rgb(self._scaled))
        if clip.gray is not None and request.gray_size is not None:
            clip.gray[position] = shown.gray(request.gray_size)
        if position < self._ticks - 1:
            return None
        self._filling = None
        return clip

    def _release(self, clip: ClipFrames) -> Iterator[ClipFrames]:
        length, last = self._config.clip_length, self._clip_range.last
        if last is not None and clip.index > last:
            return
        if not overlaps(clip.index * length, (clip.index + 1) * length, self.damaged):
            self.clips += 1
            yield clip

    def _finish(self, declared: Fraction | None) -> Iterator[ClipFrames]:
        """Let the last frame stand for its own time, and call damaged what the header promised beyond it."""
        end, length = self._shown_until, self._config.clip_length
        cut_off = declared is not None and declared - end > length
        if declared is not None and (cut_off or (self._damaged_since is not None and declared > end)):
            self.damaged.append((end, declared))
        if self._shown is not None:
            yield from self._show(self._shown, self._clock.until(clip_count(end, length) * length))
