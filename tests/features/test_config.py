import dataclasses
import subprocess
import sys
from fractions import Fraction
from typing import Any

import pytest

from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders import output_identity
from videobert.video.limits import DecoderLimits


def test_the_defaults_are_the_clips_of_the_paper() -> None:
    config = FeaturesConfig()
    assert (config.rate, config.clip_length, config.ticks_per_clip) == (Fraction(20), Fraction(3, 2), 30)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fps", 0.0), ("fps", float("nan")), ("fps", 29.97), ("clip_seconds", -1.0), ("clip_seconds", 0.05),
        ("frames_per_clip", 0), ("batch_clips", 0), ("decode_ahead", 0),
        ("autocast", "int8"), ("device", "tpu"), ("device", "cuda:x"),
        ("decoder", "gpu"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_work_is_named(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{field}="):
        dataclasses.replace(FeaturesConfig(), **{field: value})


def test_the_video_engine_is_that_of_the_gpu_that_encodes() -> None:
    assert FeaturesConfig(device="cuda:3").decoding_gpu is None
    for device, gpu in (("auto", 0), ("cuda", 0), ("cuda:3", 3)):
        assert FeaturesConfig(device=device, decoder="nvdec").decoding_gpu == gpu
    with pytest.raises(InputError, match="decoder='nvdec' is part of a GPU"):
        FeaturesConfig(device="cpu", decoder="nvdec")


def test_output_fields_are_fields_and_leave_out_what_only_speeds_up() -> None:
    names = {field.name for field in dataclasses.fields(FeaturesConfig)}
    assert set(FeaturesConfig.OUTPUT_FIELDS) <= names
    assert not {"device", "batch_clips", "decode_ahead", "limits"} & set(FeaturesConfig.OUTPUT_FIELDS)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(DecoderLimits)])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_a_limit_is_positive_and_finite(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"limits\.{name}="):
        DecoderLimits(**{name: value})


def test_config_imports_nothing_heavy() -> None:
    check = "import sys, videobert.features.config; print(sorted({'numpy', 'torch', 'av', 'ray'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("stride", [0.0, -1.0, 0.03, 1.55, float("nan"), float("inf")])
def test_a_stride_is_some_ticks_and_no_longer_than_a_clip(stride: float) -> None:
    with pytest.raises(InputError, match="clip_stride="):
        FeaturesConfig(clip_stride=stride)


def test_fields_that_came_later_enter_a_spec_when_they_say_something_new() -> None:
    usual = output_identity(FeaturesConfig())
    assert set(usual) == set(FeaturesConfig.OUTPUT_FIELDS)
    assert output_identity(FeaturesConfig(clip_stride=0.5)) == usual | {"clip_stride": 0.5}
    assert output_identity(FeaturesConfig(last_clip="hold")) == usual | {"last_clip": "hold"}
    with pytest.raises(InputError, match="last_clip='pad' is unknown; choose drop or hold"):
        FeaturesConfig(last_clip="pad")  # type: ignore[arg-type]
