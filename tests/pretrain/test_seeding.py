"""Examples of a training run follow from these numbers: another stream would be another model."""

from __future__ import annotations

import numpy as np

from videobert.pretrain.seeding import generator, seed_of


def test_seeds_and_streams_are_those_of_every_machine_and_version() -> None:
    assert seed_of("pairs", 3, 17, bits=64) == 16_053_931_215_144_563_946
    assert generator("pairs", 3).integers(1_000, size=4).tolist() == [720, 539, 423, 969]


def test_keys_that_differ_in_one_part_give_other_streams() -> None:
    keys = [("a", 1), ("a", 2), ("b", 1), ("a", 1, 1), (1, "a")]
    draws = {generator(*key).bytes(16) for key in keys}
    assert len(draws) == len(keys)


def test_the_global_generator_has_no_part_in_it() -> None:
    np.random.seed(0)
    first = generator("a").random()
    np.random.seed(1)
    assert generator("a").random() == first
