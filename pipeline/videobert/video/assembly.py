"""Clips in the making: frames are put where ticks want them, and a clip comes out when it is full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from videobert.video.displayed import DisplayedFrame
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipFrames, ClipRequest

__all__ = ["ClipAssembler"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenClip:
    """A clip that still waits for frames."""

    frames: ClipFrames
    scaled: tuple[int, int]
    """Width and height to which each of its frames is scaled: those of its first, should a later one have another."""


class ClipAssembler:
    """Takes every tick of a video once and in order; its memory is that of the clips that overlap at a time."""

    def __init__(self, request: ClipRequest, options: DecodeOptions) -> None:
        self._request, self._ticks, self._stride = request, options.ticks_per_clip, options.ticks_per_stride
        self._open: dict[int, _OpenClip] = {}
        """By the tick with which each begins."""

    def show(self, frame: DisplayedFrame, ticks: range) -> Iterator[ClipFrames]:
        """Give a frame to these ticks; the clips whose last tick is among them, as soon as they are full."""
        for tick in ticks:
            index, position = divmod(tick, self._stride)
            if not position:
                self._open[tick] = self._begin(index, frame)
            for begin, clip in self._open.items():
                self._place(clip, tick - begin, frame)
            if full := self._open.pop(tick + 1 - self._ticks, None):
                yield full.frames

    def _begin(self, index: int, first: DisplayedFrame) -> _OpenClip:
        request = self._request
        scaled = request.scaled(*first.shape)
        width, height = scaled if request.shorter_side is None else (request.size, request.size)
        rgb = np.empty((len(request.frame_ticks), height, width, 3), np.uint8)
        gray = None
        if request.gray_size is not None:
            gray = np.empty((self._ticks, request.gray_size, request.gray_size), np.uint8)
        return _OpenClip(frames=ClipFrames(index=index, rgb=rgb, gray=gray), scaled=scaled)

    def _place(self, clip: _OpenClip, position: int, frame: DisplayedFrame) -> None:
        request = self._request
        for slot, wanted in enumerate(request.frame_ticks):
            if wanted == position:
                clip.frames.rgb[slot] = request.cut(frame.rgb(clip.scaled))
        if clip.frames.gray is not None and request.gray_size is not None:
            clip.frames.gray[position] = frame.gray(request.gray_size)
