"""A tar without one of its videos."""

from __future__ import annotations

import shutil
from pathlib import Path

from videobert.runtime.tar import TarWriter, read_members

__all__ = ["drop_video"]

_COPY_BYTES = 1 << 20


def drop_video(source: Path, target: Path, video_id: str) -> dict[str, int]:
    """Copy a tar without a video's members; returns the counts that left."""
    found, member_path = False, target.with_suffix(".member")
    with source.open("rb") as reader, target.open("wb") as sink:
        tar = TarWriter(sink)
        for name, member in read_members(reader):
            if name.startswith(f"{video_id}."):
                found = True
                continue
            with member_path.open("wb") as copy:  # videos may be larger than memory
                shutil.copyfileobj(member, copy, _COPY_BYTES)
            tar.add_file(name, member_path)
        tar.close()
    member_path.unlink(missing_ok=True)
    return {"videos": 1} if found else {}
