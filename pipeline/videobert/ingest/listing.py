"""What lies below the source prefix of a batch."""

from __future__ import annotations

from fsspec.implementations.local import LocalFileSystem

from videobert.errors import InputError
from videobert.ingest.config import IngestConfig
from videobert.runtime.filesystem import open_filesystem
from videobert.runtime.storage import Store

__all__ = ["list_batch", "source_of"]


def source_of(config: IngestConfig, store: Store, batch: str) -> str:
    """URL of the prefix."""
    return config.source.replace("{root}", store.root).replace("{batch}", batch)


def list_batch(source: str, batch: str) -> dict[str, tuple[int, str]]:
    """Every object below the prefix: uri -> (size, etag, or time of a file). Raises InputError where nothing lies."""
    filesystem, path = open_filesystem(source)
    try:
        found = filesystem.find(path, detail=True)
    except FileNotFoundError:
        found = {}
    except Exception as error:  # whatever the client raises for a wrong bucket, key or endpoint
        raise InputError(
            f"source {source!r} cannot be listed: {type(error).__name__}: {error}; check URL and credentials"
        ) from error
    if not found:
        parent = source.rstrip("/").rsplit("/", 1)[0]
        beside = _folders(parent)
        hint = f"batches there: {', '.join(beside[:10])}" if beside else f"{parent} is empty or missing"
        raise InputError(f"batch {batch!r} does not exist: nothing lies below {source}; {hint}")
    local = isinstance(filesystem, LocalFileSystem)
    listing = {}
    for name, info in found.items():
        changed = str(info.get("ETag") or info.get("etag") or info.get("mtime") or "").strip('"')
        uri = f"file://{name}" if local else filesystem.unstrip_protocol(name)
        # A local name may be no UTF-8, which neither JSON nor Parquet can hold: escaped, it ends as `vanished`.
        uri = uri.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        listing[uri] = (int(info["size"]), changed)
    return listing


def _folders(url: str) -> list[str]:
    filesystem, path = open_filesystem(url)
    try:
        entries = filesystem.ls(path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(e["name"].rstrip("/").rsplit("/", 1)[-1] for e in entries if e["type"] == "directory")
