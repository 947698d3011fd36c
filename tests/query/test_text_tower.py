"""A sentence as a vector without torch: what the model itself says, and in a process that never loads it."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

import videobert
from tests.small_root import SmallRoot
from videobert.model.scoring import encode_text
from videobert.query.model import open_model
from videobert.query.text_tower import erf, open_text_tower
from videobert.runtime.storage import Store

pytestmark = pytest.mark.slow


def test_it_says_what_the_model_says(small_root: SmallRoot) -> None:
    opened = open_model(Store(small_root.root))
    tower = open_text_tower(Store(small_root.root), small_root.specs["pretrain"])
    for text in ("stir the egg", "a", "now we chop the onion and then " * 8):
        vector_R = tower.encode(text)
        assert vector_R.dtype == np.float32
        np.testing.assert_allclose(vector_R, encode_text(opened.model, [opened.text_ids(text)])[0], atol=1e-6)


@pytest.mark.parametrize(("text", "told"), [("", "holds no words"), ("egg " * 200, "exceeds the model's 128")])
def test_a_text_that_it_cannot_take_is_refused(small_root: SmallRoot, text: str, told: str) -> None:
    tower = open_text_tower(Store(small_root.root), small_root.specs["pretrain"])
    with pytest.raises(videobert.InputError, match=told):
        tower.encode(text)
    with pytest.raises(videobert.InputError, match="is not committed"):
        open_text_tower(Store(small_root.root), "pretrain-none")


def test_a_search_by_a_sentence_loads_no_torch(small_root: SmallRoot) -> None:
    code = (
        f"import sys, videobert; print(len(videobert.open({small_root.root!r}).search('egg')), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["5", "False"]


def test_the_error_function_is_that_of_the_standard_library() -> None:
    x = np.linspace(-6, 6, 2001, dtype=np.float32)
    np.testing.assert_allclose(erf(x), [math.erf(value) for value in x.tolist()], atol=2e-7)
