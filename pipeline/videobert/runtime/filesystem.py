"""From an URL to its filesystem, with what object storage needs: no cached listings, retries, a quick first answer."""

from __future__ import annotations

import hashlib
import os
import socket
import time
import urllib.request
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
from fsspec.core import split_protocol

from videobert.errors import InputError, VideoError

__all__ = ["check_reachable", "exists", "fetch", "open_filesystem"]

_COPY_BYTES = 1 << 20
_CONNECT_SECONDS = 5


def open_filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The filesystem of an URL and the path on it. Raises InputError for a protocol nobody provides.

    fsspec's chains (`simplecache::s3://…`) are not read: `::` may stand in the name of a video.
    """
    options: dict[str, Any] = {}
    if url.startswith(("s3://", "s3a://")):
        # Listings are never cached: another process may have committed a moment ago.
        options = {
            "use_listings_cache": False,
            # fsspec keeps one instance for equal arguments; named here, another endpoint is another instance.
            "endpoint_url": os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
            # `standard`: 500, 503, throttling, timeouts and lost connections, after random waits that double to 20 s.
            "config_kwargs": {
                "connect_timeout": _CONNECT_SECONDS,
                "read_timeout": 60,
                "retries": {"mode": "standard", "max_attempts": 6},
            },
        }
    try:
        kind = _s3_class() if options else fsspec.get_filesystem_class(split_protocol(url)[0] or "file")
        filesystem = kind(**kind._get_kwargs_from_urls(url), **options)
    except (ValueError, ImportError) as error:
        raise InputError(
            f"cannot open {url!r}: {error}; "
            "use a path, file://, s3://, or install the fsspec filesystem of that protocol"
        ) from error
    return filesystem, kind._strip_protocol(url)


@cache
def _s3_class() -> type[fsspec.AbstractFileSystem]:
    """s3fs without its reading of `?versionId=`, which may stand in the name of an object."""
    from s3fs import S3FileSystem

    class LiteralS3FileSystem(S3FileSystem):  # type: ignore[misc]  # s3fs has no types
        def split_path(self, path: str) -> tuple[str, str, None]:
            bucket, key, _ = super().split_path(path.replace("?", "\0"))
            return bucket, key.replace("\0", "?"), None

    return LiteralS3FileSystem


def exists(url: str) -> bool:
    """Whether something lies there."""
    filesystem, path = open_filesystem(url)
    return bool(filesystem.exists(path))


def fetch(url: str, target: Path) -> str:
    """Copy a source video here and return its sha256. Raises VideoError when it is gone or may not be read."""
    filesystem, path = open_filesystem(url)
    digest = hashlib.sha256()
    try:
        with filesystem.open(path, "rb") as source, target.open("wb") as sink:
            while block := source.read(_COPY_BYTES):
                digest.update(block)
                sink.write(block)
    except FileNotFoundError as error:
        raise VideoError("vanished", f"{url} is not there any more, or its name is no UTF-8") from error
    except PermissionError as error:
        raise VideoError("forbidden", f"{url} may not be read: {error}") from error
    return digest.hexdigest()


def check_reachable(endpoint: str) -> None:
    """Tell within seconds that nobody listens: the retries of s3fs, over those of botocore, would take half a minute.

    Raises OSError. A proxy that the environment names is left to botocore.
    """
    parts = urlsplit(endpoint)
    if parts.hostname is None or urllib.request.getproxies():
        return
    address = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    for pause in (1.0, 2.0):
        with suppress(OSError), socket.create_connection(address, _CONNECT_SECONDS):
            return
        time.sleep(pause)
    socket.create_connection(address, _CONNECT_SECONDS).close()
