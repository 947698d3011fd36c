"""From a video file to the few small frames of each clip that an encoder needs, clip by clip, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from videobert.errors import VideoError
from videobert.video.assembly import ClipAssembler
from videobert.video.clips import ClipRange, TickClock, clip_count
from videobert.video.damage import DamageTracker
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
from videobert.video.limits import DecoderLimits
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipFrames, ClipRequest

__all__ = ["ClipDecoder", "ClipFrames", "ClipRequest"]

_MAX_FAILURES = 1000
_GAP_SECONDS = Fraction(1, 5)
"""Broadcast streams have a constant rate: a longer hole means lost packets, of which the decoder says nothing. In other
containers a hole is a picture that stands still."""

_SEEK_BACK_SECONDS = 5
"""Indices count in decoding times, by which a key frame may stand before a time after which it is shown."""


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
        options: DecodeOptions,
        *,
        limits: DecoderLimits = DecoderLimits(),  # noqa: B008 - frozen
        clip_range: ClipRange = ClipRange(),  # noqa: B008 - frozen
        beat: Beat = ignore_beat,
    ) -> None:
        self._path, self._options, self._limits, self._clip_range = path, options, limits, clip_range
        self.meter = PacketMeter(limits, beat)
        self._clock = TickClock(options.rate, first=clip_range.first * options.ticks_per_clip)
        self._assembler = ClipAssembler(request, ticks_per_clip=options.ticks_per_clip)
        self._scalers = (VideoReformatter(), VideoReformatter())
        self._pixel_aspect = Fraction(1)
        self._zero: Fraction | None = None
        self._now: Fraction | None = None
        self._shown: DisplayedFrame | None = None
        self._shown_until = Fraction(0)
        self._held: ClipFrames | None = None
        self._damage = DamageTracker()
        self._holes_are_losses = self._empty_repeats = False
        self.frames_decoded = 0
        self.clips = 0

    def __iter__(self) -> Iterator[ClipFrames]:
        gpu, limits = self._options.decoding_gpu, self._limits
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
            raise self._no_clip()

    @property
    def damaged(self) -> Sequence[tuple[Fraction, Fraction]]:
        """Half-open ranges in seconds whose frames could not be trusted."""
        return self._damage.ranges

    @property
    def refused_until(self) -> Fraction:
        """Seconds from the start of the video up to which damage that was met may reach."""
        return self._damage.refused_until

    @property
    def good_until(self) -> Fraction:
        """Seconds from the start of the video up to which all is well."""
        return self._damage.good_until(self._shown_until)

    def _refused(self, reason: str, message: str) -> VideoError:
        return VideoError(reason, message, salvageable_seconds=float(self.good_until))

    def _no_clip(self) -> VideoError:
        length = f"one clip of {self._options.clip_seconds:g} s"
        if self._damage.was_met:
            return self._refused("undecodable", f"the file is damaged and does not hold {length} unharmed")
        return self._refused("too-short", f"{float(self._shown_until):.3f} s is less than {length}")

    def _seek(self, container: InputContainer, stream: VideoStream) -> None:
        """Go to the key frame before the clip range."""
        if not self._clip_range.first:
            return
        if self._zero is None or stream.time_base is None:
            raise self._refused("undecodable", "a video without a start cannot be read from its middle")
        start = self._zero + max(Fraction(0), self._clip_range.first * self._options.clip_length - _SEEK_BACK_SECONDS)
        container.seek(int(start / stream.time_base), stream=stream)

    @property
    def _is_past_range(self) -> bool:
        """Whether all clips of the clip range came out, or were found damaged."""
        last = self._clip_range.last
        if last is None or self._clock.next < (last + 1) * self._options.ticks_per_clip:
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
                self._damage.open(self._shown_until)
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

    def _open_damage(self, packet: Packet[VideoStream]) -> None:
        """Nothing is to begin at the time of a damaged packet, so it does not tell where time zero is."""
        self._damage.open(self._shown_until, packet_seconds=None if self._zero is None else self._seconds(packet))

    def _repeat(self, packet: Packet[VideoStream]) -> None:
        """The frame on screen stays for the time of this packet too."""
        seconds = self._seconds(packet)
        if seconds is not None and packet.time_base is not None and not self._damage.is_open:
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
        """Show a new frame from its time on, if it may be trusted and comes after the one on screen."""
        seconds = self._seconds(frame)
        if self._clip_range.first and self._now is None and not self._may_begin(frame, seconds):
            return
        if frame.is_corrupt or (self._holes_are_losses and self._is_late(seconds)):
            self._damage.open(self._shown_until)
        if not self._damage.admits(seconds, is_whole_key=frame.key_frame and not frame.is_corrupt):
            return
        if seconds is None:
            seconds = self._shown_until
        if self._now is None or seconds > self._now:
            yield from self._replace_shown(frame, seconds)

    def _may_begin(self, frame: VideoFrame, seconds: Fraction | None) -> bool:
        """Whether a clip range may begin with this frame: those before a key frame build on what was not read."""
        if seconds is None or not frame.key_frame:
            return False
        if seconds * self._options.rate > self._clock.next:
            raise self._refused("undecodable", f"no key frame was found before clip {self._clip_range.first}")
        return True

    def _is_late(self, seconds: Fraction | None) -> bool:
        return seconds is not None and self._now is not None and seconds - self._shown_until > _GAP_SECONDS

    def _replace_shown(self, frame: VideoFrame, seconds: Fraction) -> Iterator[ClipFrames]:
        """The frame on screen stood until now; ticks before the first frame show the first, as a player does."""
        if float(seconds) > (limit := self._limits.max_seconds):
            raise self._refused("too-long", f"a frame at {float(seconds):.0f} s is above max_seconds={limit:g}")
        self._shown_until = seconds + self._length_of(frame, seconds)
        self._now = seconds
        successor = DisplayedFrame(frame, self._scalers, self._pixel_aspect)
        yield from self._show(self._shown or successor, self._clock.until(seconds))
        self._shown = successor

    def _length_of(self, frame: VideoFrame, seconds: Fraction) -> Fraction:
        """Seconds for which a frame is shown; where the file does not tell, as long as the one before it."""
        if frame.duration and frame.time_base:
            return frame.duration * frame.time_base
        return 1 / self._options.rate if self._now is None else seconds - self._now

    def _show(self, shown: DisplayedFrame, ticks: range) -> Iterator[ClipFrames]:
        """Give a frame to these ticks; a full clip comes out once the video is known to last to its end."""
        if self._held is not None and self._is_whole(self._held):
            yield from self._release(self._held)
            self._held = None
        for clip in self._assembler.show(shown, ticks):
            if self._is_whole(clip):
                yield from self._release(clip)
            else:
                self._held = clip

    def _is_whole(self, clip: ClipFrames) -> bool:
        return clip.index < clip_count(self._shown_until, self._options.clip_length)

    def _release(self, clip: ClipFrames) -> Iterator[ClipFrames]:
        length, last = self._options.clip_length, self._clip_range.last
        if last is not None and clip.index > last:
            return
        if not self._damage.touches(clip.index * length, (clip.index + 1) * length):
            self.clips += 1
            yield clip

    def _finish(self, declared: Fraction | None) -> Iterator[ClipFrames]:
        """Let the last frame stand for its own time, and call damaged what the header promised beyond it."""
        end, length = self._shown_until, self._options.clip_length
        self._damage.end(end, declared=declared, tolerance=length)
        if self._shown is not None:
            yield from self._show(self._shown, self._clock.until(clip_count(end, length) * length))
