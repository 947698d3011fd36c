"""The table of labels: three forms, and the line of what is wrong."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from videobert.errors import InputError
from videobert.labels.read import parse_labels, to_json_lines
from videobert.labels.records import COLUMNS, LabelRow

CSV = b'''video,start_seconds,end_seconds,label,value,split,choices
a.mp4,0,1.5,chop|onion,,train,
"b, c.mp4",,,"say ""hi""",0.5,val,x|y
'''
ROWS = [
    LabelRow(video="a.mp4", start_seconds=0.0, end_seconds=1.5, label=("chop", "onion"), split="train", line=2),
    LabelRow(video="b, c.mp4", label=('say "hi"',), value=0.5, split="validation", choices=("x", "y"), line=3),
]


def content(rows: list[LabelRow]) -> list[object]:
    return [row.to_json() for row in rows]


def test_three_forms_say_the_same() -> None:
    rows = parse_labels(CSV, "labels.csv")
    assert rows == ROWS
    assert content(parse_labels(to_json_lines(rows), "s3://bucket/labels.jsonl")) == content(rows)
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict.fromkeys(COLUMNS) | row.to_json() for row in rows]), sink)
    assert content(parse_labels(sink.getvalue(), "labels.parquet")) == content(rows)


@pytest.mark.parametrize(
    ("data", "suffix", "told"),
    [
        (b"video,label\na,x\nb\n", "csv", r"line 3 .*1 cells under a header of 2"),
        (b'video,label\n"a\nb",x\nc,y,z\n', "csv", r"line 4 .*3 cells"),
        (b"label\nx\n", "csv", r"line 1 .*needs `video`"),
        (b"video,label\n,x\n", "csv", r"line 2 .*video is empty"),
        (b"video,start_seconds\na,1\n", "csv", r"line 2 .*needs start_seconds and end_seconds"),
        (b"video,start_seconds,end_seconds\na,2,1\n", "csv", r"line 2 .*empty or negative"),
        (b"video,value\na,high\n", "csv", r"line 2 .*value is 'high'"),
        (b"video,value\na,nan\n", "csv", r"line 2 .*value is 'nan'"),
        (b"video,split\na,dreams\n", "csv", r"line 2 .*split 'dreams'"),
        (b"video,label\na,x|x\n", "csv", r"line 2 .*'x' twice"),
        (b"video,lable\na,x\n", "csv", r"line 2 .*column 'lable' is none of"),
        (b'{"video": "a"}\n\n{"video": ', "jsonl", r"line 3 .*no JSON"),
        (b"[1]\n", "jsonl", r"line 1 .*no JSON object"),
        (b'{"video": "a", "text": ["x"]}', "jsonl", r"line 1 .*one text"),
        (b'{"video": "a"}\n\xff', "jsonl", r"line 2 .*no UTF-8"),
        (b"PAR1", "parquet", r"line 1 .*no Parquet"),
        (b"", "csv", r"holds no row"),
        (b"", "txt", r"no \.csv, \.jsonl or \.parquet"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(data: bytes, suffix: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_labels(data, f"labels.{suffix}")
