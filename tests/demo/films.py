"""One way to decode a film for all tests of the corpus."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Film:
    codec: str
    """Of the video."""
    size: tuple[int, int]
    """Width and height, pixels."""
    times: list[float]
    """Presentation times, seconds."""
    seconds: float
    """Length that the container states."""
    audio: list[NDArray[Any]]
    """Samples of every audio frame."""

    @staticmethod
    def of(source: Path | bytes) -> Film:
        container = av.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        assert isinstance(container, InputContainer)
        with container:
            stream = container.streams.video[0]
            assert container.duration is not None
            times = [float(frame.time) for frame in container.decode(video=0) if frame.time is not None]
            audio: list[NDArray[Any]] = []
            if container.streams.audio:
                container.seek(0)
                audio = [frame.to_ndarray() for frame in container.decode(audio=0)]
            seconds = container.duration / av.time_base
            return Film(stream.codec_context.name, (stream.width, stream.height), times, seconds, audio)
