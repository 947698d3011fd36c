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
from videobert.video.clips import ClipRange, TickClock, clip_count, has_rest
from videobert.video.damage import DamageTracker
from videobert.video.decode import (
    Beat,
    PacketMeter,
    ignore_beat,
    nvdec,
    open_video,
    packets_of,
    sound_stream,
    video_stream,
)  # fmt: skip
from videobert.video.displayed import DisplayedFrame
from videobert.video.ending import INEXACT_SECONDS, Ending
from videobert.video.growing import GrowingFile
from videobert.video.limits import DecoderLimits
from videobert.video.options import DecodeOptions
from videobert.video.orientation import OrientationMeter
from videobert.video.request import ClipFrames, ClipRequest
from videobert.video.timing import declared_end, time_zero
from videobert.video.tracks import sound_end, sound_goes_on

__all__ = ["ClipDecoder", "ClipFrames", "ClipRequest"]

_MAX_FAILURES = 1000
_GAP_SECONDS = Fraction(1, 5)
"""In a broadcast stream a longer hole, or one longer than its rate tells, may mean lost packets, of which the decoder
says nothing. What is lost takes its sound along: where sound goes on, and in other containers, a hole is a picture that
stands still. Broadcast streams have no header either: FFmpeg estimates their length."""

_SEEK_BACK_SECONDS = 5
"""Indices count in decoding times, by which a key frame may stand before a time after which it is shown."""


