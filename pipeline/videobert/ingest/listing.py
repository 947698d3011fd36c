"""What lies below the source prefix of a batch."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from fsspec.implementations.local import LocalFileSystem

from videobert.errors import EmptyBatchError, InputError
from videobert.ingest.config import IngestConfig
from videobert.runtime.filesystem import open_filesystem
from videobert.runtime.spec import digest
from videobert.runtime.storage import Store

__all__ = ["Listed", "list_batch", "listing_digest", "nothing_in", "source_of", "uri_of"]


class Listed(NamedTuple):
    """One object below the source."""

    size_bytes: int
    changed: str
    """Changes when the object does: the store's ETag, else its time."""
    left_out: str = ""
    """Why nobody looks at it: a link that leads back, a folder that may not be listed."""


def source_of(config: IngestConfig, store: Store, batch: str) -> str:
    """URL of the prefix."""
    return config.source.replace("{root}", store.root).replace("{batch}", batch)


def uri_of(source: str) -> str:
    """The prefix as the uris of `list_batch` begin with it, with the slash at its end."""
    filesystem, path = open_filesystem(source)
    uri = _local_uri(path) if isinstance(filesystem, LocalFileSystem) else str(filesystem.unstrip_protocol(path))
    return f"{uri.rstrip('/')}/"


def list_batch(source: str, batch: str) -> dict[str, Listed]:
    """Every object below the prefix, by uri. Raises InputError where nothing lies.

    Links of a file system are followed, each folder is listed once.
    """
    filesystem, path = open_filesystem(source)
    try:
        if isinstance(filesystem, LocalFileSystem):
            found = {_local_uri(name): listed for name, listed in _walk(path)}
        else:
            objects = filesystem.find(path, detail=True)
            found = {filesystem.unstrip_protocol(name): _object(info) for name, info in objects.items()}
    except FileNotFoundError:
        found = {}
    except Exception as error:  # whatever the client raises for a wrong bucket, key or endpoint
        raise InputError(
            f"source {source!r} cannot be listed: {type(error).__name__}: {error}; check URL and credentials"
        ) from error
    if not found:
        raise nothing_in(batch, f"nothing lies below {source}{_hint(source, batch)}")
    return found


def nothing_in(batch: str, why: str) -> InputError:
    """The error of a batch without videos: a day may have none, a name that somebody typed is more likely wrong."""
    try:
        date.fromisoformat(batch)
    except ValueError:
        return InputError(f"batch {batch!r} has no videos: {why}; correct the name or the source")
    return EmptyBatchError(f"batch {batch!r} has no videos: {why}; where it should have some, correct the source")


def _hint(source: str, batch: str) -> str:
    """Names of the folders next to the one that was asked for, where that is named after the batch."""
    parent, _, name = source.rstrip("/").rpartition("/")
    if name != batch:
        return ""
    parent = parent or "/"
    others = [folder for folder in _folders(parent) if folder != batch]
    return f", while {parent} holds {', '.join(others[:10])}" if others else f", and {parent} has no other folder"


def _object(info: dict[str, object]) -> Listed:
    changed = str(info.get("ETag") or info.get("etag") or info.get("mtime") or "").strip('"')
    return Listed(int(str(info["size"])), changed)


def _local_uri(name: str) -> str:
    # A local name may be no UTF-8, which neither JSON nor Parquet can hold: escaped, it ends as `vanished`.
    return f"file://{name}".encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _walk(top: str) -> Iterator[tuple[str, Listed]]:
    """Files below a folder in the order of their names, then those behind links to folders.

    Each folder is entered once, and where it is rather than through a link, so that links cannot go in circles.
    """
    if not os.path.isdir(top):
        if os.path.isfile(top):
            yield top, _file(top)
        return
    entered, linked, waiting = {_identity(top)}, list[str](), [(top, False)]
    while waiting or linked:
        if not waiting:
            folder = linked.pop(0)
            if _identity(folder) in entered:
                yield folder, Listed(0, "", "link to a folder that is listed already")
                continue
            waiting.append((folder, True))
        folder, behind_link = waiting.pop()
        entered.add(_identity(folder))
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except PermissionError:
            yield folder, Listed(0, "", "folder that may not be listed")
            continue
        for entry in inside:
            if entry.is_dir(follow_symlinks=False):
                if _identity(entry.path) not in entered:
                    waiting.append((entry.path, behind_link))
            elif entry.is_dir():
                linked.append(entry.path)
            else:
                yield entry.path, _file(entry.path, through_link=behind_link or entry.is_symlink())


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _file(path: str, *, through_link: bool = False) -> Listed:
    """Size and time of what a name leads to. Behind a link its number too: another target may be as old and large."""
    try:
        status = os.stat(path)
    except OSError:  # a link to nothing, or a file that left meanwhile: ingest finds it `vanished`
        return Listed(0, "")
    if not stat.S_ISREG(status.st_mode):
        return Listed(0, "")
    return Listed(status.st_size, f"{status.st_mtime_ns}{f'-{status.st_ino}' if through_link else ''}")


def listing_digest(source: str, batch: str) -> str:
    """Digest of the names, sizes and times below the prefix; empty where nothing lies."""
    try:
        return digest(sorted(list_batch(source, batch).items()))
    except InputError:
        return ""


def _folders(url: str) -> list[str]:
    filesystem, path = open_filesystem(url)
    try:
        entries = filesystem.ls(path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(e["name"].rstrip("/").rsplit("/", 1)[-1] for e in entries if e["type"] == "directory")
