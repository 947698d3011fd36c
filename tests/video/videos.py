"""Small real videos for tests, encoded through PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from videobert.features.config import FeaturesConfig
from videobert.features.core import ClipVectors, encode_videos
from videobert.features.encoders import Encoder
from videobert.video.clips import TickClock, clip_count
from videobert.video.isolated import IsolatedDecoder

__all__ = ["Encoded", "encoded", "frame_of_each_tick", "level_of", "moving_square", "numbered_frame", "write_video"]

_LEVELS = 4


def numbered_frame(number: int, *, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """A flat gray picture whose level tells its number, modulo 60; survives lossy codecs."""
    return np.full((height, width, 3), 10 + _LEVELS * (number % 60), np.uint8)


def level_of(image: NDArray[np.uint8]) -> int:
    """The number in a `numbered_frame`."""
    return round((float(image.mean()) - 10) / _LEVELS)


def moving_square(number: int, *, width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """A bright square on a textured ground, moving right by two pixels a frame."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([(rows * 3) % 97, (columns * 5) % 89, (rows + columns) % 71], axis=-1).astype(np.uint8)
    left = (2 * number) % (width - 16)
    image[height // 3 : height // 3 + 16, left : left + 16] = (250, 220, 40)
    return image


def write_video(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    *,
    fps: Fraction | int = 20,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    times: Sequence[Fraction] | None = None,
    rotation: int = 0,
    pixel_aspect: Fraction = Fraction(1),
    audio: bool = False,
    keyframe_every: int = 12,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode RGB frames [H, W, 3]; `times` overrides the constant rate with presentation times in seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps), options=options or {})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.gop_size = keyframe_every
        stream.codec_context.sample_aspect_ratio = pixel_aspect
        stream.codec_context.thread_count = 1  # x264 of several threads gives other bytes on a busy machine
        clock = Fraction(1, 90_000)
        if times is not None:
            stream.codec_context.time_base = clock
        if rotation:
            stream.set_display_rotation(rotation)
        sound = (
            container.add_stream("aac" if path.suffix in (".mp4", ".mov") else "libopus", rate=48_000)
            if audio
            else None
        )
        packets: list[Packet[VideoStream] | Packet[AudioStream]] = []
        for number, image in enumerate(frames):
            frame = VideoFrame.from_ndarray(image, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[number] / clock), clock
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if isinstance(sound, AudioStream):
            samples = np.zeros((1, int(48_000 * len(frames) / fps)), np.float32)
            silence = AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            silence.sample_rate = 48_000
            packets += [*sound.encode(silence), *sound.encode(None)]
        for packet in packets:
            container.mux(packet)
    return path


def frame_of_each_tick(
    times: Sequence[Fraction], end: Fraction, *, rate: Fraction, clip_length: Fraction
) -> NDArray[np.int64]:
    """Index of the frame that each tick shows, shape [clips, ticks a clip], for increasing presentation times."""
    clips, ticks_per_clip = clip_count(end, clip_length), int(rate * clip_length)
    shown = np.zeros(clips * ticks_per_clip, np.int64)
    clock = TickClock(rate)
    for frame, until in enumerate([*times[1:], clips * clip_length]):
        ticks = clock.until(until)
        shown[ticks.start : ticks.stop] = frame
    return shown.reshape(clips, ticks_per_clip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """All clips of one video, by their numbers."""

    index_N: NDArray[np.int32]
    features_ND: NDArray[np.float32]
    damaged_seconds: tuple[tuple[float, float], ...]


def encoded(path: Path, encoder: Encoder, config: FeaturesConfig, *, decoder: IsolatedDecoder) -> Encoded:
    """One video through decoder and encoder; raises what the video ended with."""
    source = decoder.clips(path, encoder.request, config.decoding)
    *found, end = encode_videos([("video", source)], encoder, ahead=config.decode_ahead)
    assert not isinstance(end, ClipVectors)
    if end.error:
        raise end.error
    blocks = [block for block in found if isinstance(block, ClipVectors)]
    return Encoded(
        index_N=np.concatenate([block.index_N for block in blocks]),
        features_ND=np.concatenate([block.features_ND for block in blocks]),
        damaged_seconds=end.damaged_seconds,
    )
