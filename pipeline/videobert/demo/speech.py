"""The narration spoken aloud by espeak-ng, for exercising speech recognition; only on request."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from videobert.demo.grammar import Recipe
from videobert.errors import InputError

__all__ = ["RATE", "need_espeak", "speak", "spoken_frames"]

RATE = 22_050
"""Samples a second; what espeak-ng speaks at."""
FRAME = 1024
"""Samples of an AAC frame."""


def need_espeak() -> str:
    """Path of the espeak-ng program. Raises InputError when there is none."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise InputError(
            "speech=True, but there is no program espeak-ng on PATH; install it (Debian: apt-get install espeak-ng) or "
            "leave speech off and use the caption files"
        )
    return program


def speak(recipe: Recipe) -> NDArray[np.int16]:
    """Every sentence at the start of its step, shape [samples]; a sentence longer than its step is cut."""
    program = need_espeak()
    track = np.zeros(round(recipe.seconds * RATE), np.int16)
    for step in recipe.steps:
        command = [program, "-v", "en", "-s", "150", "--stdout", "--stdin"]
        spoken = subprocess.run(command, input=step.caption.encode(), capture_output=True, check=True).stdout
        with wave.open(io.BytesIO(spoken)) as sound:
            if sound.getframerate() != RATE:
                raise InputError(f"espeak-ng speaks at {sound.getframerate()} Hz; choose a voice of {RATE} Hz")
            samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
        start, end = round(step.start_seconds * RATE), round(step.end_seconds * RATE)
        room = min(end, len(track)) - start
        track[start : start + min(room, len(samples))] = samples[:room]
    return track


def spoken_frames(recipe: Recipe) -> list[av.AudioFrame]:
    """The track as mono 16-bit frames with time stamps."""
    track = speak(recipe)
    frames = []
    for start in range(0, len(track), FRAME):
        frame = av.AudioFrame.from_ndarray(track[None, start : start + FRAME], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        frames.append(frame)
    return frames
