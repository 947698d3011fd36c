"""What becomes of every family of transformers that takes pixels, with small random weights: the table of the docs.

`python -m tests.features.encoders.families` writes docs/encoders.md anew; `test_families` keeps it true.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.features.encoders.tiny_models import pixel_families, save_tiny, tiny_config
from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders.huggingface import HuggingFaceEncoder

__all__ = ["PAGE", "main", "row_of", "rows_on_page"]

PAGE = Path(__file__).parents[3] / "docs" / "encoders.md"
_BEGIN, _END = "<!-- families: begin -->", "<!-- families: end -->"
_LOADED = "| family | frames | picture | width | vector | method | texts |"
_OTHERS = "| family | what is said |"
_DIVISORS = (16, 8, 4, 1)
_MOST_WEIGHTS = 60_000_000
"""What is tried undivided: convolutional networks, whose groups and scales leave nothing to divide."""


def row_of(family: str) -> str:
    """The row of the table, as it comes out on this machine."""
    said = ""
    for divisor in _DIVISORS:
        with tempfile.TemporaryDirectory() as name, _fast():
            folder = Path(name) / "m"
            try:
                if divisor == 1 and _weights(family) > _MOST_WEIGHTS:
                    return said
                save_tiny(family, folder, divisor=divisor)
            except ImportError as error:
                return _other(family, f"not tried: {_package(error)}")
            except Exception as error:  # families check their configurations in ways of their own
                said = said or _other(family, f"not built so small: {type(error).__name__}: {error}")
                continue
            try:
                return _loaded(family, HuggingFaceEncoder(str(folder), FeaturesConfig(), device="cpu"), divisor)
            except InputError as error:
                said = _other(family, str(error).replace(f"encoder='hf:{folder}' ", ""))
                if "pixels alone" in said:
                    return said
    return said


def rows_on_page() -> dict[str, str]:
    """The rows of the page by family."""
    block = PAGE.read_text("utf-8").partition(_BEGIN)[2].partition(_END)[0]
    rows = [line for line in block.splitlines() if line.startswith("| `")]
    return {row.split("`")[1]: row for row in rows}


def main() -> None:
    """Write the table anew."""
    rows = [row_of(family) for family in sorted(pixel_families())]
    loaded, others = ([row for row in rows if (row.count("|") > 3) is wide] for wide in (True, False))
    block = "\n".join(
        [_BEGIN, f"With transformers {transformers.__version__}, {len(loaded)} of {len(rows)} families load:", "",
         _LOADED, "|---|---|---|---|---|---|---|", *loaded, "", "The others:", "", _OTHERS, "|---|---|", *others, _END]
    )  # fmt: skip
    text = PAGE.read_text("utf-8")
    PAGE.write_text(text.partition(_BEGIN)[0] + block + text.partition(_END)[2], "utf-8")


def _loaded(family: str, encoder: HuggingFaceEncoder, divisor: int) -> str:
    texts = f"`{encoder.method.text_method}`" if encoder.method.text_method else ""
    width = _width(family, encoder.dimension, divisor)
    cells = [
        f"`{family}`", len(encoder.request.frame_ticks), encoder.preprocessing.geometry, width, encoder.pooling,
        f"`{encoder.method}`", texts,
    ]  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _other(family: str, said: str) -> str:
    plain = re.sub(r"[|`<>\[\]*_]", " ", said.partition("; ")[0])
    return f"| `{family}` | {' '.join(plain.split())[:150]} |"


def _weights(family: str) -> int:
    with torch.device("meta"):
        kind: Any = transformers.AutoModel
        model = kind.from_config(tiny_config(family, 1))
    return sum(parameter.numel() for parameter in model.parameters())


def _width(family: str, dimension: int, divisor: int) -> int:
    """Of the family's default configuration: widths that were divided are found there, others stayed."""
    return dimension * divisor if dimension * divisor in _numbers(_default(family)) else dimension


def _default(family: str) -> dict[str, Any]:
    values: dict[str, Any] = transformers.CONFIG_MAPPING[family]().to_dict()
    return values


def _numbers(value: Any) -> set[int]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return {number for part in value for number in _numbers(part)}
    return {value} if isinstance(value, int) else set()


def _package(error: ImportError) -> str:
    found = re.search(r"requires the (\w+) library", str(error))
    return f"needs the package {found[1]}" if found else str(error)


@contextmanager
def _fast() -> Iterator[None]:
    """Without the numbers near zero in which untrained networks end, and which cost a hundred times as much."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


if __name__ == "__main__":
    main()
