"""How reports and lists show themselves: in a notebook, in Prefect's UI and on a terminal.

Whatever is shown is a `Page`: a title, a sentence that sums it up, and tables, lines and charts.
The three ways to write one are here and nowhere else. All text of a page is plain; it is escaped
here.
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from typing import Any, Self, TypeVar

from pydantic import BaseModel

from barrack_tasks.api.models.text import one_line

__all__ = ["Chart", "Lines", "Listing", "Page", "Shown", "Table", "escape", "frame_of", "page_of"]

R = TypeVar("R")

_MARKS = re.compile(r"[\\`*\[\]|~#&<>]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_AMOUNT = r"([-+]?[\d,]+(\.\d+)?|\?)"
_NUMBER = re.compile(rf"(at least )?({_AMOUNT} → )?{_AMOUNT}\+?( [A-Za-z0-9?%]{{1,8}})?|-|")
"""Cells that are aligned to the right: counts, amounts, and what an amount became."""
_WIDEST = 60
"""Columns of a terminal that one cell takes before it is broken into several lines."""
_PAGE = 116
"""Characters of a table, with the space around its cells, that Prefect's UI shows at 1,440 px."""
_AROUND = 3
_NARROW = 30
"""A column is not made narrower than so many characters."""


def escape(text: str) -> str:
    """Text that shows as itself in a markdown table and in the HTML that becomes of it.

    An underscore inside a word means nothing in markdown, and stays as it is.

    Example:
        >>> escape("<b>"), escape("get_pricing"), escape("_em_")
        ('&lt;b&gt;', 'get_pricing', '\\\\_em\\\\_')
    """
    return _MARKS.sub(_escaped, one_line(" ".join(text.split())))


def _escaped(sign: re.Match[str]) -> str:
    # Prefect's page shows a sign that is written by its number, such as &#42;, as that number. Only
    # a pipe is written so: whatever reads the table may divide it at each of them.
    return _AS_HTML.get(sign[0]) or f"\\{sign[0]}"


_AS_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}


@dataclass(frozen=True)
class Table:
    """Cells under columns; a column without any content is not shown."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""

    def used(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """The columns that have content, and their cells as one line each."""
        rows = [tuple(map(one_line, row)) for row in self.rows]
        keep = [n for n in range(len(self.columns)) if any(row[n] for row in rows)]
        return tuple(self.columns[n] for n in keep), [tuple(row[n] for n in keep) for row in rows]


@dataclass(frozen=True)
class Lines:
    """Sentences, each on a line of its own."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """A picture as SVG, and what is said of it where it cannot be shown."""

    svg: str
    alt: str

    @property
    def source(self) -> str:
        """The address of an image that carries its own data."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg.encode()).decode()}"


Part = Table | Lines | Chart


@dataclass(frozen=True)
class Page:
    """A title, a sentence that sums up, and what follows in order.

    `mark` is said in the title of what is not as usual, such as a dry run, and stands out.
    """

    title: str
    summary: str = ""
    parts: tuple[Part, ...] = field(default=())
    mark: str = ""

    @property
    def _title(self) -> str:
        return f"{self.title} ({self.mark})" if self.mark else self.title

    def markdown(self) -> str:
        """The page as markdown, as an artifact of Prefect holds it; without charts."""
        return self._markdown(charts=False)

    def artifact(self) -> str:
        """The page as markdown with its charts."""
        return self._markdown(charts=True)

    def _markdown(self, charts: bool) -> str:
        blocks = [
            f"## {escape(self._title)}",
            f"**{escape(self.summary)}**" if self.summary else "",
        ]
        for part in self.parts:
            match part:
                case Table():
                    blocks += [f"### {escape(part.title)}" if part.title else ""]
                    blocks += ["\n".join(_markdown_table(part))]
                case Lines():
                    blocks += ["\n".join(f"- {escape(line)}" for line in part.lines)]
                case Chart() if charts:
                    blocks += [f"![{escape(part.alt)}]({part.source})"]
                case _:
                    pass
        return "\n\n".join(filter(None, blocks))

    def html(self) -> str:
        """The page as HTML, as a notebook shows it. All text is escaped."""
        mark = f' <span style="color: #b7791f">({_html(self.mark)})</span>' if self.mark else ""
        blocks = [f"<h3>{_html(self.title)}{mark}</h3>"]
        blocks += [f"<p><strong>{_html(self.summary)}</strong></p>"] if self.summary else []
        for part in self.parts:
            match part:
                case Table():
                    blocks += [f"<h4>{_html(part.title)}</h4>"] if part.title else []
                    blocks += _html_table(part)
                case Lines():
                    items = "".join(f"<li>{_html(line)}</li>" for line in part.lines)
                    blocks += [f"<ul>{items}</ul>"] if items else []
                case Chart():
                    blocks += [f'<img alt="{_html(part.alt)}" src="{part.source}"/>']
        return f"<div>{''.join(blocks)}</div>"

    def text(self) -> str:
        """The page for a terminal: aligned columns."""
        blocks = ["\n".join(filter(None, [one_line(self._title), one_line(self.summary)]))]
        for part in self.parts:
            match part:
                case Table():
                    table = _text_table(part)
                    blocks += ["\n".join([*([one_line(part.title)] if part.title else []), *table])]
                case Lines():
                    blocks += ["\n".join(f"- {one_line(line)}" for line in part.lines)]
                case Chart():
                    pass
        return "\n\n".join(filter(None, blocks))


