import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

from tests.features.encoders.clips import random_clips
from tests.features.encoders.tiny_models import save_tiny
from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders import EncoderIdentity, encoder_identity, load_encoder
from videobert.features.encoders.loader_version import loader_version
from videobert.video.request import ClipFrames

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


def siglip() -> Any:
    text = {**SMALL, "vocab_size": 99, "max_position_embeddings": 16, "projection_size": 32}
    return transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=PATCHES))


def timesformer() -> Any:
    return transformers.TimesformerModel(transformers.TimesformerConfig(**PATCHES, num_frames=8))


def vivit_classifier() -> Any:
    config = transformers.VivitConfig(**PATCHES, num_frames=8, tubelet_size=[2, 8, 8])
    return transformers.VivitForVideoClassification(config)


def vit_mae() -> Any:
    return transformers.ViTMAEModel(transformers.ViTMAEConfig(**PATCHES))


def siglip2() -> Any:
    vision = {**SMALL, "patch_size": 4, "num_patches": 16}
    text = {**SMALL, "vocab_size": 99, "max_position_embeddings": 16, "projection_size": 32}
    return transformers.Siglip2Model(transformers.Siglip2Config(text_config=text, vision_config=vision))


def xclip() -> Any:
    text = {**SMALL, "vocab_size": 99, "bos_token_id": 1, "eos_token_id": 2}
    vision = {**PATCHES, "mit_hidden_size": 32, "mit_intermediate_size": 64, "mit_num_hidden_layers": 1,
              "mit_num_attention_heads": 4, "num_frames": 8}  # fmt: skip
    return transformers.XCLIPModel(transformers.XCLIPConfig(text_config=text, vision_config=vision, projection_dim=32))


VIDEOPRISM: dict[str, Any] = {
    "image_size": 32, "tubelet_size": [1, 8, 8], "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64,
    "num_spatial_layers": 1, "num_temporal_layers": 1, "num_auxiliary_layers": 1, "num_frames": 16,
}  # fmt: skip


def videoprism_vision() -> Any:
    return transformers.VideoPrismVisionModel(transformers.VideoPrismVisionConfig(**VIDEOPRISM))


def videoprism_lvt() -> Any:
    text = {**SMALL, "vocab_size": 99, "max_position_embeddings": 16}
    config = transformers.VideoPrismConfig(text_config=text, vision_config=VIDEOPRISM)
    return transformers.VideoPrismClipModel(config)


@pytest.mark.parametrize(
    ("make", "frames", "width"),
    [
        (vit, 4, 32), (vit_classifier, 4, 32), (clip, 4, 16), (clip_vision, 4, 32), (videomae, 16, 32),
        (vjepa2, 30, 32), (timesformer, 8, 32), (vivit_classifier, 8, 32), (vit_mae, 4, 32), (xclip, 8, 32),
        (videoprism_vision, 16, 32), (videoprism_lvt, 16, 32),
    ],
)  # fmt: skip
def test_models_of_each_kind_give_a_vector_a_clip(
    tmp_path: Path, make: Callable[[], Any], frames: int, width: int
) -> None:
    config = FeaturesConfig(encoder=f"hf:{save(tmp_path / 'Tiny_Model', make)}", device="cpu")
    encoder = load_encoder(config)
    assert (len(encoder.request.frame_ticks), encoder.request.size) == (frames, 32)
    clips = random_clips(encoder.request, 3)
    vectors = encoder.encode(clips)
    assert vectors.shape == (3, width) == (3, encoder.dimension)
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


def own(folder: Path, kind: Any) -> Any:
    """The model as transformers loads it, in evaluation mode."""
    return kind.from_pretrained(folder)


def normalised(clip: ClipFrames) -> torch.Tensor:
    """[F, C, H, W] as the preprocessor of `save` says."""
    return torch.from_numpy((clip.rgb / 255 - np.array(MEAN)) / np.array(STD)).float().permute(0, 3, 1, 2)


