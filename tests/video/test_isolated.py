"""A decoder that dies, hangs or bloats costs one video; a good video gets what it gets without the process."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from tests.video.test_decode import write_subtitled
from tests.video.videos import moving_square, write_video
from videobert.errors import InputError, PipelineError, VideoError
from videobert.video.decode import probe
from videobert.video.frames import ClipDecoder
from videobert.video.isolated import IsolatedDecoder
from videobert.video.limits import DecoderLimits
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipFrames, ClipRequest
from videobert.video.tracks import read_sound, read_subtitles

POISON = Path(__file__).parents[1] / "hostile" / "poison"
OPTIONS = DecodeOptions()
REQUEST = ClipRequest(frame_ticks=(0, 15), size=16, gray_size=8)
SMALL = DecoderLimits(memory_bytes=600 << 20)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds with sound."""
    path = tmp_path_factory.mktemp("isolated") / "a.mp4"
    return write_video(path, [moving_square(i) for i in range(100)], audio=True)


def poisoned(video: Path, path: Path, way: str) -> Path:
    path.write_bytes(video.read_bytes() + f"poison:{way}".encode())
    return path


def frames_of(clips: list[ClipFrames]) -> list[bytes]:
    return [clip.rgb.tobytes() + (clip.gray.tobytes() if clip.gray is not None else b"") for clip in clips]


def test_answers_are_those_of_this_process(video: Path, tmp_path: Path) -> None:
    limits, decoder = DecoderLimits(), IsolatedDecoder(DecoderLimits())
    assert decoder.probe(video) == probe(video, limits=limits)
    here = ClipDecoder(video, REQUEST, OPTIONS)
    there = decoder.clips(video, REQUEST, OPTIONS)
    assert frames_of(list(there)) == frames_of(list(here)) and there.frames_decoded == here.frames_decoded == 100
    without_gray = ClipRequest(frame_ticks=(3,), size=8)
    assert frames_of(list(decoder.clips(video, without_gray, OPTIONS)))
    sound = np.concatenate(list(read_sound(video, limits=limits)))
    assert np.array_equal(decoder.sound(video), sound.astype(np.float32) / 32768) and abs(len(sound) - 80_000) < 3_000
    told = write_subtitled(tmp_path / "a.mkv", "subrip", [(100, 900, "Chop.")])
    assert decoder.subtitles(told, language="en") == read_subtitles(told, language="en", limits=limits) != []


