"""The chosen clips to look at: a film of them, or a sheet of their middle frames. Needs the extra `worker`."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path, PurePosixPath

import av
import numpy as np
from PIL import Image, ImageDraw

from videobert.errors import InputError
from videobert.runtime.storage import Store
from videobert.runtime.tar import read_members
from videobert.video.frames import ClipDecoder, ClipFrames
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipRequest

__all__ = ["contact_sheet", "film"]

_COPY_BYTES = 1 << 20
_PATCH = 8
"""Sides are multiples of it, as codecs like them."""
_SHEET_COLUMNS = 4
_LINE = 14
"""Height of a line of text in pixels."""


def film(
    store: Store, tar: str, video_id: str, clips: Mapping[int, float], options: DecodeOptions, *, pixels: int
) -> bytes:
    """An MP4 (H.264, no sound) of some clips one after the other: index of the clip -> its seconds.

    Frames keep their shape, of about `pixels` pixels.
    """
    request = ClipRequest(
        frame_ticks=tuple(range(options.ticks_per_clip)), size=_PATCH, max_patches=pixels // _PATCH**2
    )
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = None
        for clip in _frames(store, tar, video_id, sorted(clips), request, options):
            if stream is None:
                stream = container.add_stream("libx264", rate=options.rate, options={"crf": "23"})
                stream.height, stream.width = clip.rgb.shape[1:3]
                stream.pix_fmt = "yuv420p"
                stream.time_base = Fraction(1) / options.rate
            for picture in clip.rgb[: int(clips[clip.index] * options.rate)]:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())
    return sink.getvalue()


def contact_sheet(
    store: Store, tar: str, video_id: str, clips: Mapping[int, str], options: DecodeOptions, *, pixels: int, kind: str
) -> bytes:
    """One picture (`png` or `jpeg`) of the middle frames of some clips: index of the clip -> what is written below."""
    request = ClipRequest(frame_ticks=(options.ticks_per_clip // 2,), size=_PATCH, max_patches=pixels // 4 // _PATCH**2)
    found = [(clip.index, clip.rgb[0]) for clip in _frames(store, tar, video_id, sorted(clips), request, options)]
    height, width = found[0][1].shape[:2]
    columns = min(_SHEET_COLUMNS, len(found))
    cell = height + 2 * _LINE
    sheet = Image.new("RGB", (columns * width, -(-len(found) // columns) * cell), "white")
    pen = ImageDraw.Draw(sheet)
    for place, (index, picture) in enumerate(found):
        x, y = place % columns * width, place // columns * cell
        sheet.paste(Image.fromarray(picture), (x, y))
        # The built-in font has Latin letters only.
        words = clips[index].encode("latin-1", "replace").decode("latin-1")
        pen.text((x + 2, y + height + 2), words[: width // 6], fill="black")
    sink = io.BytesIO()
    sheet.save(sink, format=kind)
    return sink.getvalue()


def _frames(
    store: Store, tar: str, video_id: str, clips: Sequence[int], request: ClipRequest, options: DecodeOptions
) -> Iterator[ClipFrames]:
    """Frames of these clips in order; decodes no further than the last."""
    wanted = set(clips)
    with _local_video(store, tar, video_id) as path:
        for frames in ClipDecoder(path, request, options):
            if frames.index in wanted:
                wanted.discard(frames.index)
                yield frames
            if not wanted:
                return


@contextmanager
def _local_video(store: Store, tar: str, video_id: str) -> Iterator[Path]:
    """The video, copied out of its shard."""
    with tempfile.TemporaryDirectory(prefix="videobert-") as folder, store.open(tar) as source:
        for name, reader in read_members(source):
            member = PurePosixPath(name)
            if member.stem == video_id and member.suffix != ".json":
                path = Path(folder) / f"video{member.suffix}"
                with path.open("wb") as sink:
                    while block := reader.read(_COPY_BYTES):
                        sink.write(block)
                yield path
                return
    raise InputError(f"video {video_id} is not in {store.url(tar)}; run the stage shard of its batch again")
