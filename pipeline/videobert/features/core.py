"""Videos to one vector a clip, decoding ahead in a bounded background thread while the encoder works."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from videobert.errors import VideoError
from videobert.features.encoders.base import Encoder
from videobert.video.request import ClipFrames

__all__ = ["ClipSource", "ClipVectors", "SkippingRepeats", "VideoEnd", "encode_videos"]

_POLL_SECONDS = 0.1
T = TypeVar("T")


class ClipSource(Protocol):
    """The undamaged clips of one video in time order; `damaged` and `held_from` are final when they have ended."""

    @property
    def damaged(self) -> list[tuple[float, float]]: ...

    @property
    def held_from(self) -> float | None: ...

    def __iter__(self) -> Iterator[ClipFrames]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipVectors:
    """Some clips of the video whose end comes next, in time order."""

    index_N: NDArray[np.int32]
    """Clip i starts at i x clip_stride; clips that meet damage are left out."""
    features_ND: NDArray[np.float32]

    def __post_init__(self) -> None:
        shape = self.features_ND.shape
        if self.features_ND.dtype != np.float32 or len(shape) != 2 or not shape[0] or self.index_N.shape != shape[:1]:
            raise ValueError(f"features are float32 [N, D], N > 0, with an index each, got {shape}")
        if not np.isfinite(self.features_ND).all():
            raise ValueError("a feature is not finite; the encoder or its weights are broken")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoEnd:
    """What is at the end of every video, also of one without clips."""

    name: str
    damaged_seconds: tuple[tuple[float, float], ...] = ()
    """Half-open ranges that could not be trusted; the clips that meet them are left out."""
    held_from: float | None = None
    """When the pictures end that fill a part only of the last clip; none when the last clip is whole."""
    error: VideoError | None = None
    """Why the video cannot be used: then the clips that came before are to be forgotten."""


def encode_videos(
    videos: Iterable[tuple[str, ClipSource]], encoder: Encoder, *, ahead: int
) -> Generator[ClipVectors | VideoEnd]:
    """Clips of videos (by name) one after the other, each video with its end (section 1 of VideoBERT, 1.5 s clips).

    The thread that decodes goes on with the next video while the last clips of one are encoded; `ahead` bounds the
    clips that wait, whatever videos they are of, in whole batches. It is gone when this ends, raises or is closed.
    """
    encode = SkippingRepeats(encoder)
    batch = encoder.batch_clips
    with _running_ahead(_decoded(videos, batch=batch), ahead=max(1, ahead // batch)) as found:
        for event in found:
            if isinstance(event, VideoEnd):
                encode = SkippingRepeats(encoder)
                yield event
            else:
                index_N = np.array([clip.index for clip in event], np.int32)
                yield ClipVectors(index_N=index_N, features_ND=encode(event))


def _decoded(videos: Iterable[tuple[str, ClipSource]], *, batch: int) -> Generator[list[ClipFrames] | VideoEnd]:
    """Batches of clips, none of two videos, and the ends of videos."""
    for name, source in videos:
        try:
            with closing(_clips(source)) as clips:
                while some := list(islice(clips, batch)):
                    yield some
        except VideoError as error:
            yield VideoEnd(name=name, error=error)
        else:
            yield VideoEnd(name=name, damaged_seconds=tuple(source.damaged), held_from=source.held_from)


def _clips(source: Iterable[ClipFrames]) -> Generator[ClipFrames]:
    yield from source


class SkippingRepeats:
    """An encoder that sees a clip only when it differs from the one before: ten hours of a still cost one vector.

    The comparison takes 0.04 ms where the packaged encoder takes 50.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._clip: ClipFrames | None = None
        self._vector: NDArray[np.float32] = np.empty(0, np.float32)

    def __call__(self, batch: Sequence[ClipFrames]) -> NDArray[np.float32]:
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
def _running_ahead(source: Generator[T], *, ahead: int) -> Iterator[Iterator[T]]:
    """What the source yields, fetched by a thread that runs at most `ahead` items before its reader.

    What the thread raises, the reader raises. Leaving the block, however it comes about, ends the thread.
    """
    ready: queue.Queue[T | None] = queue.Queue(ahead)
    stopped = threading.Event()

    def offer(item: T | None) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=_POLL_SECONDS)
                break

    def work() -> None:
        try:
            with closing(source):
                for item in source:
                    offer(item)
                    if stopped.is_set():
                        break
        finally:
            offer(None)

    def read() -> Iterator[T]:
        while (item := ready.get()) is not None:
            yield item
        done.result()

    with ThreadPoolExecutor(1, "decode-ahead") as pool:
        done = pool.submit(work)
        try:
            yield read()
        finally:
            stopped.set()