def vector_of(folder: Path) -> tuple[NDArray[np.float32], ClipFrames]:
    encoder = load_encoder(FeaturesConfig(encoder=f"hf:{folder}", device="cpu"))
    (clip_frames,) = random_clips(encoder.request, 1)
    return encoder.encode([clip_frames])[0], clip_frames


def test_a_pooler_that_was_never_trained_is_not_used(tmp_path: Path) -> None:
    """Classifiers are saved without one, and read the CLS token: never its mean with the patches."""
    vector, frames = vector_of(save(tmp_path / "m", vit_classifier))
    model = own(tmp_path / "m", transformers.ViTForImageClassification)
    with torch.inference_mode():
        hidden = model(pixel_values=normalised(frames), output_hidden_states=True).hidden_states[-1]
        expected = model.vit.layernorm(hidden)[:, 0].mean(0).numpy()
    assert np.abs(vector - expected).max() < 1e-4


def test_the_cls_token_of_a_video_is_not_averaged_with_its_patches(tmp_path: Path) -> None:
    vector, frames = vector_of(save(tmp_path / "t", timesformer))
    with torch.inference_mode():
        hidden = own(tmp_path / "t", transformers.TimesformerModel)(normalised(frames)[None]).last_hidden_state
    assert np.abs(vector - hidden[0, 0].numpy()).max() < 1e-4
    vector, frames = vector_of(save(tmp_path / "v", vivit_classifier))
    model = own(tmp_path / "v", transformers.VivitForVideoClassification)
    with torch.inference_mode():
        expected = model(normalised(frames)[None]).logits[0]
        logits = model.classifier(torch.from_numpy(vector))
    assert (logits - expected).abs().max() < 1e-4  # what its own classifier reads


def test_a_model_of_masked_pictures_sees_them_whole_and_its_patches_are_averaged(tmp_path: Path) -> None:
    vector, frames = vector_of(save(tmp_path / "m", vit_mae))
    model = own(tmp_path / "m", transformers.ViTMAEModel)
    model.config.mask_ratio = 0.0
    with torch.inference_mode():
        hidden = model(normalised(frames)).last_hidden_state
    assert hidden.shape[1] == 17 and np.abs(vector - hidden[:, 1:].mean((0, 1)).numpy()).max() < 1e-4


def test_a_video_model_of_texts_too_is_asked_for_the_features_of_the_video(tmp_path: Path) -> None:
    for make, kind in ((xclip, transformers.XCLIPModel), (videoprism_lvt, transformers.VideoPrismClipModel)):
        vector, frames = vector_of(save(tmp_path / make.__name__, make))
        with torch.inference_mode():
            features = own(tmp_path / make.__name__, kind).get_video_features(normalised(frames)[None])
        assert np.abs(vector - features.pooler_output[0].numpy()).max() < 1e-4


