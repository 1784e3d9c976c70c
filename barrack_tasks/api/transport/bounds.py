"""How much the client takes in. What goes beyond is refused, whoever sends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """The most that the client takes in, far beyond what an account of thousands of machines needs.

    Attributes:
        answer_bytes: of one answer, both as it comes and unpacked.
        values: of one answer: objects, lists and what stands in them.
        depth: levels of objects and lists inside each other.
        digits: characters of one number, and its powers of ten.
        message: characters that are kept of each text in an error.
        pages: of one list.
        idle_pages: pages in a row that bring nothing new.
        items: of one list.
        list_seconds: spent on reading one list, all its pages and repetitions together.

    Example:
        >>> Barrack(api_key, bounds=Bounds(list_seconds=60))
    """

    answer_bytes: int = 32 * 1024 * 1024
    values: int = 1_000_000
    depth: int = 100
    digits: int = 400
    message: int = 1_000
    pages: int = 2_500
    idle_pages: int = 10
    items: int = 200_000
    list_seconds: float = 600.0


DEFAULT = Bounds()
"""What holds unless a client is given its own."""
