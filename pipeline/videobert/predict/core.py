"""Rows of predictions: one per segment or video, with its lineage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from videobert.predict.schema import PREDICTIONS
from videobert.tasks.base import Answer

__all__ = ["prediction_table", "row_of_segment", "row_of_video"]


def prediction_table(
    rows: Sequence[Mapping[str, Any]], answers: Sequence[Answer], *, lineage: Mapping[str, Any]
) -> pa.Table:
    """Rows with their answers; `lineage` holds what all rows of a shard share."""
    told = [
        {
            **row, **lineage, "label": answer.labels[0] if answer.labels else None,
            "score": answer.scores[0] if answer.scores else None, "labels": list(answer.labels),
            "scores": list(answer.scores), "answer": answer.text or None,
        }
        for row, answer in zip(rows, answers, strict=True)
    ]  # fmt: skip
    return pa.Table.from_pylist(told, schema=PREDICTIONS)


def row_of_segment(sample: Mapping[str, Any], number: int) -> dict[str, Any]:
    """What a row says of a segment of a token sample."""
    segment = sample["segments"][number]
    return {
        "row_id": f"{sample['video_id']}:{number}", "level": "segment", "video_id": sample["video_id"],
        "segment": number, "start_seconds": segment["start_seconds"], "end_seconds": segment["end_seconds"],
        "text": segment["text"], "title": sample["title"], "source_uri": sample["uri"],
    }  # fmt: skip


def row_of_video(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of a whole video."""
    return {
        "row_id": sample["video_id"], "level": "video", "video_id": sample["video_id"], "segment": -1,
        "start_seconds": sample["clip_starts"][0], "end_seconds": sample["clip_ends"][-1],
        "text": " ".join(s["text"] for s in sample["segments"] if s["text"]), "title": sample["title"],
        "source_uri": sample["uri"],
    }  # fmt: skip
