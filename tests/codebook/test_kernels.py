"""The loops of Numba against those of torch, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numba.core.caching import CacheImpl

from videobert.codebook import compiled, kmeans, rows
from videobert.codebook.config import CodebookConfig
from videobert.codebook.exact import grid_step, squared_norms
from videobert.codebook.hierarchy import fit
from videobert.codebook.kernels import kernels
from videobert.codebook.kmeans import Scorer, norms, scorer
from videobert.errors import InputError

pytestmark = pytest.mark.slow

SHAPES = [(2, 1), (3, 5), (5, 64), (12, 33), (13, 7)]
"""Children of a node, columns."""


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """As many threads, for few rows too."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    monkeypatch.setattr(compiled, "_THREAD_ELEMENTS", 1)
    yield request.param
    torch.set_num_threads(before)


def table_of(nodes: int, branching: int, dimension: int, rng: np.random.Generator) -> Scorer:
    """Nodes of which some lack children, and some have two alike."""
    centroids = rng.normal(size=(nodes, branching, dimension)).astype(np.float32) + 3
    centroids[:, -1] = centroids[:, 0]
    present = rng.random((nodes, branching)) < 0.8
    present[:, 0] = True
    return scorer(torch.from_numpy(centroids), torch.from_numpy(present))


def between(table: Scorer, rng: np.random.Generator, count: int) -> torch.Tensor:
    """Rows [count, D] of which a third lie half way between two children of one node."""
    nodes, branching, dimension = table.centroids_GKD.shape
    found = rng.normal(size=(count, dimension)).astype(np.float32) + 3
    of = rng.integers(0, nodes, count)
    pairs = table.centroids_GKD.numpy()[of[:, None], rng.integers(0, branching, (count, 2))]
    found[::3] = pairs[::3].mean(1)
    return torch.from_numpy(found)


@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1.0, 1e15])
@pytest.mark.parametrize(("branching", "dimension"), SHAPES)
@pytest.mark.usefixtures("threads")
def test_every_row_has_the_same_child(branching: int, dimension: int, scale: float) -> None:
    rng = np.random.default_rng(branching)
    drawn = table_of(4, branching, dimension, rng)
    table = scorer(drawn.centroids_GKD * scale, drawn.bias_GK.isfinite())
    for lanes, each in ((1, 1), (1, 700), (3, 50), (4, 3), (5, 1)):
        vectors = between(drawn, rng, lanes * each).view(lanes, each, dimension) * scale
        lengths, nodes = norms(vectors.flatten(0, 1)).view(lanes, each), torch.from_numpy(rng.integers(0, 4, lanes))
        wanted = kmeans.assign(vectors, lengths, table, nodes)
        assert torch.equal(compiled.assign(vectors, lengths, table, nodes), wanted)


@pytest.mark.parametrize(("branching", "dimension"), SHAPES)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.usefixtures("threads")
def test_every_row_has_the_same_leaf(
    branching: int, dimension: int, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(dimension)
    levels = [table_of(branching**level, branching, dimension, rng) for level in range(depth)]
    vectors = between(levels[-1], rng, 500)
    wanted = kmeans.descend(vectors, levels)
    for rows_of_a_piece in (1, 7, 64, 1000):
        monkeypatch.setattr(compiled, "_PIECE_ELEMENTS", rows_of_a_piece * dimension)
        assert torch.equal(compiled.descend(vectors, levels), wanted)


@pytest.mark.parametrize("dimension", [1, 2, 3, 33, 64])
@pytest.mark.usefixtures("threads")
def test_sums_and_norms_have_the_same_bits(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    vectors = torch.from_numpy((rng.normal(size=(400, dimension)) * 10.0 ** rng.integers(-6, 3, (400, 1))).astype("f4"))
    step = grid_step(float(vectors.abs().max()))
    assert torch.equal(compiled.squared_norms(vectors, step=step), squared_norms(vectors, step=step))
    taken = torch.from_numpy(rng.permutation(400)[:150])
    into, out_of = (torch.from_numpy(rng.integers(0, 6, 150)) for _ in range(2))
    for others in (None, out_of):
        sums = torch.zeros(6, dimension, dtype=torch.float64)
        wanted = sums.clone()
        compiled.accumulate(vectors, taken, into, sums, step=step, out_of_R=others)
        kmeans.accumulate(vectors, taken, into, wanted, step=step, out_of_R=others)
        assert torch.equal(sums, wanted)
        assert sums.any()


@pytest.mark.usefixtures("threads")
def test_a_fit_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(3000, 24)).astype(np.float32)
    config = CodebookConfig(branching=5, depth=3, device="cpu", restarts=2)
    ours = fit(vectors, config)
    monkeypatch.setattr(rows, "kernels", lambda device: kmeans)
    assert fit(vectors, config).to_bytes() == ours.to_bytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e17])
@pytest.mark.parametrize("row", [0, 250, 499])
@pytest.mark.parametrize("loops", [compiled, kmeans])
@pytest.mark.usefixtures("threads")
def test_no_row_descends_that_is_not_finite(loops: object, row: int, value: float) -> None:
    rng = np.random.default_rng(0)
    levels = [table_of(3**level, 3, 4, rng) for level in range(2)]
    vectors = between(levels[-1], rng, 500)
    vectors[row, 2] = value
    with pytest.raises(InputError, match="which no codebook takes"):
        loops.descend(vectors, levels)  # type: ignore[attr-defined]


def test_a_cpu_takes_the_compiled_loops_where_numba_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels(torch.device("cpu")) is compiled
    assert kernels(torch.device("cuda")) is kmeans
    monkeypatch.setattr("videobert.codebook.kernels.find_spec", lambda name: None)
    assert kernels(torch.device("cpu")) is kmeans


def test_loops_compile_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    assert compiled._compile()(lambda x: x + 1)(2) == 3
