"""What it costs to train from token shards on S3: `python -m tests.benchmarks.pretrain.s3 [--pairs 20000]`.

    python -m tests.benchmarks.pretrain.s3 [--pairs 20000] [--copies 5] [--window 1000] [--steps 160]
        [--size tiny|small|base] [--threads 1]

The same corpus, once as a single window and once in windows of which a run of `--steps` meets several; each in a
process of its own, on files and on a real S3 server on loopback. First step: seconds from the manifests to its end,
the model apart. Wait: what the loop waits for batches, the borders of windows included, as a share of all steps after
the first. Memory: by how much the peak of resident pages exceeds that of the same loop over 4,000 pairs in memory.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import re
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from infra.local.ray_head import inherited_env
from infra.local.s3 import S3Server
from tests.benchmarks.pretrain.setting import Setting, kitchen_videos
from videobert.pretrain.job import training_windows
from videobert.pretrain.train import train
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store
from videobert.runtime.tar import TarWriter
from videobert.tokens.core import to_json
from videobert.tokens.records import TokenizedVideo

VIDEOS_A_SHARD = 40
STEPS_BEFORE = 10
CODEBOOK = Manifest(
    stage="codebook", spec="codebook-1", batch="", config={}, sources=(), outputs=(), facts={"heldout_fraction": 0.0}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of one run."""

    windows: int
    first_step: float
    """Seconds."""
    step: float
    """Seconds, mean of all but the first."""
    wait: float
    """Share of these."""
    megabytes: float


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--copies", type=int, default=5, help="of every video, under names of their own")
    parser.add_argument("--window", type=int, default=1000, help="segments of a window")
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--size", default="small")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    setting = Setting(size=options.size, steps=options.steps, threads=options.threads)
    videos = kitchen_videos(options.pairs, split="train")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = S3Server(folder=folder / "s3", env=inherited_env(), log=folder / "s3.log")
        try:
            os.environ.update(server.client_env)
            server.wait("tokens")
            roots = {"files": str(folder / "files"), "S3": "s3://tokens/run"}
            manifests = {place: write(Store(root), videos, copies=options.copies) for place, root in roots.items()}
            _report(setting, videos * options.copies, manifests["S3"])
            for window in (10**9, options.window):
                for place, root in roots.items():
                    _row(place, _alone(root, manifests[place], setting, window))
        finally:
            server.stop()


def _report(setting: Setting, videos: list[TokenizedVideo], manifest: Manifest) -> None:
    size = sum(output.size_bytes for output in manifest.outputs)
    tokens = sum(len(v.visual) + sum(len(s.text_ids) for s in v.segments) for v in videos)
    print(f"{len(videos):,} videos, {manifest.counts['segments']:,} segments, {tokens:,} tokens, "
          f"{len(manifest.outputs):,} shards, {size / 1e6:.1f} MB; {setting.size}, {setting.steps} steps of "
          f"{setting.batch}, {setting.threads} threads")  # fmt: skip
    print("         windows  first step      step   wait   memory")


def _row(place: str, found: Found) -> None:
    print(f"{place:6s} {found.windows:9,d} {found.first_step:9.2f} s {found.step:7.3f} s {100 * found.wait:5.2f} % "
          f"{found.megabytes:5.0f} MB", flush=True)  # fmt: skip


def _alone(root: str, manifest: Manifest, setting: Setting, window: int) -> Found:
    """`measure` in a process of its own, whose peak of memory is its own too."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, root, manifest, setting, window).result()


def measure(root: str, manifest: Manifest, setting: Setting, window: int) -> Found:
    """Train from the shards."""
    torch.set_num_threads(setting.threads)
    config = replace(setting.config, window_segments=window)
    store = Store(root)
    store.read(manifest.outputs[0].path)  # the client's own memory is no part of the comparison
    train(setting.model(), setting.videos, replace(config, steps=STEPS_BEFORE))
    usual = _megabytes("VmHWM")
    model, times, waits = setting.model(), list[float](), list[float]()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    since = last = time.perf_counter()

    def on_step(record: dict[str, float]) -> None:
        nonlocal last
        now = time.perf_counter()
        times.append(now - last)
        waits.append(record["data_wait"] * (now - last))
        last = now

    windows = training_windows(store, (manifest,), CODEBOOK, config)
    train(model, windows, config, on_step=on_step)
    steps = len(times) - 1
    return Found(
        windows=len(windows.segments), first_step=times[0], step=sum(times[1:]) / steps,
        wait=sum(waits[1:]) / (last - since - times[0]), megabytes=_megabytes("VmHWM") - usual,
    )  # fmt: skip


def _megabytes(field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1000


def write(store: Store, videos: list[TokenizedVideo], *, copies: int = 1) -> Manifest:
    """Token shards as the token stage writes them."""
    outputs = []
    firsts = [(copy, first) for copy in range(copies) for first in range(0, len(videos), VIDEOS_A_SHARD)]
    for shard, (copy, first) in enumerate(firsts):
        some, sink = videos[first : first + VIDEOS_A_SHARD], io.BytesIO()
        tar = TarWriter(sink)
        for video in some:
            video_id = f"{video.video_id}-{copy}"
            starts = [1.5 * number for number in range(len(video.visual))]
            sample = to_json(
                replace(video, video_id=video_id), uri=f"s3://videos/{video_id}.mp4", title="", clip_starts=starts,
                clip_ends=[start + 1.5 for start in starts],
            )  # fmt: skip
            tar.add(f"{video_id}.json", canonical_json(sample))
        tar.close()
        path = f"tokens/tokens-1/batch=one/{shard:05d}.tar"
        store.write(path, sink.getvalue())
        counts = {"videos": len(some), "segments": sum(len(video.segments) for video in some)}
        outputs.append(
            Output(shard=shard, input_digest="", path=path, sha256="", size_bytes=sink.tell(), counts=counts)
        )
    return Manifest(stage="tokens", spec="tokens-1", batch="one", config={}, sources=(), outputs=tuple(outputs))


if __name__ == "__main__":
    main()
