"""The examples of every step over a corpus in windows; over a single window, those of PretrainData.

Windows are fixed for the run. An epoch visits each once, in an order of its own; a visit has as many steps as the
largest regime needs for the window's segments, and goes on in the window's endless shuffles where the last one ended.
Two windows are in memory: the one in use and the next, which is read meanwhile.
The place of a step follows from the steps of the windows met so far, known once each has been read. A checkpoint keeps
them, so that a resumed run reads the window it is in and no other.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import accumulate
from types import TracebackType
from typing import Self

from videobert.errors import InputError
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.data import Example, PretrainData
from videobert.pretrain.seeding import generator, seed_of
from videobert.pretrain.windows import Windows
from videobert.tokens.records import TokenizedVideo

__all__ = ["Stream"]

REST = 9.0
"""Seconds of rest for each second of CPU in reading ahead: without, a step meanwhile took twice as long (the GIL)."""


class Stream:
    """Examples by step, asked for in order and by one thread; a context, which ends the reading ahead."""

    def __init__(
        self,
        windows: Windows,
        *,
        vocabulary: Vocabulary,
        config: PretrainConfig,
        max_length: int,
        parts: int = 1,
        first: int = 0,
        window_steps: Sequence[int] = (),
    ) -> None:
        """Read the window of step `first`, where a checkpoint has recorded `window_steps`.

        Raises InputError when no video has a segment, or a batch has too few examples for `parts`.
        """
        self._windows, self._vocabulary, self._config = windows, vocabulary, config
        self._max_length, self._parts = max_length, parts
        self._window_steps = list(window_steps)
        self._wanted, self._closed, self._worked = threading.Event(), False, 0.0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="window")
        self._ahead: tuple[int, Future[PretrainData | None]] | None = None
        self._current: tuple[int, PretrainData | None] = (-1, None)
        self.steps = self._run_steps(self._data_of(first)[0])
        """Optimiser steps of the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._wanted.set()
        self._pool.shutdown(cancel_futures=True)

    def examples(self, step: int, *, part: int = 0) -> list[Example]:
        """Examples `part`, `part` + `parts`, ... of every regime of a step; all parts together are the batch."""
        data, own_step = self._data_of(step)
        return data.examples(own_step, part=part, parts=self._parts)

    def met(self, step: int) -> list[int]:
        """Steps of every window that the steps before `step` have met, for a checkpoint; [] of a single window."""
        starts = accumulate(self._window_steps, initial=0)
        met = [steps for steps, start in zip(self._window_steps, starts, strict=False) if start < step]
        return met if self._count > 1 else []

    @property
    def _count(self) -> int:
        return len(self._windows.segments)

    def _run_steps(self, data: PretrainData) -> int:
        """Steps of the run. What windows not yet read add to an epoch is taken from the first one by the manifests."""
        if self._config.steps or self._count == 1:
            return data.steps
        segments = self._windows.segments
        first = next(number for number, steps in enumerate(self._window_steps) if steps)
        epoch = self._window_steps[first] * sum(segments) / segments[first]
        return self._config.run_steps(lambda epochs: max(1, math.ceil(epochs * epoch)))

    def _data_of(self, step: int) -> tuple[PretrainData, int]:
        """The window of a step, opened, and the step's number among all visits to it; begins to read the next."""
        number, own_step, left = self._where(step)
        while not left:
            self._open(number)
            number, own_step, left = self._where(step)
        data = self._open(number)
        assert data is not None  # a window without segments has no step
        following, _, _ = self._where(step + left)
        if following != number and self._ahead is None:
            self._ahead = following, self._pool.submit(self._load, following)
        return data, own_step

    def _where(self, step: int) -> tuple[int, int, int]:
        """Window of a step, the step among all visits to it, and steps left in this visit: 0 if it is not met yet."""
        met, total = len(self._window_steps), sum(self._window_steps)
        if met < self._count and step >= total:
            return met, 0, 0
        if not total:
            raise InputError("no video has a segment, so there is nothing to learn: check the token stage's output")
        epoch, rest = divmod(step, total)
        order = generator(self._config.seed, "visits", epoch).permutation(met) if epoch else range(met)
        for number in map(int, order):
            steps = self._window_steps[number]
            if rest < steps:
                return number, epoch * steps + rest, steps - rest
            rest -= steps
        raise AssertionError("an epoch has as many steps as its windows")

    def _open(self, number: int) -> PretrainData | None:
        """Make a window the current one; None if it has no segment to train on."""
        if self._current[0] == number:
            return self._current[1]
        self._wanted.set()
        ahead, self._ahead = self._ahead, None
        data = ahead[1].result() if ahead and ahead[0] == number else self._load(number)
        self._wanted.clear()
        self._current = number, data
        if number == len(self._window_steps):
            self._window_steps.append(data.steps_of(1.0) if data else 0)
        return data

    def _load(self, number: int) -> PretrainData | None:
        self._worked = time.thread_time()
        videos = self._windows.read(number, self._rest)
        if self._count > 1 and not any(video.segments for video in videos):
            return None
        seed = seed_of(self._config.seed, "window", number) if number else self._config.seed
        data = PretrainData(
            videos,
            vocabulary=self._vocabulary,
            config=replace(self._sized(videos), seed=seed),
            max_length=self._max_length,
        )
        if data.most_parts < self._parts:
            accumulation = self._config.accumulation
            raise InputError(
                f"a batch of {self._config.batch_size} cannot be shared by {self._parts // accumulation} workers in "
                f"{accumulation} steps each: raise batch_size or lower accumulation"
            )
        return data

    def _sized(self, videos: Sequence[TokenizedVideo]) -> PretrainConfig:
        """A corpus of several windows fills any batch."""
        return self._config if self._count > 1 else self._config.sized(sum(len(video.segments) for video in videos))

    def _rest(self) -> None:
        """Called after every video: leave the interpreter to training, unless the window is waited for."""
        self._wanted.wait(REST * (time.thread_time() - self._worked))
        self._worked = time.thread_time()
        if self._closed:
            raise CancelledError
