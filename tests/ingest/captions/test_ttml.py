"""TTML: times of every kind, rows, and XML that attacks."""

from __future__ import annotations

import time

import pytest

from videobert.ingest.captions import parse_captions, read_captions

_NS = 'xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter"'


def _read(body: str, attributes: str = "", namespace: str = _NS) -> list[tuple[float, float, str]]:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<tt {namespace} {attributes}><head/>{body}</tt>'
    return [(cue.start_seconds, cue.end_seconds, cue.text) for cue in parse_captions(text.encode(), ".ttml")]


def _paragraph(times: str, text: str = "Chop") -> str:
    return f"<body><div><p {times}>{text}</p></div></body>"


@pytest.mark.parametrize(
    ("times", "attributes", "expected"),
    [
        ('begin="00:00:01.500" end="00:00:02.750"', "", (1.5, 2.75)), ('begin="1.5s" end="2750ms"', "", (1.5, 2.75)),
        ('begin="0.025m" dur="0.001h"', "", (1.5, 5.1)), ('begin="00:00:01" end="100:00:00"', "", (1.0, 360_000.0)),
        ('begin="00:00:01:12" end="00:00:02:00"', 'ttp:frameRate="24"', (1.5, 2.0)),
        ('begin="00:00:01:15" end="00:00:02:00"', "", (1.5, 2.0)),
         ('begin="30f" end="45f"', 'ttp:frameRate="30"', (1.0, 1.5)),
        ('begin="24f" end="48f"', 'ttp:frameRate="24" ttp:frameRateMultiplier="1000 1001"', (1.001, 2.002)),
        ('begin="15000000t" end="27500000t"', 'ttp:tickRate="10000000"', (1.5, 2.75)), ('end="2s"', "", (0.0, 2.0)),
        ('begin="1s" end="9s" dur="2s"', "", (1.0, 3.0)),
    ],
)  # fmt: skip
def test_times(times: str, attributes: str, expected: tuple[float, float]) -> None:
    ((start, end, text),) = _read(_paragraph(times), attributes)
    assert (start, end) == pytest.approx(expected) and text == "Chop"


@pytest.mark.parametrize("times", ["", 'begin="1s"', 'begin="x" end="y"', 'begin="2s" end="1s"', 'end="-1s"'])
def test_what_has_no_end_is_no_cue(times: str) -> None:
    assert _read(_paragraph(times)) == []


def test_times_count_from_those_of_the_elements_around() -> None:
    paragraphs = '<p begin="1s" end="2s">a</p><p begin="2s" end="99s">b</p>'
    body = f'<body begin="10s"><div begin="5s" end="9s">{paragraphs}</div></body>'
    assert _read(body) == [(16.0, 17.0, "a"), (17.0, 19.0, "b")]


def test_a_sequence_counts_from_the_one_before() -> None:
    body = '<body><div timeContainer="seq"><p dur="2s">a</p><p dur="3s">b</p><p begin="1s" dur="1s">c</p></div></body>'
    assert _read(body) == [(0.0, 2.0, "a"), (2.0, 5.0, "b"), (6.0, 7.0, "c")]


def test_text_of_spans_and_rows() -> None:
    text = 'Cut <span style="s1">the</span>\n   onion<br/>and &amp; stir<metadata>no</metadata> it'
    assert _read(_paragraph('begin="0s" end="1s"', text)) == [(0.0, 1.0, "Cut the onion and & stir it")]


def test_spans_with_times_are_cues() -> None:
    text = '<span begin="1s" end="2s">Cut</span> <span begin="2s" end="3s">stir</span>'
    assert _read(_paragraph("", text)) == [(1.0, 2.0, "Cut"), (2.0, 3.0, "stir")]


@pytest.mark.parametrize(
    "namespace", ["", 'xmlns="http://www.w3.org/2006/10/ttaf1"', 'xmlns="http://www.w3.org/2006/04/ttaf1"']
)
def test_forerunners_are_read_too(namespace: str) -> None:
    assert _read(_paragraph('begin="0s" end="1s"'), namespace=namespace) == [(0.0, 1.0, "Chop")]


def test_a_prefix_of_the_namespace_and_its_language() -> None:
    text = (
        '<tt:tt xmlns:tt="http://www.w3.org/ns/ttml" xml:lang="pt-BR"><tt:body><tt:p begin="0s" end="1s">Corte</tt:p>'
        "</tt:body></tt:tt>"
    )
    read = read_captions(text.encode(), ".dfxp")
    assert [cue.text for cue in read.cues] == ["Corte"] and read.language == "pt-BR" and read.form == "ttml"


_BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "text",
    [
        f'<!DOCTYPE tt [<!ENTITY e0 "x">{_BOMB}]><tt {_NS}><body><p begin="0s" end="1s">&e11;</p></body></tt>',
        f'<!DOCTYPE tt [<!ENTITY x SYSTEM "file:///etc/passwd">]><tt {_NS}><body><p end="1s">&x;</p></body></tt>',
        f'<!DOCTYPE tt SYSTEM "http://127.0.0.1:9/x.dtd"><tt {_NS}><body/></tt>',
        f"<tt {_NS}><body>", f"<tt {_NS}>" + "<div>" * 100_000,
         f"<tt {_NS}><body>" + "<div>" * 60 + "</div>" * 60 + "</body></tt>",
        f'<tt {_NS}><body><p begin="0s" end="1s">' + "<span>" * 60 + "</span>" * 60 + "</p></body></tt>",
        "<svg xmlns='http://www.w3.org/2000/svg'/>", "no XML",
    ],
    ids=["bomb", "file", "network", "cut", "deep and cut", "deep", "deep text", "other", "text"],
)  # fmt: skip
def test_xml_that_attacks_or_is_broken_is_a_value_error(text: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match="no TTML"):
        parse_captions(text.encode(), ".ttml")
    assert time.process_time() - started < 2
