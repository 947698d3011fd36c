import io
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.container import InputContainer
from numpy.typing import NDArray

from tests.demo.films import Film
from videobert.demo.film import FilmFormat, encode, format_of, webvtt
from videobert.demo.grammar import Kitchen, KitchenConfig, Recipe, build_kitchen, demo_kitchen
from videobert.demo.scene import SceneConfig
from videobert.errors import InputError

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
    made = Film.of(data)
    assert made.codec == {".mp4": "h264", ".webm": "vp9"}[film.suffix]
    assert made.size == (192, 144)
    assert made.times[0] == 0
    assert made.seconds == pytest.approx(recipe.seconds, abs=0.07)
    gaps = np.diff(made.times)
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
        assert [start, end] == pytest.approx([step.start_seconds, step.end_seconds])
        assert text.lower() == f"{step.caption.lower()}."


def _clips(kitchen: Kitchen, videos: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Per 1.5 s inside a step: a coarse picture of one frame, a coarse picture of the motion, the verb."""
    stills, moves, verbs = [], [], []
    for index in range(videos):
        recipe = kitchen.recipe(f"m{index}")
        data = encode(recipe, config=kitchen.config, scene=SceneConfig(), film=FILMS[0], speech=False)
        with av.open(io.BytesIO(data)) as container:
            assert isinstance(container, InputContainer)
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


def _centred_blocks(images: NDArray[Any]) -> NDArray[Any]:
    """8 x 8 block means about the centre of mass, so that where the object rests tells nothing; unit length."""
    out = []
    for image in images:
        weight = np.maximum(image - np.median(image), 0)
        rows, columns = np.indices(image.shape)
        y, x = (int((weight * axis).sum() / weight.sum()) for axis in (rows, columns))
        window = np.pad(weight, 48)[y : y + 96, x : x + 96]
        out.append(window.reshape(8, 12, 8, 12).mean((1, 3)).ravel())
    stack = np.sqrt(np.asarray(out))
    return np.asarray(stack / np.linalg.norm(stack, axis=1, keepdims=True))


def _nearest_neighbours(vectors: NDArray[Any], labels: NDArray[Any], train: NDArray[Any]) -> float:
    """Accuracy of a vote of the five nearest training vectors."""
    nearest = np.argsort(-(vectors[~train] @ vectors[train].T), axis=1)[:, :5]
    votes = np.eye(labels.max() + 1)[labels[train][nearest]].sum(1)
    return float((votes.argmax(1) == labels[~train]).mean())


@pytest.mark.slow
def test_motion_tells_the_verb_and_a_single_frame_does_not() -> None:
    """Gate 7 of the kitchen without a network: coarse block means stand in for the encoder."""
    config = KitchenConfig(
        seed=1,
        verbs=4,
        nouns=2,
        actions=8,
        zipf_exponent=0.0,
        successors=1,
        successor_probability=0.0,
        step_seconds_min=1.75,
        step_seconds_max=1.9,
    )
    stills, moves, verbs = _clips(build_kitchen(config), 24)
    train = np.arange(len(verbs)) < 0.7 * len(verbs)
    chance = np.bincount(verbs[~train]).max() / (~train).sum()
    spread = (chance * (1 - chance) / (~train).sum()) ** 0.5
    assert _nearest_neighbours(_centred_blocks(moves), verbs, train) > 0.9
    assert _nearest_neighbours(_centred_blocks(stills), verbs, train) < chance + 3 * spread


def test_speech_needs_espeak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="apt-get install espeak-ng"):
        make(short_recipe("a"), FILMS[0], speech=True)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
@pytest.mark.parametrize("film", [FILMS[0], FILMS[3]], ids=lambda film: film.suffix)
def test_every_sentence_is_heard_from_the_start_of_its_step(film: FilmFormat) -> None:
    recipe = short_recipe("a")
    data = make(recipe, film, speech=True)
    assert make(recipe, film, speech=True) == data
    made = Film.of(data)
    sound = np.concatenate([samples.ravel() for samples in made.audio])
    rate = len(sound) / recipe.seconds
    assert made.seconds == pytest.approx(recipe.seconds, abs=0.1)
    for step in recipe.steps:
        spoken = sound[round(step.start_seconds * rate) :][: round(1.2 * rate)]
        before_end = sound[: round((step.end_seconds - 0.1) * rate)][-round(0.2 * rate) :]
        assert np.abs(spoken).mean() > 0.02 > 10 * np.abs(before_end).mean()
