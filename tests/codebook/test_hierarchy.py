"""The fitted hierarchy: reference, invariants, and independence of chunks, blocks, groups and workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from videobert.codebook import kmeans
from videobert.codebook.config import CodebookConfig
from videobert.codebook.core import Codebook
from videobert.codebook.exact import at_a_time
from videobert.codebook.hierarchy import fit, fit_with_group, local_group
from videobert.codebook.rows import FitWorker
from videobert.errors import InputError

CONFIG = CodebookConfig(branching=4, depth=3, seed=3, device="cpu")


def blobs(rows: int, dimension: int, *, seed: int = 0, centres: int = 30) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(centres, dimension)) * 2 + 1
    return (means[rng.integers(0, centres, rows)] + rng.normal(size=(rows, dimension))).astype(np.float32)


def training_leaves(vectors: NDArray[np.float32], config: CodebookConfig) -> tuple[Codebook, NDArray[np.int64]]:
    worker = FitWorker(vectors)
    return fit_with_group(local_group([worker]), config), worker.leaves()


def test_greedy_encoding_repeats_the_training_paths() -> None:
    vectors = blobs(3000, 24)
    for config in (CONFIG, CodebookConfig(branching=4, depth=3, iterations=2), CodebookConfig(branching=3, restarts=3)):
        codebook, leaves = training_leaves(vectors, config)
        np.testing.assert_array_equal(codebook.encode(vectors), leaves)
        np.testing.assert_array_equal(codebook.level_counts[-1], np.bincount(leaves, minlength=config.leaves))


def test_one_level_is_a_fixed_point_of_scikit_learn() -> None:
    vectors = blobs(4000, 16)
    config = CodebookConfig(branching=12, depth=1, tolerance=0.0, iterations=500, device="cpu")
    codebook = fit(vectors, config)
    with torch.random.fork_rng():
        reference = KMeans(12, init=codebook.centroids, n_init=1, max_iter=500, tol=0.0).fit(vectors)
    assert reference.n_iter_ <= 2
    assert codebook.level_inertia[0] == pytest.approx(reference.inertia_, rel=1e-6)
    np.testing.assert_array_equal(codebook.encode(vectors), reference.labels_)


def test_inertia_is_the_distance_to_the_centroids_and_falls_with_depth() -> None:
    vectors = blobs(3000, 24)
    codebook, leaves = training_leaves(vectors, CONFIG)
    assert np.all(np.diff(codebook.level_inertia) < 0)
    for level, centroids in enumerate(codebook.level_centroids):
        nodes = leaves // CONFIG.branching ** (CONFIG.depth - 1 - level)
        direct = np.square(vectors.astype(np.float64) - centroids[nodes]).sum()
        assert codebook.level_inertia[level] == pytest.approx(direct, rel=1e-6)


def test_centroids_are_the_means_of_their_rows_at_the_fixed_point() -> None:
    vectors = blobs(2000, 8)
    config = CodebookConfig(branching=4, depth=2, tolerance=0.0, iterations=300, device="cpu")
    codebook, leaves = training_leaves(vectors, config)
    for leaf in np.flatnonzero(codebook.present):
        np.testing.assert_allclose(codebook.centroids[leaf], vectors[leaves == leaf].mean(0), atol=2e-6)


@pytest.mark.parametrize("chunk", [1, 7, 500])
def test_encoding_in_chunks_is_encoding_the_whole(chunk: int) -> None:
    vectors = blobs(1200, 24)
    codebook = fit(vectors, CONFIG)
    held_out = blobs(1000, 24, seed=9)
    for encode in (codebook.encode, codebook.encode_flat):
        parts = [encode(held_out[low : low + chunk]) for low in range(0, len(held_out), chunk)]
        np.testing.assert_array_equal(np.concatenate(parts), encode(held_out))


def test_blocks_workers_groups_and_threads_do_not_change_a_byte() -> None:
    vectors = blobs(2500, 20)
    whole = fit(vectors, CONFIG, feature_spec="s3d-0").to_bytes()
    assert fit([vectors[:900], vectors[900:901], vectors[901:]], CONFIG, feature_spec="s3d-0").to_bytes() == whole
    workers = [FitWorker(vectors[1000:], numbers=np.arange(1000, 2500)), FitWorker([vectors[:10], vectors[10:1000]])]
    scattered = np.random.default_rng(0).permutation(2500)
    workers += [FitWorker(vectors[part], numbers=part) for part in np.split(scattered, [700, 1900])]
    for elements in (None, 64 * 20, 1000 * 20):
        for some in (workers[2:], workers[:2]):
            fitted = fit_with_group(local_group(some), CONFIG, feature_spec="s3d-0", group_elements=elements)
            assert fitted.to_bytes() == whole
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(2, threads))
        assert fit(vectors, CONFIG, feature_spec="s3d-0").to_bytes() == whole
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("share", [64, 1 / 64])
def test_working_on_more_at_a_time_as_on_a_gpu_does_not_change_a_byte(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    assert at_a_time(4096, torch.device("cpu")) < at_a_time(4096, torch.device("cuda"))
    vectors = blobs(9000, 20)
    whole, leaves = training_leaves(vectors, CONFIG)
    for module in ("exact", "kmeans", "rows"):
        monkeypatch.setattr(f"videobert.codebook.{module}.at_a_time", lambda in_cache, _: int(in_cache * share))
    for module in ("encode", "rows"):
        monkeypatch.setattr(f"videobert.codebook.{module}.kernels", lambda device: kmeans)
    other, theirs = training_leaves(vectors, CONFIG)
    assert other.to_bytes() == whole.to_bytes()
    np.testing.assert_array_equal(theirs, leaves)
    np.testing.assert_array_equal(other.encode(vectors), leaves)


def test_read_only_and_strided_arrays_are_taken_as_they_are() -> None:
    vectors = blobs(400, 8)
    codebook = fit(vectors, CONFIG)
    wide = np.zeros((400, 16), np.float32)
    wide[:, ::2] = vectors
    wide.flags.writeable = False
    assert fit(wide[:, ::2], CONFIG).to_bytes() == codebook.to_bytes()
    np.testing.assert_array_equal(codebook.encode(wide[:, ::2]), codebook.encode(vectors))


def test_the_seed_changes_the_codebook() -> None:
    vectors = blobs(600, 8)
    other = CodebookConfig(branching=4, depth=3, seed=4, device="cpu")
    assert fit(vectors, CONFIG).to_bytes() != fit(vectors, other).to_bytes()


def test_more_restarts_are_never_worse() -> None:
    vectors = blobs(1500, 6)
    inertias = [
        fit(vectors, CodebookConfig(branching=12, depth=1, tolerance=0.0, iterations=300, restarts=n)).level_inertia[0]
        for n in (1, 2, 4)
    ]
    assert inertias[0] >= inertias[1] >= inertias[2] and inertias[0] > inertias[2]


def test_fewer_rows_than_children_give_fewer_children() -> None:
    vectors = np.eye(3, 8, dtype=np.float32)
    codebook, leaves = training_leaves(vectors, CodebookConfig(branching=12, depth=4, device="cpu"))
    assert [int((counts > 0).sum()) for counts in codebook.level_counts] == [3, 3, 3, 3]
    assert len(set(leaves.tolist())) == 3
    np.testing.assert_array_equal(codebook.encode(vectors), leaves)
    np.testing.assert_array_equal(codebook.centroids[leaves], vectors)
    assert codebook.level_inertia.tolist() == [0.0] * 4


def test_duplicate_rows_share_a_leaf_and_cost_no_children() -> None:
    distinct = blobs(5, 8)
    vectors = np.repeat(distinct, 400, axis=0)
    codebook, leaves = training_leaves(vectors, CodebookConfig(branching=12, depth=2, seed_rows=1, device="cpu"))
    assert int(codebook.present.sum()) == 5
    assert all(len(set(leaves[low : low + 400].tolist())) == 1 for low in range(0, 2000, 400))
    assert codebook.level_inertia[0] < 1e-6


def test_rows_that_the_start_missed_still_get_children() -> None:
    vectors = np.zeros((5000, 4), dtype=np.float32)
    vectors[::1000] = np.arange(20).reshape(5, 4)
    codebook = fit(vectors, CodebookConfig(branching=12, depth=1, seed_rows=1, device="cpu"))
    assert int(codebook.present.sum()) == 6
    assert codebook.level_inertia[0] == 0.0


def test_greedy_descent_never_enters_an_absent_child() -> None:
    codebook = fit(blobs(60, 8), CodebookConfig(branching=12, depth=4, device="cpu"))
    held_out = blobs(4000, 8, seed=5, centres=400) * 5
    assert codebook.present[codebook.encode(held_out)].all()
    assert codebook.present[codebook.encode_flat(held_out)].all()


def test_flat_encoding_is_the_nearest_leaf_and_disagreement_counts_the_difference() -> None:
    vectors = blobs(2000, 12)
    codebook = fit(vectors, CONFIG)
    held_out = blobs(500, 12, seed=2)
    distances = np.square(held_out[:, None].astype(np.float64) - codebook.centroids).sum(-1)
    distances[:, ~codebook.present] = np.inf
    np.testing.assert_array_equal(codebook.encode_flat(held_out), distances.argmin(1))
    share = float(np.mean(distances.argmin(1) != codebook.encode(held_out)))
    assert codebook.disagreement(held_out) == share
    assert 0 < share < 0.6


def test_saved_and_loaded_is_the_same_codebook(tmp_path: Path) -> None:
    vectors = blobs(500, 8)
    codebook = fit(vectors, CONFIG, feature_spec="s3d-3fa9c1d2")
    codebook.save(tmp_path / "codebook.safetensors")
    loaded = Codebook.load(tmp_path / "codebook.safetensors")
    assert loaded.to_bytes() == codebook.to_bytes()
    assert (loaded.branching, loaded.depth, loaded.dimension, loaded.seed) == (4, 3, 8, 3)
    assert loaded.feature_spec == "s3d-3fa9c1d2"
    np.testing.assert_array_equal(loaded.encode(vectors), codebook.encode(vectors))


def test_a_file_that_is_no_codebook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"not a codebook")
    with pytest.raises(InputError, match=r"x\.safetensors"):
        Codebook.load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e20])
def test_values_no_distance_can_be_taken_of_are_refused(value: float) -> None:
    vectors = blobs(100, 8)
    codebook = fit(vectors, CONFIG)
    vectors[50, 3] = value
    for call in (lambda: fit(vectors, CONFIG), lambda: codebook.encode(vectors), lambda: codebook.encode_flat(vectors)):
        with pytest.raises(InputError, match="the features hold"):
            call()


@pytest.mark.parametrize(
    "vectors",
    [np.zeros((4, 9), np.float32), np.zeros(8, np.float32), np.zeros((4, 8), np.float64)],
    ids=["wide", "flat", "float64"],
)
def test_features_that_do_not_fit_the_codebook_are_refused(vectors: NDArray[Any]) -> None:
    codebook = fit(blobs(100, 8), CONFIG, feature_spec="s3d-0")
    with pytest.raises(InputError, match="features"):
        codebook.encode(vectors)


def test_bad_training_input_is_refused() -> None:
    with pytest.raises(InputError, match="no vectors"):
        fit(np.zeros((0, 8), np.float32), CONFIG)
    with pytest.raises(InputError, match="float32"):
        fit(np.zeros((4, 8), np.float64), CONFIG)
    with pytest.raises(InputError, match="dimensions"):
        fit([np.zeros((4, 8), np.float32), np.zeros((4, 9), np.float32)], CONFIG)
    with pytest.raises(InputError, match="dimensions"):
        fit_with_group(local_group([FitWorker(blobs(9, 8)), FitWorker(blobs(9, 7), numbers=np.arange(9, 18))]), CONFIG)


def test_no_rows_encode_to_no_tokens() -> None:
    codebook = fit(blobs(100, 8), CONFIG)
    assert codebook.encode(np.zeros((0, 8), np.float32)).shape == (0,)


@example(rows=26, dimension=2, levels=5, branching=2, scale=0.001, offset=0.0, seed=7, cut=0)
@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 60),
    dimension=st.integers(1, 9),
    levels=st.integers(1, 5),
    branching=st.integers(2, 5),
    scale=st.sampled_from([1e-30, 1e-20, 1e-3, 1.0, 1e13]),
    offset=st.sampled_from([0.0, 100.0]),
    seed=st.integers(0, 10),
    cut=st.integers(0, 60),
)
def test_any_input_gives_a_sound_codebook(
    rows: int, dimension: int, levels: int, branching: int, scale: float, offset: float, seed: int, cut: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = ((rng.integers(0, levels, (rows, dimension)) + offset) * scale).astype(np.float32)
    config = CodebookConfig(branching=branching, depth=3, seed=seed, device="cpu")
    codebook, leaves = training_leaves(vectors, config)
    np.testing.assert_array_equal(codebook.encode(vectors), leaves)
    assert codebook.level_counts[-1].sum() == rows
    assert codebook.present[codebook.encode_flat(vectors)].all()
    assert fit([vectors[:cut], vectors[cut:]], config).to_bytes() == codebook.to_bytes()
