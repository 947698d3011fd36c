"""Tiles hold every row of the nodes asked for once, and no more rows than there is room."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from videobert.codebook.tiles import sorted_by_node, tiles


@given(
    nodes_N=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    asked=st.sets(st.integers(0, 5), min_size=1),
    room=st.integers(2, 40),
)
def test_every_row_of_the_nodes_asked_for_is_in_one_tile(nodes_N: list[int], asked: set[int], room: int) -> None:
    order_N, bounds = sorted_by_node(torch.tensor(nodes_N), 6)
    nodes = torch.tensor(sorted(asked))
    found: list[tuple[int, int]] = []
    for tile in tiles(order_N, bounds, nodes, room=room):
        assert tile.rows_BM.shape == tile.valid_BM.shape == (len(tile.position_B), tile.rows_BM.shape[1])
        assert tile.rows_BM.numel() <= room
        for position, rows, valid in zip(tile.position_B.tolist(), tile.rows_BM, tile.valid_BM, strict=True):
            node = int(nodes[position])
            found += [(node, row) for row in rows[valid].tolist()]
            assert all(nodes_N[row] == node for row in rows.tolist()), "padding is the node's own row"
    assert sorted(found) == sorted((node, row) for row, node in enumerate(nodes_N) if node in asked)


def test_rows_stay_in_their_order_within_a_node() -> None:
    order_N, bounds = sorted_by_node(torch.tensor([1, 0, 1, 3, 0]), 5)
    assert order_N.tolist() == [1, 4, 0, 2, 3] and bounds.tolist() == [0, 2, 4, 4, 5, 5]
