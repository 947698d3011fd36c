from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches

from tests.video.videos import write_video
from videobert.video.frames import ClipDecoder
from videobert.video.geometry import by_shorter_side, in_patches, middle_square
from videobert.video.isolated import IsolatedDecoder
from videobert.video.limits import DecoderLimits
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipFrames, ClipRequest


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (640, 360, (455, 256)),
        (360, 640, (256, 455)),
        (64, 64, (256, 256)),
        (16384, 2, (2048, 256)),
        (1, 9, (256, 2048)),
    ],
)
def test_the_shorter_side_is_scaled_and_the_shape_kept(width: int, height: int, expected: tuple[int, int]) -> None:
    assert by_shorter_side(Fraction(width), Fraction(height), 256) == expected


@given(st.integers(8, 2000), st.integers(8, 2000), st.sampled_from([14, 16]), st.sampled_from([16, 64, 256]))
def test_patches_are_counted_as_siglip_2_counts_them(width: int, height: int, patch: int, most: int) -> None:
    rows, columns = get_image_size_for_max_num_patches(height, width, patch, most, eps=1e-9)
    assert in_patches(Fraction(width), Fraction(height), patch=patch, most=most) == (columns, rows)


def test_a_request_that_cuts_more_than_there_is_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="no shorter"):
        ClipRequest(frame_ticks=(0,), size=32, shorter_side=31)


def quarters(width: int, height: int) -> NDArray[np.uint8]:
    """Four colours in four quarters."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = (200, 30, 30), (30, 200, 30)
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = (30, 30, 200), (200, 200, 30)
    return image


def first_clip(path: Path, request: ClipRequest) -> ClipFrames:
    here = list(ClipDecoder(path, request, DecodeOptions()))
    there = list(IsolatedDecoder(DecoderLimits()).clips(path, request, DecodeOptions()))
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(here, there, strict=True))
    return here[0]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize(("width", "height"), [(160, 80), (80, 160)])
def test_the_middle_square_of_the_picture_as_it_is_shown(tmp_path: Path, width: int, height: int, turns: int) -> None:
    """Cut out after the turn, or before it: the same, and nothing of the white margins is left."""
    image = quarters(width, height)
    margins = np.ones((height, width), bool)
    middle_square(margins.view(np.uint8), min(width, height) - 24)[:] = 0
    image[margins] = 255
    path = write_video(tmp_path / "a.mkv", [image] * 31, codec="ffv1", pixel_format="yuv444p")
    turned = write_video(tmp_path / "a.mp4", [image] * 31, rotation=90 * turns, options={"crf": "1"})
    request = ClipRequest(frame_ticks=(0,), size=40, shorter_side=80)
    straight, shown = first_clip(path, request).rgb[0], first_clip(turned, request).rgb[0]
    assert shown.shape == straight.shape == (40, 40, 3)
    assert np.abs(np.rot90(straight, turns).astype(int) - shown).mean() < 6
    assert straight.max() < 220  # nothing of the margin
    whole = first_clip(turned, ClipRequest(frame_ticks=(0,), size=8, max_patches=50)).rgb[0]
    assert whole.shape[:2] == ((40, 80) if (width > height) == (turns % 2 == 0) else (80, 40))


@pytest.mark.parametrize("turns", [0, 1])
def test_pixels_that_are_not_square_are_stretched_as_they_are_shown(tmp_path: Path, turns: int) -> None:
    """A DVD's 4:3 picture of 72 x 48 stored pixels as 8:9 ones: 64 x 48 on screen."""
    path = write_video(tmp_path / "a.mp4", [quarters(72, 48)] * 31, pixel_aspect=Fraction(8, 9), rotation=90 * turns)
    shape = first_clip(path, ClipRequest(frame_ticks=(0,), size=4, max_patches=48)).rgb.shape[1:3]
    assert shape == ((24, 32) if not turns else (32, 24))


def test_a_square_request_still_shows_the_whole_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [quarters(160, 80)] * 31)
    assert first_clip(path, ClipRequest(frame_ticks=(0,), size=16)).rgb.shape == (1, 16, 16, 3)
