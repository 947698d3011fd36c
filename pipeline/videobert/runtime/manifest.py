"""Manifests: the commit of a stage over a batch, or over the corpus. Written last; readers trust nothing else."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from videobert.errors import BalanceError, InputError, VideoError
from videobert.runtime.spec import canonical_json
from videobert.runtime.stage import Stage, stage_record
from videobert.runtime.storage import Store, sha256

__all__ = [
    "MANIFEST_NAME", "Manifest", "Output", "Reject", "Source", "batches_of", "check_balance", "committed_batches",
    "folder_of", "groups_by_bytes", "library_versions", "load_manifest", "load_manifests", "manifest_path",
    "save_manifest", "specs_of",
]  # fmt: skip

MANIFEST_NAME = "_manifest.json"
_VERSIONED = ("videobert-pipeline", "av", "numpy", "onnxruntime", "pyarrow", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """One video that a stage could not use: becomes exactly one row of the dead letters."""

    video_id: str
    """sha256 of the bytes, or empty when not even the bytes could be read."""
    uri: str
    reason: str
    """Short stable class, such as `undecodable`."""
    message: str
    attempts: int = 1
    """Tries that failed, those of a worker within one run included."""
    salvageable_seconds: float = 0.0
    """The video is good from its start to here; 0 when nothing of it is, or nobody looked."""

    @staticmethod
    def of(error: VideoError, *, video_id: str, uri: str) -> Reject:
        """What a worker records of a video that failed."""
        return Reject(
            video_id=video_id, uri=uri, reason=error.reason, message=str(error), attempts=error.attempts,
            salvageable_seconds=error.salvageable_seconds,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One file of a stage, and what it came from."""

    shard: int
    """Number of the shard; corpus stages count their files."""
    input_digest: str
    """Digest of everything that this file was made from; equal digest means nothing to do."""
    path: str
    """Relative to the root."""
    sha256: str
    size_bytes: int
    counts: dict[str, int]
    """What is inside, for example `{"videos": 3, "clips": 57}`."""
    rejects: tuple[Reject, ...] = ()


def groups_by_bytes(outputs: Iterable[Output], *, limit: int) -> Iterator[list[Output]]:
    """Outputs in their order, those of a group together of at most `limit` bytes, or a single larger one."""
    group: list[Output] = []
    size = 0
    for output in outputs:
        if group and size + output.size_bytes > limit:
            yield group
            group, size = [], 0
        group.append(output)
        size += output.size_bytes
    if group:
        yield group


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A manifest that this one was made from."""

    stage: str
    spec: str
    batch: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What one stage committed for one batch (`batch` set) or for the corpus (`batch` empty)."""

    stage: str
    spec: str
    batch: str
    config: dict[str, Any]
    sources: tuple[Source, ...]
    outputs: tuple[Output, ...]
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Small stage-specific facts a reader needs, for example the feature dimension."""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The outputs' counts added up, and `rejects`."""
        total: dict[str, int] = {}
        for output in self.outputs:
            for name, value in output.counts.items():
                total[name] = total.get(name, 0) + value
        total["rejects"] = sum(len(output.rejects) for output in self.outputs)
        return total

    @property
    def rejects(self) -> tuple[Reject, ...]:
        return tuple(reject for output in self.outputs for reject in output.rejects)

    def source_spec(self, stage: str) -> str:
        """The spec of the stage that it was made from. Raises InputError when it was not."""
        for source in self.sources:
            if source.stage == stage:
                return source.spec
        raise InputError(f"{self.stage} {self.spec} was not made from {stage}; make it again with this version")

    def is_whole(self, present: Mapping[str, int]) -> bool:
        """Whether a listing (path -> bytes) shows every output in its size."""
        return all(present.get(output.path) == output.size_bytes for output in self.outputs)

    @property
    def digest(self) -> str:
        """sha256 over what was made; not over the library versions, nor over how often a reject was tried."""
        made = {k: v for k, v in dataclasses.asdict(self).items() if k != "versions"}
        for reject in (reject for output in made["outputs"] for reject in output["rejects"]):
            del reject["attempts"]
        return sha256(canonical_json(made))

    def as_source(self) -> Source:
        return Source(stage=self.stage, spec=self.spec, batch=self.batch, digest=self.digest)

    def to_bytes(self) -> bytes:
        """Readable JSON with a trailing newline; equal manifests have equal bytes."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"

    @staticmethod
    def from_bytes(data: bytes) -> Manifest:
        """Parse what `to_bytes` wrote. Raises InputError when it is no manifest."""
        try:
            raw = json.loads(data)
            outputs = tuple(
                Output(**{**o, "rejects": tuple(Reject(**r) for r in o["rejects"])}) for o in raw.pop("outputs")
            )
            manifest = Manifest(outputs=outputs, sources=tuple(Source(**s) for s in raw.pop("sources")), **raw)
            records: list[_Record] = [manifest, *manifest.sources, *outputs, *manifest.rejects]
            for record in records:
                _check_types(record)
            return manifest
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"not a manifest ({error}); remove it and run the stage again") from error


_Record = Manifest | Output | Reject | Source
_JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str, "int": int, "float": (int, float), "dict": dict, "tuple": tuple
}  # fmt: skip
_FIELDS = {
    record: [(field.name, _JSON_TYPES[str(field.type).partition("[")[0]]) for field in dataclasses.fields(record)]
    for record in (Manifest, Output, Reject, Source)
}


def _check_types(record: _Record) -> None:
    """Raise TypeError where JSON held another kind of value: what reads a manifest relies on it."""
    for name, wanted in _FIELDS[type(record)]:
        value = getattr(record, name)
        if not isinstance(value, wanted):
            raise TypeError(f"{name} is {value!r}")
    if isinstance(record, Output) and not all(isinstance(count, int) for count in record.counts.values()):
        raise TypeError(f"counts is {record.counts!r}")


def folder_of(stage: Stage, spec: str, batch: str) -> str:
    """The folder of one commit, relative to the root."""
    folder = stage.folder.format(spec=spec)
    return f"{folder}/batch={batch}" if stage.scope == "batch" else folder


def manifest_path(stage: Stage, spec: str, batch: str) -> str:
    return f"{folder_of(stage, spec, batch)}/{MANIFEST_NAME}"


def load_manifest(store: Store, stage_name: str, spec: str, batch: str) -> Manifest | None:
    """The committed manifest, or None when the stage has not finished there; an empty spec takes the catalog's any."""
    return _as_asked(store.read_or_none(manifest_path(stage_record(stage_name), spec, batch)), spec)


