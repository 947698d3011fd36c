"""What it costs to train from token shards on S3: `python -m tests.benchmarks.pretrain.s3 [--pairs 20000]`.

A worker reads all shards once before its first step, and then shuffles in memory, where every batch is one function
call. Waiting for data is thus the reading, spread over the steps of the run, and what the loop waits for batches. The
server is a real one on loopback; files are read beside it in turns.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from infra.local.ray_head import inherited_env
from infra.local.s3 import S3Server
from pipeline.pretrain.job import training_videos
from pipeline.pretrain.train import train
from pipeline.runtime.manifest import Manifest, Output
from pipeline.runtime.spec import canonical_json
from pipeline.runtime.storage import Store
from pipeline.runtime.tar import TarWriter
from pipeline.tokens.core import to_json
from pipeline.tokens.records import TokenizedVideo
from tests.benchmarks.pretrain.setting import Setting, kitchen_videos

VIDEOS_A_SHARD = 200
ROUNDS = 3
STEPS = 30
EPOCHS = 8
"""Of the paper's run."""

CODEBOOK = Manifest(
    stage="codebook", spec="codebook-1", batch="", config={}, sources=(), outputs=(), facts={"heldout_fraction": 0.0}
)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--size", default="small")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    setting = Setting(size=options.size, steps=STEPS, threads=options.threads)
    videos = kitchen_videos(options.pairs, split="train")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = S3Server(folder=folder / "s3", env=inherited_env(), log=folder / "s3.log")
        try:
            os.environ.update(server.client_env)
            server.wait("tokens")
            _compare(setting, videos, stores={"files": Store(str(folder / "files")), "S3": Store("s3://tokens/run")})
        finally:
            server.stop()


def _compare(setting: Setting, videos: list[TokenizedVideo], *, stores: dict[str, Store]) -> None:
    manifests = {name: _write(store, videos) for name, store in stores.items()}
    seconds: dict[str, list[float]] = {name: [] for name in stores}
    found: dict[str, list[TokenizedVideo]] = {}
    for _ in range(ROUNDS):
        for name, store in stores.items():
            since = time.perf_counter()
            found[name] = training_videos(store, (manifests[name],), CODEBOOK)
            seconds[name].append(time.perf_counter() - since)
    size = sum(output.size_bytes for output in manifests["S3"].outputs)
    tokens = sum(len(v.visual) + sum(len(s.text_ids) for s in v.segments) for v in videos)
    print(f"{len(videos):,} videos, {tokens:,} tokens, {len(manifests['S3'].outputs)} shards, {size / 1e6:.1f} MB")
    for name, runs in seconds.items():
        rate = tokens / statistics.median(runs)
        print(f"{name:6s} read in {statistics.median(runs):6.2f} s, of {', '.join(f'{run:.2f}' for run in runs)}; "
              f"{rate:,.0f} tokens/s")  # fmt: skip
    config = replace(setting.config, log_every_steps=STEPS // 2)
    last = train(setting.model(), found["S3"], config).curve[1]
    steps = setting.steps_of(found["S3"], epochs=EPOCHS)
    step = _step_seconds(setting, last)
    read = statistics.median(seconds["S3"]) / steps
    print(f"{setting.size}, {setting.threads} threads: a step of {setting.batch} sequences takes {step:.3f} s, "
          f"{100 * last['data_wait']:.2f} % of it waiting for its batch")  # fmt: skip
    print(f"reading from S3, spread over the {steps:,} steps of {EPOCHS} epochs: {100 * read / step:.2f} % of a step")


def _step_seconds(setting: Setting, record: dict[str, float]) -> float:
    lengths = setting.lengths()
    return statistics.mean(sum(step) for step in lengths) / record["tokens_per_second"]


def _write(store: Store, videos: list[TokenizedVideo]) -> Manifest:
    """Token shards as the token stage writes them."""
    outputs = []
    for shard, first in enumerate(range(0, len(videos), VIDEOS_A_SHARD)):
        some, sink = videos[first : first + VIDEOS_A_SHARD], io.BytesIO()
        tar = TarWriter(sink)
        for video in some:
            starts = [1.5 * number for number in range(len(video.visual))]
            sample = to_json(
                video, uri=f"s3://videos/{video.video_id}.mp4", title="", clip_starts=starts,
                clip_ends=[start + 1.5 for start in starts],
            )  # fmt: skip
            tar.add(f"{video.video_id}.json", canonical_json(sample))
        tar.close()
        path = f"tokens/tokens-1/batch=one/{shard:05d}.tar"
        store.write(path, sink.getvalue())
        outputs.append(
            Output(
                shard=shard, input_digest="", path=path, sha256="", size_bytes=sink.tell(), counts={"videos": len(some)}
            )
        )
    return Manifest(stage="tokens", spec="tokens-1", batch="one", config={}, sources=(), outputs=tuple(outputs))


if __name__ == "__main__":
    main()
