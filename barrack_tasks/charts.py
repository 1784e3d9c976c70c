"""Charts as images that a markdown artifact can carry."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from decimal import Decimal
from xml.etree.ElementTree import tostring

import pygal
from pygal.style import Style

_COLOURS = {
    "ACTIVE": "#2f855a",
    "SHUTOFF": "#c53030",
    "HIBERNATED": "#3182ce",
    "volume": "#805ad5",
    "snapshot": "#d69e2e",
}
_OTHER = "#718096"


def stacked_bars(title: str, days: Mapping[str, Mapping[str, Decimal]], unit: str) -> str:
    """A chart with one bar a day, divided by kind, as SVG.

    Args:
        title: what it shows.
        days: amounts by kind, by day.
        unit: of the amounts.
    """
    kinds = sorted({kind for sums in days.values() for kind in sums})
    chart = pygal.StackedBar(
        title=title,
        width=900,
        height=380,
        explicit_size=True,
        js=[],
        disable_xml_declaration=True,
        x_label_rotation=45,
        legend_at_bottom=True,
        y_title=unit,
        style=Style(
            background="#ffffff",
            plot_background="#ffffff",
            colors=tuple(_COLOURS.get(kind, _OTHER) for kind in kinds),
            font_family="sans-serif",
        ),
    )
    chart.x_labels = [day[5:] for day in days]
    for kind in kinds:
        chart.add(kind, [float(sums.get(kind, 0)) for sums in days.values()])
    tree = chart.render_tree()
    # An image runs no scripts, so they would only be ballast.
    for parent in tree.iter():
        for child in [c for c in parent if str(c.tag).endswith("script")]:
            parent.remove(child)
    return tostring(tree, encoding="unicode")


def as_image(svg: str, alt: str) -> str:
    """An SVG as a markdown image that carries its own data."""
    data = base64.b64encode(svg.encode()).decode()
    return f"![{alt}](data:image/svg+xml;base64,{data})"
