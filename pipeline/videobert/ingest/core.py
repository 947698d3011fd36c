"""Pure parts of ingest: which files are videos, which sidecars are theirs, and the catalog's schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa

from videobert.runtime.spec import digest

__all__ = ["CATALOG_SCHEMA", "CUE_TYPE", "PartPayload", "SourceFile", "find_videos"]

CUE_TYPE = pa.list_(pa.struct([("start_seconds", pa.float64()), ("end_seconds", pa.float64()), ("text", pa.string())]))

_CATALOG_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("video_id", pa.string()), ("uri", pa.string()), ("size_bytes", pa.int64()), ("source_digest", pa.string()),
    ("container", pa.string()), ("codec", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
    ("rotation", pa.int32()), ("fps", pa.float64()), ("duration_seconds", pa.float64()), ("has_audio", pa.bool_()),
    ("title", pa.string()), ("caption_source", pa.string()), ("caption_language", pa.string()),
    ("caption_note", pa.string()), ("cues", CUE_TYPE),
]  # fmt: skip
CATALOG_SCHEMA = pa.schema(_CATALOG_COLUMNS)

_SIDECAR_ORDER = (".vtt", ".srt", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One video of a batch as it lies in the source, with the sidecars that may hold its captions."""

    uri: str
    size_bytes: int
    etag: str
    """Changes when the object changes: the store's ETag, else size and modification time."""
    sidecars: tuple[tuple[str, str], ...] = ()
    """(uri, etag) in the order of preference."""

    @property
    def digest(self) -> str:
        """Changes when the video or a sidecar does."""
        return digest(dataclasses.asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPayload:
    """What a worker needs for one catalog part."""

    files: tuple[SourceFile, ...]
    former_path: str
    """The committed part of the same number, whose unchanged rows are taken over; empty when there is none."""
    keep_uris: tuple[str, ...]
    """Videos that left the source since: their rows stay, for their bytes are in the shards."""


def find_videos(
    listing: Mapping[str, tuple[int, str]], extensions: Iterable[str], *, language: str = ""
) -> list[SourceFile]:
    """Videos of a listing {uri: (size, etag)}, sorted by uri.

    `talk.mp4` owns `talk.vtt`, `talk.en.vtt`, `talk.srt`, `talk.json` and `talk.info.json` of the same folder.
    """
    wanted = tuple(extensions)
    videos = [u for u in sorted(listing) if _name(u).lower().endswith(wanted) and not _name(u).startswith(".")]
    stems: dict[str, set[str]] = {}
    for uri in videos:
        stems.setdefault(_folder(uri), set()).add(_stem(uri))
    owned: dict[tuple[str, str], list[str]] = {}
    for uri in listing:
        if _name(uri).lower().endswith(_SIDECAR_ORDER):
            owner = _owner(_name(uri), stems.get(_folder(uri), set()))
            owned.setdefault((_folder(uri), owner), []).append(uri)
    found = []
    for uri in videos:
        candidates = owned.get((_folder(uri), _stem(uri)), [])
        ordered = sorted(candidates, key=lambda s: (_rank(_name(s)), _other_language(_name(s), language), s))
        size, etag = listing[uri]
        sidecars = tuple((s, listing[s][1]) for s in ordered)
        found.append(SourceFile(uri=uri, size_bytes=size, etag=etag, sidecars=sidecars))
    return found


def _name(uri: str) -> str:
    return uri.rsplit("/", 1)[-1]


def _folder(uri: str) -> str:
    return uri.rsplit("/", 1)[0]


def _stem(uri: str) -> str:
    return PurePosixPath(_name(uri)).stem


def _owner(sidecar: str, stems: set[str]) -> str:
    """The longest stem that fits: `a.b.vtt` belongs to `a.b.mp4`, and to `a.mp4` only when there is no `a.b.mp4`."""
    parts = sidecar.split(".")[:-1]
    # At most one more part, such as a language or `info`, stands between the stem and the ending.
    return next((stem for stem in (".".join(parts), ".".join(parts[:-1])) if stem in stems), "")


def _rank(name: str) -> int:
    return next(i for i, suffix in enumerate(_SIDECAR_ORDER) if name.lower().endswith(suffix))


def _other_language(name: str, language: str) -> bool:
    """False for `talk.en.vtt` and `talk.en-GB.vtt` when `en` is preferred."""
    return bool(language) and name.split(".")[-2].lower().split("-")[0] != language.lower()
