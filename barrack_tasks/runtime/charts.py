"""Charts as images that a markdown artifact can carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import tostring

import pygal
from pygal.style import Style

from barrack_tasks.api.models.text import one_line

_COLOURS = {
    "ACTIVE": "#2f855a",
    "SHUTOFF": "#c53030",
    "HIBERNATED": "#3182ce",
    "volume": "#805ad5",
    "snapshot": "#d69e2e",
}
_OTHER = "#718096"
_SERIES = ("#2f855a", "#3182ce", "#d69e2e", "#c53030", "#805ad5", "#718096")


def stacked_bars(title: str, days: Mapping[str, Mapping[str, Decimal]], unit: str) -> str:
    """A chart with one bar a day, divided by kind, as SVG.

    Args:
        title: what it shows.
        days: amounts by kind, by day.
        unit: of the amounts.
    """
    kinds = sorted({kind for sums in days.values() for kind in sums})
    colours = tuple(_COLOURS.get(kind, _OTHER) for kind in kinds)
    chart = pygal.StackedBar(title=_label(title), y_title=_label(unit), **_look(colours))
    chart.x_labels = [_label(day[5:]) for day in days]
    for kind in kinds:
        chart.add(_label(kind), [float(sums.get(kind, 0)) for sums in days.values()])
    return _drawn(chart)


def lines_by_hour(title: str, shares: Mapping[str, Sequence[float]], zone: str) -> str:
    """A chart with one line a thing over the hours of the day, as SVG.

    Args:
        title: what it shows.
        shares: of each hour from 0 to 23, by thing, between 0 and 1.
        zone: whose hours.
    """
    chart = pygal.Line(
        title=_label(title),
        y_title="%",
        x_title=_label(f"hour of the day, {zone}"),
        range=(0, 100),
        show_dots=False,
        **_look(_SERIES),
    )
    chart.x_labels = [f"{hour:02}" for hour in range(24)]
    for name, hours in shares.items():
        chart.add(_label(name), [round(100 * share, 1) for share in hours])
    return _drawn(chart)


def _label(text: str) -> str:
    """A text as a chart can hold it: the time to draw one grows faster than its length."""
    return one_line(text, _LONGEST)


_LONGEST = 120


def _look(colours: tuple[str, ...]) -> dict[str, Any]:
    return {
        "width": 900,
        "height": 380,
        "explicit_size": True,
        "js": [],
        "x_label_rotation": 45,
        "legend_at_bottom": True,
        "style": Style(
            background="#ffffff",
            plot_background="#ffffff",
            colors=colours,
            font_family="sans-serif",
        ),
    }


def _drawn(chart: Any) -> str:
    tree = chart.render_tree()
    # An image runs no scripts, so they would only be ballast.
    for parent in tree.iter():
        for child in [c for c in parent if str(c.tag).endswith("script")]:
            parent.remove(child)
    return tostring(tree, encoding="unicode")
