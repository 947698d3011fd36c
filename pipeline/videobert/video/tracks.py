"""What a video file holds besides its pictures: a video file: its subtitle cues and its sound."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.resampler import AudioResampler
from av.stream import Discard
from av.subtitles.subtitle import AssSubtitle
from numpy.typing import NDArray

from videobert.errors import VideoError
from videobert.video.decode import Beat, PacketMeter, describe, ignore_beat, open_video, packets_of, sound_stream
from videobert.video.limits import DecoderLimits
from videobert.video.timing import time_zero

__all__ = ["SOUND_RATE", "choose_track", "read_sound", "read_subtitles", "sound_end", "sound_goes_on"]

SOUND_RATE = 16_000
_BLOCK_SAMPLES = 500_000
_OTHER_TAGS = {"cs": "cze", "de": "ger", "el": "gre", "es": "spa", "ja": "jpn", "nl": "dut", "pl": "pol", "pt": "por",
               "sv": "swe", "tr": "tur", "zh": "chi"}  # fmt: skip
"""ISO 639-2 tags in files that do not begin with the two-letter code."""
_MAX_CUE_BYTES = 8_000
_SILENCE_SECONDS = 60
"""A packet of sound further ahead than this has a broken time stamp."""
_LATE_SECONDS = Fraction(1, 5)
_ASS_OVERRIDES = re.compile(r"\{\\[^}]*\}")


def read_subtitles(
    path: str | Path, *, language: str = "", limits: DecoderLimits, beat: Beat = ignore_beat
) -> list[tuple[float, float, str]]:
    """(start seconds, end seconds, text) of an embedded text track in time order; lines of a cue end in a newline.

    `language` is a two- or three-letter code: a track tagged so is taken before an untagged one, and one tagged
    otherwise never; without it the first text track is taken. Empty when there is none. Raises `VideoError`.
    """
    with open_video(path, limits=limits) as container:
        tracks = [s for s in container.streams.subtitles if describe(s).is_text]
        chosen = choose_track([s.language for s in tracks], language)
        if chosen is None:
            return []
        zero, meter = time_zero(container) or Fraction(0), PacketMeter(limits, beat)
        cues = []
        # All packets, not the track's alone: minutes may lie between two cues, and each packet is a sign of life.
        for packet in packets_of(container):
            meter()
            if packet.stream is not tracks[chosen] or packet.pts is None or not packet.duration:
                continue
            start = packet.pts * packet.time_base - zero
            text = "\n".join(_plain(s) for s in packet.decode() if isinstance(s, AssSubtitle))
            if text.strip():
                cues.append((float(start), float(start + packet.duration * packet.time_base), text))
        return sorted(cues)


def choose_track(tags: Sequence[str | None], language: str) -> int | None:
    """Which of the text tracks with these language tags `read_subtitles` takes; None for none of them."""
    if not language:
        return 0 if tags else None
    spoken = [number for number, tag in enumerate(tags) if _speaks(tag, language)]
    untagged = [number for number, tag in enumerate(tags) if tag in (None, "und")]
    return next(iter(spoken + untagged), None)


def read_sound(path: str | Path, *, limits: DecoderLimits, beat: Beat = ignore_beat) -> Iterator[NDArray[np.int16]]:
    """The first audio track at 16 kHz, mono, in blocks of shape [samples]; packets that cannot be decoded are left out.

    Raises `VideoError`.
    """
    with open_video(path, limits=limits) as container:
        if not container.streams.audio:
            return
        resampler, waiting = AudioResampler(format="s16", layout="mono", rate=SOUND_RATE), AudioFifo()
        meter, samples = PacketMeter(limits, beat), 0
        for packet in packets_of(container, container.streams.audio[0]):
            meter()
            try:
                frames: list[Any] = packet.decode()
            except av.error.InvalidDataError:
                continue
            for frame in frames:
                frame.pts = None  # times that jump are no reason to stop
                waiting.write(frame)
                samples += frame.samples
                if samples > limits.max_seconds * frame.sample_rate:
                    raise VideoError("too-long", f"the sound lasts longer than max_seconds={limits.max_seconds:g}")
            while waiting.samples >= _BLOCK_SAMPLES:
                yield from _resampled(resampler, waiting.read(_BLOCK_SAMPLES))
        if waiting.samples:
            yield from _resampled(resampler, waiting.read())
        yield from _resampled(resampler, None)


def sound_end(
    path: str | Path, *, after: Fraction, zero: Fraction, limits: DecoderLimits, meter: PacketMeter
) -> Fraction:
    """When the sound that a player plays has ended, in seconds from time zero; `after` when it is not heard after that.

    Told by the packets that are there. They are not decoded, and damage ends the search. `zero` is the time stamp at
    which the container starts. Raises `VideoError`.
    """
    end = after
    with open_video(path, limits=limits) as container, suppress(av.FFmpegError):
        stream = sound_stream(container)
        if stream is None or stream.time_base is None:
            return end
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        with suppress(av.FFmpegError):  # what cannot be sought is read from its start
            container.seek(int((after + zero) / stream.time_base), stream=stream)
        for packet in packets_of(container, stream):
            meter(float(after))
            if packet.pts is None:
                continue
            start = packet.pts * stream.time_base - zero
            if start - end <= _SILENCE_SECONDS:
                end = max(end, start + (packet.duration or 0) * stream.time_base)
    return end


def sound_goes_on(
    path: str | Path, *, zero: Fraction, limits: DecoderLimits, meter: PacketMeter
) -> list[tuple[Fraction, Fraction]]:
    """Ranges in seconds from time zero through which sound goes on, by its packets, which are not decoded.

    A range ends at a packet that is marked as damaged, and where the next one comes 0.2 s late. Raises `VideoError`.
    """
    ranges: list[tuple[Fraction, Fraction]] = []
    with open_video(path, limits=limits) as container, suppress(av.FFmpegError):
        stream = sound_stream(container)
        if stream is None or stream.time_base is None:
            return []
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        for packet in packets_of(container, stream):
            meter()
            if packet.pts is None:
                continue
            start = packet.pts * stream.time_base - zero
            end = start + (packet.duration or 0) * stream.time_base
            if ranges and not packet.is_corrupt and abs(start - ranges[-1][1]) <= _LATE_SECONDS:
                ranges[-1] = (ranges[-1][0], max(ranges[-1][1], end))
            else:
                ranges.append((start, end))
    return ranges


def _resampled(resampler: AudioResampler, frame: Any) -> Iterator[NDArray[np.int16]]:
    for part in resampler.resample(frame):
        yield part.to_ndarray().reshape(-1).astype(np.int16, copy=False)


def _speaks(tag: str | None, language: str) -> bool:
    short = language.lower()[:2]
    return tag is not None and (tag.lower()[:2] == short or tag.lower() == _OTHER_TAGS.get(short))


def _plain(subtitle: AssSubtitle) -> str:
    """Text of an ASS event without override tags (FFmpeg turns every text format into ASS)."""
    text = _ASS_OVERRIDES.sub("", subtitle.dialogue[:_MAX_CUE_BYTES].decode("utf-8", "replace"))
    return text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
