"""docs/images/flow.svg: the stages in order, one lane per DAG, drawn from `videobert.stages`."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from videobert.stages import flow_of, get_stage

__all__ = ["render_flow"]

_BOX_WIDTH, _BOX_HEIGHT, _GAP = 112, 46, 24
_LANE_HEIGHT, _MARGIN, _TOP = 104, 16, 30

_LANES: Sequence[tuple[str, Sequence[str]]] = (
    ("videobert_ingest: one run per batch of videos", flow_of("ingest")),
    ("videobert_train: weekly or by hand, over many batches", (*flow_of("train"), "gates", "embed", "promote")),
    ("videobert_embed: one run per batch, with the promoted model", flow_of("embed")),
    (
        "where there are labels, videobert_finetune: once per promoted model; videobert_predict: per batch",
        (*flow_of("finetune"), *flow_of("predict")),
    ),
)
"""Title and steps of each DAG. `gates` and `promote` are tasks that write no data; `embed` there does every batch."""

_STYLE = """\
text { font-family: ui-sans-serif, system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 12px; fill: #59636e } .name { font-size: 13px; font-weight: 600 }
.folder { font-size: 10.5px; fill: #59636e } .label { font-size: 11px; fill: #0550ae }
.lane { fill: #f6f8fa; stroke: #d1d9e0 } .box { fill: #ffffff; stroke: #59636e } .task { stroke-dasharray: 4 3 }
.arrow { stroke: #59636e; fill: none; marker-end: url(#head) } .asset { stroke: #0550ae; marker-end: url(#blue) }
"""


def render_flow() -> str:
    """The picture as SVG."""
    longest = max(len(steps) for _, steps in _LANES)
    width = 2 * _MARGIN + longest * (_BOX_WIDTH + _GAP) + _GAP
    height = 2 * _MARGIN + len(_LANES) * _LANE_HEIGHT - 12
    lanes = [part for number, lane in enumerate(_LANES) for part in _lane(number, *lane, width=width)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(_described())}">',
        f"<style>\n{_STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#59636e"/></marker>',
        '<marker id="blue" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#0550ae"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *lanes,
        *_assets(),
        "</svg>",
        "",
    ])  # fmt: skip


def _lane(number: int, title: str, steps: Sequence[str], *, width: int) -> list[str]:
    top, inner, height = _MARGIN + number * _LANE_HEIGHT, width - 2 * _MARGIN, _LANE_HEIGHT - 12
    parts = [
        f'<rect class="lane" x="{_MARGIN}" y="{top}" width="{inner}" height="{height}" rx="6"/>',
        f'<text class="title" x="{_MARGIN + 12}" y="{top + 19}">{escape(title)}</text>',
    ]
    for position, step in enumerate(steps):
        x, y = _corner(number, position)
        parts += _box(step, x, y)
        if position:
            middle = y + _BOX_HEIGHT // 2
            parts.append(f'<path class="arrow" d="M{x - _GAP + 2} {middle}H{x - 2}"/>')
    return parts


def _box(step: str, x: int, y: int) -> list[str]:
    folder = _folder(step)
    middle = x + _BOX_WIDTH // 2
    name_y = y + (20 if folder else 28)
    shape = "box" if folder else "box task"
    parts = [
        f'<rect class="{shape}" x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="5"/>',
        f'<text class="name" x="{middle}" y="{name_y}" text-anchor="middle">{escape(step)}</text>',
    ]
    if folder:
        parts.append(f'<text class="folder" x="{middle}" y="{y + 36}" text-anchor="middle">{escape(folder)}</text>')
    return parts


def _assets() -> list[str]:
    """What one DAG hands to another: features start `embed`, a promotion says with which model."""
    x, y = _corner(0, len(flow_of("ingest")) - 1)
    right = x + _BOX_WIDTH
    train_top = _MARGIN + _LANE_HEIGHT
    promote_x, promote_y = _corner(1, len(_LANES[1][1]) - 1)
    embed_x, embed_y = _corner(2, len(flow_of("embed")) - 1)
    below = y + _BOX_HEIGHT
    promote_middle, embed_middle = promote_x + _BOX_WIDTH // 2, embed_y + _BOX_HEIGHT // 2
    down, left = promote_y + _BOX_HEIGHT + 2, embed_x + _BOX_WIDTH + 3
    return [
        f'<path class="arrow asset" d="M{x + _BOX_WIDTH // 2} {below + 2}V{train_top - 2}"/>',
        f'<text class="label" x="{right + 12}" y="{y + 20}">features of a batch, as an asset:</text>',
        f'<text class="label" x="{right + 12}" y="{y + 35}">embed follows, training reads all of them</text>',
        f'<path class="arrow asset" d="M{promote_middle} {down}V{embed_middle}H{left}"/>',
        f'<text class="label" x="{left + 11}" y="{embed_middle - 7}">the current model</text>',
    ]


def _corner(lane: int, position: int) -> tuple[int, int]:
    return _MARGIN + _GAP // 2 + position * (_BOX_WIDTH + _GAP) + 6, _MARGIN + lane * _LANE_HEIGHT + _TOP


def _folder(step: str) -> str:
    if step in ("gates", "promote"):
        return ""
    return f"{get_stage(step).folder.partition('/')[0]}/"


def _described() -> str:
    return "; ".join(f"{title}: {', '.join(steps)}" for title, steps in _LANES)
