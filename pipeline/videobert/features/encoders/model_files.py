"""The files of a model of transformers: where they lie, which are read, and what cannot be loaded said in one sentence.

Weights are read as safetensors only, and no code of a model's repository is run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videobert.errors import InputError

__all__ = ["PREPROCESSOR_FILES", "VOCABULARY_FILES", "LoadedModel", "load_model", "model_files", "model_folder"]

PREPROCESSOR_FILES = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")
VOCABULARY_FILES = (
    "tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model",
)  # fmt: skip
TOKENIZER_FILES = (
    *VOCABULARY_FILES, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt",
)  # fmt: skip
"""For the text tower of a joint model. No part of an encoder's identity: no clip's vector depends on them."""
_PATTERNS = ("*.safetensors", "*.safetensors.index.json", "config.json", *PREPROCESSOR_FILES)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model in evaluation mode, on the CPU, in float32."""

    model: Any
    """A `transformers.PreTrainedModel` of some family, which have no common type."""
    missing: tuple[str, ...]
    """Names of weights that the files do not hold and that transformers drew at random."""


def model_folder(name: str) -> Path:
    """The local directory, or the cached snapshot of an id (fetched if need be, and HF_HUB_OFFLINE is unset).

    Raises `InputError` when there is neither, or it lacks configuration or safetensors, or one is not whole.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if name.count("/") > 1 or name.startswith((".", "~", "/")):
            raise InputError(f"encoder='hf:{name}' is no directory; give a local directory or a Hugging Face id")
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(name, allow_patterns=[*_PATTERNS, *TOKENIZER_FILES]))
        except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise InputError(
                f"encoder='hf:{name}' is neither a local directory nor a model that can be fetched "
                f"({type(error).__name__}); check the name, log in, or download it first"
            ) from error
    if not (folder / "config.json").is_file():
        raise InputError(f"encoder='hf:{name}' has no config.json; give the directory that `save_pretrained` wrote")
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"encoder='hf:{name}' has no *.safetensors weights, and pickled ones are never loaded; "
            "convert them with `save_pretrained`"
        )
    _refuse_halves(folder, name)
    return folder


def _refuse_halves(folder: Path, name: str) -> None:
    """A download that broke off, or pointers that Git LFS has not followed: the headers of the files tell."""
    from safetensors import SafetensorError, safe_open

    for path in model_files(folder):
        try:
            if path.suffix == ".json":
                if not isinstance(json.loads(path.read_text("utf-8")), dict):
                    raise ValueError("it holds no object")
            else:
                with safe_open(path, "np"):
                    pass
        except (SafetensorError, ValueError, OSError) as error:
            raise InputError(
                f"encoder='hf:{name}' has a {path.name} that is damaged or not whole ({_sentence(error)}); "
                "download it again"
            ) from error


def model_files(folder: Path) -> list[Path]:
    """The files on which a clip's vector depends."""
    return sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)})


def load_model(folder: Path, name: str) -> LoadedModel:
    """What `transformers.AutoModel` makes of a directory. Raises `InputError` with the cure when it cannot."""
    from transformers import AutoModel

    _refuse_foreign_code(folder, name)
    try:
        model, info = AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True,
            dtype="float32",
        )  # fmt: skip
    except ImportError as error:
        raise InputError(f"encoder='hf:{name}' needs a package that is not there: {_cure(error)}") from error
    except Exception as error:  # thousands of lines of other people's code, each family with errors of its own
        raise InputError(
            f"encoder='hf:{name}' cannot be loaded by transformers ({_sentence(error)}); save it again with "
            "`save_pretrained`, or take another checkpoint of its family"
        ) from error
    return LoadedModel(model=model.eval().requires_grad_(False), missing=tuple(sorted(info["missing_keys"])))


def _refuse_foreign_code(folder: Path, name: str) -> None:
    """A family that transformers does not know would run the repository's own Python."""
    import transformers
    from transformers import CONFIG_MAPPING

    config = json.loads((folder / "config.json").read_text("utf-8"))
    family = config.get("model_type")
    if family in CONFIG_MAPPING or (family is None and "architecture" in config):  # the latter: timm's own files
        return
    if config.get("auto_map"):
        raise InputError(
            f"encoder='hf:{name}' is defined by code of its repository, which is never run; take a checkpoint of a "
            "family that transformers itself knows (docs/encoders.md lists them)"
        )
    raise InputError(
        f"encoder='hf:{name}' is of the family {family!r}, unknown to transformers {transformers.__version__}; "
        "upgrade transformers, or take a family of docs/encoders.md"
    )


def _cure(error: ImportError) -> str:
    """What to install; transformers names the package in the first line of its message."""
    text = str(error)
    if "timm" in text and "version of timm" not in text:
        return "timm; install the extra `videobert-pipeline[timm]`, with a torchvision built for your torch"
    return f"{_sentence(error)}; install it and try again"


def _sentence(error: Exception) -> str:
    """The kind of an error and the beginning of what it says, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
