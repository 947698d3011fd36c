"""A committed model, opened to be asked. Needs torch: the extra `worker`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videobert.errors import InputError
from videobert.runtime.manifest import Manifest, committed_batches, load_manifest
from videobert.runtime.pointer import read_pointer
from videobert.runtime.storage import Store
from videobert.tokens.read import read_shard

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from videobert.model.network import VideoBert

__all__ = ["OpenModel", "check_has_read_text", "has_read_text", "open_model", "without_text"]


@dataclass(frozen=True, kw_only=True)
class OpenModel:
    """A model, its tokenizer, and the way to the tokens that it reads."""

    store: Store
    manifest: Manifest
    model: VideoBert
    tokenizer: Tokenizer

    def text_ids(self, text: str) -> list[int]:
        """WordPiece ids of a text without special tokens. Raises InputError when it holds no words."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            raise InputError(f"the query {text!r} holds no words; describe what to find, such as 'stir the egg'")
        return ids

    def samples(self, batches: Collection[str] = ()) -> Iterator[dict[str, Any]]:
        """Token samples of some batches; empty: of all that are tokenised for this model, trained on or not."""
        spec = next(source.spec for source in self.manifest.sources if source.stage == "tokens")
        for batch in sorted(batches or committed_batches(self.store, "tokens", spec)):
            manifest = load_manifest(self.store, "tokens", spec, batch)
            for output in manifest.outputs if manifest else ():
                yield from read_shard(self.store, output.path)


def has_read_text(store: Store, model: Manifest) -> bool:
    """Whether any video that a model was trained on has text; looks into batches until one has."""
    tokens = (source for source in model.sources if source.stage == "tokens")
    found = (load_manifest(store, "tokens", source.spec, source.batch) for source in tokens)
    return any(manifest is None or manifest.counts.get("words") for manifest in found)


def check_has_read_text(store: Store, model: Manifest) -> None:
    """Raise InputError where no video that a model was trained on has text."""
    if not has_read_text(store, model):
        raise without_text(model.spec)


def without_text(model_spec: str) -> InputError:
    """What a model that has read no text answers to words."""
    return InputError(
        f"no video that {model_spec} was trained on has text, so it cannot compare words with pictures; "
        "search with --like ROW_ID, or give captions or --ingest.speech-model and train again"
    )


def open_model(store: Store, model_spec: str = "current") -> OpenModel:
    """Load the promoted model, or the one of that spec. Raises InputError when it is not there, or torch is not."""
    try:
        from videobert.codebook.load import load_tokenizer
        from videobert.model.load import load_committed_model
    except ImportError as error:
        raise InputError(
            f"this runs the model, and {error.name} is not installed; pip install 'videobert-pipeline[worker]', "
            "or search with --like ROW_ID, which needs no model"
        ) from error
    if model_spec == "current":
        pointer = read_pointer(store)
        if pointer is None:
            raise InputError(f"no model is promoted below {store.root}; name one with --model, or run the pipeline")
        model_spec = pointer.model_spec
    manifest = load_manifest(store, "pretrain", model_spec, "")
    if manifest is None:
        raise InputError(
            f"model {model_spec!r} is not committed below {store.root}; `videobert status` lists the models"
        )
    return OpenModel(
        store=store, manifest=manifest, model=load_committed_model(store, manifest),
        tokenizer=load_tokenizer(store, manifest),
    )  # fmt: skip