class Shown:
    """What shows itself as a page, and gives its content as records.

    Whatever inherits from it says what its page is, and what its records are.
    """

    def __init_subclass__(cls, **how: Any) -> None:
        """IPython takes the `__repr__` of a dataclass before what the dataclass inherits."""
        super().__init_subclass__(**how)
        cls._repr_pretty_ = Shown._repr_pretty_  # type: ignore[method-assign]

    def page(self) -> Page:
        """What is shown."""
        raise NotImplementedError

    def records(self) -> list[dict[str, Any]]:
        """One dict for each row: what a DataFrame is made of."""
        raise NotImplementedError

    def to_frame(self) -> Any:
        """The records as a pandas DataFrame.

        Raises:
            ImportError: pandas is not installed.
        """
        return frame_of(self.records())

    def __await__(self) -> Generator[None, None, Self]:
        """In a notebook cell `await flow(...)` gives what `flow(...)` gives."""
        return self
        yield

    def __str__(self) -> str:
        return self.page().text()

    def _repr_html_(self) -> str:
        return self.page().html()

    def _repr_markdown_(self) -> str:
        return self.page().markdown()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("..." if cycle else str(self))


class Listing(Shown, list[R]):
    """A list of what the API answers with, which shows itself as a table; otherwise a list.

    Example:
        >>> found = list_instances(account)
        >>> found.to_frame().groupby("region")["hourly_price"].sum()
    """

    def page(self) -> Page:
        """What is shown: how many there are and in which states, and a row for each."""
        noun = noun_of(self[0]) if self else "entries"
        found = (getattr(one, "status", None) for one in self)
        states = Counter(str(status) for status in found if status)
        counted = ", ".join(f"{count} {state}" for state, count in states.most_common())
        summary = f"{len(self)} {noun}: {counted}." if counted else f"{len(self)} {noun}."
        if not self:
            return Page("Nothing is there.")
        return Page(f"{noun[:1].upper()}{noun[1:]}", summary, (table_of(self),))

    def records(self) -> list[dict[str, Any]]:
        """One dict for each entry, with the fields of its model."""
        return [one.model_dump() if isinstance(one, BaseModel) else {"value": one} for one in self]


def noun_of(one: object) -> str:
    """What entries like this one are called together."""
    return _NOUNS.get(type(one).__name__, "entries")


_NOUNS = {
    "GPUSpecItem": "GPU models",
    "GPUStockItem": "GPU models in stock",
    "Image": "images",
    "OSImage": "operating systems",
    "Price": "prices",
    "Region": "regions",
    "SSHKey": "SSH keys",
    "Script": "scripts",
    "Snapshot": "snapshots",
    "UserVM": "instances",
    "VMInstance": "instances",
    "VolumeResponse": "volumes",
}
_COLUMNS = {
    "UserVM": (
        *("name", "status", "gpu_model", "gpu_count", "region", "hourly_price", "public_ip"),
        "id",
    ),
    "Snapshot": ("name", "status", "instance_name", "size_gb", "region", "created_at", "id"),
}
_COLUMNS["VMInstance"] = _COLUMNS["UserVM"]
_MOST_COLUMNS = 8
_CENT = Decimal("0.01")


def table_of(entries: Sequence[object]) -> Table:
    """Models of the API as a table: what is simple of them, in few columns."""
    first = entries[0]
    if not isinstance(first, BaseModel):
        return Table(("value",), tuple((str(one),) for one in entries))
    fields = _COLUMNS.get(type(first).__name__) or _simple(entries)
    rows = tuple(tuple(cell_of(one, field) for field in fields) for one in entries)
    return Table(tuple(field.replace("_", " ") for field in fields), rows)


def _simple(entries: Sequence[object]) -> tuple[str, ...]:
    """Fields whose value is one thing in some entry; a currency stands beside its amount."""
    fields = type(entries[0]).model_fields  # type: ignore[attr-defined]
    simple = str | int | float | Decimal | datetime
    found = [
        name
        for name in fields
        if name != "currency"
        and any(isinstance(getattr(one, name, None), simple) for one in entries)
    ]
    return tuple(found[:_MOST_COLUMNS])


