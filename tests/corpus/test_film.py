import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.corpus.film import FilmFormat, encode, format_of, webvtt
from pipeline.corpus.grammar import Kitchen, KitchenConfig, Recipe, build_kitchen, demo_kitchen
from pipeline.corpus.scene import SceneConfig
from pipeline.errors import InputError

CONFIG = demo_kitchen(seed=2)
FILMS = [
    FilmFormat(suffix=".mp4", rate=Fraction(24)),
    FilmFormat(suffix=".mp4", rate=Fraction(30000, 1001)),
    FilmFormat(suffix=".mp4", rate=None),
    FilmFormat(suffix=".webm", rate=Fraction(25)),
    FilmFormat(suffix=".webm", rate=None),
]


def make(recipe: Recipe, film: FilmFormat, *, speech: bool = False) -> bytes:
    return encode(recipe, config=CONFIG, scene=SceneConfig(), film=film, speech=speech)


def short_recipe(key: str) -> Recipe:
    return Recipe(key=key, steps=build_kitchen(CONFIG).recipe(key).steps[:2])


@pytest.mark.parametrize("film", FILMS, ids=lambda film: f"{film.suffix}-{film.rate}")
def test_a_film_repeats_bit_for_bit_and_lasts_as_long_as_its_recipe(film: FilmFormat) -> None:
    recipe = short_recipe("a")
    data = make(recipe, film)
    assert make(recipe, film) == data
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == {".mp4": "h264", ".webm": "vp9"}[film.suffix]
        assert (stream.width, stream.height) == (192, 144)
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
        seconds = container.duration / av.time_base
    assert times[0] == 0
    assert seconds == pytest.approx(recipe.seconds, abs=0.07)
    gaps = np.diff(times)
    if film.rate is None:
        # WebM counts in milliseconds.
        nearest = np.abs(gaps[:, None] - [1 / 30, 1 / 25, 1 / 20, 1 / 15])
        assert (nearest.min(1) <= 1.1e-3).all()
        assert set(nearest.argmin(1)) == {0, 1, 2, 3}
    else:
        np.testing.assert_allclose(gaps, float(1 / film.rate), atol=2e-3)


def test_formats_are_mixed_by_seed() -> None:
    formats = [format_of(CONFIG, f"2026-01-01/kitchen-{n:05d}") for n in range(400)]
    assert {film.rate for film in formats} == {Fraction(24), Fraction(25), Fraction(30000, 1001), None}
    assert 8 <= sum(film.suffix == ".webm" for film in formats) <= 48


def test_another_key_is_another_film() -> None:
    assert make(short_recipe("a"), FILMS[0]) != make(short_recipe("b"), FILMS[0])


def test_captions_tell_every_step_at_its_time() -> None:
    recipe = build_kitchen(CONFIG).recipe("a")
    blocks = webvtt(recipe).split("\n\n")
    assert blocks[0] == "WEBVTT"
    assert len(blocks) == 1 + len(recipe.steps)
    for step, block in zip(recipe.steps, blocks[1:], strict=True):
        times, text = block.strip().split("\n")
        start, end = (int(t[:2]) * 3600 + int(t[3:5]) * 60 + float(t[6:]) for t in times.split(" --> "))
        assert (start, end) == (pytest.approx(step.start_seconds), pytest.approx(step.end_seconds))
        assert text.lower() == f"{step.caption.lower()}."


def _clips(kitchen: Kitchen, videos: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per 1.5 s inside a step: a coarse picture of one frame, a coarse picture of the motion, the verb."""
    stills, moves, verbs = [], [], []
    for index in range(videos):
        recipe = kitchen.recipe(f"m{index}")
        data = encode(recipe, config=kitchen.config, scene=SceneConfig(), film=FILMS[0], speech=False)
        with av.open(io.BytesIO(data)) as container:
            gray = np.stack([f.to_ndarray(format="gray")[::2, ::2] for f in container.decode(video=0)]).astype(
                np.float64
            )
        for step in recipe.steps:
            for start in np.arange(step.start_seconds + 0.1, step.end_seconds - 1.5, 1.5):
                clip = gray[round(start * 24) : round(start * 24) + 36]
                motion = np.abs(np.diff(clip, axis=0)).mean(0)
                stills.append(clip[18])
                moves.append(motion)
                verbs.append(kitchen.verbs.index(step.verb))
    return np.stack(stills), np.stack(moves), np.asarray(verbs)


def _centred_blocks(images: np.ndarray) -> np.ndarray:
    """8 x 8 block means about the centre of mass, so that where the object rests tells nothing; unit length."""
    out = []
    for image in images:
        weight = np.maximum(image - np.median(image), 0)
        rows, columns = np.indices(image.shape)
        y, x = (int((weight * axis).sum() / weight.sum()) for axis in (rows, columns))
        window = np.pad(weight, 48)[y : y + 96, x : x + 96]
        out.append(window.reshape(8, 12, 8, 12).mean((1, 3)).ravel())
    stack = np.sqrt(np.asarray(out))
    return stack / np.linalg.norm(stack, axis=1, keepdims=True)


def _nearest_neighbours(vectors: np.ndarray, labels: np.ndarray, train: np.ndarray) -> float:
    """Accuracy of a vote of the five nearest training vectors."""
    nearest = np.argsort(-(vectors[~train] @ vectors[train].T), axis=1)[:, :5]
    votes = np.eye(labels.max() + 1)[labels[train][nearest]].sum(1)
    return float((votes.argmax(1) == labels[~train]).mean())


@pytest.mark.slow
def test_motion_tells_the_verb_and_a_single_frame_does_not() -> None:
    """Gate 7 of the kitchen without a network: coarse block means stand in for the encoder."""
    config = KitchenConfig(
        seed=1, verbs=4, nouns=2, actions=8, zipf_exponent=0.0, successors=1, successor_probability=0.0
    )
    stills, moves, verbs = _clips(build_kitchen(config), 16)
    train = np.arange(len(verbs)) < 0.7 * len(verbs)
    chance = np.bincount(verbs[~train]).max() / (~train).sum()
    spread = (chance * (1 - chance) / (~train).sum()) ** 0.5
    assert _nearest_neighbours(_centred_blocks(moves), verbs, train) > 0.9
    assert _nearest_neighbours(_centred_blocks(stills), verbs, train) < chance + 3 * spread


def test_speech_needs_espeak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="apt-get install espeak-ng"):
        make(short_recipe("a"), FILMS[0], speech=True)
