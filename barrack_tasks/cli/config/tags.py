"""Tags of deployments: which file made one, and whether it acts."""

from __future__ import annotations

from collections.abc import Iterable

_FILE = "barrack.yaml:"
_STATES = ("armed", "dry")
"""Tags that say whether a deployment acts."""


def tag_of(name: str) -> str:
    """The tag of all deployments that a file made.

    Args:
        name: of the file.

    Example:
        >>> tag_of("team-a")
        'barrack.yaml:team-a'
    """
    return f"{_FILE}{name}"


def owner_of(tags: Iterable[str]) -> str | None:
    """The name of the file that made a deployment; None if no file did.

    Example:
        >>> owner_of(["barrack", "barrack.yaml:team-a"])
        'team-a'
    """
    found = (tag.removeprefix(_FILE) for tag in tags if tag.startswith(_FILE))
    return next(found, None)


def with_state(tags: Iterable[str], dry_run: object) -> list[str]:
    """Tags of which the one that says whether a deployment acts is right.

    Args:
        tags: of a deployment; without such a tag, its flow has no dry run.
        dry_run: its parameter; None if it gives none, so that its runs act.

    Example:
        >>> with_state(["barrack", "dry"], False)
        ['barrack', 'armed']
    """
    return [("dry" if dry_run is True else "armed") if tag in _STATES else tag for tag in tags]


def merged_tags(wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    """The tags of a deployment that is applied: those wanted, and what else it has already.

    Args:
        wanted: as the file and the release say.
        there: of the deployment as it is.

    Example:
        >>> merged_tags(["barrack", "dry"], ["barrack", "armed", "mine"])
        ['barrack', 'dry', 'mine']
    """
    given = list(wanted)
    return [*given, *(tag for tag in there if tag not in (*given, *_STATES))]
