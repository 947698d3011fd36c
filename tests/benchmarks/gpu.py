"""What only a GPU shows, versus floors of the same run: `python -m tests.benchmarks.gpu [--device cuda]`.

    [--rows 1000000] [--dimension 1024] [--encoders vit-l s3d] [--clips 256] [--batch 8 32]
    [--workers 1 4] [--videos 32]

Floors: a bf16 product of 8192 x 8192, a copy within the GPU's memory, a copy to it from this process's memory.
Codebook: `pass` is one of Lloyd's over all rows with 12 centroids, whose floor reads every row once; `encode` descends
four levels, whose floor reads every row once a level, and `with copy` begins in this process's memory; `fit` is the
whole tree of 12 ** 4 leaves. Its bytes must be those of the CPU's.
Encoders: random weights, clips in memory to vectors in memory as the stage calls it; the floor is their products at the
pace of the large one. ViT-L sees 4 pictures a clip, S3D 30; S3D needs torchvision.
Stage: H.264 files through a decoder process a worker and one encoder that all share; a clip is 1.5 s of video.
Where no GPU is, it says so and ends well; `--device cpu --encoders vit-tiny --rows 20000 --dimension 64 --peak 512`
shows what would be run. Pretraining has its own: `python -m tests.benchmarks.pretrain --device cuda --size large`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import ViTConfig, ViTModel

from tests.benchmarks.codebook import kitchen
from tests.benchmarks.features import made_videos
from tests.benchmarks.pretrain.gpu import peak_flops, wait
from tests.features.encoders.clips import random_clips
from videobert.codebook.config import CodebookConfig
from videobert.codebook.core import Codebook
from videobert.codebook.hierarchy import fit, fit_with_group, local_group
from videobert.codebook.kmeans import tensor
from videobert.codebook.rows import FitWorker, Partial
from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.core import ClipVectors, VideoEnd, encode_videos
from videobert.features.encoders import Encoder, load_encoder
from videobert.video.isolated import IsolatedDecoder

__all__ = ["bandwidth", "flops", "main", "random_encoder", "report_codebook", "report_encoder", "report_stage"]

TIMES = 3
VITS = {
    "vit-l": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    "vit-tiny": {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
        "image_size": 32, "patch_size": 8,
    },
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Print three tables, or why there are none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=1024)
    parser.add_argument("--encoders", nargs="+", default=["vit-l", "s3d"], choices=[*VITS, "s3d"])
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--videos", type=int, default=32, help="of twelve seconds")
    parser.add_argument("--peak", type=int, default=8192, help="side of the large product")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("not run: no GPU is here (nor was the GPU part of tests.benchmarks.pretrain)")
        return
    machine = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    peak = peak_flops(options.device, size=options.peak)
    print(f"{machine}, torch {torch.__version__}: bf16 product {peak / 1e12:.3g} TFLOP/s, copy within its memory "
          f"{bandwidth(options.device) / 1e9:.4g} GB/s read and written")  # fmt: skip
    report_codebook(options.rows, options.dimension, options.device)
    with tempfile.TemporaryDirectory(prefix="videobert-gpu-") as name:
        _report_features(options, Path(name), peak)


def _report_features(options: argparse.Namespace, folder: Path, peak: float) -> None:
    encoders: list[Encoder] = []
    print("\nencoder      batch   clips/s   GFLOP a clip  share of the peak  peak GiB")
    for name in options.encoders:
        try:
            several = [random_encoder(name, folder, batch=batch, device=options.device) for batch in options.batch]
        except InputError as error:
            print(f"{name}: not run: {error}")
            continue
        for encoder in several:
            report_encoder(encoder, options.device, clips=options.clips, peak=peak)
        encoders.append(several[-1])
    made = made_videos(folder)
    paths = [made[number % len(made)] for number in range(options.videos)]
    print("\nencoder      decoder  workers  clips   clips/s   video-hours per GPU-hour")
    for encoder in encoders:
        for workers in options.workers:
            for decoder in ("cpu", "nvdec"):
                try:
                    report_stage(encoder, paths, options.device, decoder=decoder, workers=workers)
                except InputError as error:
                    print(f"{encoder.identity.label:12s} {decoder:8s} not run: {error}")


def bandwidth(device: str) -> float:
    """Bytes a second, read and written, of a copy within the device's memory."""
    size = 1 << (27 if device == "cpu" else 31)  # far beyond any cache
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / seconds(lambda: target.copy_(source), device)


def seconds(call: Callable[[], object], device: str) -> float:
    """Median of some calls after a first that does not count."""
    found = []
    for _ in range(TIMES + 1):
        wait(device)
        since = time.perf_counter()
        call()
        wait(device)
        found.append(time.perf_counter() - since)
    return statistics.median(found[1:])


