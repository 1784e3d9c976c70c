"""The page of all sentences that people may read is the code's."""

from __future__ import annotations

from docs.generate.sentences import DOCUMENT, page, sentences


def test_the_page_of_sentences_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == page(), "run: make pages"


def test_sentences_are_found_and_names_and_documentation_are_not() -> None:
    source = '''
"""Documentation of a module."""
NAME = "list_instances"
def f(name: str, n: int) -> None:
    """Documentation of a function."""
    raise ValueError(f"{name} is not there: {n} are" + " and more words")
'''
    assert list(sentences(source)) == ["{...} is not there: {...} are", "and more words"]
