"""How a model directory says that pixels are cut and scaled, and whether the numbers are those of its processor."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from videobert.errors import InputError
from videobert.features.encoders.pixel_call import PixelCall
from videobert.features.encoders.pixel_method import PixelMethod
from videobert.features.encoders.preprocessing import Preprocessing, read_preprocessing
from videobert.video.request import ClipFrames

WIDTH, HEIGHT = 96, 48
CONFIG = SimpleNamespace(image_size=40)
MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]


class Seen(nn.Module):
    """A model that returns what it is shown."""

    config = SimpleNamespace()

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return pixel_values.flatten(1)


def ours(prep: Preprocessing, image: Any) -> np.ndarray:
    """[C, S, S] of a frame that FFmpeg need not scale."""
    request = prep.request((0,))
    frame = request.cut(image)[None]
    method = PixelMethod(
        owner=Seen(), name="forward", path="", pixels="pixel_values", takes="frames", text_method=None
    )  # fmt: skip
    call = PixelCall(method, prep, torch.device("cpu"))
    arrays = (torch.from_numpy(array.copy())[None] for array in call.arrays(ClipFrames(index=0, rgb=frame, gray=None)))
    return call(*arrays).numpy().reshape(3, prep.size, prep.size)


@pytest.mark.parametrize(
    ("name", "settings", "geometry"),
    [
        ("CLIP", {"size": {"shortest_edge": 48}, "crop_size": 40}, "40, cut from 48"),
        ("VideoMAE", {"size": {"shortest_edge": 48}, "crop_size": 40}, "40, cut from 48"),
        ("DeiT", {"size": {"height": 48, "width": 48}, "crop_size": 40}, "40, squeezed to 48 and cut"),
        ("ViT", {"size": {"height": 48, "width": 48}}, "48, squeezed"),
        ("Siglip", {"size": {"height": 48, "width": 48}}, "48, squeezed"),
        ("ConvNext", {"size": {"shortest_edge": 42}, "crop_pct": 0.875}, "42, cut from 48"),
        ("EfficientNet", {"size": {"height": 48, "width": 48}, "rescale_offset": True}, "48, squeezed"),
        ("MobileViT", {"size": {"shortest_edge": 48}, "crop_size": {"height": 40, "width": 40}}, "40, cut from 48"),
    ],
)
def test_numbers_are_those_of_the_models_own_processor(
    tmp_path: Path, name: str, settings: dict[str, Any], geometry: str
) -> None:
    """On a frame that has the size to which it would be scaled; how FFmpeg scales is its own matter."""
    processor: Any = getattr(transformers, f"{name}ImageProcessorPil")(**settings)
    processor.save_pretrained(tmp_path)
    prep = read_preprocessing(tmp_path, CONFIG, "m")
    assert prep.geometry == geometry
    width = WIDTH if prep.shorter_side else HEIGHT
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, width, 3), np.uint8)
    expected = np.asarray(processor(image, return_tensors="np")["pixel_values"]).reshape(3, prep.size, prep.size)
    assert np.abs(ours(prep, image) - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("values", "geometry"),
    [
        ({"size": 224, "feature_extractor_type": "CLIPFeatureExtractor", "crop_size": 224}, "224, cut from 224"),
        ({"size": 256, "feature_extractor_type": "DeiTFeatureExtractor", "crop_size": 224},
         "224, squeezed to 256 and cut"),
        ({"size": 224, "feature_extractor_type": "ViTFeatureExtractor"}, "224, squeezed"),
        ({"size": {"shortest_edge": 292}, "crop_size": {"height": 256, "width": 256}}, "256, cut from 292"),
        ({"video_processor": {"size": {"height": 288, "width": 288}, "do_normalize": False}}, "288, squeezed"),
        ({"image_mean": [0.5] * 3}, "40, squeezed"),
        ({"pretrained_cfg": {"input_size": [3, 336, 336], "crop_pct": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3}},
         "336, cut from 336"),
        ({"pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.9, "crop_mode": "squash", "mean": [0.5] * 3,
                             "std": [0.5] * 3}}, "224, squeezed to 248 and cut"),
    ],
)  # fmt: skip
def test_geometry_is_read_from_old_and_new_files(tmp_path: Path, values: dict[str, Any], geometry: str) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    assert read_preprocessing(tmp_path, CONFIG, "m").geometry == geometry


def test_patches_are_read_from_the_file_or_from_the_model(tmp_path: Path) -> None:
    config = SimpleNamespace(vision_config=SimpleNamespace(patch_size=16, num_patches=256))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": 224}))
    assert read_preprocessing(tmp_path, config, "m", in_patches=True).geometry == "256 patches of 16"
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"max_num_patches": 64, "patch_size": 14}))
    assert read_preprocessing(tmp_path, config, "m", in_patches=True).geometry == "64 patches of 14"


def test_the_levels_of_vivit_go_from_minus_one_to_one_and_are_normalised_then(tmp_path: Path) -> None:
    """What its video processor does and only torchvision can run: `level / 127.5 - 1`, then mean and deviation."""
    cut = {"size": {"shortest_edge": 48}, "crop_size": 40, "do_center_crop": True}
    values = cut | {"rescale_factor": 1 / 127.5, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps(values))
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    expected = ((image[4:44, 28:68] / 127.5 - 1 - 0.5) / 0.25).transpose(2, 0, 1)
    assert np.abs(ours(read_preprocessing(tmp_path, CONFIG, "m"), image) - expected).max() < 1e-5


def test_the_files_of_timm_need_no_processor(tmp_path: Path) -> None:
    config = SimpleNamespace(pretrained_cfg={"input_size": [3, 224, 224], "mean": [0.5] * 3, "std": [0.5] * 3})
    assert read_preprocessing(tmp_path, config, "m").geometry == "224, cut from 256"


def test_a_processor_without_any_size_is_told(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"names no picture size in config.json or preprocessor_config.json; add"):
        read_preprocessing(tmp_path, SimpleNamespace(), "m")


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
        ({"size": 256}, {"image_size": 100}, 256),
        ({"image_mean": MEAN, "image_std": STD}, {"image_size": [101, 101]}, 101),
        ({"image_mean": MEAN, "image_std": STD}, {"crop_size": 102}, 102),
    ],
)
def test_the_size_is_the_crop_then_the_files_then_the_models_own(
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
