"""What a batch may be called."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videobert.batch_key import check_batch_key, parse_batch_keys
from videobert.errors import InputError


@pytest.mark.parametrize("key", ["2026-01-01", "late-uploads", "a", "Z.9_-", "k" * 100])
def test_a_key(key: str) -> None:
    assert check_batch_key(key) == key


BAD = ["", " ", "a b", "a/b", "..", ".hidden", "-rf", "_x", "a,b", "ключ", "a\n", "k" * 101, "k" * 300, "$(x)", "'a'"]


@pytest.mark.parametrize("key", BAD)
def test_no_key_is_named_with_what_is_one(key: str) -> None:
    with pytest.raises(InputError, match="is no key; use 1 to 100 of") as caught:
        check_batch_key(key)
    assert len(str(caught.value)) < 400


@given(st.text())
def test_a_key_is_one_word_of_a_shell_and_one_folder(text: str) -> None:
    try:
        key = check_batch_key(text)
    except InputError:
        return
    assert shlex.quote(key) == key and "/" not in key and key not in (".", "..") and key.isascii()


def test_keys_are_separated_by_commas_each_once() -> None:
    assert parse_batch_keys(" b, a ,b,,") == ("b", "a")
    assert parse_batch_keys("") == ()
    with pytest.raises(InputError, match="'a b' is no key"):
        parse_batch_keys("c,a b")
