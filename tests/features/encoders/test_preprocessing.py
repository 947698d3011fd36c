"""The many ways in which a model directory says how it scales pixels."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from videobert.errors import InputError
from videobert.features.encoders.preprocessing import Preprocessing, read_preprocessing

MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]


def read(
    folder: Path, values: dict[str, Any], *, file: str = "preprocessor_config.json", **vision: Any
) -> Preprocessing:
    (folder / file).write_text(json.dumps(values))
    return read_preprocessing(folder, SimpleNamespace(**vision), "some/model")


@pytest.mark.parametrize(
    ("values", "vision", "side"),
    [
        ({"size": {"height": 96, "width": 96}}, {}, 96),
        ({"size": {"shortest_edge": 97}}, {}, 97),
        ({"size": 98}, {}, 98),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, {}, 224),
        ({"size": 256}, {"image_size": 100}, 100),
        ({"size": 256}, {"image_size": [101, 101]}, 101),
        ({"size": 256}, {"crop_size": 102}, 102),
    ],
)
def test_the_size_is_the_models_own_then_the_crop_then_the_files(
    tmp_path: Path, values: dict[str, Any], vision: dict[str, Any], side: int
) -> None:
    assert read(tmp_path, values, **vision).size == side


def test_mean_and_deviation_are_those_of_the_file_and_none_where_it_does_not_normalise(tmp_path: Path) -> None:
    values = {"image_mean": MEAN, "image_std": STD, "size": 8}
    assert read(tmp_path, values) == Preprocessing(size=8, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    assert read(tmp_path, values | {"do_normalize": False}) == Preprocessing(size=8, mean=(0, 0, 0), std=(1, 1, 1))
    assert read(tmp_path, {"size": 8}) == Preprocessing(size=8, mean=(0.5,) * 3, std=(0.5,) * 3)


def test_the_file_for_videos_goes_first_and_a_nested_one_is_opened(tmp_path: Path) -> None:
    read(tmp_path, {"size": 8})
    assert read(tmp_path, {"video_processor": {"size": 9}}, file="video_preprocessor_config.json").size == 9


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "names no picture size"),
        ({"size": 8, "image_mean": [0.5], "image_std": [0.5]}, "cannot be used"),
        ({"size": 8, "image_mean": MEAN, "image_std": [0.5, 0.0, 0.5]}, "cannot be used"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, values)


def test_a_directory_without_such_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"hf:some/model.*has none of"):
        read_preprocessing(tmp_path, SimpleNamespace(), "some/model")
