"""Where the bytes of a row's video are: in which tar, and at which of its bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from videobert.errors import InputError
from videobert.query.lineage import Lineage
from videobert.runtime.storage import Store
from videobert.runtime.tar import Member, find_members

__all__ = ["Footage", "find_footage", "footage_in"]

_TARS_REMEMBERED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """One video inside of a shard."""

    video_id: str
    tar: str
    """Relative to the root."""
    tar_sha256: str
    offset: int
    size: int
    suffix: str
    """Of the source's name, such as `.mp4`."""
    metadata: dict[str, Any]
    """What the probe saw, such as `container`, `codec` and `duration_seconds` (see `shard.core.METADATA_FIELDS`)."""


def find_footage(store: Store, lineage: Lineage) -> Footage:
    """The video of a row. Raises InputError when its shard is gone, or the shard does not hold it."""
    step = lineage.step("shard")
    return footage_in(store, step.url.removeprefix(f"{store.root}/"), step.sha256, lineage.video_id)


def footage_in(store: Store, tar: str, sha256: str, video_id: str) -> Footage:
    """A video of a shard with these bytes. Raises InputError when it is not there."""
    try:
        found = {PurePosixPath(member.name): member for member in _members(store.root, tar, sha256)}
    except FileNotFoundError as error:
        raise InputError(f"{store.url(tar)} is gone; run the stage shard of its batch again") from error
    name, about = None, found.get(PurePosixPath(f"{video_id}.json"))
    for path in found:
        if path.stem == video_id and path.suffix != ".json":
            name = path
    if name is None or about is None:
        raise InputError(f"{store.url(tar)} does not hold video {video_id!r}; run the stage shard of its batch again")
    [text] = store.read_ranges(tar, [(about.offset, about.offset + about.size)])
    return Footage(
        video_id=video_id, tar=tar, tar_sha256=sha256, offset=found[name].offset, size=found[name].size,
        suffix=name.suffix, metadata=json.loads(text),
    )  # fmt: skip


@lru_cache(_TARS_REMEMBERED)
def _members(root: str, tar: str, sha256: str) -> tuple[Member, ...]:
    """Of a tar with these bytes: its headers are read once."""
    with Store(root).open(tar) as source:
        return tuple(find_members(source))
