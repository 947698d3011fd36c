import itertools
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from tests.hostile.corpus.damaged import flipped, seeds
from tests.video.videos import frame_of_each_tick, level_of, moving_square, numbered_frame, write_video
from videobert.errors import VideoError
from videobert.video import frames as module
from videobert.video.clips import spread_ticks
from videobert.video.decode import open_video, video_stream
from videobert.video.displayed import DisplayedFrame
from videobert.video.frames import ClipDecoder
from videobert.video.limits import DecoderLimits
from videobert.video.options import DecodeOptions
from videobert.video.orientation import orientation_of
from videobert.video.request import ClipFrames, ClipRequest

OPTIONS, LIMITS = DecodeOptions(), DecoderLimits()
REQUEST = ClipRequest(frame_ticks=spread_ticks(4, 30), size=32, gray_size=16)
NUMBERED = [numbered_frame(i) for i in range(60)]


def decode(
    path: Path, request: ClipRequest = REQUEST, options: DecodeOptions = OPTIONS, *, limits: DecoderLimits = LIMITS
) -> list[ClipFrames]:
    return list(ClipDecoder(path, request, options, limits=limits))


def shown(clips: list[ClipFrames]) -> list[list[int]]:
    grays = [clip.gray for clip in clips if clip.gray is not None]
    return [[level_of(image) for image in gray] for gray in grays]


@pytest.mark.parametrize(
    ("name", "codec", "fps"),
    [
        ("a.mp4", "libx264", Fraction(20)),
        ("a.mp4", "libx264", Fraction(24)),
        ("a.mkv", "libx264", Fraction(24)),
        ("a.webm", "libvpx-vp9", Fraction(30_000, 1001)),
        ("a.mp4", "libx264", Fraction(15)),
        ("a.mpg", "mpeg2video", Fraction(25)),
        ("a.ts", "libx264", Fraction(25)),
    ],
)
def test_ticks_show_the_frames_that_a_player_would(tmp_path: Path, name: str, codec: str, fps: Fraction) -> None:
    path = write_video(tmp_path / name, NUMBERED, fps=fps, codec=codec)
    times = [i / fps for i in range(60)]
    expected = frame_of_each_tick(times, 60 / fps, rate=OPTIONS.rate, clip_length=OPTIONS.clip_length)
    clips = decode(path)
    # Matroska rounds times to milliseconds: a frame may come one tick late.
    assert np.abs(np.array(shown(clips)) - expected).max() <= (1 if path.suffix in (".mkv", ".webm") else 0)
    assert [clip.index for clip in clips] == list(range(len(expected)))
    for clip, row in zip(clips, expected, strict=True):
        assert [level_of(image) for image in clip.rgb] == pytest.approx(row[list(REQUEST.frame_ticks)], abs=1)


def test_variable_rate_holds_a_picture_as_long_as_it_stands(tmp_path: Path) -> None:
    times = [Fraction(t, 100) for t in (0, 7, 30, 31, 33, 120, 200, 290)]
    path = write_video(tmp_path / "a.mp4", NUMBERED[:8], times=times)
    expected = frame_of_each_tick(times, Fraction(2), rate=OPTIONS.rate, clip_length=OPTIONS.clip_length)
    assert shown(decode(path))[:1] == expected[:1].tolist()


def test_a_late_start_shows_the_first_frame_until_then(tmp_path: Path) -> None:
    times = [Fraction(1, 2) + Fraction(i, 20) for i in range(50)]
    path = write_video(tmp_path / "a.mkv", NUMBERED[:50], times=times, audio=True)
    first = shown(decode(path))[0]
    assert first[:10] == [0] * 10 and first[12] == pytest.approx(2, abs=1)


def test_a_frame_is_scaled_once_however_long_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count()

    class Counting:
        def __init__(self) -> None:
            self._real = VideoReformatter()

        def reformat(self, *args: object, **kwargs: object) -> object:
            next(calls)
            return self._real.reformat(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "VideoReformatter", Counting)
    decode(write_video(tmp_path / "a.mp4", NUMBERED[:16], fps=10))
    assert next(calls) == 15 + 4  # fifteen gray pictures and four in colour of one clip, where ticks are thirty


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_rotation_is_applied(tmp_path: Path, turns: int) -> None:
    image = np.full((48, 64, 3), 20, np.uint8)
    image[:24, :32] = (200, 30, 30)
    path = write_video(tmp_path / "a.mp4", [image] * 32, rotation=90 * turns)
    upright = write_video(tmp_path / "b.mp4", [image] * 32)
    got, expected = decode(path)[0], np.rot90(decode(upright)[0].rgb[0], turns)
    assert np.abs(got.rgb[0].astype(int) - expected).max() <= 8
    corner = {0: (0, 0), 1: (1, 0), 2: (1, 1), 3: (0, 1)}[turns]
    quarters = got.rgb[0].reshape(2, 16, 2, 16, 3).mean((1, 3))
    assert np.unravel_index(quarters[..., 0].argmax(), (2, 2)) == corner


def test_the_layout_in_which_a_gpu_decodes_shows_the_same(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [moving_square(i) for i in range(20)], rotation=90)
    with open_video(path, limits=LIMITS) as container:
        for frame in container.decode(video_stream(container, limits=LIMITS)):
            assert frame.format.name == "yuv420p"
            one, two = (
                DisplayedFrame(f, (VideoReformatter(), VideoReformatter()), orientation=orientation_of(frame))
                for f in (frame, frame.reformat(format="nv12"))
            )
            assert np.array_equal(one.rgb((24, 20)), two.rgb((24, 20))) and np.array_equal(one.gray(16), two.gray(16))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("rotation", [0, 90])