def load_manifests(
    store: Store, stage_name: str, spec: str, batches: Sequence[str]
) -> Iterator[tuple[str, Manifest | None]]:
    """(batch, what `load_manifest` finds) in their order, some requests at once."""
    paths = [manifest_path(stage_record(stage_name), spec, batch) for batch in batches]
    for batch, (_, data) in zip(batches, store.read_many(paths), strict=True):
        yield batch, _as_asked(data, spec)


def _as_asked(data: bytes | None, spec: str) -> Manifest | None:
    manifest = Manifest.from_bytes(data) if data is not None else None
    # The catalog's path holds no spec: one of another configuration is not the one asked for.
    return manifest if manifest and spec in (manifest.spec, "") else None


def check_balance(manifest: Manifest, expected_videos: int) -> None:
    """Raise BalanceError unless every video that went in is a row or a dead letter, or was to be forgotten."""
    counts = manifest.counts
    if counts.get("videos", 0) + counts["rejects"] + counts.get("forgotten", 0) != expected_videos:
        raise BalanceError(
            f"{manifest.stage} of batch {manifest.batch!r} does not balance: {expected_videos} videos went in, "
            f"{counts.get('videos', 0)} came out and {counts['rejects']} were rejected; nothing was committed"
        )


def save_manifest(store: Store, manifest: Manifest) -> None:
    """Commit."""
    path = manifest_path(stage_record(manifest.stage), manifest.spec, manifest.batch)
    store.write(path, manifest.to_bytes())


def specs_of(store: Store, stage_name: str) -> list[str]:
    """Specs that have a folder for this stage, sorted by name."""
    parent, _, pattern = stage_record(stage_name).folder.partition("/")
    prefix = pattern.replace("{spec}", "")
    return [name.removeprefix(prefix) for name in store.folders(parent) if name.startswith(prefix)]


def batches_of(store: Store, stage_name: str, spec: str) -> list[str]:
    """Batches of a stage and spec that have a folder, sorted; committed or not."""
    stage = stage_record(stage_name)
    names = store.folders(stage.folder.format(spec=spec))
    return [name.removeprefix("batch=") for name in names if name.startswith("batch=")]


def committed_batches(store: Store, stage_name: str, spec: str) -> set[str]:
    """Batches of a stage and spec that are committed: one listing, whatever their number."""
    stage = stage_record(stage_name)
    found = store.list(stage.folder.format(spec=spec))
    keys = {part.removeprefix("batch=") for path in found for part in path.split("/") if part.startswith("batch=")}
    return {batch for batch in keys if manifest_path(stage, spec, batch) in found}


def library_versions() -> dict[str, str]:
    """Versions of what decides bytes, as far as installed."""
    found = {"python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