def test_patches_of_naflex_are_those_of_its_own_processor(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", siglip2)
    processor = Siglip2ImageProcessorPil(patch_size=4, max_num_patches=24)
    processor.save_pretrained(folder)
    vector, frames = vector_of(folder)
    assert frames.rgb.shape == (4, 16, 24, 3)  # 4 rows of 6
    inputs = processor(list(frames.rgb), return_tensors="pt")
    with torch.inference_mode():
        expected = own(folder, transformers.Siglip2Model).get_image_features(**inputs).pooler_output.mean(0)
    assert inputs["spatial_shapes"].tolist() == [[4, 6]] * 4
    assert np.abs(vector - expected.numpy()).max() < 1e-5


def test_a_text_tower_that_was_never_saved_does_not_matter_to_clips(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", clip)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {k: v for k, v in weights.items() if not k.startswith("text_")}, folder / "model.safetensors", {"format": "pt"}
    )
    assert load_encoder(FeaturesConfig(encoder=f"hf:{folder}", device="cpu")).dimension == 16
    del weights["vision_model.encoder.layers.1.mlp.fc1.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks the weights vision_model\.\S+\.fc1\.weight; save the whole"):
        load_encoder(FeaturesConfig(encoder=f"hf:{folder}", device="cpu"))


def refusal(folder: Path, **changes: Any) -> str:
    """What is said of this model directory, with such changes to its config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError) as caught:
        load_encoder(FeaturesConfig(encoder=f"hf:{folder}", device="cpu"))
    return str(caught.value)


def test_what_cannot_be_loaded_is_told_with_the_cure(tmp_path: Path) -> None:
    remote = {"model_type": "internvideo2", "auto_map": {"AutoModel": "modeling.InternVideo2"}}
    assert "code of its repository, which is never run; take" in refusal(save(tmp_path / "a", vit), **remote)
    assert "unknown to transformers" in refusal(save(tmp_path / "b", vit), model_type="vit9")
    assert "cannot be loaded by transformers" in refusal(save(tmp_path / "c", vit), hidden_size="wide")
    assert "mismatch" in refusal(save(tmp_path / "d", vit), hidden_size=64)
    frames = save(tmp_path / "e", videomae)
    with pytest.raises(
        InputError, match=r"gives no vector for 6 frames of 32, squeezed by forward .* leave --features"
    ):
        load_encoder(FeaturesConfig(encoder=f"hf:{frames}", device="cpu", frames_per_clip=6))


@pytest.mark.parametrize(
    ("file", "kept"),
    [("model.safetensors", 0.5), ("model.safetensors", 0), ("config.json", 0.5), ("preprocessor_config.json", 0.5)],
)
def test_half_a_download_is_told_before_anything_is_loaded(tmp_path: Path, file: str, kept: float) -> None:
    folder = save(tmp_path / "m", vit)
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: round(len(data) * kept)])
    for ask in (encoder_identity, load_encoder):
        with pytest.raises(InputError, match=rf"has a {file} that is damaged or not whole .*; download it again"):
            ask(FeaturesConfig(encoder=f"hf:{folder}", device="cpu"))


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_without_timm_the_cure_is_named(tmp_path: Path) -> None:
    timm = {"model_type": "timm_wrapper", "architecture": "vit_pe_core_tiny_patch16_384", "architectures": None}
    assert "install the extra `videobert-pipeline[timm]`" in refusal(save(tmp_path / "a", vit), **timm)
    assert "install the extra `videobert-pipeline[timm]`" in refusal(
        save(tmp_path / "b", vit), model_type="pe_audio_video"
    )


def test_a_generator_is_refused_with_what_its_methods_want(tmp_path: Path) -> None:
    save_tiny("qwen2_vl", tmp_path / "m")
    with pytest.raises(InputError, match=r"get_video_features wants video_grid_thw too; .* take an encoder of docs"):
        load_encoder(FeaturesConfig(encoder=f"hf:{tmp_path / 'm'}", device="cpu"))


def as_the_first_loader_did(folder: Path, frames: ClipFrames) -> NDArray[np.float32]:
    """Its arithmetic, step by step."""
    model: Any = transformers.AutoModel.from_pretrained(folder)
    tower = getattr(model, "vision_model", model)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    with torch.inference_mode():
        scaled = (torch.from_numpy(frames.rgb)[None].permute(0, 1, 4, 2, 3).float() / 255 - mean) / std
        pooled = tower(pixel_values=scaled.flatten(0, 1)).pooler_output
        vectors: NDArray[np.float32] = pooled.flatten(1).reshape(1, 4, -1).mean(1)[0].numpy()
    return vectors


@pytest.mark.parametrize("make", [vit, siglip])
def test_features_of_the_first_loader_stand_where_nothing_changed(tmp_path: Path, make: Callable[[], Any]) -> None:
    folder = save(tmp_path / "m", make)
    vector, frames = vector_of(folder)
    assert loader_version(folder) == "huggingface-1" and np.array_equal(vector, as_the_first_loader_did(folder, frames))


def test_the_identity_changes_where_vectors_did(tmp_path: Path) -> None:
    assert loader_version(save(tmp_path / "a", vit_classifier)) == "huggingface-2"  # CLS alone
    assert loader_version(save(tmp_path / "b", clip)) == "huggingface-2"  # projected
    folder = save(tmp_path / "c", siglip)
    values = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(values | {"size": {"shortest_edge": 32}}))
    assert loader_version(folder) == "huggingface-2"  # cropped


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