def test_damage_and_refusals_pass_through(video: Path, tmp_path: Path) -> None:
    decoder = IsolatedDecoder(DecoderLimits(max_seconds=4.0))
    with pytest.raises(VideoError, match="max_seconds") as caught:
        list(decoder.clips(video, REQUEST, OPTIONS))
    assert (caught.value.reason, caught.value.attempts, caught.value.salvageable_seconds) == ("too-long", 1, 4.05)
    with pytest.raises(InputError, match="not a local file"):
        decoder.probe(tmp_path / "nowhere.mp4")
    content = write_video(tmp_path / "a.mkv", [moving_square(i) for i in range(200)]).read_bytes()
    (tmp_path / "a.mkv").write_bytes(content[: len(content) * 6 // 10])
    here, there = ClipDecoder(tmp_path / "a.mkv", REQUEST, OPTIONS), decoder.clips(tmp_path / "a.mkv", REQUEST, OPTIONS)
    with pytest.raises(VideoError):
        list(there)
    there = IsolatedDecoder(DecoderLimits()).clips(tmp_path / "a.mkv", REQUEST, OPTIONS)
    assert len(list(there)) == len(list(here)) == 3
    assert there.damaged == [(float(a), float(b)) for a, b in here.damaged] != []


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("segv", "decoder-crash"), ("abort", "decoder-crash"), ("surprise", "decoder-crash"), ("lie", "decoder-crash"),
        ("hang", "decoder-timeout"), ("bloat", "decoder-memory"), ("late-segv", "decoder-crash"),
        ("late-hang", "decoder-timeout"),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_a_poisonous_video_is_tried_twice_and_harms_no_other(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, reason: str
) -> None:
    monkeypatch.syspath_prepend(POISON)
    # Short only where time is what runs out: on a busy machine a new process needs seconds to begin.
    decoder = IsolatedDecoder(dataclasses.replace(SMALL, stall_seconds=2.0) if "hang" in way else SMALL)
    whole = frames_of(list(decoder.clips(video, REQUEST, OPTIONS)))
    bad = poisoned(video, tmp_path / "bad.mp4", way)
    seen: list[ClipFrames] = []
    with pytest.raises(VideoError) as caught:
        seen.extend(decoder.clips(bad, REQUEST, OPTIONS))
    assert (caught.value.reason, caught.value.attempts) == (reason, 2)
    assert caught.value.salvageable_seconds == (pytest.approx(1.9, abs=0.5) if way.startswith("late") else 0)
    assert frames_of(list(decoder.clips(video, REQUEST, OPTIONS))) == whole


def test_a_crash_that_does_not_come_again_costs_nothing(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(POISON)
    decoder = IsolatedDecoder(SMALL)
    clips = list(decoder.clips(poisoned(video, tmp_path / "bad.mp4", "once-segv"), REQUEST, OPTIONS))
    assert (tmp_path / "seen").exists()
    assert frames_of(clips) == frames_of(list(ClipDecoder(video, REQUEST, OPTIONS)))


def test_memory_is_refused_before_the_machine_runs_out(tmp_path: Path) -> None:
    big = write_video(tmp_path / "big.mp4", [np.zeros((4096, 8192, 3), np.uint8)] * 2, fps=1, keyframe_every=1)
    with pytest.raises(VideoError) as caught:
        list(IsolatedDecoder(DecoderLimits(memory_bytes=350 << 20)).clips(big, REQUEST, OPTIONS))
    assert caught.value.reason in ("decoder-memory", "undecodable")
    assert len(list(IsolatedDecoder(DecoderLimits()).clips(big, REQUEST, OPTIONS))) == 1


def test_beside_a_gpu_memory_is_limited_too_and_answers_are_the_same(video: Path, tmp_path: Path) -> None:
    big = write_video(tmp_path / "big.mp4", [np.zeros((4096, 8192, 3), np.uint8)] * 2, fps=1, keyframe_every=1)
    with pytest.raises(VideoError) as caught:
        list(IsolatedDecoder(DecoderLimits(memory_bytes=150 << 20), on_gpu=True).clips(big, REQUEST, OPTIONS))
    assert caught.value.reason in ("decoder-memory", "undecodable")
    decoder = IsolatedDecoder(DecoderLimits(memory_bytes=400 << 20), on_gpu=True)
    assert frames_of(list(decoder.clips(video, REQUEST, OPTIONS))) == frames_of(
        list(ClipDecoder(video, REQUEST, OPTIONS))
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_video_engine_that_is_not_there_is_no_fault_of_the_video(video: Path) -> None:
    decoder, options = IsolatedDecoder(DecoderLimits(), on_gpu=True), DecodeOptions(decoding_gpu=0)
    for _ in range(2):
        with pytest.raises(InputError, match=r"decoder='nvdec' cannot use GPU 0 .*; see that the driver .* or take"):
            list(decoder.clips(video, REQUEST, options))
    assert list(decoder.clips(video, REQUEST, OPTIONS))


def test_packets_and_time_are_limited(video: Path) -> None:
    with pytest.raises(VideoError, match="max_packets=50") as caught:
        list(IsolatedDecoder(DecoderLimits(max_packets=50)).clips(video, REQUEST, OPTIONS))
    assert caught.value.reason == "too-many-packets" and 1 < caught.value.salvageable_seconds < 2.6
    with pytest.raises(VideoError) as caught:
        list(IsolatedDecoder(DecoderLimits(decode_seconds=1e-4)).clips(video, REQUEST, OPTIONS))
    assert (caught.value.reason, caught.value.attempts) == ("decoder-timeout", 2)


def test_a_slow_reader_is_no_slow_decoder(video: Path) -> None:
    seen = 0
    for _ in IsolatedDecoder(DecoderLimits(stall_seconds=1.0, decode_seconds=1.0)).clips(video, REQUEST, OPTIONS):
        time.sleep(1.2 if not seen else 0)
        seen += 1
    assert seen == 3


def test_who_stops_in_the_middle_gets_right_answers_afterwards(video: Path) -> None:
    decoder = IsolatedDecoder(DecoderLimits())
    assert next(iter(decoder.clips(video, REQUEST, OPTIONS))).index == 0
    assert decoder.probe(video) == probe(video, limits=DecoderLimits())


def test_the_process_has_no_secrets_and_writes_no_file(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "marked-secret")
    decoder, before = IsolatedDecoder(DecoderLimits()), set(psutil.Process().children())
    decoder.probe(video)
    (child,) = set(psutil.Process().children()) - before
    assert b"marked-secret" not in Path(f"/proc/{child.pid}/environ").read_bytes()
    limits = Path(f"/proc/{child.pid}/limits").read_text()
    assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max file size")] == [["0", "0"]]
    decoder.close()
    assert not child.is_running()


@pytest.mark.parametrize("end", ["del decoder", "os.kill(os.getpid(), 9)"])
def test_the_process_ends_with_its_owner(video: Path, tmp_path: Path, end: str) -> None:
    bad = poisoned(video, tmp_path / "bad.mp4", "hang")
    code = f"""if True:
        import os, psutil, sys, threading, time
        sys.path.insert(0, {str(POISON)!r})
        from videobert.video.isolated import IsolatedDecoder
        from videobert.video.limits import DecoderLimits
        decoder = IsolatedDecoder(DecoderLimits())
        decoder.probe({str(video)!r})
        print(psutil.Process().children()[0].pid, flush=True)
        if "kill" in {end!r}:
            threading.Timer(0.3, lambda: {end if "kill" in end else None}).start()
            decoder.probe({str(bad)!r})
        {end}
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == (-signal.SIGKILL if "kill" in end else 0), done.stderr
    pid, deadline = int(done.stdout), time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def test_a_process_that_cannot_start_stops_the_run_and_blames_no_video(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('no FFmpeg here')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PipelineError, match="does not start"):
        IsolatedDecoder(DecoderLimits()).probe(video)
