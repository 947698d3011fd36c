"""The feature stage versus the ways of clip-video-encode and video2dataset: `python -m tests.benchmarks.yardsticks`.

Neither installs with Python 3.11 and torch 2 (they ask for torch 1 and pyarrow 7), so what they do is done here with
the libraries that they use, and all feed the same encoder the same number of frames a clip, one clip a call, one
thread each:
- `opencv`: clip-video-encode through video2numpy. Grab every frame, retrieve and resize those of the 20 fps grid.
- `pipe`: video2numpy's other reader. An ffmpeg process drops to 20 fps, scales, and writes raw pictures into a pipe.
- `decord`: video2dataset. ffmpeg drops to 20 fps and scales into an mp4 (one process, where it takes two), from which
  decord reads batches.
Needs `pip install opencv-python-headless imageio-ffmpeg decord`. All alternate within each round; ratios are medians of
rounds of CPU seconds of all processes. None of the three notes damage, keeps limits, or shields itself from FFmpeg.

Found on two busy cores, over six videos: the stage takes 0.53 to 0.83 of the CPU time of `opencv`, 0.69 to 0.86 of
`pipe` and 0.40 to 0.62 of `decord`, with equal numbers of clips. It scales four pictures a clip to the size of the
encoder and thirty to that of the motion, where the ffmpeg process scales thirty to the size of the encoder.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
from numpy.typing import NDArray

from tests.benchmarks.features import made_videos, packaged_videos
from tests.video.videos import encoded
from videobert.features.config import FeaturesConfig
from videobert.features.encoders import Encoder, load_encoder
from videobert.video.isolated import IsolatedDecoder
from videobert.video.request import ClipFrames, ClipRequest

try:  # no packages of this project, so no types either
    cv2, decord, imageio_ffmpeg = (cast(Any, import_module(name)) for name in ("cv2", "decord", "imageio_ffmpeg"))
except ImportError as error:
    sys.exit(f"{error}; pip install opencv-python-headless imageio-ffmpeg decord")

Reader = Callable[[Path, ClipRequest, FeaturesConfig], Iterator[ClipFrames]]
Image = NDArray[np.uint8]


def main() -> None:
    """Print one row a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encoder", default="packaged")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    config = FeaturesConfig(encoder=arguments.encoder, device="cpu")
    encoder, decoder = load_encoder(config), IsolatedDecoder(config.limits)
    columns = "".join(f"{name:>22}" for name in READERS)
    print(f"{'CPU ms a clip (clips)':<22}{'ours':>14}{columns}   with the ratio of ours to it")
    with tempfile.TemporaryDirectory() as folder:
        for path in arguments.videos or [*made_videos(Path(folder)), *packaged_videos()]:
            _report(path, encoder, config, decoder=decoder, rounds=arguments.rounds)


def _report(path: Path, encoder: Encoder, config: FeaturesConfig, *, decoder: IsolatedDecoder, rounds: int) -> None:
    def ours() -> int:
        return len(encoded(path, encoder, config, decoder=decoder).index_N)

    def theirs(reader: Reader) -> int:
        return len([encoder.encode([clip]) for clip in reader(path, encoder.request, config)])

    parts = [ours, *(lambda reader=reader: theirs(reader) for reader in READERS.values())]
    clips = [part() for part in parts]
    costs = []
    for number in range(rounds):
        measured = {(number + k) % len(parts): 0.0 for k in range(len(parts))}  # each is first in turn
        for which in measured:
            before = _cpu_seconds()
            parts[which]()
            measured[which] = 1000 * (_cpu_seconds() - before) / clips[which]
        costs.append([measured[which] for which in range(len(parts))])
    each = [statistics.median(round_[which] for round_ in costs) for which in range(len(parts))]
    ratios = [statistics.median(round_[0] / round_[which] for round_ in costs) for which in range(1, len(parts))]
    columns = "".join(f"{ms:>10.1f} ({n:>3}) x{r:.2f}" for ms, n, r in zip(each[1:], clips[1:], ratios, strict=True))
    print(f"{path.name[:22]:<22}{each[0]:>8.1f} ({clips[0]:>3}){columns}", flush=True)


def _cpu_seconds() -> float:
    """Of this process and its children, running or ended."""
    times = os.times()
    running = (child.cpu_times() for child in psutil.Process().children())
    ended = times.children_user + times.children_system
    return time.process_time() + ended + float(sum(t.user + t.system for t in running))


def with_opencv(path: Path, request: ClipRequest, config: FeaturesConfig) -> Iterator[ClipFrames]:
    """Frames in their order, taken to have a constant rate as the readers of these projects do."""
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    step = video.get(cv2.CAP_PROP_FPS) / float(config.rate)

    def ticks() -> Iterator[Image]:
        frame, tick = -1, 0
        shown: Any = None
        while True:
            while frame < int(tick * step):
                if not video.grab():
                    return
                frame, shown = frame + 1, None
            shown = video.retrieve()[1] if shown is None else shown
            yield shown
            tick += 1

    yield from _clips(ticks(), request, config, blue_first=True)
    video.release()


def with_pipe(path: Path, request: ClipRequest, config: FeaturesConfig) -> Iterator[ClipFrames]:
    command = [*_ffmpeg(path, request, config), "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:"]
    size = request.size
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        pipe = process.stdout
        assert pipe is not None
        pictures = iter(lambda: pipe.read(3 * size * size), b"")
        images = (np.frombuffer(data, np.uint8).reshape(size, size, 3) for data in pictures)
        yield from _clips(images, request, config)


def with_decord(path: Path, request: ClipRequest, config: FeaturesConfig) -> Iterator[ClipFrames]:
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "output.mp4"
        subprocess.run([*_ffmpeg(path, request, config), "-threads", "1", str(small)], check=True)
        video = decord.VideoReader(str(small), num_threads=1)
        length = config.ticks_per_clip
        batches = (video.get_batch(range(i, i + length)).asnumpy() for i in range(0, len(video) - length + 1, length))
        yield from _clips((image for batch in batches for image in batch), request, config)


def _ffmpeg(path: Path, request: ClipRequest, config: FeaturesConfig) -> list[str]:
    scaled = f"fps={config.fps},scale={request.size}:{request.size}"
    program = imageio_ffmpeg.get_ffmpeg_exe()
    return [program, "-nostdin", "-v", "error", "-threads", "1", "-i", str(path), "-an", "-vf", scaled]


def _clips(
    images: Iterator[Image], request: ClipRequest, config: FeaturesConfig, *, blue_first: bool = False
) -> Iterator[ClipFrames]:
    """Whole clips of pictures of the 20 fps grid."""
    rgb: list[Image] = []
    gray: list[Image] = []
    for number, image in enumerate(images):
        index, position = divmod(number, config.ticks_per_clip)
        if position in request.frame_ticks:
            colour = _resized(image, request.size)
            rgb += [colour[..., ::-1] if blue_first else colour] * request.frame_ticks.count(position)
        if request.gray_size:
            small = _resized(image, request.gray_size)
            gray.append(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY if blue_first else cv2.COLOR_RGB2GRAY))
        if position == config.ticks_per_clip - 1:
            yield ClipFrames(index=index, rgb=np.stack(rgb), gray=np.stack(gray) if gray else None)
            rgb, gray = [], []


def _resized(image: Image, size: int) -> Image:
    if image.shape[:2] == (size, size):
        return image
    small: Image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return small


READERS: dict[str, Reader] = {"opencv": with_opencv, "pipe": with_pipe, "decord": with_decord}

if __name__ == "__main__":
    main()