def report_codebook(rows: int, dimension: int, device: str) -> None:
    """Pass, fit and encoding of one set of vectors; and that the device changes no byte of the result."""
    vectors = np.concatenate(list(kitchen(rows, dimension)))
    memory = bandwidth(device)
    copied = seconds(lambda: tensor(vectors, device=torch.device(device)), device)
    print(f"\ncodebook, {rows} x {dimension}, copying to the device {copied:.3f} s")
    print("what            seconds   GB/s of rows   share of the floor")
    (once, first), (often, last) = (_lloyd(vectors, device, iterations=iterations) for iterations in (1, 10))
    config = CodebookConfig(branching=12, depth=4, device=device)
    fitted: list[Codebook] = []
    whole = seconds(lambda: fitted.append(fit(vectors, config)), device)
    encoded = seconds(lambda: fitted[0].encode(vectors, device=device), device)
    lines = {"pass": ((often - once) / (last - first), 1), "encode": (encoded - copied, 4), "with copy": (encoded, 4)}
    for name, (took, passes) in lines.items():
        read = passes * vectors.nbytes
        print(f"{name:12s} {took:10.4f} {read / took / 1e9:14.1f} {read / memory / took:20.3f}")
    print(f"{'fit':12s} {whole:10.3f}")
    sample = vectors[: 20_000 if device != "cpu" else 2_000]
    here, there = (fit(sample, CodebookConfig(branching=12, depth=4, device=where)) for where in ("cpu", device))
    same = here.to_bytes() == there.to_bytes() and np.array_equal(
        here.encode(sample), there.encode(sample, device=device)
    )
    print(f"bytes and leaves of {len(sample)} rows are those of the CPU: {'yes' if same else 'NO'}")


class _CountedWorker(FitWorker):
    """A worker that knows how often it was asked for a pass."""

    passes = 0

    def step(self, active_A: Tensor, centroids_AKD: Tensor, present_AK: Tensor) -> Partial:
        self.passes += 1
        return super().step(active_A, centroids_AKD, present_AK)


def _lloyd(vectors: NDArray[np.float32], device: str, *, iterations: int) -> tuple[float, int]:
    """Seconds and passes of a fit of one level."""
    worker = _CountedWorker(vectors, device=device)
    config = CodebookConfig(branching=12, depth=1, iterations=iterations, tolerance=0.0, device=device)
    took = seconds(lambda: fit_with_group(local_group([worker]), config, device=device), device)
    return took, worker.passes // (TIMES + 1)


def random_encoder(name: str, folder: Path, *, batch: int, device: str) -> Encoder:
    """An encoder of the pipeline on random weights, loaded from files as any other."""
    source = f"hf:{folder / name}"
    if name == "s3d":
        source = "torchvision:s3d"
        _write_s3d(folder)
    elif not (folder / name).is_dir():
        ViTModel(ViTConfig.from_dict(VITS[name])).save_pretrained(folder / name)
        (folder / name / "preprocessor_config.json").write_text(
            json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3})
        )
    return load_encoder(FeaturesConfig(encoder=source, batch_clips=batch, autocast="bf16", device=device))


def _write_s3d(folder: Path) -> None:
    weights = folder / "checkpoints" / "s3d-d76dad2f.pth"
    if weights.exists() or importlib.util.find_spec("torchvision") is None:
        return  # what is missing, loading the encoder will say
    from torchvision.models.video import s3d

    torch.hub.set_dir(str(folder))
    weights.parent.mkdir()
    torch.save(s3d().state_dict(), weights)


def flops(encoder: Encoder) -> float:
    """Floating-point operations of the products and convolutions of one clip."""
    clips = random_clips(encoder.request, encoder.batch_clips)
    # In one kernel, the products of attention are counted on some devices only.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        encoder.encode(clips)
    return float(counter.get_total_flops() / encoder.batch_clips)


def report_encoder(encoder: Encoder, device: str, *, clips: int, peak: float) -> None:
    """One row: what of the floor is reached with this batch."""
    given = random_clips(encoder.request, min(clips, 64))
    many = [given[number % len(given)] for number in range(clips)]
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    took = seconds(lambda: encoder.encode(many), device)
    memory = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
    each = flops(encoder)
    print(f"{encoder.identity.label:12s} {encoder.batch_clips:5d} {clips / took:9.1f} {each / 1e9:13.1f} "
          f"{each * clips / took / peak:19.3f} {memory:9.1f}", flush=True)  # fmt: skip


def report_stage(
    encoder: Encoder, paths: Sequence[Path], device: str, *, decoder: Literal["cpu", "nvdec"], workers: int
) -> None:
    """One row: all videos by so many workers, each with a decoder process of its own."""
    config = FeaturesConfig(device=device, decoder=decoder)
    decoders = [IsolatedDecoder(config.limits, on_gpu=decoder != "cpu") for _ in range(workers)]

    def work(number: int) -> int:
        sources = [
            (str(path), decoders[number].clips(path, encoder.request, config.decoding))
            for path in paths[number::workers]
        ]
        clips = 0
        for event in encode_videos(sources, encoder, ahead=config.decode_ahead):
            if isinstance(event, VideoEnd) and event.error:
                raise event.error
            clips += len(event.index_N) if isinstance(event, ClipVectors) else 0
        return clips

    found: list[int] = []

    def stage() -> None:
        with ThreadPoolExecutor(workers) as pool:
            found.append(sum(pool.map(work, range(workers))))

    try:
        took = seconds(stage, device)
    finally:
        for each in decoders:
            each.close()
    hours = found[0] * config.clip_seconds / took  # of video a second, which is hours an hour
    print(f"{encoder.identity.label:12s} {decoder:8s} {workers:7d} {found[0]:6d} {found[0] / took:9.1f} {hours:26.0f}",
          flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
