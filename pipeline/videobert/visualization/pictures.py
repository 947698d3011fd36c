"""One small picture a clip: its middle frame, decoded from the shard that holds the video."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from PIL import Image

from videobert.runtime.storage import Store
from videobert.runtime.tar import read_members
from videobert.video.frames import ClipDecoder
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipRequest
from videobert.visualization.nearest import NearestClip

__all__ = ["SIDE", "clip_pictures"]

SIDE = 128
"""Side of a picture in pixels; the whole frame is squeezed into the square, as the encoder sees it."""
_COPY_BYTES = 1 << 20


def clip_pictures(store: Store, clips: Collection[NearestClip], options: DecodeOptions) -> dict[NearestClip, bytes]:
    """PNG of the middle frame of every clip. Each tar is read once, front to back; `options` tell the clips' length."""
    pictures: dict[NearestClip, bytes] = {}
    for tar in sorted({clip.tar for clip in clips}):
        wanted: dict[str, list[NearestClip]] = {}
        for clip in clips:
            if clip.tar == tar:
                wanted.setdefault(clip.video_id, []).append(clip)
        with store.open(tar) as source, tempfile.TemporaryDirectory(prefix="videobert-") as folder:
            for name, reader in read_members(source):
                member = PurePosixPath(name)
                if member.suffix == ".json" or member.stem not in wanted:
                    continue
                path = Path(folder) / f"video{member.suffix}"
                with path.open("wb") as sink:
                    while block := reader.read(_COPY_BYTES):
                        sink.write(block)
                pictures |= _decode(path, wanted[member.stem], options)
    return pictures


def _decode(path: Path, clips: list[NearestClip], options: DecodeOptions) -> dict[NearestClip, bytes]:
    """Decodes no further than the last of the clips."""
    by_index: dict[int, list[NearestClip]] = {}
    for clip in clips:
        by_index.setdefault(round(clip.start_seconds / float(options.stride)), []).append(clip)
    request = ClipRequest(frame_ticks=(options.ticks_per_clip // 2,), size=SIDE)
    found: dict[NearestClip, bytes] = {}
    for frames in ClipDecoder(path, request, options):
        for clip in by_index.pop(frames.index, []):
            sink = io.BytesIO()
            Image.fromarray(frames.rgb[0]).save(sink, format="png")
            found[clip] = sink.getvalue()
        if not by_index:
            break
    return found
