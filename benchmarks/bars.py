"""A bar chart as SVG, which is text: one bar for each name, the best one first."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

WIDTH, NAMES, BAR, GAP, TOP = 760, 190, 22, 10, 44
OWN, OTHERS, INK = "#2b6cb0", "#a0aec0", "#1a202c"
ROOM = 110
"""For the figure behind the longest bar."""


def chart(title: str, unit: str, values: Mapping[str, float], own: str, less_is_better: bool) -> str:
    """`own` is the one that stands out."""
    ordered = sorted(values.items(), key=lambda pair: pair[1], reverse=not less_is_better)
    height = TOP + len(ordered) * (BAR + GAP)
    better = "less is better" if less_is_better else "more is better"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="sans-serif" font-size="13" fill="{INK}" role="img" aria-label="{escape(title)}">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="12" y="26" font-size="15" font-weight="bold">{escape(title)}, {escape(unit)} ({better})</text>',
            *(bar(n, name, value, value / max(values.values()), name == own) for n, (name, value) in enumerate(ordered)),
            "</svg>",
            "",
        ]
    )


def bar(n: int, name: str, value: float, part: float, stands_out: bool) -> str:
    top, length = TOP + n * (BAR + GAP), max(1, round(part * (WIDTH - NAMES - ROOM)))
    line = top + BAR - 6
    weight = ' font-weight="bold"' if stands_out else ""
    return (
        f'<text x="{NAMES - 8}" y="{line}" text-anchor="end"{weight}>{escape(name)}</text>'
        f'<rect x="{NAMES}" y="{top}" width="{length}" height="{BAR}" fill="{OWN if stands_out else OTHERS}"/>'
        f'<text x="{NAMES + length + 8}" y="{line}"{weight}>{number(value)}</text>'
    )


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
