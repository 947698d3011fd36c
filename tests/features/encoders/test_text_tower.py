from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.features.encoders.clips import random_clips
from tests.features.encoders.test_huggingface import clip, normalised, save, siglip2, videoprism_lvt, vit, xclip
from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders import load_encoder, load_text_encoder
from videobert.video.request import ClipFrames

TEXTS = ["chop the onion", "stir", ""]
JOINT = {clip: "CLIPModel", siglip2: "Siglip2Model", xclip: "XCLIPModel", videoprism_lvt: "VideoPrismClipModel"}


def save_tokenizer(folder: Path) -> None:
    """Four words and the letters, which are all that SigLIP 2's tokenizer makes of them; a first and a last token."""
    words = {
        w: i for i, w in enumerate(["[PAD]", "<s>", "</s>", "[UNK]", "chop", "the", "onion", "stir", *ascii_lowercase])
    }
    plain = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )  # fmt: skip
    kind: Any = transformers.PreTrainedTokenizerFast
    tokenizer = kind(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("make", list(JOINT))
def test_texts_come_into_the_space_of_the_clips(tmp_path: Path, make: Any) -> None:
    folder = save(tmp_path / "m", make)
    save_tokenizer(folder)
    config = FeaturesConfig(encoder=f"hf:{folder}", device="cpu")
    tower = load_text_encoder(config)
    vectors = tower.encode_texts(TEXTS)
    if make is siglip2:
        (folder / "preprocessor_config.json").write_text('{"max_num_patches": 16, "patch_size": 4}')
    assert vectors.shape == (3, tower.dimension) == (3, load_encoder(config).dimension)
    assert np.array_equal(tower.encode_texts(TEXTS[1:2])[0], vectors[1])  # whatever is asked with it
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-6
    model = getattr(transformers, JOINT[make]).from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(TEXTS[0], padding="max_length", max_length=16, return_tensors="pt", truncation=True)
    mask = None if make is siglip2 else inputs["attention_mask"]  # SigLIP was trained without
    with torch.inference_mode():
        expected = model.get_text_features(inputs["input_ids"], mask).pooler_output[0]
    assert np.abs(vectors[0] - expected.numpy()).max() < 1e-5


def test_clips_are_ranked_by_cosine_with_a_text(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", clip)
    save_tokenizer(folder)
    config = FeaturesConfig(encoder=f"hf:{folder}", device="cpu")
    encoder, tower = load_encoder(config), load_text_encoder(config)
    clips = encoder.encode(random_clips(encoder.request, 3))
    (query,) = tower.encode_texts(["stir"])
    cosine = clips @ query / np.linalg.norm(clips, axis=1) / np.linalg.norm(query)
    model: Any = transformers.CLIPModel.from_pretrained(folder)
    best = int(np.argmax([own_score(model, frames, query) for frames in random_clips(encoder.request, 3)]))
    assert np.argmax(cosine) == best and np.ptp(cosine) > 1e-6


def own_score(model: Any, frames: ClipFrames, query: NDArray[np.float32]) -> float:
    """Of the mean picture of a clip, by the model's own projection."""
    with torch.inference_mode():
        picture = model.get_image_features(pixel_values=normalised(frames)).pooler_output.mean(0)
    return float(torch.nn.functional.cosine_similarity(picture, torch.from_numpy(query), dim=0))


def test_an_encoder_without_texts_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="encoder='packaged' has no text tower; search with a trained model"):
        load_text_encoder(FeaturesConfig())
    folder = save(tmp_path / "m", vit)
    with pytest.raises(InputError, match=r"has no text tower \(forward gives vectors that no text has\)"):
        load_text_encoder(FeaturesConfig(encoder=f"hf:{folder}", device="cpu"))


def test_a_text_tower_without_tokenizer_or_weights_is_told(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", clip)
    config = FeaturesConfig(encoder=f"hf:{folder}", device="cpu")
    with pytest.raises(InputError, match="has no tokenizer for its text tower; save its tokenizer there"):
        load_text_encoder(config)
    save_tokenizer(folder)
    weights = load_file(folder / "model.safetensors")
    pictures = {key: value for key, value in weights.items() if not key.startswith("text_")}
    save_file(pictures, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks the weights text_.* of its text tower; save the whole model"):
        load_text_encoder(config)
