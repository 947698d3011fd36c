"""The one seam to storage: a root URL under which every object is written whole or not at all.

Local files: temporary name, fsync, rename, fsync of the folder. Object storage: one completed PUT or multipart
upload. Readers that list the root with a plain glob therefore see only whole files.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from fsspec.implementations.local import LocalFileSystem

from videobert.errors import ConflictError, InputError
from videobert.runtime.filesystem import check_reachable, open_filesystem

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = ["Store", "file_sha256", "sha256"]

_COPY_BYTES = 1 << 20
_TEMPORARY_PREFIX = ".part-"
_WRITE_TRIES = 5
_REQUESTS_AT_ONCE = 16
_READ_AHEAD = 256
_DELETED_AT_ONCE = 1000
"""What S3 takes in one request."""
_CONDITION_FAILED = (errno.EINVAL, errno.EBUSY, errno.EEXIST, errno.ENOENT)
"""What s3fs makes of 412, 409 and 404, with which servers answer a conditional PUT whose condition does not hold."""


def sha256(data: bytes) -> str:
    """Hex digest of `data`."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """Hex digest of a local file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Store:
    """Whole-object reads and writes below one root. Paths are relative, with `/` between parts."""

    def __init__(self, root: str) -> None:
        if not root.strip():
            raise InputError("root is empty; set VIDEOBERT_ROOT, or give --root a folder or s3://bucket/prefix")
        self._fs, self._base = open_filesystem(root)
        self._base = self._base.rstrip("/")
        self._local = isinstance(self._fs, LocalFileSystem)
        self._s3 = "s3" in self._fs.protocol
        self.root = f"file://{self._base}" if self._local else self._fs.unstrip_protocol(self._base)
        self.writes = 0
        """Objects written through this instance; a run that finds everything committed writes none."""

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.root,)

    def url(self, path: str) -> str:
        """The full URL of an object."""
        return f"{self.root}/{path}"

    def check_root(self) -> None:
        """Make sure that the root can be listed and written, before any work. Raises InputError."""
        try:
            if self._local:
                os.makedirs(self._base, exist_ok=True)
            elif endpoint := getattr(self._fs, "endpoint_url", None):
                check_reachable(endpoint)
            probe = f"_write-check-{uuid.uuid4().hex}"
            self.write(probe, b"")
            self.delete([probe])
        except Exception as error:  # any client's network or permission error means the same here: the root is unusable
            raise InputError(
                f"root {self.root!r} cannot be written: {type(error).__name__}: {error}; "
                "check that the folder or bucket exists, its permissions, the credentials and AWS_ENDPOINT_URL"
            ) from error

    def read(self, path: str) -> bytes:
        """The bytes of one object. Raises FileNotFoundError."""
        # s3fs asks for the size first unless it is told that nothing will be fetched in parts.
        options = {"max_concurrency": 1} if self._s3 else {}
        return cast(bytes, self._fs.cat_file(self._full(path), **options))

    def read_or_none(self, path: str) -> bytes | None:
        """The bytes of one object, or None when there is none."""
        try:
            return self.read(path)
        except FileNotFoundError:
            return None

    def read_many(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """(path, bytes, or None where there is no object) in the order asked for, some requests at once."""
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            for start in range(0, len(paths), _READ_AHEAD):  # a consumer that is slower than the store fills no memory
                some = paths[start : start + _READ_AHEAD]
                yield from zip(some, pool.map(self.read_or_none, some), strict=True)

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Bytes `start` to `end` of one object for every range, nothing around them; fewer where the object ends."""
        if self._local:
            found = []
            with self.open(path) as source:
                for start, end in ranges:
                    source.seek(start)
                    found.append(source.read(end - start))
            return found
        starts, ends = [start for start, _ in ranges], [end for _, end in ranges]
        return list(self._fs.cat_ranges([self._full(path)] * len(ranges), starts, ends, on_error="raise"))

    def open(self, path: str) -> IO[bytes]:
        """A seekable reader that fetches ranges as they are asked for."""
        return cast(IO[bytes], self._fs.open(self._full(path), "rb"))

    def download(self, path: str, target: Path) -> None:
        """Copy one object into a local file."""
        with self.open(path) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink, _COPY_BYTES)

    def write(self, path: str, content: bytes | Path) -> None:
        """Write one object whole, from memory or a local file."""
        self._write(path, content)

    def create(self, path: str, content: bytes | Path) -> bool:
        """Write one object whole from memory or a local file, unless other bytes are there; whether it is there now.

        As sure as `commit`: files under a lock, S3 by a conditional PUT, elsewhere by a look before the write.
        """
        try:
            if self._local or self._s3:
                self._write(path, content, mode="create")
                return True
        except OSError as error:
            if not isinstance(error, FileExistsError) and error.errno not in (*_CONDITION_FAILED, errno.ENOSYS):
                raise
        if self.exists(path):
            return self._holds(path, content)
        self._write(path, content)
        return True

    def commit(self, path: str, data: bytes, *, former: bytes | None) -> None:
        """Write one object whole, if it is still what it was; raises ConflictError when another writer came between.

        Files are compared under a lock of their folder; S3 by a conditional PUT. On other filesystems, and on S3
        servers without conditional PUTs, the object is compared just before it is written: a gap of one request.
        """
        if self._local:
            with _locked(Path(self._full(path)).parent):
                self._check_unchanged(path, data, former)
                self._put(path, data)
            return
        condition = self._condition(path)  # taken before the comparison, so that whatever comes after it is noticed
        self._check_unchanged(path, data, former)
        try:
            self._put(path, data, **condition)
        except OSError as error:
            if error.errno == errno.ENOSYS:
                self._put(path, data)
                return
            if error.errno not in _CONDITION_FAILED:
                raise
            # Ours all the same when the answer to a first try was lost: the second then met what the first wrote.
            self._check_unchanged(path, data, data)

    def upload(self, source: Path, path: str, **condition: str) -> None:
        """Write one object whole from a local file."""
        self.writes += 1
        if self._local:
            self._replace(path, lambda temporary: shutil.copyfile(source, temporary), **condition)
        else:
            self._fs.put_file(str(source), self._full(path), **condition)

    def dataset(self, paths: Sequence[str], *, partitioning: ds.Partitioning) -> ds.Dataset:
        """Parquet objects as one lazily read dataset, with columns made from their paths."""
        import pyarrow.dataset as ds  # brings pandas with it: 60 MB that only readers need
        from pyarrow.fs import LocalFileSystem as ArrowFileSystem

        return ds.dataset(
            [self._full(path) for path in paths],
            # Arrow's own reader of files takes no turn in the interpreter, nor holds anything when that ends.
            filesystem=ArrowFileSystem() if self._local else self._fs,
            format="parquet",
            partitioning=partitioning,
            partition_base_dir=self._base,
        )

    def exists(self, path: str) -> bool:
        """Whether an object or a folder of that name is there."""
        return bool(self._fs.exists(self._full(path)))

    def list(self, folder: str) -> dict[str, int]:
        """Every object below `folder`: relative path -> size in bytes, sorted; empty when there is none."""
        try:
            found = self._fs.find(self._full(folder), detail=True)
        except FileNotFoundError:
            return {}
        skip = len(self._base) + 1
        return {path[skip:]: int(info["size"]) for path, info in sorted(found.items())}

    def modified(self, folder: str) -> dict[str, datetime]:
        """When every object below `folder` was written, in UTC; of a filesystem that does not tell, none."""
        try:
            found = self._fs.find(self._full(folder), detail=True)
        except FileNotFoundError:
            return {}
        skip = len(self._base) + 1
        times = {path[skip:]: _time_of(info) for path, info in found.items()}
        return {path: at for path, at in times.items() if at is not None}

    def folders(self, folder: str) -> Sequence[str]:
        """Names of the direct sub-folders of `folder`, sorted."""
        try:
            entries = self._fs.ls(self._full(folder), detail=True)
        except FileNotFoundError:
            return []
        return sorted(e["name"].rstrip("/").rsplit("/", 1)[-1] for e in entries if e["type"] == "directory")

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects; those already gone are no error. Raises OSError where one may not be removed."""
        found = [self._full(path) for path in paths]
        if self._s3 and len(found) > 1:
            try:
                self._delete_together(found)
                return
            except OSError as error:
                if error.errno != errno.ENOSYS:  # which s3fs makes of 501: a server that takes one at a time
                    raise
        for path in found:
            with suppress(FileNotFoundError):
                self._fs.rm_file(path)

    def _delete_together(self, paths: Sequence[str]) -> None:
        """One request a thousand objects. s3fs's own removal of many passes over what the server refuses."""
        for start in range(0, len(paths), _DELETED_AT_ONCE):
            keys = [self._fs.split_path(path) for path in paths[start : start + _DELETED_AT_ONCE]]
            wanted = {"Objects": [{"Key": key} for _, key, _ in keys], "Quiet": True}
            answer = self._fs.call_s3("delete_objects", Bucket=keys[0][0], Delete=wanted)
            if refused := answer.get("Errors"):
                first = refused[0]
                raise PermissionError(f"{first['Key']} cannot be removed: {first['Code']}: {first.get('Message', '')}")

    def sweep(self, folder: str, keep: Collection[str]) -> None:
        """Remove all below a folder but what is to be kept: temporaries and emptied folders of a file system too."""
        self.delete(path for path in self.list(folder) if path not in keep)
        if self._local:
            for parent, _, _ in os.walk(self._full(folder), topdown=False):
                try:
                    os.rmdir(parent)
                except OSError:  # not empty
                    continue

    def clear_temporaries(self, folder: str) -> None:
        """Remove what killed writers left directly in a folder that several stages share, and that nobody sweeps."""
        if self._local:
            for temporary in Path(self._full(folder)).glob(f"{_TEMPORARY_PREFIX}*"):
                temporary.unlink(missing_ok=True)

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    def _holds(self, path: str, content: bytes | Path) -> bool:
        """Whether the object has these bytes; False when it is gone meanwhile."""
        try:
            with self.open(path) as found:
                there = hashlib.file_digest(found, "sha256").hexdigest()  # type: ignore[arg-type]
        except FileNotFoundError:
            return False
        return there == (sha256(content) if isinstance(content, bytes) else file_sha256(content))

    def _write(self, path: str, content: bytes | Path, **condition: str) -> None:
        if isinstance(content, bytes):
            self._put(path, content, **condition)
        else:
            self.upload(content, path, **condition)

    def _put(self, path: str, data: bytes, **condition: str) -> None:
        self.writes += 1
        if self._local:
            self._replace(path, lambda temporary: temporary.write_bytes(data), **condition)
        else:
            self._fs.pipe_file(self._full(path), data, **condition)

    def _replace(self, path: str, fill: Callable[[Path], object], *, mode: str = "") -> None:
        """Write a local file under a temporary name and rename it once it is on disk.

        Raises FileExistsError where there is a file and the mode is `create`.
        """
        target = Path(self._full(path))
        for tries in range(_WRITE_TRIES):
            temporary = target.parent / f"{_TEMPORARY_PREFIX}{uuid.uuid4().hex}"
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                fill(temporary)
                _fsync(temporary)
                if mode == "create":
                    _rename_new(temporary, target)
                else:
                    os.replace(temporary, target)
                _fsync(target.parent)
                return
            except FileNotFoundError:  # another run of the same work has committed, and swept our temporary away
                if tries == _WRITE_TRIES - 1:
                    raise
            finally:
                temporary.unlink(missing_ok=True)

    def _condition(self, path: str) -> dict[str, str]:
        """What makes a PUT fail unless the object is still what it is now; nothing where no server would look at it."""
        if not self._s3:
            return {}
        try:
            return {"IfMatch": self._fs.info(self._full(path))["ETag"]}
        except FileNotFoundError:
            return {"IfNoneMatch": "*"}

    def _check_unchanged(self, path: str, data: bytes, former: bytes | None) -> None:
        if self.read_or_none(path) not in (former, data):
            raise ConflictError(
                f"{self.url(path)} was committed by another run meanwhile; run this one again: "
                "it takes over what is there"
            )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone among the processes that commit below a local folder; a killed one gives the lock back."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _rename_new(temporary: Path, target: Path) -> None:
    """A hard link would do without the lock, and not on every filesystem."""
    with _locked(target.parent):
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        os.replace(temporary, target)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _time_of(info: Mapping[str, Any]) -> datetime | None:
    """Local files and most stores say `mtime`, in seconds or as a time; S3 says LastModified, memory `created`."""
    at = info.get("mtime", info.get("LastModified", info.get("created")))
    if isinstance(at, int | float):
        return datetime.fromtimestamp(at, UTC)
    if not isinstance(at, datetime):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
