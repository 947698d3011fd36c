"""Some clips of the training share with what is said in their videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videobert.codebook.moments import Narration
from videobert.codebook.worker import FileRows
from videobert.runtime.inputs import Inputs
from videobert.runtime.parquet import read_table, vectors_of

__all__ = ["MOMENT_COMPONENTS", "read_narration"]

MOMENT_COMPONENTS = 128
"""Of a clip's features, from which its words are guessed."""


def read_narration(
    inputs: Inputs, files: Sequence[FileRows], axes_DK: NDArray[np.float32], *, clips: int
) -> list[Narration]:
    """The first `clips` clips of the sample by video, as components, and all cues of these videos."""
    found = []
    for file in files:
        rows = file.rows[file.numbers < clips]
        if not len(rows):
            continue
        table = read_table(
            inputs.store, file.path, columns=["video_id", "start_seconds", "end_seconds", "feature"]
        ).take(rows)
        ids = np.asarray(table["video_id"].to_pylist(), dtype=np.str_)
        starts, ends = table["start_seconds"].to_numpy(), table["end_seconds"].to_numpy()
        components = vectors_of(table) @ axes_DK
        for video in np.unique(ids).tolist():
            own = ids == video
            found.append((video, components[own], starts[own], ends[own]))
    cues = _cues(inputs, {video for video, *_ in found})
    return [
        Narration(video_id=video, rows_NK=rows, starts_N=starts, ends_N=ends, cues=cues.get(video, ()))
        for video, rows, starts, ends in found
    ]


def _cues(inputs: Inputs, videos: set[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for manifest in inputs.upstream["ingest"]:
        for output in manifest.outputs:
            table = read_table(inputs.store, output.path, columns=["video_id", "cues"])
            rows = table.filter(pc.is_in(table["video_id"], pa.array(sorted(videos)))).to_pylist()
            found |= {row["video_id"]: row["cues"] or [] for row in rows}
    return found
