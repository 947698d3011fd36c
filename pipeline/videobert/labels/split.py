"""Which labels are learnt from: whole videos, or groups of videos, fall into one split, never single segments."""

from __future__ import annotations

from collections.abc import Sequence

from videobert.errors import InputError
from videobert.labels.records import SPLITS, LabelRow
from videobert.runtime.held_out import is_held_out

__all__ = ["split_rows"]

Found = tuple[str, LabelRow]
"""Video id and row."""


def split_rows(rows: Sequence[Found], location: str, *, validation: float, test: float) -> dict[str, list[Found]]:
    """Rows by split: as the file says, or where it says nothing, drawn by group or video.

    The draw is that of pretraining: with `test` at least its held-out share, no test video was pretrained on. A file
    that names train and test alone gets its validation videos drawn from train. Raises InputError for a split without
    rows, for a file that gives a split to some rows only, and for a video or a group in two splits.
    """
    named = [row for _, row in rows if row.split]
    if named and len(named) < len(rows):
        bare = next(row for _, row in rows if not row.split)
        raise InputError(f"line {bare.line} of labels {location} has no split and others have; give it to all or none")
    draw_validation = {row.split for row in named} == {"train", "test"}
    found: dict[str, list[Found]] = {name: [] for name in SPLITS}
    for video_id, row in rows:
        key = row.group or video_id
        if not row.split:
            split = _drawn(key, validation=validation, test=test)
        elif row.split == "train" and draw_validation:
            split = "validation" if is_held_out(key, validation) else "train"
        else:
            split = row.split
        found[split].append((video_id, row))
    _refuse_leakage(found, location)
    for split, members in found.items():
        if not members:
            there = len({row.group or video_id for video_id, row in rows})
            raise InputError(
                f"labels {location} leave the {split} split empty ({there} videos or groups); label more videos, or "
                "raise finetune.validation-fraction and finetune.test-fraction"
            )
    return found


def _drawn(key: str, *, validation: float, test: float) -> str:
    if is_held_out(key, test):
        return "test"
    return "validation" if is_held_out(key, test + validation) else "train"


def _refuse_leakage(found: dict[str, list[Found]], location: str) -> None:
    where: dict[tuple[str, str], tuple[str, LabelRow]] = {}
    for split, members in found.items():
        for video_id, row in members:
            for kind, key in (("video", video_id), ("group", row.group)):
                if not key:
                    continue
                other, first = where.setdefault((kind, key), (split, row))
                if other != split:
                    named = row.video if kind == "video" else key
                    raise InputError(
                        f"lines {first.line} and {row.line} of labels {location} put {kind} {named!r} into {other} and "
                        f"{split}: what is tested would be learnt; give it one split"
                    )
