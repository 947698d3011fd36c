import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.features.encoders.clips import random_clips
from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders import EncoderIdentity, encoder_identity, load_encoder

SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
PATCHES: dict[str, Any] = {**SMALL, "image_size": 32, "patch_size": 8}
MEAN, STD = [0.48, 0.45, 0.4], [0.2, 0.21, 0.22]


def vit() -> Any:
    return transformers.ViTModel(transformers.ViTConfig(**PATCHES))


def vit_classifier() -> Any:
    return transformers.ViTForImageClassification(transformers.ViTConfig(**PATCHES))


def clip() -> Any:
    text = {**SMALL, "vocab_size": 99, "bos_token_id": 1, "eos_token_id": 2}
    return transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=PATCHES, projection_dim=16))


def clip_vision() -> Any:
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**PATCHES))


def videomae() -> Any:
    return transformers.VideoMAEModel(transformers.VideoMAEConfig(**PATCHES, num_frames=16))


def vjepa2() -> Any:
    config = transformers.VJEPA2Config(
        crop_size=32, patch_size=8, frames_per_clip=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        mlp_ratio=2.0, pred_hidden_size=12, pred_num_attention_heads=1, pred_num_hidden_layers=1,
    )  # fmt: skip
    return transformers.VJEPA2Model(config)


def save(folder: Path, make: Callable[[], Any], *, size: int = 32) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make().save_pretrained(folder)
    values = {"image_mean": MEAN, "image_std": STD, "size": {"height": size, "width": size}}
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize(
    ("make", "frames"), [(vit, 4), (vit_classifier, 4), (clip, 4), (clip_vision, 4), (videomae, 16), (vjepa2, 30)]
)
def test_models_of_each_kind_give_a_vector_a_clip(tmp_path: Path, make: Callable[[], Any], frames: int) -> None:
    config = FeaturesConfig(encoder=f"hf:{save(tmp_path / 'Tiny_Model', make)}", device="cpu")
    encoder = load_encoder(config)
    assert (len(encoder.request.frame_ticks), encoder.request.size) == (frames, 32)
    clips = random_clips(encoder.request, 3)
    vectors = encoder.encode(clips)
    assert vectors.shape == (3, 32) == (3, encoder.dimension)
    assert np.array_equal(encoder.encode(clips[1:2])[0], vectors[1])
    assert np.array_equal(load_encoder(config).encode(clips), vectors)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-4
    assert encoder.identity == encoder_identity(config) and encoder.identity.label == "tiny-model"


def test_a_model_for_gray_pictures_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", vit)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5], "image_std": [0.5]}))
    with pytest.raises(InputError, match=r"with its preprocessor_config.json: three means, .* got .*mean=\(0.5,\)"):
        load_encoder(FeaturesConfig(encoder=f"hf:{folder}", device="cpu"))


def test_pixels_are_scaled_as_the_preprocessor_says(tmp_path: Path) -> None:
    encoder = load_encoder(FeaturesConfig(encoder=f"hf:{save(tmp_path / 'm', vit)}", device="cpu"))
    clips = random_clips(encoder.request, 1)
    model: Any = transformers.ViTModel.from_pretrained(tmp_path / "m")  # in evaluation mode
    pixels = torch.from_numpy((clips[0].rgb / 255 - np.array(MEAN)) / np.array(STD)).float().permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = model(pixel_values=pixels).pooler_output.mean(0).numpy()
    assert np.abs(encoder.encode(clips)[0] - expected).max() < 1e-5


def test_a_pooler_that_was_never_trained_is_not_used(tmp_path: Path) -> None:
    encoder = load_encoder(FeaturesConfig(encoder=f"hf:{save(tmp_path / 'm', vit_classifier)}", device="cpu"))
    clips = random_clips(encoder.request, 1)
    model: Any = transformers.ViTForImageClassification.from_pretrained(tmp_path / "m")  # in evaluation mode
    pixels = torch.from_numpy((clips[0].rgb / 255 - np.array(MEAN)) / np.array(STD)).float().permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = model(pixel_values=pixels, output_hidden_states=True).hidden_states[-1]
        expected = model.vit.layernorm(expected).mean((0, 1)).numpy()
    assert np.abs(encoder.encode(clips)[0] - expected).max() < 1e-4


def test_the_digest_follows_weights_and_preprocessing_not_the_place(tmp_path: Path) -> None:
    first, second = save(tmp_path / "a" / "m", vit), save(tmp_path / "b" / "m", vit)
    assert identity_of(first) == identity_of(second)
    values = json.loads((second / "preprocessor_config.json").read_text()) | {"image_std": [0.5] * 3}
    (second / "preprocessor_config.json").write_text(json.dumps(values))
    assert identity_of(first) != identity_of(second)


def identity_of(folder: Path) -> EncoderIdentity:
    return encoder_identity(FeaturesConfig(encoder=f"hf:{folder}"))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", vit)
    torch.save(vit().state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no \*\.safetensors weights"):
        load_encoder(FeaturesConfig(encoder=f"hf:{folder}"))


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="is no directory"):
        load_encoder(FeaturesConfig(encoder=f"hf:{tmp_path}/nowhere/model"))
    folder = save(tmp_path / "m", vit)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=r"preprocessor_config\.json"):
        load_encoder(FeaturesConfig(encoder=f"hf:{folder}"))
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"no config\.json"):
        load_encoder(FeaturesConfig(encoder=f"hf:{folder}"))
