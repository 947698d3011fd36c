"""The kernels against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from videobert.codebook.exact import grid_step, mix, snap, squared_norms, tree_sum, uniforms
from videobert.codebook.kmeans import assign_and_accumulate, means, starts

STEP = grid_step(6.0)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_lloyd_from_one_start_is_scikit_learn() -> None:
    vectors = normal(3000, 12)
    centroids = vectors[:12].clone()
    start = centroids.numpy().copy()
    for _ in range(200):
        sums, counts, inertia = assign_and_accumulate(vectors, centroids, step=STEP)
        centroids = means(sums.unsqueeze(0), counts.unsqueeze(0), centroids.unsqueeze(0))[0]
    reference = KMeans(12, init=start, n_init=1, max_iter=200, tol=0.0, algorithm="lloyd").fit(vectors.numpy())
    assert inertia == pytest.approx(reference.inertia_, rel=1e-6)
    np.testing.assert_allclose(centroids.numpy(), reference.cluster_centers_, atol=1e-5)


def test_sums_of_blocks_add_up_to_the_same_bits_in_any_order() -> None:
    vectors = normal(999, 33)
    centroids = vectors[:5].clone()
    whole, counts, _ = assign_and_accumulate(vectors, centroids, step=STEP)
    parts = [assign_and_accumulate(block, centroids, step=STEP) for block in torch.split(vectors, 37)]
    for ordered in (parts, parts[::-1]):
        total = torch.zeros_like(whole)
        for sums, _, _ in ordered:
            total += sums
        assert torch.equal(total, whole)
    assert torch.equal(sum((part[1] for part in parts), torch.zeros_like(counts)), counts)


def test_a_tie_goes_to_the_first_centroid_and_a_hair_decides() -> None:
    row = torch.full((1, 64), 0.1)
    near = row.clone()
    near[0, 0] += 2**-12
    far = row.clone()
    far[0, 0] += 2**-12 + 2**-26
    for order in ((near, far), (far, near)):
        _, counts, _ = assign_and_accumulate(row, torch.cat(order), step=STEP)
        assert counts.argmax() == [torch.equal(c, near) for c in order].index(True)
    _, counts, _ = assign_and_accumulate(row, torch.cat((far, near, near)), step=STEP)
    assert counts.tolist() == [0, 1, 0]


def test_starts_are_drawn_by_squared_distance() -> None:
    points = torch.tensor([[[0.0], [1.0], [3.0]]])
    first_is_zero, then = 0, {1.0: 0, 3.0: 0}
    for seed in range(3000):
        races = -np.log(np.stack([uniforms(np.arange(3, dtype=np.uint64), seed, k) for k in range(2)]))[:, None]
        centroids, exists = starts(points, torch.ones(1, 3, dtype=torch.bool), torch.from_numpy(races), candidates=1)
        assert exists.all()
        if centroids[0, 0, 0] == 0:
            first_is_zero += 1
            then[float(centroids[0, 1, 0])] += 1
    assert first_is_zero / 3000 == pytest.approx(1 / 3, abs=0.04)
    assert then[3.0] / first_is_zero == pytest.approx(0.9, abs=0.04)


def test_of_the_rows_drawn_the_most_useful_becomes_a_start() -> None:
    points = torch.tensor([[[0.0], [0.0], [1.0], [3.0], [3.0], [3.0]]])
    for seed in range(50):
        races = -np.log(np.stack([uniforms(np.arange(6, dtype=np.uint64), seed, k) for k in range(2)]))[:, None]
        centroids, _ = starts(points, torch.ones(1, 6, dtype=torch.bool), torch.from_numpy(races), candidates=6)
        assert centroids[0, 1, 0] == (0.0 if centroids[0, 0, 0] == 3.0 else 3.0)


def test_starts_take_no_padding_and_no_twins() -> None:
    points = torch.tensor([[[5.0, 1.0], [5.0, 1.0], [9.0, 9.0]]])
    valid = torch.tensor([[True, True, False]])
    races = torch.from_numpy(-np.log(np.stack([uniforms(np.arange(3, dtype=np.uint64), 0, k) for k in range(3)])))
    centroids, exists = starts(points, valid, races[:, None])
    assert exists.tolist() == [[True, False, False]]
    assert centroids[0, 0].tolist() == [5.0, 1.0]


def test_the_grid_keeps_24_bits_of_the_largest_value() -> None:
    values = torch.tensor([6.0, -5.9999995, 1e-9, 0.1])
    snapped = snap(values, step=grid_step(6.0))
    assert snapped[:2].tolist() == values[:2].tolist()
    assert (snapped - values).abs().max() <= grid_step(6.0) / 2
    assert grid_step(0.0) > 0


def test_tree_sum_and_squared_norms_match_numpy() -> None:
    for width in (1, 2, 3, 7, 64, 100):
        values = normal(5, width)
        np.testing.assert_allclose(tree_sum(values.double()), values.double().numpy().sum(1), rtol=1e-12)
        np.testing.assert_allclose(squared_norms(values), np.square(values.double().numpy()).sum(1), rtol=1e-12)


def test_hashes_are_stable_uniform_and_depend_on_every_key() -> None:
    rows = np.arange(20_000, dtype=np.uint64)
    numbers = uniforms(rows, 1, 2)
    assert numbers.min() > 0 and numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 0.01 and abs(numbers.var() - 1 / 12) < 0.002
    assert len({int(mix(rows[:1], *keys)[0]) for keys in ((1, 2), (2, 1), (1, 3), (1,))}) == 4
    assert int(mix(rows[:1], 1, 2)[0]) == int(mix(rows[:5], 1, 2)[0])
