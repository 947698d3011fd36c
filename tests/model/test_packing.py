import pytest
import torch
import torch.nn.functional as F

from videobert.model.packing import pack_lengths, packed_attention

LENGTHS = [30, 29, 17, 17, 17, 6, 5, 1]


@pytest.mark.parametrize("lengths", [LENGTHS, [4], [7, 7, 7], [512, 3, 3, 2]])
def test_attention_stays_within_each_sequence(lengths: list[int]) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, sum(lengths), 8, dtype=torch.float64) for _ in range(3))
    found, _ = packed_attention(torch.nn.Identity(), query, key, value, None, packing=pack_lengths(lengths))
    begin = 0
    for length in lengths:
        own = slice(begin, begin + length)
        expected = F.scaled_dot_product_attention(query[:, :, own], key[:, :, own], value[:, :, own]).transpose(1, 2)
        assert (found[:, own] - expected).abs().max() < 1e-12
        begin += length


def test_buckets_hold_every_token_once_and_waste_little() -> None:
    packing = pack_lengths(LENGTHS)
    assert [(b.first, b.last) for b in packing.buckets] == [(0, 59), (59, 110), (110, 121), (121, 122)]
    assert [(b.rows, b.width) for b in packing.buckets] == [(2, 30), (3, 17), (2, 6), (1, 1)]
    assert packing.first_B.tolist() == [0, 30, 59, 76, 93, 110, 116, 121]
    assert packing.edges.tolist()[-1] == sum(LENGTHS)


@pytest.mark.parametrize("lengths", [[], [3, 4], [2, 0]])
def test_lengths_out_of_order_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="descending order"):
        pack_lengths(lengths)
