import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.corpus.hostile.clip import Clip, encode_clip
from pipeline.errors import VideoError
from pipeline.features.config import FeaturesConfig
from pipeline.features.core import VideoFeatures, decoding_ahead, encode_video
from pipeline.features.encoders.base import EncoderIdentity
from pipeline.features.frames import ClipDecoder, ClipFrames, ClipRequest
from pipeline.features.isolated import IsolatedDecoder
from pipeline.features.limits import DecoderLimits
from tests.features.videos import moving_square, write_video


class MeanEncoder:
    """The mean colour of a clip: quick, and exact to foresee."""

    identity = EncoderIdentity(label="mean", digest="0" * 64)
    dimension = 3
    request = ClipRequest(frame_ticks=(0, 15), size=8)

    def __init__(self, batch_clips: int = 8) -> None:
        self.batch_clips = batch_clips

    def encode(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        return np.stack([clip.rgb.mean((0, 1, 2)) for clip in clips]).astype(np.float32)


class BrokenEncoder(MeanEncoder):
    def encode(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        raise RuntimeError("out of memory")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [moving_square(i) for i in range(200)]
    return write_video(tmp_path_factory.mktemp("core") / "a.mkv", frames, options={"bf": "0"})


@pytest.fixture(scope="module")
def decoder() -> IsolatedDecoder:
    return IsolatedDecoder(DecoderLimits())


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("decode-ahead")]


def test_rows_are_the_clips_in_order_with_their_times(video: Path, decoder: IsolatedDecoder) -> None:
    got = encode_video(video, MeanEncoder(), FeaturesConfig(), decoder=decoder)
    assert got.features.shape == (6, 3) and got.frames_decoded == 200 and got.damaged_seconds == ()
    assert got.start_seconds.tolist() == [0, 1.5, 3, 4.5, 6, 7.5] and (got.end_seconds - got.start_seconds == 1.5).all()


@pytest.mark.parametrize(("batch", "ahead"), [(1, 1), (3, 1), (64, 8)])
def test_batches_and_decoding_ahead_change_nothing(
    video: Path, decoder: IsolatedDecoder, batch: int, ahead: int
) -> None:
    usual = encode_video(video, MeanEncoder(), FeaturesConfig(), decoder=decoder)
    other = encode_video(video, MeanEncoder(batch), FeaturesConfig(decode_ahead=ahead), decoder=decoder)
    assert np.array_equal(usual.features, other.features)


def test_lost_clips_leave_a_gap_in_time(video: Path, tmp_path: Path, decoder: IsolatedDecoder) -> None:
    content = bytearray(video.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 700] = bytes(700)
    path = tmp_path / "a.mkv"
    path.write_bytes(content)
    got = encode_video(path, MeanEncoder(), FeaturesConfig(), decoder=decoder)
    assert len(got.features) < 6 and len(got.damaged_seconds) == 1
    assert set(got.start_seconds) < {0, 1.5, 3, 4.5, 6, 7.5}


def test_an_error_of_the_decoder_surfaces_and_ends_the_thread(tmp_path: Path, decoder: IsolatedDecoder) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(VideoError):
        encode_video(path, MeanEncoder(), FeaturesConfig(), decoder=decoder)
    assert threads() == []


def test_an_error_of_the_encoder_surfaces_and_ends_the_thread(video: Path, decoder: IsolatedDecoder) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        encode_video(video, BrokenEncoder(batch_clips=1), FeaturesConfig(decode_ahead=1), decoder=decoder)
    assert threads() == []


def test_decoding_runs_ahead_but_not_further_than_told(video: Path) -> None:
    decoder = ClipDecoder(video, MeanEncoder.request, FeaturesConfig())
    with decoding_ahead(decoder, batch=1, ahead=2) as batches:
        next(batches)
        deadline = time.monotonic() + 10
        while decoder.clips < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        assert decoder.clips == 4  # one taken, two waiting, one in the hand of the thread
        assert len(threads()) == 1
    assert threads() == []


@pytest.mark.parametrize("bad", [np.zeros((0, 3), np.float32), np.zeros((2, 3)), np.full((2, 3), np.nan, np.float32)])
def test_a_record_checks_itself(bad: NDArray[np.float32]) -> None:
    times = np.zeros(len(bad))
    with pytest.raises(ValueError, match="feature"):
        VideoFeatures(features=bad, start_seconds=times, end_seconds=times, damaged_seconds=(), frames_decoded=1)


class CountingEncoder(MeanEncoder):
    def __init__(self, batch_clips: int) -> None:
        super().__init__(batch_clips)
        self.clips = 0

    def encode(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        self.clips += len(clips)
        return super().encode(clips)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_a_still_is_encoded_once_and_has_all_its_rows(tmp_path: Path, decoder: IsolatedDecoder, batch: int) -> None:
    still = tmp_path / "still.mp4"
    still.write_bytes(encode_clip(Clip(frames=3, times=[Fraction(0), Fraction(60), Fraction(90)])))
    encoder = CountingEncoder(batch)
    got = encode_video(still, encoder, FeaturesConfig(), decoder=decoder)
    # The square moves at 60 and at 90 s; FFmpeg lets the last picture stay as long as the one before.
    assert len(got.features) == 80 and encoder.clips == 3
    for first, end in ((0, 40), (40, 60), (60, 80)):
        assert (got.features[first:end] == got.features[first]).all()
    assert len(np.unique(got.features, axis=0)) == 3
