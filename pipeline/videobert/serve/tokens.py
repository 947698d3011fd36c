"""Visual tokens as pictures, and what the model expects after a row."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from fastapi import Response

from videobert.errors import InputError
from videobert.query.footage import footage_in
from videobert.query.model import OpenModel
from videobert.query.timeline import Timeline
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.serve.footage import FootageServer
from videobert.serve.fresh import FreshRoot
from videobert.visualization.page import Row

if TYPE_CHECKING:
    from videobert.visualization.nearest import NearestClip

__all__ = ["TokenPictures", "codebook_of", "forecast_of"]

_MOST_SHARDS = 16
"""Of features in which the clip for a token is looked for: somebody waits, and any near one illustrates it."""
_SIDE = 128


class TokenPictures:
    """For each token of a codebook the training clip nearest to its centroid; found once, however many ask."""

    def __init__(self, root: FreshRoot, footage: FootageServer) -> None:
        self._root, self._footage = root, footage
        self._known: dict[str, dict[int, NearestClip | None]] = {}
        self._lock = threading.Lock()

    def look_up(self, codebook: Manifest, leaves: Collection[int]) -> None:
        """Find the clips of these tokens in one go, so that their pictures need not be looked for one by one."""
        with self._lock:
            known = self._known.setdefault(codebook.spec, {})
            missing = {leaf for leaf in leaves if leaf not in known}
            if missing:
                from videobert.visualization.nearest import nearest_clips  # torch

                found = nearest_clips(self._root.store, codebook, missing, most_shards=_MOST_SHARDS)
                known.update({leaf: found.get(leaf) for leaf in missing})

    def picture(self, spec: str, leaf: int) -> Response:
        """JPEG of a token of the codebook that these embeddings come from. Raises InputError where there is none."""
        codebook = codebook_of(self._root, spec)
        if not 0 <= leaf < codebook.facts["leaves"]:
            raise InputError(f"there is no token {leaf}; the codebook has {codebook.facts['leaves']}")
        self.look_up(codebook, [leaf])
        clip = self._known[codebook.spec][leaf]
        if clip is None:
            raise InputError(f"no training clip of the first {_MOST_SHARDS} shards has token {leaf}")
        found = footage_in(self._root.store, clip.tar, clip.tar_sha256, clip.video_id)
        return self._footage.picture(found, (clip.start_seconds + clip.end_seconds) / 2, _SIDE)


def codebook_of(root: FreshRoot, spec: str) -> Manifest:
    """The codebook of the model of these embeddings. Raises InputError when it is gone."""

    def read() -> Manifest:
        model = load_manifest(root.store, "pretrain", spec.rsplit(".", 1)[0], "")
        found = model and load_manifest(root.store, "codebook", model.facts["codebook_spec"], "")
        if not found:
            raise InputError(f"the model or the codebook of {spec} is gone; run these stages again")
        return found

    return root.remembered(("codebook", spec), read)


def forecast_of(opened: OpenModel, text: str, timeline: Timeline, *, horizon: int, top: int) -> list[Row]:
    """The likeliest visual tokens after a row, and those that were seen before and came after. Runs the model."""
    from videobert.visualization.show import Segment, forecast  # torch

    leaves_N = np.array([clip.leaf for clip in timeline.clips], np.int32)
    seen_N, next_N = leaves_N[timeline.first : timeline.last], leaves_N[timeline.last :]
    return forecast(opened, Segment(text=text, seen_N=seen_N, next_N=next_N), horizon=horizon, top=top)
