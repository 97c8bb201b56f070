"""Draws the comparison as an SVG: one bar per row, how many times better than nats-server, on a
logarithmic axis, with the target as a mark. Lower is better in some rows; their bars show the
inverse, so that longer is better everywhere, and their text shows the ratio as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

ROW_HEIGHT, BAR_HEIGHT, TOP, BOTTOM = 26, 14, 92, 64
TITLE_RIGHT, AXIS_LEFT, AXIS_RIGHT, WIDTH = 500, 516, 916, 1090
AXIS_MIN, AXIS_MAX = 0.25, 64.0
TICKS = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)
MET, SHORT, INK, FAINT, GRID = "#2f7d5b", "#c0622d", "#1f2430", "#6b7280", "#e3e6ea"
FONT = "font-family='Helvetica, Arial, sans-serif'"


@dataclass(frozen=True)
class PictureRow:
    title: str
    modes: str
    better: float | None  # times better than nats-server; None: not measured
    target: float
    met: bool
    text: str


def x_of(value: float) -> float:
    clipped = min(max(value, AXIS_MIN), AXIS_MAX)
    share = math.log(clipped / AXIS_MIN) / math.log(AXIS_MAX / AXIS_MIN)
    return AXIS_LEFT + share * (AXIS_RIGHT - AXIS_LEFT)


def text(x: float, y: float, content: str, size: int, fill: str, more: str = "") -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{fill}' {FONT} {more}>"
        f"{escape(content)}</text>"
    )


def draw(subtitle: str, rows: Sequence[PictureRow]) -> str:
    height = TOP + ROW_HEIGHT * len(rows) + BOTTOM
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' "
        f"viewBox='0 0 {WIDTH} {height}'>",
        f"<rect width='{WIDTH}' height='{height}' fill='white'/>",
        text(24, 34, "Slipstream against nats-server", 20, INK, "font-weight='bold'"),
        text(24, 56, subtitle, 12, FAINT),
        *axis(len(rows)),
    ]
    for number, row in enumerate(rows):
        parts += bar(row, TOP + ROW_HEIGHT * number)
    parts += legend(height)
    return "\n".join([*parts, "</svg>"]) + "\n"


def axis(rows: int) -> list[str]:
    bottom = TOP + ROW_HEIGHT * rows
    parts = []
    for tick in TICKS:
        x = x_of(tick)
        stroke = FAINT if tick == 1 else GRID
        line = f"x1='{x:.1f}' x2='{x:.1f}' y1='{TOP - 4}' y2='{bottom}'"
        parts.append(f"<line {line} stroke='{stroke}'/>")
        parts.append(text(x, TOP - 10, f"{tick:g}", 11, FAINT, "text-anchor='middle'"))
    return parts


def bar(row: PictureRow, top: float) -> list[str]:
    middle = top + ROW_HEIGHT / 2
    title = f"{row.title}  [{row.modes}]" if row.modes else row.title
    parts = [text(TITLE_RIGHT, middle + 4, title, 12, INK, "text-anchor='end'")]
    colour = MET if row.met else SHORT
    if row.better is not None:
        start, end = sorted((x_of(1.0), x_of(row.better)))
        parts.append(
            f"<rect x='{start:.1f}' y='{middle - BAR_HEIGHT / 2:.1f}' rx='2' "
            f"width='{max(end - start, 1.5):.1f}' height='{BAR_HEIGHT}' fill='{colour}'/>"
        )
        mark = x_of(row.target)
        parts.append(
            f"<line x1='{mark:.1f}' x2='{mark:.1f}' y1='{middle - 11:.1f}' "
            f"y2='{middle + 11:.1f}' stroke='{INK}' stroke-width='2'/>"
        )
    weight = "normal" if row.met else "bold"
    fill = INK if row.met else SHORT
    parts.append(text(AXIS_RIGHT + 16, middle + 4, row.text, 12, fill, f"font-weight='{weight}'"))
    return parts


def legend(height: float) -> list[str]:
    y = height - 30
    return [
        f"<rect x='24' y='{y - 10}' width='22' height='12' rx='2' fill='{MET}'/>",
        text(52, y, "target met", 12, FAINT),
        f"<rect x='140' y='{y - 10}' width='22' height='12' rx='2' fill='{SHORT}'/>",
        text(168, y, "short of the target", 12, FAINT),
        f"<line x1='306' x2='306' y1='{y - 13}' y2='{y + 5}' stroke='{INK}' stroke-width='2'/>",
        text(314, y, "target", 12, FAINT),
        text(
            376,
            y,
            "[ours / theirs]: durability mode. Bars: times better than nats-server, logarithmic; "
            "right: ratio (target)",
            12,
            FAINT,
        ),
    ]
