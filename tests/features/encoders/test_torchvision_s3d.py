import importlib.util

import pytest

from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders import encoder_identity, load_encoder


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_without_torchvision_the_cure_is_named() -> None:
    config = FeaturesConfig(encoder="torchvision:s3d")
    for load in (load_encoder, encoder_identity):
        with pytest.raises(InputError, match="needs torchvision; install"):
            load(config)
