"""Excerpts and pictures for browsers, from files that browsers do not play."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.video.videos import write_video
from videobert.errors import VideoError
from videobert.video.isolated import IsolatedDecoder
from videobert.video.limits import DecoderLimits


@pytest.fixture(scope="module")
def decoder() -> IsolatedDecoder:
    return IsolatedDecoder(DecoderLimits())


def striped(number: int) -> NDArray[np.uint8]:
    """The bits of a number as eight stripes of black and white, which no codec loses."""
    bits = [255 * (number >> bit & 1) for bit in range(8)]
    return np.broadcast_to(np.repeat(np.array(bits, np.uint8), 8)[None, :, None], (48, 64, 3)).copy()


def numbers(data: bytes) -> list[tuple[float, int]]:
    """(seconds, number) of each frame."""
    with av.open(io.BytesIO(data), "r") as container:
        shown = [(float(f.time or 0), f.to_ndarray(format="gray")) for f in container.decode(video=0)]
    return [(at, sum(int(image[:, 8 * bit + 4].mean() > 127) << bit for bit in range(8))) for at, image in shown]


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "mpeg4"), ("mkv", "libx264"), ("mp4", "mpeg4")])
def test_an_excerpt_holds_the_frames_of_its_seconds(
    tmp_path: Path, decoder: IsolatedDecoder, suffix: str, codec: str
) -> None:
    video = tmp_path / f"video.{suffix}"
    write_video(video, [striped(n) for n in range(200)], codec=codec)  # 20 a second
    for start, end in ((0.0, 0.5), (1.0, 2.0), (8.0, 99.0)):
        found = numbers(decoder.excerpt(video, start, end))
        expected = range(round(20 * start), min(200, round(20 * end)))
        assert [number for _, number in found] == list(expected)
        assert [at for at, _ in found] == pytest.approx([n / 20 for n in range(len(expected))], abs=1e-3)
    assert numbers(decoder.picture(video, 8.51, width=64)) == [(0.0, 170)]


def test_a_video_that_lies_on_its_side_is_shown_upright(tmp_path: Path, decoder: IsolatedDecoder) -> None:
    image = np.zeros((48, 96, 3), np.uint8)
    image[:, :48] = 250  # stored on the left; turned by a quarter, above or below
    write_video(tmp_path / "video.mp4", [image] * 20, rotation=90)
    for data in (decoder.excerpt(tmp_path / "video.mp4", 0, 1), decoder.picture(tmp_path / "video.mp4", 0, width=96)):
        with av.open(io.BytesIO(data), "r") as container:
            shown = next(container.decode(video=0)).to_ndarray(format="gray")
        assert shown.shape == (96, 48)
        assert abs(int(shown[:40].mean()) - int(shown[56:].mean())) > 200


def test_what_holds_no_picture_is_refused(tmp_path: Path, decoder: IsolatedDecoder) -> None:
    (tmp_path / "video.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match="FFmpeg cannot read"):
        decoder.picture(tmp_path / "video.mp4", 0, width=64)
    write_video(tmp_path / "video.mp4", [striped(0)] * 20)
    with pytest.raises(VideoError, match="nothing of the video"):
        decoder.excerpt(tmp_path / "video.mp4", 0.5, 0)
