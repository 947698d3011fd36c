"""Pure: what each file below a source is - a video, the captions of one, or why it is neither."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from videobert.ingest.core import SourceFile
from videobert.ingest.listing import Listed
from videobert.ingest.sidecars import SUFFIXES, Sidecar, SidecarName, VideoNames, is_chat, precedence

__all__ = ["Contents", "sort_files"]

# One dot: "...and stir.mp4" is a title that begins with three.
_HIDDEN = re.compile(r"\.(?!\.)")
_SYSTEM_FOLDERS = frozenset(
    {"@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found", "#recycle", "@recycle"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Every file of a listing is in exactly one of these."""

    videos: tuple[SourceFile, ...]
    """Sorted by uri."""
    owners: dict[str, list[str]] = field(default_factory=dict)
    """Caption file -> its videos; none for a sidecar of no video."""
    skipped: dict[str, str] = field(default_factory=dict)
    """File -> why it is left out."""


def sort_files(
    listing: Mapping[str, Listed], extensions: Iterable[str], *, prefix: str = "", language: str = ""
) -> Contents:
    """Sort a listing; its uris begin with `prefix`, whose own folders may be hidden. One pass, whatever its size.

    `language`: BCP 47 tag of the captions that are wanted; empty for any.
    """
    wanted = tuple(extensions)
    skipped: dict[str, str] = {}
    videos: dict[str, list[str]] = {}  # folder -> names
    captions: list[str] = []
    for uri in sorted(listing):
        folder, _, name = uri.rpartition("/")
        if reason := listing[uri].left_out or _reason_to_skip(uri.removeprefix(prefix)):
            skipped[uri] = reason
        elif name.lower().endswith(wanted):
            videos.setdefault(folder, []).append(name)
        elif not name.lower().endswith(SUFFIXES):
            skipped[uri] = f"extension {_extension(name)}"
        elif is_chat(name):
            skipped[uri] = "chat of viewers"
        else:
            captions.append(uri)
    called = {folder: VideoNames(names) for folder, names in videos.items()}
    owners: dict[str, list[str]] = {}
    sidecars: dict[str, list[tuple[str, SidecarName]]] = {}
    for uri in captions:
        folder, _, name = uri.rpartition("/")
        found, said = called[folder].of_sidecar(name) if folder in called else ([], None)
        owners[uri] = [f"{folder}/{video}" for video in found]
        for video in owners[uri]:
            assert said
            sidecars.setdefault(video, []).append((uri, said))
    uris = sorted(f"{folder}/{name}" for folder, names in videos.items() for name in names)
    files = (
        SourceFile(
            uri=uri, size_bytes=listing[uri].size_bytes, etag=listing[uri].changed,
            sidecars=_in_order(sidecars.get(uri, ()), listing, language),
        )
        for uri in uris
    )  # fmt: skip
    return Contents(videos=tuple(files), owners=owners, skipped=skipped)


def _in_order(
    found: Iterable[tuple[str, SidecarName]], listing: Mapping[str, Listed], language: str
) -> tuple[Sidecar, ...]:
    ranked = sorted((precedence(name, language), uri, name) for uri, name in found)
    return tuple(
        Sidecar(uri=uri, etag=listing[uri].changed, language=name.language, turn=turn)
        for (turn, _), uri, name in ranked
    )


def _reason_to_skip(path: str) -> str:
    """Of a path below the source."""
    *folders, name = path.split("/")
    if not name:
        return "marker of a folder"
    for folder in folders:
        if folder.lower() in _SYSTEM_FOLDERS:
            return f"system folder {folder}"
        if _HIDDEN.match(folder):
            return f"hidden folder {folder}"
    return "hidden" if _HIDDEN.match(name) else ""


def _extension(name: str) -> str:
    ending = name.rpartition(".")[2].lower()
    return f".{ending}" if "." in name and len(ending) <= 8 and ending.isalnum() else "(none)"