def test_the_video_engine_of_a_gpu_shows_the_same(tmp_path: Path, rotation: int) -> None:
    frames = [moving_square(i, width=256, height=192) for i in range(100)]
    path = write_video(tmp_path / "a.mp4", frames, rotation=rotation)
    here, there = decode(path), decode(path, options=DecodeOptions(decoding_gpu=0))
    assert [c.rgb.tobytes() for c in here] == [c.rgb.tobytes() for c in there]


@pytest.mark.parametrize(("width", "height"), [(66, 50), (128, 34), (34, 130)])
def test_the_whole_picture_is_squeezed_to_the_square(tmp_path: Path, width: int, height: int) -> None:
    image = np.full((height, width, 3), 20, np.uint8)
    image[:, -width // 4 :] = image[-height // 4 :] = 220
    clip = decode(write_video(tmp_path / "a.mp4", [image] * 32))[0]
    assert clip.rgb.shape == (4, 32, 32, 3)
    assert clip.rgb[0, :22, :22].mean() < 40 and clip.rgb[0, :, -4:].mean() > 190 and clip.rgb[0, -4:].mean() > 190


def test_odd_sizes_work(tmp_path: Path) -> None:
    image = np.full((37, 53, 3), 99, np.uint8)
    clip = decode(write_video(tmp_path / "a.mkv", [image] * 32, codec="ffv1", pixel_format="yuv444p"))[0]
    assert clip.rgb.mean() == pytest.approx(99, abs=3)


def test_gray_is_left_out_when_nobody_wants_it(tmp_path: Path) -> None:
    request = ClipRequest(frame_ticks=(0,), size=16)
    assert decode(write_video(tmp_path / "a.mp4", NUMBERED), request)[0].gray is None


def reason(path: Path, limits: DecoderLimits = LIMITS) -> str:
    with pytest.raises(VideoError) as caught:
        decode(path, limits=limits)
    return caught.value.reason


def test_reasons(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", NUMBERED)
    assert reason(path, DecoderLimits(max_seconds=2.0)) == "too-long"
    assert reason(path, DecoderLimits(max_pixels=100)) == "too-large"


def pictures(path: Path) -> dict[int, NDArray[np.uint8]]:
    return {clip.index: clip.rgb for clip in decode(path)}


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.mpg", "mpeg2video")]
)
def test_damage_in_the_middle_costs_only_the_clips_that_meet_it(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, [moving_square(i) for i in range(200)], fps=25, codec=codec)
    whole, content = pictures(path), bytearray(path.read_bytes())
    middle = len(content) // 2
    # Ten pictures of the transport stream: fewer are a hole that its demuxer steps over and nobody notices.
    content[middle : middle + 2000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(content)
    decoder = ClipDecoder(path, REQUEST, OPTIONS)
    kept = {clip.index: clip.rgb for clip in decoder}
    assert 0 in kept and max(whole) in kept and len(kept) < len(whole)
    assert all(np.abs(kept[i].astype(int) - whole[i]).max() <= 2 for i in kept)
    assert len(decoder.damaged) == 1
    start, end = decoder.damaged[0]
    lost = set(whole) - set(kept)
    assert all(start < (i + 1) * 1.5 and i * 1.5 < end for i in lost)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_key_frame_that_comes_out_late_does_not_end_the_damage_that_met_it(tmp_path: Path, part: float) -> None:
    """The decoder says nothing of a key frame whose end is lost, and gives it after it refused what follows."""
    path = write_video(tmp_path / "a.mp4", [moving_square(i) for i in range(200)], fps=25)
    whole, content = pictures(path), bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        keys = [(p.pos, p.size) for p in container.demux(video=0) if p.is_keyframe and p.pos is not None]
    start = keys[9][0] + int(keys[9][1] * part)
    content[start : start + 2000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(content)
    kept = pictures(path)
    assert 0 in kept and max(whole) in kept and len(kept) < len(whole)
    assert all(np.abs(kept[i].astype(int) - whole[i]).max() <= 2 for i in kept)


def test_a_file_that_breaks_off_keeps_its_beginning_and_tells_the_rest(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [moving_square(i) for i in range(200)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    decoder = ClipDecoder(path, REQUEST, OPTIONS)
    assert [clip.index for clip in decoder] == [0, 1, 2]
    assert [float(end) for _, end in decoder.damaged] == [10.0] and 4.5 < decoder.damaged[0][0] < 6.5


def test_memory_does_not_grow_with_a_picture_that_stands_for_an_hour(tmp_path: Path) -> None:
    times = [Fraction(0), Fraction(3600)]
    path = write_video(tmp_path / "a.mp4", NUMBERED[:2], times=times)
    decoder = ClipDecoder(path, REQUEST, OPTIONS)
    first = next(iter(decoder))
    assert first.index == 0 and decoder.clips == 1  # a clip comes out before the next is filled


def test_colours_are_those_of_the_standard_the_file_names(tmp_path: Path) -> None:
    red = np.full((64, 64, 3), (200, 40, 40), np.uint8)
    clip = decode(write_video(tmp_path / "a.mp4", [red] * 32))[0]
    assert np.abs(clip.rgb.reshape(-1, 3).mean(0) - (200, 40, 40)).max() < 6


def test_a_stream_that_the_header_does_not_name_is_stepped_over(tmp_path: Path) -> None:
    """Bits turned over in a transport stream make packets of a stream that PyAV does not know."""
    whole = seeds()["stream.mp4"]
    strangers = 0
    for key in range(60):
        path = tmp_path / "a.ts"
        path.write_bytes(flipped(whole, seed=0, key=str(key)))
        with suppress(av.FFmpegError), av.open(str(path)) as container:
            try:
                for _ in container.demux(video=0):
                    pass
            except IndexError:
                strangers += 1
                with suppress(VideoError):
                    decode(path)
    assert strangers
