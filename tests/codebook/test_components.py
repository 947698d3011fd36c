"""Principal components: unit variance, an order of rows that does not matter, directions that are not there."""

from pathlib import Path

import numpy as np
import pytest

from videobert.codebook.components import axes_to_bytes, load_axes, principal_axes

RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(400, 5)) * [9, 3, 1, 0.2, 0.1] + 7).astype(np.float32) @ np.linalg.qr(RNG.normal(size=(5, 5)))[
    0
].astype(np.float32)


def test_rows_have_unit_variance_in_every_component_and_no_correlation() -> None:
    found = ROWS.astype(np.float64) @ principal_axes(ROWS, components=4)
    assert np.cov(found.T) == pytest.approx(np.eye(4), abs=0.01)


def test_components_come_in_the_order_of_their_variance() -> None:
    lengths = np.linalg.norm(principal_axes(ROWS, components=5), axis=0)
    assert (np.diff(lengths) > 0).all()  # an axis is as long as its direction is narrow
    assert lengths[0] == pytest.approx(1 / 9, rel=0.15)


def test_the_order_of_the_rows_does_not_matter() -> None:
    mixed = ROWS[RNG.permutation(len(ROWS))]
    assert axes_to_bytes(principal_axes(mixed, components=3)) == axes_to_bytes(principal_axes(ROWS, components=3))


def test_directions_in_which_nothing_varies_are_left_empty() -> None:
    flat = np.concatenate([ROWS, np.ones((len(ROWS), 2), np.float32)], axis=1)
    axes = principal_axes(flat, components=7)
    assert (axes[:, 5:] == 0).all()
    assert axes[:, :5].any(axis=0).all()


def test_fewer_clips_than_numbers_have_the_same_components() -> None:
    few = RNG.normal(size=(6, 8)).astype(np.float32)
    found = few.astype(np.float64) @ principal_axes(few, components=8)
    found -= found.mean(axis=0)
    left, lengths, _ = np.linalg.svd(few - few.mean(axis=0, dtype=np.float64), full_matrices=False)
    assert (lengths[:5] > 0.1).all()  # six rows less their mean have five directions
    assert np.abs(found[:, :5]) == pytest.approx(np.abs(left[:, :5]) * np.sqrt(6), abs=1e-4)
    assert (found[:, 5:] == 0).all()


def test_axes_survive_a_file(tmp_path: Path) -> None:
    (tmp_path / "axes").write_bytes(axes_to_bytes(principal_axes(ROWS, components=2)))
    assert np.array_equal(load_axes(tmp_path / "axes"), principal_axes(ROWS, components=2))


def test_without_whitening_components_keep_their_proportions() -> None:
    plain = np.std(ROWS.astype(np.float64) @ principal_axes(ROWS, components=3, whitening=0.0), axis=0)
    half = np.std(ROWS.astype(np.float64) @ principal_axes(ROWS, components=3, whitening=0.5), axis=0)
    assert plain / plain[0] == pytest.approx([1, 3 / 9, 1 / 9], rel=0.15)
    assert half / half[0] == pytest.approx(np.sqrt(plain / plain[0]), rel=1e-6)
    assert (plain**2).mean() == pytest.approx(1, abs=0.01)
