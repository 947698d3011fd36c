"""Which video a label means: by id, by URI, by file name, or by file name without suffix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from videobert.errors import InputError
from videobert.labels.records import LabelRow

__all__ = ["match_videos"]


def match_videos(
    rows: Sequence[LabelRow], videos: Mapping[str, str], location: str
) -> tuple[list[tuple[str, LabelRow]], list[LabelRow]]:
    """((video id, row) of what was found, rows of videos that are not there); `videos` maps ids to URIs.

    Raises InputError for a name that several videos have, and where no video was found at all.
    """
    names: dict[str, set[str]] = defaultdict(set)
    for video_id, uri in videos.items():
        path = PurePosixPath(uri)
        for name in {video_id, uri, path.name, path.stem}:
            names[name].add(video_id)
    found, unknown = [], []
    for row in rows:
        own = names.get(row.video, set())
        if len(own) > 1:
            raise InputError(
                f"line {row.line} of labels {location} names {row.video!r}, which {len(own)} videos are called; "
                "name them by URI or id"
            )
        if own:
            found.append((next(iter(own)), row))
        else:
            unknown.append(row)
    if not found:
        raise InputError(
            f"labels {location} name none of the {len(videos)} videos (the first is {rows[0].video!r}); "
            "name them by id, URI or file name, or choose the batches that hold them with --batch"
        )
    return found, unknown