def cell_of(one: object, field: str) -> str:
    """A field of a model as text: money with its currency, moments in UTC."""
    value = getattr(one, field, None)
    match value:
        case None:
            return ""
        case Decimal():
            # What a GB costs an hour is far below a cent.
            amount = f"{value:z.2f}" if abs(value) >= _CENT or not value else f"{value:f}"
            return f"{amount} {getattr(one, 'currency', None) or ''}".strip()
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        case list() | tuple():
            return ", ".join(str(getattr(part, "name", part)) for part in value)
        case BaseModel():
            return str(getattr(value, "name", None) or getattr(value, "id", None) or "")
        case _:
            return str(value)


def page_of(model: BaseModel) -> Page:
    """One model of the API: a row for each field that has a value."""
    title = str(getattr(model, "name", None) or type(model).__name__)
    fields = [*type(model).model_fields, *(model.model_extra or {})]
    rows = ((field.replace("_", " "), cell_of(model, field)) for field in fields)
    return Page(title, parts=(Table(("field", "value"), tuple(row for row in rows if row[1])),))


def frame_of(records: Sequence[dict[str, Any]]) -> Any:
    """Records as a pandas DataFrame.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        pandas: Any = import_module("pandas")  # large, and not needed otherwise
    except ImportError:
        raise ImportError(
            "to_frame() needs pandas, which is not installed: run pip install pandas, or use "
            "records()"
        ) from None
    return pandas.DataFrame(records)


def _html(text: str) -> str:
    return html.escape(one_line(text))


def _is_of_numbers(cells: Iterable[str]) -> bool:
    return all(_NUMBER.fullmatch(cell) for cell in cells)


def _markdown_table(table: Table) -> list[str]:
    columns, rows = table.used()
    if not columns:
        return []
    right = [_is_of_numbers(row[n] for row in rows) for n in range(len(columns))]
    room = _room(columns, rows)
    return [
        f"| {' | '.join(map(escape, columns))} |",
        f"| {' | '.join('---:' if is_right else '---' for is_right in right)} |",
        *(f"| {' | '.join(map(_markdown_cell, row, room))} |" for row in rows),
    ]


def _room(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column may be, so that the page does not cut off what is last."""
    room = [max(map(_width, column)) for column in zip(columns, *rows, strict=True)]
    for n in sorted(range(len(room)), key=lambda n: -room[n]):
        over = sum(room) + _AROUND * len(room) - _PAGE
        if over > 0 and room[n] > _NARROW:
            room[n] = max(_NARROW, room[n] - over)
    return room


def _markdown_cell(text: str, room: int) -> str:
    return "<br/>".join(map(escape, _broken(text, room)))


def _html_table(table: Table) -> list[str]:
    columns, rows = table.used()
    if not columns:
        return []
    sides = [
        "right" if _is_of_numbers(row[n] for row in rows) else "left" for n in range(len(columns))
    ]

    def row_of(tag: str, cells: Sequence[str]) -> str:
        inner = "".join(
            f'<{tag} style="text-align: {side}; padding: 0 0.6em">{_html(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{inner}</tr>"

    body = "".join(row_of("td", row) for row in rows)
    return [f"<table><thead>{row_of('th', columns)}</thead><tbody>{body}</tbody></table>"]


def _text_table(table: Table) -> list[str]:
    columns, rows = table.used()
    if not columns:
        return []
    sides = [_is_of_numbers(row[n] for row in rows) for n in range(len(columns))]
    broken = [[_broken(cell) for cell in row] for row in [columns, *rows]]
    widths = [max(_width(line) for row in broken for line in row[n]) for n in range(len(columns))]
    lines: list[str] = []
    for number, row in enumerate(broken):
        for level in range(max(map(len, row))):
            cells = [cell[level] if level < len(cell) else "" for cell in row]
            padded = (
                f"{' ' * (width - _width(cell))}{cell}"
                if is_right
                else f"{cell}{' ' * (width - _width(cell))}"
                for is_right, width, cell in zip(sides, widths, cells, strict=True)
            )
            lines.append("  ".join(padded).rstrip())
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    return lines


def _width(text: str) -> int:
    """Columns that a terminal takes for a text."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        for sign in text
    )


def _broken(cell: str, widest: int = _WIDEST) -> list[str]:
    """A cell in lines that are not wider than a cell should be, broken between words."""
    lines = [""]
    for word in cell.split(" "):
        together = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and _width(together) > widest:
            lines.append(word)
        else:
            lines[-1] = together
    return lines
