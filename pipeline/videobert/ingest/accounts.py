"""What became of every file below a source: one row each, in `files/batch=…/files.parquet`.

Like dead letters it follows from a commit: from the listing, and from the catalog that was made of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from videobert.runtime.manifest import Manifest
from videobert.runtime.parquet import read_table, table_bytes
from videobert.runtime.spec import digest
from videobert.runtime.storage import Store

if TYPE_CHECKING:  # a reader of accounts has no use for what sorts files
    from videobert.ingest.contents import Contents
    from videobert.ingest.listing import Listed

__all__ = ["STATES", "account_path", "account_rows", "forget_in_account", "write_account"]

TAKEN = "taken"
DEAD_LETTER = "dead letter"
FORGOTTEN = "forgotten"
CAPTIONS = "captions read"
NOT_NEEDED = "captions not needed"
NOT_READ = "captions not read"
ORPHAN = "captions of no video"
SKIPPED = "skipped"
STATES = (TAKEN, DEAD_LETTER, FORGOTTEN, CAPTIONS, NOT_NEEDED, NOT_READ, ORPHAN, SKIPPED)
"""What a file ends as."""

_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("uri", pa.string()), ("size_bytes", pa.int64()), ("state", pa.string()), ("detail", pa.string()),
    ("cues", pa.int32()), ("video_uri", pa.string()),
]  # fmt: skip
_SCHEMA = pa.schema(_COLUMNS)
_CATALOG = ["uri", "video_id", "caption_source", "caption_files", "cues"]
_LISTING, _MANIFEST, _SUMMARY = b"listing", b"manifest", b"summary"
"""In the file's metadata: digests of what it was made from, and its sentence."""
_NO_VIDEO = "its video could not be used"


def account_path(batch: str) -> str:
    return f"files/batch={batch}/files.parquet"


def write_account(
    store: Store, batch: str, listing: Mapping[str, Listed], contents: Contents, manifest: Manifest
) -> str:
    """Write the account where it is not right already; one sentence of it."""
    path, listed = account_path(batch), digest(sorted(listing.items())).encode()
    if store.exists(path):
        with store.open(path) as source:
            standing = pq.read_schema(source).metadata or {}
        if (standing.get(_LISTING), standing.get(_MANIFEST)) == (listed, manifest.digest.encode()):
            return str(json.loads(standing[_SUMMARY]))
    rows = list(account_rows(listing, contents, manifest, _catalog(store, manifest)))
    return _write(store, path, rows, listed, manifest)


def forget_in_account(store: Store, manifest: Manifest) -> None:
    """Make the account follow from a catalog that has lost a video, as far as it does not already."""
    path = account_path(manifest.batch)
    if not store.exists(path):
        return
    table = read_table(store, path)
    if table.schema.metadata[_MANIFEST] == manifest.digest.encode():
        return
    known = set(_catalog(store, manifest)) | {reject.uri for reject in manifest.rejects}
    rows = table.to_pylist()
    gone = {row["uri"] for row in rows if row["state"] in (TAKEN, DEAD_LETTER) and row["uri"] not in known}
    for row in rows:
        if row["uri"] in gone:
            row.update(state=FORGOTTEN, detail="", cues=None)
        elif row["video_uri"] in gone:
            row.update(state=NOT_NEEDED, detail=_NO_VIDEO, cues=None)
    _write(store, path, rows, table.schema.metadata[_LISTING], manifest)


def _write(store: Store, path: str, rows: list[dict[str, Any]], listed: bytes, manifest: Manifest) -> str:
    summary = _sentence(rows)
    metadata = {_LISTING: listed, _MANIFEST: manifest.digest.encode(), _SUMMARY: json.dumps(summary).encode()}
    store.write(path, table_bytes(pa.Table.from_pylist(rows, schema=_SCHEMA.with_metadata(metadata))))
    store.clear_temporaries(path.rpartition("/")[0])
    return summary


def account_rows(
    listing: Mapping[str, Listed], contents: Contents, manifest: Manifest, catalog: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """One row a file, sorted by uri. `catalog`: uri -> its row, with the number of its cues for `cues`."""
    videos = dict(_videos(contents, manifest, catalog))
    fate: tuple[str, str, int | None, str]
    for uri in sorted(listing):
        if uri in contents.skipped:
            fate = (SKIPPED, contents.skipped[uri], None, "")
        elif uri in videos:
            fate = (*videos[uri], uri)
        else:
            fate = _captions(uri, contents.owners[uri], catalog)
        values = (uri, listing[uri].size_bytes, *fate)
        yield dict(zip(_SCHEMA.names, values, strict=True))


def _videos(
    contents: Contents, manifest: Manifest, catalog: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, tuple[str, str, int | None]]]:
    """uri -> state, detail and number of cues."""
    rejects = {reject.uri: reject for reject in manifest.rejects}
    first: dict[str, str] = {}
    for file in contents.videos:
        row = catalog.get(file.uri)
        if row:
            same = first.setdefault(row["video_id"], file.uri)
            detail = f"captions: {row['caption_source']}" + (f"; same bytes as {same}" if same != file.uri else "")
            yield file.uri, (TAKEN, detail, row["cues"])
        elif file.uri in rejects:
            yield file.uri, (DEAD_LETTER, f"{rejects[file.uri].reason}: {rejects[file.uri].message}", None)
        else:
            yield file.uri, (FORGOTTEN, "", None)


def _captions(
    uri: str, owners: Iterable[str], catalog: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str, int | None, str]:
    """State, detail, cues and video of a caption file."""
    rows = [catalog[owner] for owner in owners if owner in catalog]
    opened = [(entry, row) for row in rows for entry in row["caption_files"] or () if entry["uri"] == uri]
    for entry, row in sorted(opened, key=lambda found: not found[0]["taken"]):
        if entry["taken"]:
            return CAPTIONS, entry["note"], entry["cues"], row["uri"]
        if entry["cues"]:
            return NOT_NEEDED, f"{row['caption_source']} was taken", entry["cues"], row["uri"]
        return NOT_READ, entry["note"], 0, row["uri"]
    for row in rows:
        return NOT_NEEDED, f"{row['caption_source']} was taken", None, row["uri"]
    for owner in owners:
        return NOT_NEEDED, _NO_VIDEO, None, owner
    return ORPHAN, "", None, ""


def _catalog(store: Store, manifest: Manifest) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for output in manifest.outputs:
        table = read_table(store, output.path, columns=_CATALOG)
        counts = pc.fill_null(pc.list_value_length(table["cues"]), 0)
        table = table.set_column(table.schema.get_field_index("cues"), "cues", counts)
        rows.update((row["uri"], row) for row in table.to_pylist())
    return rows


def _sentence(rows: Iterable[Mapping[str, Any]]) -> str:
    """Such as `taken: 16, captions read: 12 (340 cues), skipped: 3 (extension .txt 2, hidden 1)`."""
    states, reasons = Counter[str](), Counter[str]()
    cues = 0
    for row in rows:
        states[row["state"]] += 1
        reasons.update([row["detail"]] if row["state"] == SKIPPED else ())
        cues += row["cues"] if row["state"] == CAPTIONS else 0
    common = dict(reasons.most_common(8))
    if rest := reasons.total() - sum(common.values()):
        common["other reasons"] = rest
    why = ", ".join(f"{reason} {count:,}" for reason, count in common.items())
    more = {CAPTIONS: f" ({cues:,} cues)", SKIPPED: f" ({why})"}
    return ", ".join(f"{state}: {states[state]:,}{more.get(state, '')}" for state in STATES if states[state])
