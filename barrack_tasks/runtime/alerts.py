"""Alarms: told once, remembered where every worker sees it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import runtime
from prefect.blocks.abstract import NotificationBlock

from barrack_tasks.api.models.text import one_line
from barrack_tasks.plans import lease_keys
from barrack_tasks.plans.alerts import (
    Alarm,
    Message,
    Reading,
    forget_earlier,
    forget_others,
    messages_of,
    note,
)
from barrack_tasks.runtime.leases import holding, intent_of
from barrack_tasks.runtime.loop import SERVER_AWAY
from barrack_tasks.runtime.notify import is_told
from barrack_tasks.runtime.post import Item, Post
from barrack_tasks.server.events import emit
from barrack_tasks.server.runs import deployment_of_run
from barrack_tasks.server.tables import merge_all, read_all

Log = logging.Logger | logging.LoggerAdapter[Any]
_AGAIN = timedelta(minutes=1)
_OWED_FOR = timedelta(days=7)
_SAID = {
    "crossed": "",
    "owed": "",
    "reminder": "as before: ",
    "recovered": "the alarm is over: ",
    "owed recovery": "the alarm is over: ",
}


class Alarms:
    """The alarms of one guardrail of one account.

    Args:
        guard: `balance`, `budget` or `proof`: names the events, `barrack.<guard>.crossed` and
            `barrack.<guard>.recovered`; or `stock`, of which news are passed on.
        account: see `BarrackCredentials.account`.
        notifiers: who is told.
        remind: tell again after so long, while a line stays crossed.
        log: of the run.
        scope: see `scope_of`; what one deployment remembers is no business of another's.
        post: of the run; what waits in it is told together with the alarms.
        emits: whether events tell of each crossing; not of what other alarms have told already.
    """

    def __init__(
        self,
        guard: str,
        account: str,
        notifiers: Mapping[str, NotificationBlock],
        remind: timedelta | None,
        log: Log,
        scope: str = "",
        post: Post | None = None,
        emits: bool = True,
    ) -> None:
        self._post = post or Post(account)
        self._emits = emits
        self.guard = guard
        self._account = account
        self._notifiers = notifiers
        self._remind = remind
        self._log = log
        self._prefix = f"barrack_{guard}alarms_{account}_{scope and f'{scope}_'}"
        self._kept: dict[str, Any] = {}
        self._alarms: Mapping[str, Alarm] = {}
        self._owed: set[str] | None = None
        self._tried: datetime | None = None
        self.undelivered: dict[str, str] = {}
        """Notifiers that could not be told in this run, and why."""

    def raise_for(
        self,
        readings: Sequence[Reading],
        now: datetime,
        details: Sequence[str] = (),
        complete: bool = True,
        anew: Collection[str] = (),
    ) -> tuple[Message, ...]:
        """Tell what is new and remember it.

        All that the same people are to hear is one message, which is noted as soon as it was told:
        a run that is killed in between tells it again, for an alarm twice is better than none.

        Args:
            readings: how things stand.
            now: zone-aware.
            details: sentences that each message ends with.
            complete: whether these are all lines; else the others stay as they are.
            anew: keys of lines that are told again unless that was just done.
        """
        self._alarms = alarms = self._read()
        forget_earlier(alarms, self.heard().intersection(anew), now)
        messages = messages_of(readings, alarms, list(self._notifiers), now, self._remind)
        for to, together in _by_recipients(messages):
            self._add(to, together, details, alarms, now)
        if messages:
            self._post.send()
        if complete and forget_others(alarms, [r.key for r in readings]):
            self._write(alarms)
        return messages

    def unheard(self, readings: Iterable[Reading]) -> frozenset[str]:
        """Keys of those lines that are crossed, and of which no notifier could be told so far.

        Where nobody is to be told there are none: the report and the events tell then.

        Args:
            readings: as `raise_for` was given them.
        """
        if not self._notifiers:
            return frozenset()
        known = self.heard()
        return frozenset(
            one.key for one in readings if one.is_over and not one.quiet and one.key not in known
        )

    def heard(self) -> frozenset[str]:
        """Keys of the lines of which a notifier was told, in this run or before.

        One that is told only of failures, such as `team:failure`, has heard of none.
        """
        return frozenset(k for k, alarm in self._alarms.items() if listening(alarm.heard))

    def since(self, key: str) -> datetime | None:
        """Since when a line is crossed, once `raise_for` has told of it; None if it is not."""
        alarm = self._alarms.get(key)
        return alarm.since if alarm is not None else None

    def pass_on(self, news: Mapping[str, str], now: datetime, over: Collection[str] = ()) -> None:
        """Tell what happened, once each; whom it could not be told, it is owed for a week.

        Unlike a line, what happened is not crossed again or over, so that nothing is remembered
        of what everybody has heard. A notifier that is down is tried once a minute.

        Args:
            news: sentences, each by a key of what it is about.
            now: zone-aware.
            over: keys of what is not so any more, and is owed to nobody.
        """
        if not self._notifiers:
            return
        owed = self._owed
        is_due = owed is None or bool(owed and (not self._tried or now - self._tried >= _AGAIN))
        if not news and not is_due and not (owed or set()).intersection(over):
            return
        alarms = self._owing(now, over)
        texts = {**{key: alarm.text for key, alarm in alarms.items()}, **news}
        for key in news:
            alarms.pop(key, None)
        due = [Reading(key, True, False, t) for key, t in texts.items() if is_due or key in news]
        for to, together in _by_recipients(messages_of(due, alarms, list(self._notifiers), now)):
            said = [message.text for message in together]
            subject = f"Barrack: {said[0]}" if len(said) == 1 else f"Barrack: {len(said)} updates"
            body = "\n".join(map(one_line, said)) if len(said) > 1 else ""

            def sent(
                failed: Mapping[str, str],
                to: tuple[str, ...] = to,
                together: Sequence[Message] = tuple(together),
            ) -> None:
                for name in to:
                    self.undelivered.pop(name, None)
                self.undelivered.update(failed)
                for message in together:
                    note(alarms, message, failed, now)
                    alarms[message.key] = replace(alarms[message.key], text=message.text)

            self._post.add(Item(self._those(to), subject, body, sent=sent))
        self._post.send()
        for key in [k for k, a in alarms.items() if set(a.heard) >= set(self._notifiers)]:
            del alarms[key]
        if is_due:
            self._tried = now
        self._owed = set(alarms)
        try:
            self._write(alarms)
        except SERVER_AWAY as error:
            self._log.warning("failed notifications cannot be recorded: %s", error)

    def _owing(self, now: datetime, over: Collection[str]) -> dict[str, Alarm]:
        """What was passed on and not heard by all."""
        try:
            found = self._read()
        except SERVER_AWAY as error:
            self._log.warning("earlier failed notifications cannot be read: %s", error)
            return {}
        return {k: a for k, a in found.items() if k not in over and now - a.since < _OWED_FOR}

    def _those(self, names: Iterable[str]) -> dict[str, NotificationBlock]:
        return {name: self._notifiers[name] for name in names}

    def _add(
        self,
        to: tuple[str, ...],
        messages: Sequence[Message],
        details: Sequence[str],
        alarms: dict[str, Alarm],
        now: datetime,
    ) -> None:
        said = [f"{_SAID[message.kind]}{message.text}" for message in messages]
        for message, sentence in zip(messages, said, strict=True):
            level = logging.INFO if message.is_over else logging.WARNING
            self._log.log(level, "%s: %s", self.guard, sentence)
        over = sum(message.is_over for message in messages)
        several = _counted(len(said) - over, over)
        lines = [] if len(said) == 1 else [f"{sentence.rstrip('.')}." for sentence in said]

        def sent(failed: Mapping[str, str]) -> None:
            self.undelivered.update(failed)
            for message in messages:
                if self._emits and message.kind in ("crossed", "recovered"):
                    emit(
                        f"barrack.{self.guard}.{message.kind}",
                        self._account,
                        self.guard,
                        payload={"line": message.key, "text": message.text},
                    )
                note(alarms, message, failed, now)
            self._write(alarms)

        self._post.add(
            Item(
                self._those(to),
                f"Barrack {self.guard}: {said[0] if len(said) == 1 else several}",
                "\n".join(map(one_line, [*lines, *details])),
                severity="info" if over == len(messages) else "warning",
                sent=sent,
            )
        )

    def _read(self) -> dict[str, Alarm]:
        found: dict[str, Alarm] = {}
        self._kept = read_all(self._prefix)
        for key, written in self._kept.items():
            with suppress(TypeError, ValueError):
                since, told, is_over, heard, *text = written
                found[key] = Alarm(
                    datetime.fromtimestamp(int(since), UTC),
                    datetime.fromtimestamp(int(told), UTC),
                    tuple(str(name) for name in heard),
                    bool(is_over),
                    *map(str, text),
                )
        return found

    def _write(self, alarms: Mapping[str, Alarm]) -> None:
        content: dict[str, Any] = {
            key: [
                int(a.since.timestamp()),
                int(a.told.timestamp()),
                a.is_over,
                list(a.heard),
                *([a.text] if a.text else []),
            ]
            for key, a in alarms.items()
        }
        merge_all(self._prefix, self._kept, content)
        self._kept = content


def _counted(new: int, over: int) -> str:
    alerts = f"{new} alert{'s' if new > 1 else ''}" if new else ""
    ended = f"{over} alarm{'s are' if over > 1 else ' is'} over" if over else ""
    return ", and ".join(filter(None, [alerts, ended]))


def _by_recipients(
    messages: Iterable[Message],
) -> list[tuple[tuple[str, ...], list[Message]]]:
    """Messages by those who are told, so that each of them hears of all in one."""
    found: dict[tuple[str, ...], list[Message]] = {}
    for message in messages:
        found.setdefault(message.to, []).append(message)
    return list(found.items())


def listening(names: Iterable[str]) -> list[str]:
    """Those of the names in `notify` that hear of a line which is crossed: that is a warning.

    Example:
        >>> listening(["team-slack", "on-call:failure"])
        ['team-slack']
    """
    return [name for name in names if is_told(name, "warning")]


class NobodyTold(Exception):
    """Something was to be told, and no notifier took it. The work itself was done."""

    @classmethod
    def check(
        cls,
        told: Sequence[Message],
        notifiers: Collection[str],
        undelivered: Mapping[str, str],
    ) -> None:
        """Raise it if so: an alarm that nobody hears must at least show as a failed run."""
        meant, hear = [message for message in told if message.to], listening(notifiers)
        if meant and hear and set(undelivered) >= set(hear):
            raise cls.of(meant[0].text, undelivered)

    @classmethod
    def of(cls, text: str, undelivered: Mapping[str, str]) -> NobodyTold:
        """The error that says what nobody was told, and why."""
        reasons = "; ".join(f"{name}: {why}" for name, why in undelivered.items())
        return cls(f"{text}; and no notification could be sent: {reasons}")


def untold(
    told: Sequence[object],
    notifiers: Mapping[str, NotificationBlock],
    undelivered: Mapping[str, str],
) -> tuple[str, ...]:
    """Notes for the report about who was to be told and was not."""
    missed = tuple(
        f"the notification block {name} could not send: {why}" for name, why in undelivered.items()
    )
    if not told or notifiers:
        return missed
    return (*missed, "no notification is sent: notify names no notification block")


def scope_of(watched: Iterable[str], notifiers: Iterable[str]) -> str:
    """A short text for what is watched and who is told.

    Deployments of one guardrail that differ in it watch side by side; those that do not are one
    watch, of which every crossing is told once.

    Args:
        watched: all that sets one watch apart from another: its lines with all that they say,
            what they may act on, and `this_deployment`.
        notifiers: who is told.
    """
    return intent_of(sorted(set(watched)), sorted(set(notifiers)))


@contextmanager
def alone(account: str, guard: str, scope: str = "") -> Iterator[bool]:
    """Whether this run is the only one that watches now; two would tell everything twice.

    Args:
        account: see `BarrackCredentials.account`.
        guard: which guardrail.
        scope: see `scope_of`; those of different scopes do not keep each other away.
    """
    run, name = str(runtime.flow_run.id), f"run {runtime.flow_run.name}"
    with holding(account, run, name) as hold:
        yield not hold.claim({lease_keys.watch(guard, scope): guard})


def this_deployment() -> dict[str, str]:
    """What a run claims to be the only one of its deployment; nothing, if it is of none.

    Its keys tell the watch of one deployment from that of another, see `scope_of`.
    """
    id_ = deployment_of_run()
    return {lease_keys.deployment(id_, runtime.flow_run.tags): "deployment"} if id_ else {}
