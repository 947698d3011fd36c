"""Pictures stand as players show them: turned, mirrored, or both."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.video.videos import write_video
from videobert.video.decode import probe
from videobert.video.frames import ClipDecoder
from videobert.video.limits import DecoderLimits
from videobert.video.options import DecodeOptions
from videobert.video.orientation import Orientation
from videobert.video.request import ClipRequest

ONE, WIDTH, HEIGHT = 1 << 16, 96, 64
IMAGE = np.full((HEIGHT, WIDTH, 3), 10, np.uint8)
IMAGE[: HEIGHT // 2, : WIDTH // 2] = 240  # top left
IMAGE[: HEIGHT // 2, WIDTH // 2 :] = 120  # top right

MATRICES = {
    "as stored": ((1, 0, 0, 1), "240 120 / 10 10"),
    "a quarter to the right": ((0, 1, -1, 0), "10 240 / 10 120"),
    "half a turn": ((-1, 0, 0, -1), "10 10 / 120 240"),
    "a quarter to the left": ((0, -1, 1, 0), "120 10 / 240 10"),
    "left for right": ((-1, 0, 0, 1), "120 240 / 10 10"),
    "upside down": ((1, 0, 0, -1), "10 10 / 240 120"),
    "over the diagonal": ((0, 1, 1, 0), "240 10 / 120 10"),
    "over the other diagonal": ((0, -1, -1, 0), "10 120 / 10 240"),
}
"""The four numbers that turn (ISO/IEC 14496-12, section 6.2.2), and the quarters of the picture as it is to be seen."""


def with_matrix(path: Path, numbers: tuple[int, int, int, int]) -> Path:
    """The picture in an MP4 with this display matrix, moved so that it lies in the first quadrant."""
    data = write_video(path, [IMAGE] * 40, options={"crf": "4"}).read_bytes()
    a, b, c, d = numbers
    left, top = min(0, a) * WIDTH + min(0, c) * HEIGHT, min(0, b) * WIDTH + min(0, d) * HEIGHT
    matrix = struct.pack(">9i", a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, -left * ONE, -top * ONE, 1 << 30)
    at = data.index(b"tkhd") + 44  # after version, times, identity, layer and volume
    path.write_bytes(data[:at] + matrix + data[at + 36 :])
    return path


def quarters(image: NDArray[np.uint8]) -> str:
    half = len(image) // 2
    parts = (image[:half, :half], image[:half, half:], image[half:, :half], image[half:, half:])
    levels = [min((10, 120, 240), key=lambda level: abs(level - part.mean())) for part in parts]
    return "{} {} / {} {}".format(*levels)


@pytest.mark.parametrize("name", MATRICES)
def test_the_display_matrix_is_applied(tmp_path: Path, name: str) -> None:
    numbers, expected = MATRICES[name]
    path = with_matrix(tmp_path / "a.mp4", numbers)
    (clip,) = ClipDecoder(path, ClipRequest(frame_ticks=(15,), size=32, gray_size=16), DecodeOptions())
    assert clip.gray is not None
    assert quarters(clip.rgb[0]) == quarters(clip.gray[15]) == expected


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs FFmpeg's own program")
@pytest.mark.parametrize("name", MATRICES)
def test_ffmpegs_program_shows_the_same(tmp_path: Path, name: str) -> None:
    numbers, expected = MATRICES[name]
    command = ["ffmpeg", "-v", "error", "-i", str(with_matrix(tmp_path / "a.mp4", numbers)), "-frames:v", "1"]
    command += ["-vf", "scale=32:32", "-pix_fmt", "gray", "-f", "rawvideo", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    assert quarters(np.frombuffer(raw, np.uint8).reshape(32, 32)) == expected


@pytest.mark.parametrize("name", MATRICES)
def test_the_probe_tells_the_turn_that_follows_the_mirror(tmp_path: Path, name: str) -> None:
    numbers, expected = MATRICES[name]
    facts = probe(with_matrix(tmp_path / "a.mp4", numbers), limits=DecoderLimits())
    mirrored = numbers[0] * numbers[3] < numbers[1] * numbers[2]
    shown = Orientation(mirrored=mirrored, turns=facts.rotation // 90).apply(IMAGE[:, :HEIGHT])
    assert quarters(shown) != quarters(IMAGE[:, :HEIGHT]) or name == "as stored"
    square = np.concatenate([IMAGE[:, : HEIGHT // 2], IMAGE[:, -HEIGHT // 2 :]], axis=1)
    assert quarters(Orientation(mirrored=mirrored, turns=facts.rotation // 90).apply(square)) == expected


def test_a_matrix_that_shows_nothing_is_left_alone(tmp_path: Path) -> None:
    path = with_matrix(tmp_path / "a.mp4", (0, 0, 0, 0))
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).width == WIDTH
    (clip,) = ClipDecoder(path, ClipRequest(frame_ticks=(15,), size=32), DecodeOptions())
    assert quarters(clip.rgb[0]) == "240 120 / 10 10"
