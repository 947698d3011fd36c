"""One video file to one vector a clip, decoding ahead in a bounded background thread while the encoder works."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.features.config import FeaturesConfig
from pipeline.features.encoders.base import Encoder
from pipeline.features.frames import ClipFrames
from pipeline.features.isolated import IsolatedDecoder

__all__ = ["VideoFeatures", "decoding_ahead", "encode_video"]

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFeatures:
    """Every undamaged clip of one video, in time order."""

    features: NDArray[np.float32]
    """Shape [N, D]."""
    start_seconds: NDArray[np.float64]
    """Shape [N]; a multiple of the clip length."""
    end_seconds: NDArray[np.float64]
    """Shape [N]."""
    damaged_seconds: tuple[tuple[float, float], ...]
    """Half-open ranges that could not be trusted; the clips that meet them are left out."""
    frames_decoded: int

    def __post_init__(self) -> None:
        clips = len(self.features)
        if self.features.dtype != np.float32 or self.features.ndim != 2 or not clips:
            raise ValueError(f"features are float32 [N, D], N > 0, got {self.features.dtype} {self.features.shape}")
        if self.start_seconds.shape != (clips,) or self.end_seconds.shape != (clips,):
            raise ValueError(f"{clips} clips need as many start and end times")
        if not np.isfinite(self.features).all():
            raise ValueError("a feature is not finite; the encoder or its weights are broken")


def encode_video(
    path: str | Path, encoder: Encoder, config: FeaturesConfig, *, decoder: IsolatedDecoder
) -> VideoFeatures:
    """Decode a local file and encode its clips (section 1 of VideoBERT: 1.5 s clips of 30 frames at 20 fps).

    Raises `VideoError` with a reason of `decode.REASONS`. The decoding thread is gone when this returns or raises.
    """
    source = decoder.clips(path, encoder.request, config)
    rows: list[NDArray[np.float32]] = []
    indices: list[int] = []
    once = _OncePerSight(encoder)
    with decoding_ahead(source, batch=encoder.batch_clips, ahead=config.decode_ahead) as batches:
        for batch in batches:
            rows.append(once.encode(batch))
            indices += [clip.index for clip in batch]
    start = np.asarray(indices, np.float64) * config.clip_seconds
    return VideoFeatures(
        features=np.concatenate(rows),
        start_seconds=start,
        end_seconds=start + config.clip_seconds,
        damaged_seconds=tuple(source.damaged),
        frames_decoded=source.frames_decoded,
    )


class _OncePerSight:
    """An encoder that sees a clip only when it differs from the one before: ten hours of a still cost one vector.

    The comparison takes 0.04 ms where the packaged encoder takes 50.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._clip: ClipFrames | None = None
        self._vector: NDArray[np.float32] = np.empty(0, np.float32)

    def encode(self, batch: list[ClipFrames]) -> NDArray[np.float32]:
        """Shape [N, D]."""
        new: list[ClipFrames] = []
        places = []
        for clip in batch:
            if self._clip is None or not _equal(clip, self._clip):
                new.append(clip)
                self._clip = clip
            places.append(len(new))
        vectors = [self._vector, *(self._encoder.encode(new) if new else ())]
        self._vector = vectors[-1]
        return np.stack([vectors[place] for place in places])


def _equal(clip: ClipFrames, former: ClipFrames) -> bool:
    same_gray = clip.gray is None or former.gray is None or np.array_equal(clip.gray, former.gray)
    return same_gray and np.array_equal(clip.rgb, former.rgb)


@contextmanager
def decoding_ahead(source: Iterable[ClipFrames], *, batch: int, ahead: int) -> Iterator[Iterator[list[ClipFrames]]]:
    """Batches of clips, fetched by a thread that runs at most `ahead` batches before its reader.

    What the thread raises, the reader raises. Leaving the block, however it comes about, ends the thread.
    """
    ready: queue.Queue[list[ClipFrames]] = queue.Queue(ahead)
    stopped = threading.Event()

    def offer(clips: list[ClipFrames]) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                ready.put(clips, timeout=_POLL_SECONDS)
                break

    def work() -> None:
        try:
            with closing(clips()) as found:
                while not stopped.is_set() and (some := list(islice(found, batch))):
                    offer(some)
        finally:
            offer([])

    def clips() -> Generator[ClipFrames]:
        yield from source

    def read() -> Iterator[list[ClipFrames]]:
        while some := ready.get():
            yield some
        done.result()

    with ThreadPoolExecutor(1, "decode-ahead") as pool:
        done = pool.submit(work)
        try:
            yield read()
        finally:
            stopped.set()
