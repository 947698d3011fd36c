"""The GPU's benchmark where there is none: it says so, and its code runs on a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.benchmarks import gpu
from tests.benchmarks.gpu import flops, main, random_encoder
from tests.video.videos import moving_square, write_video

TINY = (
    "--device cpu --peak 64 --rows 3000 --dimension 16 --encoders vit-tiny --clips 4 --batch 2 --workers 2 --videos 2"
)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert capsys.readouterr().out.startswith("not run: no GPU")


def test_on_a_cpu_every_row_is_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "TIMES", 1)
    frames = [moving_square(number) for number in range(240)]
    monkeypatch.setattr(gpu, "made_videos", lambda folder: [write_video(folder / "a.mp4", frames)])
    main(TINY.split())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("CPU, torch ")
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert float(rows["pass"][0]) < float(rows["fit"][0])
    assert rows["bytes"][-1] == "yes"
    encoded, decoded, refused = (line.split()[1:] for line in lines if line.startswith("vit-tiny"))
    assert encoded[0] == "1" and float(encoded[1]) > 0
    assert decoded[:3] == ["cpu", "2", "16"] and float(decoded[3]) > 0  # two videos of twelve seconds
    assert refused[:3] == ["nvdec", "not", "run:"]


def test_flops_of_a_clip_are_those_of_its_matrices(tmp_path: Path) -> None:
    encoder = random_encoder("vit-tiny", tmp_path, batch=2, device="cpu")
    patches, width, inner, layers, frames = 16, 32, 64, 2, 4
    tokens = patches + 1
    products = 4 * tokens * width**2 + 2 * tokens * width * inner + 2 * tokens**2 * width
    embedding, pooler = patches * 3 * 8 * 8 * width, width**2
    assert flops(encoder) == 2 * frames * (layers * products + embedding + pooler)
