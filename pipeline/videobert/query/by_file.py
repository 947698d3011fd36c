"""A picture or a video file as a question: embedded as a batch would be, and nothing is written into the root."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError, VideoError
from videobert.ingest.sidecars import SUFFIXES
from videobert.runtime.storage import Store
from videobert.video.still import PICTURES, write_still

__all__ = ["vector_of_file"]


def vector_of_file(store: Store, embed_spec: str, file: str, *, encoder: str = "packaged") -> NDArray[np.float32]:
    """Unit vector float32 [R] of a whole video with the captions next to it, or of a picture that is held for a clip.

    `encoder` is the one that the model learnt from. Raises InputError for a file that is not there or cannot be used,
    and for another encoder.
    """
    path = Path(file)
    if not path.is_file():
        raise InputError(f"file {file!r} is not there; give a picture or a video of this machine")
    try:
        from videobert.embed.online import embed_video
    except ImportError as error:
        raise InputError(
            f"a file is embedded, and {error.name} is not installed; pip install 'videobert-pipeline[worker]'"
        ) from error
    with tempfile.TemporaryDirectory(prefix="videobert-") as name:
        videos, work = Path(name) / "videos", Path(name) / "work"
        videos.mkdir()
        work.mkdir()
        if path.suffix.lower() in PICTURES:
            write_still(path, videos / f"{path.stem}.mkv")
        else:
            captions = [p for p in path.parent.glob(f"{glob.escape(path.stem)}.*") if p.suffix.lower() in SUFFIXES]
            for taken in (path, *captions):
                _take(taken, videos / taken.name)
        try:
            rows = embed_video(store, embed_spec, videos, work, encoder=encoder)
        except VideoError as error:
            raise InputError(f"file {file!r} cannot be used, {error.reason}: {error}") from error
    whole = next(row for row in rows if row.level == "video")
    return np.array(whole.embedding, np.float32)


def _take(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # on another disk
        shutil.copyfile(path, target)
