"""Public annotation files, each written here as its authors publish it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from videobert.errors import InputError
from videobert.labels.formats import import_labels

MSRVTT = {
    "info": {"contributor": "Microsoft", "version": "1.0"},
    "videos": [
        {"category": 9, "url": "https://example.org", "video_id": "video0", "start time": 137.72,
         "end time": 149.44, "split": "train", "id": 0},
        {"category": 3, "url": "https://example.org", "video_id": "video1", "start time": 0, "end time": 9,
         "split": "validate", "id": 1},
    ],
    "sentences": [{"caption": "a car is shown", "video_id": "video0", "sen_id": 0}],
}  # fmt: skip
QA = [{"answer": "couch", "category_id": 14, "id": 158581, "question": "what is on the floor?", "video_id": 6513}]
YOUCOOK = {
    "database": {
        "GLd3aX16zBg": {
            "duration": 241.62, "subset": "training", "recipe_type": "113", "video_url": "https://example.org",
            "annotations": [{"segment": [90, 102], "id": 0, "sentence": "spread margarine on two slices"}],
        }
    }
}  # fmt: skip
ACTIVITYNET = {"v_QOlSCBRmfWY": {"duration": 82.73, "timestamps": [[0.83, 19.86]], "sentences": [" A woman spins."]}}
KINETICS = b"label,youtube_id,time_start,time_end,split\nabseiling,-3B32lodo2M,59,69,train\n"


@pytest.mark.parametrize(
    ("name", "file", "rows"),
    [
        ("kinetics-csv", KINETICS, [{"video": "-3B32lodo2M_000059_000069", "label": ["abseiling"], "split": "train"}]),
        ("msrvtt", MSRVTT, [
            {"video": "video0", "label": ["9"], "split": "train"},
            {"video": "video1", "label": ["3"], "split": "validation"},
            {"video": "video0", "text": "a car is shown", "split": "train"},
        ]),
        ("msrvtt-qa", QA, [
            {"video": "video6513", "question": "what is on the floor?", "answer": "couch", "split": "test"}
        ]),
        ("youcook2", YOUCOOK, [
            {"video": "GLd3aX16zBg", "label": ["113"], "split": "train"},
            {"video": "GLd3aX16zBg", "start_seconds": 90.0, "end_seconds": 102.0, "split": "train",
             "text": "spread margarine on two slices"},
        ]),
        ("activitynet", ACTIVITYNET, [
            {"video": "v_QOlSCBRmfWY", "start_seconds": 0.83, "end_seconds": 19.86, "text": "A woman spins.",
             "split": "test"}
        ]),
    ],
)  # fmt: skip
def test_a_file_of_each_format(name: str, file: Any, rows: list[dict[str, Any]]) -> None:
    data = file if isinstance(file, bytes) else json.dumps(file).encode()
    assert [row.to_json() for row in import_labels(data, "file", format=name, split="test")] == rows


def test_what_is_not_in_the_format_names_the_entry() -> None:
    with pytest.raises(InputError, match=r"entry 1 of f is not in the format msrvtt: no 'videos'"):
        import_labels(b"{}", "f", format="msrvtt")
    with pytest.raises(InputError, match=r"entry 2 of f .*kinetics-csv"):
        import_labels(KINETICS + b"x,y,now,later,train\n", "f", format="kinetics-csv")
    with pytest.raises(InputError, match="holds no entry"):
        import_labels(b"[]", "f", format="msrvtt-qa")
