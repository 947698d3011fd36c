import numpy as np
import pytest
from numpy.typing import NDArray

from videobert.features.encoders.motion import GRAY_SIZE, MOTION_SIZE, motion_picture


def moving_spot(dx: float, dy: float, *, place: tuple[float, float] = (28.0, 28.0)) -> NDArray[np.uint8]:
    """A soft spot that swings by one period a clip; its mean speed is about 4 x the reach / 30 pixels a tick."""
    rows, columns = np.mgrid[:GRAY_SIZE, :GRAY_SIZE]
    phase = np.sin(2 * np.pi * np.arange(30) / 30)
    return np.stack(
        [60 + 180 * np.exp(-((rows - place[0] - dy * p) ** 2 + (columns - place[1] - dx * p) ** 2) / 18) for p in phase]
    ).astype(np.uint8)


def test_a_still_clip_is_black() -> None:
    picture = motion_picture(np.repeat(moving_spot(0, 0)[:1], 30, axis=0))
    assert picture.shape == (MOTION_SIZE, MOTION_SIZE, 3) and picture.dtype == np.float32
    assert not picture.any()


def test_channels_tell_sideways_from_up_and_down() -> None:
    sideways, vertical = (motion_picture(moving_spot(dx, dy)).sum((0, 1)) for dx, dy in ((6, 0), (0, 6)))
    assert sideways[0] > 4 * sideways[1] and vertical[1] > 4 * vertical[0]


def test_the_place_of_a_motion_does_not_count() -> None:
    here, there = motion_picture(moving_spot(4, 0)), motion_picture(moving_spot(4, 0, place=(20.0, 36.0)))
    assert np.abs(here - there).max() < 0.15 * here.max()


def test_a_steady_drift_is_measured_in_pixels_a_tick() -> None:
    rows, columns = np.mgrid[:GRAY_SIZE, :GRAY_SIZE]
    drift = [128 + 60 * np.sin((columns - 0.5 * t) / 3) + 50 * np.sin(rows / 4) for t in range(30)]
    picture = motion_picture(np.stack(drift).astype(np.uint8))
    assert np.median(picture[..., 0]) == pytest.approx(0.5, abs=0.08)
    assert np.median(picture[..., 1]) < 0.1
    assert np.median(picture[..., 2]) == pytest.approx(1.5, abs=0.25)


def test_weak_sensor_noise_is_no_motion() -> None:
    noise = np.random.default_rng(0).normal(128, 1, (30, GRAY_SIZE, GRAY_SIZE))
    assert motion_picture(noise.astype(np.uint8)).max() < 0.3
