"""Requests of runs and readers to a real S3 server, at two sizes, so that each kind is seen to be flat or to grow."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.processes import free_port
from infra.local.ray_head import inherited_env
from infra.local.s3 import S3Server
from tests.benchmarks.planning.cases import BATCH, EMBED, QUERY, run_batch, write_batches, write_killed_batch
from tests.faults.proxy import FaultyProxy
from tests.video.videos import moving_square, write_video
from videobert.ingest.config import IngestConfig
from videobert.ingest.run import run as run_ingest
from videobert.query.embeddings import open_embeddings
from videobert.query.search import nearest
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import batches_of, load_manifest, load_manifests
from videobert.runtime.storage import Store
from videobert.shard.config import ShardConfig
from videobert.shard.run import run as run_shard

__all__ = ["print_requests"]

SIZES = (20, 40)
VIDEO_BYTES = 16_000
KINDS = ("LIST", "HEAD", "GET", "PUT", "POST", "DELETE")


def print_requests() -> None:
    """One line a case, each kind of request at both sizes."""
    print(f"\n{'requests at ' + ' and '.join(map(str, SIZES)):<40}{''.join(f'{kind:>12}' for kind in KINDS)}")
    with _proxied() as (proxy, folder):
        lines: dict[str, list[dict[str, int]]] = {}
        for size in SIZES:
            for name, call in _cases(folder, size):
                before = proxy.kinds.copy()
                call()
                lines.setdefault(name, []).append(dict(proxy.kinds - before))
    for name, found in lines.items():
        print(f"{name:<40}" + "".join(f"{' '.join(str(c.get(kind, 0)) for c in found):>12}" for kind in KINDS))


@contextmanager
def _proxied() -> Iterator[tuple[FaultyProxy, Path]]:
    """A server behind a proxy without faults; the environment leads there."""
    with tempfile.TemporaryDirectory(prefix="planning-") as name:
        folder = Path(name)
        server = S3Server(folder=folder / "s3", env=inherited_env(), log=folder / "s3.log")
        try:
            server.wait("planning")
            address = server.client_env["AWS_ENDPOINT_URL"]
            proxy = FaultyProxy(address, port=free_port(start=26_000), rate=0.0, seed=0)
            proxy.start()
            os.environ.update(server.client_env | {"AWS_ENDPOINT_URL": proxy.url})
            try:
                yield proxy, folder
            finally:
                proxy.stop()
        finally:
            server.stop()


def _cases(folder: Path, size: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Name and call, in an order in which each finds what it needs."""
    fresh, killed, batches, videos = (Store(f"s3://planning/{name}-{size}") for name in ("fresh", "killed", "b", "v"))
    yield "run_shards: all to do", lambda: run_batch(fresh, size)
    yield "run_shards: all committed", lambda: run_batch(fresh, size)
    yield "run_shards: one shard to do", lambda: run_batch(fresh, size, changed=True)
    _send(killed, folder / f"killed-{size}", lambda local: write_killed_batch(local, size))
    yield "run_shards: killed before its commit", lambda: run_batch(killed, size)
    _send(batches, folder / f"batches-{size}", lambda local: write_batches(local, size))
    yield (
        "manifests of all batches, as status",
        lambda: list(load_manifests(batches, "embed", EMBED, batches_of(batches, "embed", EMBED))),
    )
    yield (
        "search over batches of one file",
        lambda: nearest(open_embeddings(batches, EMBED), QUERY, top=5),
    )
    yield (
        "search in one batch of them",
        lambda: nearest(open_embeddings(batches, EMBED, ["b000001"]), QUERY, top=5),
    )
    _send(videos, folder / f"videos-{size}", lambda local: _write_videos(local, size))
    for again in ("", ", committed"):
        yield f"stage ingest, 4 videos a part{again}", lambda: _ingest(videos)
        yield f"stage shard, 4 videos a tar{again}", lambda: _shard(videos)


def _send(store: Store, local: Path, write: Callable[[Path], None]) -> None:
    """Write a root locally, and copy it to the server."""
    write(local)
    for path in sorted(path for path in local.rglob("*") if path.is_file()):
        store.write(str(path.relative_to(local)), path.read_bytes())


def _write_videos(local: Path, size: int) -> None:
    """One short video under many names, each with another box of free space at its end."""
    folder = local / f"incoming/videos/{BATCH}"
    folder.mkdir(parents=True)
    data = write_video(folder / "0.mp4", [moving_square(number) for number in range(8)]).read_bytes()
    room = VIDEO_BYTES - len(data)
    for number in range(size):
        box = room.to_bytes(4, "big") + b"free" + number.to_bytes(room - 8, "big")
        (folder / f"{number}.mp4").write_bytes(data + box)


def _ingest(store: Store) -> None:
    run_ingest(IngestConfig(files_per_part=4), Inputs(store=store, batch=BATCH), LocalExecutor())


def _shard(store: Store) -> None:
    catalog = load_manifest(store, "ingest", "", BATCH)
    assert catalog
    inputs = Inputs(store=store, batch=BATCH, upstream={"ingest": (catalog,)})
    run_shard(ShardConfig(shard_bytes=4 * VIDEO_BYTES), inputs, LocalExecutor())
