"""Ingest: a batch's prefix of videos becomes the catalog, in parts of a fixed membership."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from videobert.batch_key import check_batch_key
from videobert.errors import InputError
from videobert.ingest.accounts import write_account
from videobert.ingest.config import IngestConfig
from videobert.ingest.contents import Contents, sort_files
from videobert.ingest.core import PartPayload, SourceFile
from videobert.ingest.language import language_tag
from videobert.ingest.listing import list_batch, nothing_in, source_of, uri_of
from videobert.ingest.stage import INGEST
from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, folder_of, load_manifest
from videobert.runtime.parquet import read_table
from videobert.runtime.plan import Item, extend_plan
from videobert.runtime.shards import ShardCommit, ShardTask, load_plan, run_shards, save_plan
from videobert.runtime.spec import digest, output_config
from videobert.runtime.storage import Store

__all__ = ["part_tasks", "run"]

_WORKER = "videobert.ingest.worker:IngestWorker"
_LOG = logging.getLogger(__name__)


def run(config: IngestConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """List the batch, read what is new or changed, commit the catalog. Raises InputError for an unknown batch."""
    check_batch_key(inputs.batch)
    source = source_of(config, inputs.store, inputs.batch)
    listing = list_batch(source, inputs.batch)
    contents = sort_files(listing, config.extensions, prefix=uri_of(source), language=language_tag(config.language))
    files = {file.uri: file for file in contents.videos}
    if not files:
        why = f"none below {source} ends in {', '.join(config.extensions)}; found {_examples(contents)}"
        raise nothing_in(inputs.batch, why)
    spec = INGEST.spec(config, {})
    former = load_manifest(inputs.store, INGEST.name, spec, inputs.batch)
    if former and former.facts["source"] != source:
        raise InputError(
            f"batch {inputs.batch!r} was ingested from {former.facts['source']}, now the source is {source}; "
            "use another batch key, or another root"
        )
    folder = folder_of(INGEST, spec, inputs.batch)
    standing_plan = load_plan(inputs.store, folder)
    gone = _gone(inputs.store, former, standing_plan, files)
    commit = ShardCommit(
        store=inputs.store, stage=INGEST.name, spec=spec, batch=inputs.batch, config=output_config(config), sources=(),
        expected_videos=len(files) + len(gone), facts={"source": source}, retry=inputs.retry,
    )  # fmt: skip
    items = [Item(key=uri, weight=1) for uri in (*files, *gone)]
    plan = extend_plan(standing_plan, items, limit=config.files_per_part)
    save_plan(inputs.store, folder, plan)
    tasks = part_tasks(spec, plan, files=files, gone=gone, former=former)
    manifest = run_shards(commit, tasks, worker=_WORKER, arguments=(config, inputs.store), executor=executor)
    account = write_account(inputs.store, inputs.batch, listing, contents, manifest)
    _LOG.info("files below the source of %s: %s", inputs.batch, account)
    return manifest


def _examples(contents: Contents) -> str:
    """What there is in place of videos."""
    found = [f"{uri.rpartition('/')[2]} ({reason})" for uri, reason in contents.skipped.items()]
    found += [f"{uri.rpartition('/')[2]} (captions)" for uri in contents.owners]
    return f"{', '.join(found[:3])}{f' and {len(found) - 3:,} more' if len(found) > 3 else ''}"


def part_tasks(
    spec: str,
    plan: Sequence[Sequence[str]],
    *,
    files: Mapping[str, SourceFile],
    gone: Mapping[str, str],
    former: Manifest | None,
) -> list[ShardTask]:
    """One a part of the catalog."""
    paths = {output.shard: output.path for output in former.outputs} if former else {}
    tasks = []
    for number, part in enumerate(plan):
        present = tuple(files[uri] for uri in part if uri in files)
        kept = tuple(uri for uri in part if uri in gone)
        known = digest([spec, *sorted([file.digest for file in present] + [gone[uri] for uri in kept])])
        payload = PartPayload(files=present, former_path=paths.get(number, ""), keep_uris=kept)
        tasks.append(ShardTask(shard=number, input_digest=known, payload=payload))
    return tasks


def _gone(
    store: Store, former: Manifest | None, plan: Sequence[Sequence[str]], files: Mapping[str, SourceFile]
) -> dict[str, str]:
    """Videos with a committed row that left the source: uri -> source digest. A bucket may expire what was read."""
    gone = {}
    for output in former.outputs if former else ():
        part = plan[output.shard] if output.shard < len(plan) else ()
        answered = output.counts["videos"] + output.counts.get("forgotten", 0) + len(output.rejects)
        if len(part) == answered and all(uri in files for uri in part):
            continue  # a part never takes in another file, so these are the files that it was made of
        table = read_table(store, output.path, columns=["uri", "source_digest"])
        for row in table.to_pylist():
            if row["uri"] not in files:
                gone[row["uri"]] = row["source_digest"]
    return gone