class ClipDecoder:
    """Iterates over the undamaged clips of a file, in order; the counters are final when the iteration ends.

    Raises `VideoError` (see `decode.REASONS`), also when not one whole clip comes out. Good for one iteration.

    A `clip_range` is decoded from the key frame before it, and refused where that cannot be done, or where the demuxer
    fails; nothing in it tells whether the whole video would have given the same (see `chunks`).

    With `follow_seconds` the file is still being written, and its end is where it has not grown for so long. The clips
    are those of the finished file unless `zero_moved`.
    """

    def __init__(
        self,
        path: str | Path,
        request: ClipRequest,
        options: DecodeOptions,
        *,
        limits: DecoderLimits = DecoderLimits(),  # noqa: B008 - frozen
        clip_range: ClipRange = ClipRange(),  # noqa: B008 - frozen
        follow_seconds: float = 0.0,
        beat: Beat = ignore_beat,
    ) -> None:
        self._path, self._options, self._limits, self._clip_range = path, options, limits, clip_range
        self._follow_seconds, self._beat = follow_seconds, beat
        self.meter = PacketMeter(limits, beat)
        self._clock = TickClock(options.rate, first=clip_range.first * options.ticks_per_stride)
        self._assembler = ClipAssembler(request, options)
        self._scalers = (VideoReformatter(), VideoReformatter())
        self._pixel_aspect, self._orientation_of = Fraction(1), OrientationMeter()
        self._zero: Fraction | None = None
        self._now: Fraction | None = None
        self._shown: DisplayedFrame | None = None
        self._shown_until = Fraction(0)
        self._held: ClipFrames | None = None
        self._damage = DamageTracker()
        self._is_broadcast = self._empty_repeats = False
        self._gap = _GAP_SECONDS
        self._heard: list[tuple[Fraction, Fraction]] | None = None
        self.frames_decoded = 0
        self.clips = 0
        self.held_from: Fraction | None = None
        """When the pictures end that fill a part only of the last clip, whose rest shows the last of them; none when
        the last clip is whole."""
        self.zero_moved = False
        """Whether the finished file begins at another time than its first second told."""

    def __iter__(self) -> Iterator[ClipFrames]:
        if not self._follow_seconds:
            yield from self._read(None)
            return
        with GrowingFile(Path(self._path), patience=self._follow_seconds, wait=self._wait) as growing:
            yield from self._read(growing)

    def _wait(self) -> None:
        self._beat(float(self.good_until))

    def _read(self, growing: GrowingFile | None) -> Iterator[ClipFrames]:
        gpu, limits = self._options.decoding_gpu, self._limits
        engine = None if gpu is None else nvdec(gpu)
        with open_video(self._path, limits=limits, engine=engine, growing=growing) as container:
            stream = video_stream(container, limits=limits)
            for other in container.streams:
                if other.index != stream.index:
                    other.discard = Discard.all
            self._zero = time_zero(container)
            self._is_broadcast = container.format.name in ("mpegts", "mpeg")
            rate = max(Fraction(stream.base_rate or self._options.rate), Fraction(1))
            self._gap = max(_GAP_SECONDS, Fraction(3, 2) / rate)
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
            declared, outlasts = self._told_end(container, stream)
        if growing is not None:
            declared, outlasts = self._end_of_finished()
        yield from self._finish(declared, heard_until=self._sound_end() if outlasts else Fraction(0))
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
        return self._damage.good_until(self._shown_until if self.held_from is None else self.held_from)

    def _refused(self, reason: str, message: str) -> VideoError:
        return VideoError(reason, message, salvageable_seconds=float(self.good_until))

    def _no_clip(self) -> VideoError:
        if self._damage.was_met:
            length = f"one clip of {self._options.clip_seconds:g} s"
            return self._refused("undecodable", f"the file is damaged and does not hold {length} unharmed")
        if self._shown is None:
            return self._refused("undecodable", "the video stream holds no picture")
        return self._refused("undecodable", f"the video ends before clip {self._clip_range.first}")

    def _seek(self, container: InputContainer, stream: VideoStream) -> None:
        """Go to the key frame before the clip range."""
        if not self._clip_range.first:
            return
        if self._zero is None or stream.time_base is None:
            raise self._refused("undecodable", "a video without a start cannot be read from its middle")
        start = self._zero + max(Fraction(0), self._options.start_of(self._clip_range.first) - _SEEK_BACK_SECONDS)
        container.seek(int(start / stream.time_base), stream=stream)

    @property
    def _is_past_range(self) -> bool:
        """Whether all clips of the clip range came out, or were found damaged."""
        last = self._clip_range.last
        if last is None or self._clock.next < self._options.end_of(last) * self._options.rate:
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
        if frame.is_corrupt or (self._is_broadcast and self._is_late(seconds)):
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
        """Whether pictures were lost before this one."""
        if seconds is None or self._now is None or seconds - self._shown_until <= self._gap:
            return False
        if self._heard is None:
            self._heard = sound_goes_on(
                self._path, zero=self._zero or Fraction(0), limits=self._limits, meter=self.meter
            )
        return not any(start <= self._shown_until and seconds <= end for start, end in self._heard)

    def _replace_shown(self, frame: VideoFrame, seconds: Fraction) -> Iterator[ClipFrames]:
        """The frame on screen stood until now; ticks before the first frame show the first, as a player does."""
        if float(seconds) > (limit := self._limits.max_seconds):
            raise self._refused("too-long", f"a frame at {float(seconds):.0f} s is above max_seconds={limit:g}")
        self._shown_until = seconds + self._length_of(frame, seconds)
        self._now = seconds
        successor = DisplayedFrame(
            frame, self._scalers, pixel_aspect=self._pixel_aspect, orientation=self._orientation_of(frame)
        )
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
        return clip.index < self._whole_clips

    @property
    def _whole_clips(self) -> int:
        return clip_count(self._shown_until, self._options.clip_length, self._options.stride)

    def _release(self, clip: ClipFrames) -> Iterator[ClipFrames]:
        last = self._clip_range.last
        if last is not None and clip.index > last:
            return
        if not self._damage.touches(self._options.start_of(clip.index), self._options.end_of(clip.index)):
            self.clips += 1
            yield clip

    def _told_end(self, container: InputContainer, stream: VideoStream) -> tuple[Fraction | None, bool]:
        """When the pictures end by the header, and whether sound may go on after them."""
        declared = declared_end(container, stream, zero=self._zero or Fraction(0))
        return declared, self._may_be_outlasted(container)

    def _end_of_finished(self) -> tuple[Fraction | None, bool]:
        """The same of the file now that it is whole, which may have got another header."""
        with open_video(self._path, limits=self._limits) as container:
            zero = time_zero(container)
            self.zero_moved = zero is not None and zero != self._zero
            return self._told_end(container, video_stream(container, limits=self._limits))

    def _may_be_outlasted(self, container: InputContainer) -> bool:
        """Whether sound may go on after the last picture."""
        sound = sound_stream(container)
        if sound is None or self._shown is None or self._damage.is_open:
            return False
        declared = declared_end(container, sound, zero=self._zero or Fraction(0))
        return declared is None or declared - self._shown_until > INEXACT_SECONDS

    def _sound_end(self) -> Fraction:
        """Found by reading on: a header may lie, and damaged sound must not harm the pictures."""
        after, zero = self._shown_until, self._zero or Fraction(0)
        end = sound_end(self._path, after=after, zero=zero, limits=self._limits, meter=self.meter)
        if float(end) > (limit := self._limits.max_seconds):
            raise self._refused("too-long", f"there is sound until {float(end):.0f} s, above max_seconds={limit:g}")
        return end

    def _finish(self, declared: Fraction | None, *, heard_until: Fraction) -> Iterator[ClipFrames]:
        """Let the last picture stand as long as players show it, or call lost what the file has broken off."""
        ending = Ending(
            shown_from=self._now or Fraction(0), shown_until=self._shown_until, declared=declared,
            heard_until=heard_until,
        )  # fmt: skip
        tolerance = self._options.clip_length if self._is_broadcast or self._whole_clips else None
        if self._damage.is_open or ending.breaks_off(tolerance):
            self._damage.end(self._shown_until, lost_until=declared or Fraction(0))
        elif self._shown is not None:
            self._shown_until = ending.stands_until
            if self._is_broadcast or not ending.breaks_off():
                self._hold_last()
        if self._shown is not None and (clips := self._whole_clips):
            last = clips - 1 if self._clip_range.last is None else min(clips - 1, self._clip_range.last)
            yield from self._show(self._shown, self._clock.until(self._options.end_of(last)))

    def _hold_last(self) -> None:
        """Let the last picture fill an incomplete clip, where that is wanted: always in a video that has no other."""
        options, clips = self._options, self._whole_clips
        covered = options.end_of(clips - 1) if clips else Fraction(0)
        is_wanted = not clips or (options.last_clip == "hold" and has_rest(self._shown_until, covered, options.rate))
        if is_wanted and not self._damage.touches(options.start_of(clips), options.end_of(clips)):
            self.held_from, self._shown_until = self._shown_until, options.end_of(clips)
