import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.hostile.corpus.clip import Clip, encode_clip
from tests.video.videos import encoded, moving_square, write_video
from videobert.errors import VideoError
from videobert.features.config import FeaturesConfig
from videobert.features.core import ClipVectors, VideoEnd, encode_videos
from videobert.features.encoders.base import EncoderIdentity
from videobert.video.isolated import IsolatedDecoder
from videobert.video.limits import DecoderLimits
from videobert.video.request import ClipFrames, ClipRequest


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


def test_vectors_are_the_clips_in_order(video: Path, decoder: IsolatedDecoder) -> None:
    got = encoded(video, MeanEncoder(), FeaturesConfig(), decoder=decoder)
    assert got.features_ND.shape == (6, 3) and got.index_N.tolist() == [0, 1, 2, 3, 4, 5] and not got.damaged_seconds


@pytest.mark.parametrize(("batch", "ahead"), [(1, 1), (3, 1), (64, 8)])
def test_batches_and_decoding_ahead_change_nothing(
    video: Path, decoder: IsolatedDecoder, batch: int, ahead: int
) -> None:
    usual = encoded(video, MeanEncoder(), FeaturesConfig(), decoder=decoder)
    other = encoded(video, MeanEncoder(batch), FeaturesConfig(decode_ahead=ahead), decoder=decoder)
    assert np.array_equal(usual.features_ND, other.features_ND)


def test_lost_clips_leave_a_gap_in_time(video: Path, tmp_path: Path, decoder: IsolatedDecoder) -> None:
    content = bytearray(video.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 700] = bytes(700)
    path = tmp_path / "a.mkv"
    path.write_bytes(content)
    got = encoded(path, MeanEncoder(), FeaturesConfig(), decoder=decoder)
    assert len(got.features_ND) < 6 and len(got.damaged_seconds) == 1
    assert set(got.index_N) < set(range(6))


def test_an_error_of_the_decoder_surfaces_and_ends_the_thread(tmp_path: Path, decoder: IsolatedDecoder) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(VideoError):
        encoded(path, MeanEncoder(), FeaturesConfig(), decoder=decoder)
    assert threads() == []


def test_an_error_of_the_encoder_surfaces_and_ends_the_thread(video: Path, decoder: IsolatedDecoder) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        encoded(video, BrokenEncoder(batch_clips=1), FeaturesConfig(decode_ahead=1), decoder=decoder)
    assert threads() == []


class Counted:
    """Twelve clips of noise, one after the other; tells how many were taken."""

    def __init__(self) -> None:
        self.damaged: list[tuple[float, float]] = []
        self.held_from = None
        self.taken = 0

    def __iter__(self) -> Iterator[ClipFrames]:
        for index in range(12):
            self.taken += 1
            yield ClipFrames(index=index, rgb=np.full((2, 8, 8, 3), index, np.uint8), gray=None)


def settled(sources: Sequence[Counted]) -> list[int]:
    """Clips taken of each, once the thread waits."""
    time.sleep(0.3)
    return [source.taken for source in sources]


def test_decoding_runs_ahead_but_not_further_than_told() -> None:
    source = Counted()
    with closing(encode_videos([("a", source)], MeanEncoder(1), ahead=2)) as found:
        next(found)
        assert settled([source]) == [4]  # one taken, two waiting, one in the hand of the thread
        assert len(threads()) == 1
    assert threads() == []


def test_the_next_video_is_decoded_while_the_last_clips_of_one_are_encoded() -> None:
    sources = [Counted(), Counted(), Counted()]
    with closing(encode_videos(zip("abc", sources, strict=True), MeanEncoder(6), ahead=17)) as found:
        next(found)
        # Both batches of the first video, its end, and a batch of the second in the hand of the thread.
        assert settled(sources) == [12, 6, 0]
        kinds = ["".join("v" if isinstance(event, ClipVectors) else event.name for event in found)]
    assert kinds == ["vavvbvvc"]


def test_a_video_that_fails_ends_alone(video: Path, tmp_path: Path, decoder: IsolatedDecoder) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    paths = {"good": video, "bad": bad, "again": video}
    sources = [
        (name, decoder.clips(path, MeanEncoder.request, FeaturesConfig().decoding)) for name, path in paths.items()
    ]
    found = list(encode_videos(sources, MeanEncoder(6), ahead=2))
    ends = {event.name: event.error and event.error.reason for event in found if isinstance(event, VideoEnd)}
    assert ends == {"good": None, "bad": "undecodable", "again": None}
    first, second = (event.features_ND for event in found if isinstance(event, ClipVectors))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("bad", [np.zeros((0, 3), np.float32), np.zeros((2, 3)), np.full((2, 3), np.nan, np.float32)])
def test_a_record_checks_itself(bad: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="feature"):
        ClipVectors(index_N=np.zeros(len(bad), np.int32), features_ND=bad)


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
    still.write_bytes(encode_clip(Clip(frames=4, times=[Fraction(0), Fraction(60), Fraction(90), Fraction(120)])))
    encoder = CountingEncoder(batch)
    got = encoded(still, encoder, FeaturesConfig(), decoder=decoder)
    # The square moves at 60 and at 90 s, and once more at the end, which the header puts at 120.05 s.
    assert len(got.features_ND) == 80 and encoder.clips == 3
    for first, end in ((0, 40), (40, 60), (60, 80)):
        assert (got.features_ND[first:end] == got.features_ND[first]).all()
    assert len(np.unique(got.features_ND, axis=0)) == 3
