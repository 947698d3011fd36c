"""Memory and time of ingest, shard and features by the length of a video: `python -m tests.benchmarks.long_video`.

Every stage runs as a command of its own; `peak` is the most that it and its children held together, shared pages
counted once (PSS), seen five times a second. The video is H.264 of 96 x 64 at 10 pictures a second without sound:
five minutes of drifting texture, encoded once, whose packets are repeated to the length that is asked for, so that no
clip is like the one before it. The encoder is a real one of transformers with random weights and no layer, since five
hours of the packaged one would take ten minutes; its vectors are as long as that one's (2,560), for these add up.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tests.video.videos import write_video

BATCH = "long"
FPS = 10
WIDTH, HEIGHT = 96, 64
REPEATED_MINUTES = 5
_EVERY_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one command took."""

    peak_bytes: int
    cpu_seconds: float
    last_line: str


def main() -> None:
    """Print one row a length and stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=int, nargs="+", default=[5, 300])
    parser.add_argument("--packaged", action="store_true", help="the packaged encoder: 3 s of CPU a minute of video")
    options = parser.parse_args()
    print(f"{'minutes':>7}  {'file':>9}  {'stage':<9}{'peak':>9}  {'CPU s':>7}  result", flush=True)
    with tempfile.TemporaryDirectory(prefix="long-video-") as name:
        folder = Path(name)
        encoder = ["packaged"] if options.packaged else [f"hf:{save_encoder(folder / 'encoder')}"]
        encoder += [] if options.packaged else ["--features.frames-per-clip", "1"]
        piece = write_video(folder / "piece.mp4", texture(REPEATED_MINUTES * 60 * FPS), fps=FPS, keyframe_every=20,
                            options={"preset": "ultrafast", "bf": "2"})  # fmt: skip
        for minutes in options.minutes:
            root = folder / f"{minutes}"
            video = root / "incoming" / "videos" / BATCH / "long.mp4"
            video.parent.mkdir(parents=True)
            repeat(piece, video, seconds=60 * minutes)
            for stage in ("ingest", "shard", "features"):
                command = ["-m", "videobert", "stage", stage, "--root", str(root), "--batch", BATCH]
                cost = run([*command, "--features.encoder", *encoder])
                print(
                    f"{minutes:>7}  {video.stat().st_size / 1e6:>6.1f} MB  {stage:<9}{cost.peak_bytes / 1e6:>6.0f} MB"
                    f"  {cost.cpu_seconds:>7.1f}  {cost.last_line}",
                    flush=True,
                )


def run(arguments: list[str]) -> Cost:
    """One Python command, watched from outside."""
    before = _children_seconds()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _pss(process.pid))
        time.sleep(_EVERY_SECONDS)
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    if process.returncode:
        sys.exit(f"{' '.join(arguments)} failed")
    return Cost(peak_bytes=peak, cpu_seconds=_children_seconds() - before, last_line=lines[-1])


def _pss(pid: int) -> int:
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):  # it has ended
            continue
    return total


def _children_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def texture(frames: int) -> list[NDArray[np.uint8]]:
    """Waves that drift, and lines that never come back at the same place; shapes [H, W, 3], some of them shared."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    waves = [
        np.stack([np.sin((columns + 3 * n) / (7 + c)) + np.cos((rows - 2 * n) / (9 + c)) for c in range(3)], axis=-1)
        for n in range(60)
    ]
    still = [(wave * 50 + 120).astype(np.uint8) for wave in waves]
    return [np.roll(still[number % 60], number // 60, axis=1) for number in range(frames)]


def repeat(source: Path, target: Path, *, seconds: int) -> None:
    """The packets of a file, again and again, with times that go on."""
    with av.open(str(target), "w") as sink:
        stream, at, end = None, 0, Fraction(seconds)
        while True:
            with av.open(str(source)) as container:
                video = container.streams.video[0]
                if stream is None:
                    stream = sink.add_stream_from_template(video)
                    assert isinstance(stream, VideoStream)
                assert video.duration and video.time_base
                for packet in container.demux(video):
                    if packet.dts is None or packet.pts is None:
                        continue
                    if (at + packet.pts) * video.time_base >= end and packet.is_keyframe:
                        return
                    packet.pts, packet.dts, packet.stream = at + packet.pts, at + packet.dts, stream
                    sink.mux(packet)
                at += video.duration


def save_encoder(folder: Path) -> Path:
    """A vision transformer without layers or pooler: the mean of a class token and the embedding of one patch."""
    import torch
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=2560, num_hidden_layers=0, num_attention_heads=1, intermediate_size=1, image_size=16, patch_size=16
    )
    ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
