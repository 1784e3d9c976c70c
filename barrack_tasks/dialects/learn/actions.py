"""What is done to machines: by words that share one path, and what the machines are called."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from barrack_tasks.dialects.learn.calls import PARAMETER, VERBS, Wired, segments_of
from barrack_tasks.dialects.learn.likeness import canonical, words_of
from barrack_tasks.dialects.learn.synonyms import split

_FIELDS = frozenset(split("action type command operation op verb method"))
"""Fields of a request that say which of several actions is meant."""
_VERBS = frozenset(split("start stop reboot hibernate restore"))
_SNAPSHOTS = frozenset(split("snapshot create_snapshot take_snapshot"))
_INSTANCE = "instance"


def action_of(word: str) -> str | None:
    """The operation of ours that a word for an action on a machine names.

    Example:
        >>> action_of("powerOff")
        'stop_instance'
    """
    plain = "_".join(words_of(word))
    if plain in _SNAPSHOTS:
        return "create_snapshot"
    verb = VERBS.get(plain)
    return f"{verb}_instance" if verb in _VERBS else None


def by_word(wired: list[Wired]) -> list[Wired]:
    """The operations of a document, with one for each action that is done by a word."""
    found: list[Wired] = []
    for one in wired:
        actions = _actions(one)
        found += actions
        if not actions or one.path.endswith("}"):  # what changes a thing may do more than act
            found.append(one)
    return found


def _actions(wired: Wired) -> list[Wired]:
    """A word that needs more than itself is no action: what else to send is not known."""
    if wired.method not in ("POST", "PUT", "PATCH") or not wired.in_path or wired.asked is None:
        return []
    for name, schema in wired.asked.fields.items():
        if "_".join(words_of(name)) in _FIELDS and wired.asked.required <= {name}:
            did = {word: done for word in schema.words if (done := action_of(word))}
            if "hibernate_instance" not in did.values():
                # A restore without a hibernation puts an old copy over the disk.
                did = {word: done for word, done in did.items() if done != "restore_instance"}
            return [
                replace(
                    wired,
                    body={name: word},
                    titles=(),
                    operation_id="",
                    tags=(),
                    asked=wired.asked if done == "create_snapshot" else None,
                )
                for word, done in did.items()
            ]
    return []


def machines(wired: list[Wired]) -> list[Wired]:
    """The operations of a document, their machines called instances.

    Where a document uses no word that is known for them, they are what it starts, stops, reboots,
    or hibernates, if it does two of these to one kind of thing alone.

    Example:
        >>> machines([Wired("/rigs/{id}/start", "POST"), Wired("/rigs/{id}/stop", "POST")])[0].reads
        '/instances/{id}/start'
    """
    done: dict[str, set[str]] = {}
    for one in wired:
        segments = segments_of(one.path)
        if (_INSTANCE, "{}") in pairwise(segments):
            return wired
        if one.word:
            action, at = action_of(one.word), len(segments) - 1 - segments[::-1].index("{}")
        else:
            action, at = _last_action(one.path), len(segments) - 2
        if action and at > 0 and segments[at] == "{}":
            done.setdefault(segments[at - 1], set()).add(action)
    called = [thing for thing, actions in done.items() if len(actions) > 1]
    return [_renamed(one, called[0]) for one in wired] if len(called) == 1 else wired


def _last_action(path: str) -> str | None:
    last = path.rstrip("/").rsplit("/", 1)[-1]
    return None if PARAMETER.search(last) else action_of(last)


def _renamed(wired: Wired, thing: str) -> Wired:
    def plain(text: str) -> str:
        words = words_of(text)
        given = canonical(words)
        return " ".join(_INSTANCE if word == thing else word for word in given) if (
            thing in given) else text  # fmt: skip

    path = "/".join(
        f"{_INSTANCE}s" if segments_of(part) == (thing,) else part for part in wired.path.split("/")
    )
    titles = tuple(plain(title) for title in wired.titles)
    return replace(wired, renamed=path, titles=titles, operation_id=plain(wired.operation_id))
