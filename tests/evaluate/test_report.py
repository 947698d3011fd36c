"""The report: one page that stands alone and runs nothing it was given."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import jinja2
import pytest

from videobert.evaluate.report import render_report

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"
CURVE = [{"step": step, "loss": 4.0 / step, "text_only": 2.0} for step in range(1, 6)]
FACTS = {"batches": ["2026-01-01"], "codebook_spec": "codebook-1", "feature_spec": "features-1", "step": 5}
ENDS = (
    "", "_prior", "_majority", "_chance", "_gain_in_standard_errors", "_gain_over_majority_in_standard_errors"
)  # fmt: skip
WORDS = {f"top{k}{end}": 0.25 for k in (1, 5) for end in ENDS}


def _metrics(text: str = "onion") -> dict[str, Any]:
    return {
        "model": f"pretrain-{text}", "heldout_videos": 3,
        "codebook": {"leaves": {"used_leaves": 3, "dead_code_rate": 0.25, "perplexity": 2.5, "largest_share": 0.5},
                     "inertia": [3.0, 1.0], "greedy_not_nearest": 0.1},
        "retrieval": {"candidates": 8.0, "median_rank": 2.0,
                      **{f"recall_at_{k}{end}": 0.5 for k in (1, 5, 10) for end in ("", "_chance")},
                      "reranked_recall_at_1": 0.5, "reranked_recall_at_5": 0.5},
        "zero_shot": {"spans": 4, "verbs": ["cut"], "nouns": ["onion"], "not_in_vocabulary": [text],
                      "verb": WORDS, "noun": WORDS, "prompt": text},
        "gates": [{"gate": f"gate {text}", "found": 1.0, "needed": 2.0, "holds": False}],
    }  # fmt: skip


class _Page(HTMLParser):
    """Tags with their attributes, as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_hostile_text_is_shown_and_never_run() -> None:
    facts = FACTS | {"batches": [HOSTILE], "codebook_spec": HOSTILE}
    page = render_report(_metrics(HOSTILE), CURVE, facts).decode()
    tags = _Page(page).tags
    assert [attributes for tag, attributes in tags if tag == "script"] == [{}] and page.count("<script") == 1  # ours
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert page.count("&lt;script&gt;") >= 6


def test_the_page_asks_nobody_for_anything() -> None:
    page = render_report(_metrics(), CURVE, FACTS).decode()
    sources = [attributes["src"] for tag, attributes in _Page(page).tags if tag == "img"]
    assert len(sources) == 1 and str(sources[0]).startswith("data:image/png;base64,")
    assert "default-src 'none'" in page and not re.search(r"https?://|url\(", page)


def test_equal_figures_give_equal_bytes() -> None:
    assert render_report(_metrics(), CURVE, FACTS) == render_report(_metrics(), CURVE, FACTS)
    assert render_report(_metrics(), CURVE[:2], FACTS) != render_report(_metrics(), CURVE, FACTS)


def test_the_page_says_how_training_ended() -> None:
    checks = [{"step": 2, "loss": 3.0}, {"step": 4, "loss": 3.5}]
    training = {"plan": {"steps": 9, "videos": 1, "segments": 7}, "checks": checks, "ended": 5}
    page = render_report(_metrics(), CURVE, FACTS | {"training": training}, checks)
    assert b"stopped after 5 of 9 steps: 1 training video kept aside" in page
    assert page != render_report(_metrics(), CURVE, FACTS | {"training": training})


def test_what_was_not_measured_is_left_out() -> None:
    metrics = _metrics() | {"retrieval": {}, "gates": [], "zero_shot": {"spans": 0}}
    page = render_report(metrics, [], FACTS).decode()
    assert "No gate is on" in page and "Zero-shot" not in page and "R@10" not in page
    del metrics["zero_shot"]
    assert b"Zero-shot" not in render_report(metrics, CURVE, FACTS)


def test_a_missing_figure_is_an_error_and_no_blank() -> None:
    metrics = _metrics()
    del metrics["codebook"]["leaves"]["perplexity"]
    with pytest.raises(jinja2.UndefinedError):
        render_report(metrics, CURVE, FACTS)
