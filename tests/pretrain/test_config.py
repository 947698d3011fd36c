import subprocess
import sys
from typing import Any

import pytest

from videobert.errors import InputError
from videobert.pretrain.config import Architecture, LossWeights, Mixture, PretrainConfig


@pytest.mark.parametrize(
    "wrong",
    [
        {"mask_probability": 0.0},
        {"mask_probability": 1.5},
        {"subsample_rates": ()},
        {"subsample_rates": (0, 1)},
        {"negatives": "all"},
        {"batch_size": 0},
        {"batch_size": 2, "accumulation": 3},
        {"steps": 0, "epochs": 0.0},
        {"learning_rate": 0.0},
        {"precision": "fp8"},
        {"concatenate_max": -1},
        {"log_every_steps": 0},
    ],
)
def test_values_that_cannot_train_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PretrainConfig(**wrong)


def test_parts_refuse_what_makes_no_sense() -> None:
    with pytest.raises(InputError, match="multiple of heads"):
        Architecture(hidden=30, heads=4)
    with pytest.raises(InputError, match="nothing to learn"):
        LossWeights(text_only=0, video_only=0, joint_text=0, joint_video=0, alignment=0, retrieval=0)
    with pytest.raises(InputError, match="mixture"):
        Mixture(text_only=-1)


def test_importing_the_config_loads_nothing_heavy() -> None:
    code = "import sys, videobert.pretrain.config; print([m for m in ('torch', 'numpy', 'ray') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
