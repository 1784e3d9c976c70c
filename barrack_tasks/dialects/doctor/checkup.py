"""Running every operation that only reads, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from barrack_tasks.api.client import Barrack
from barrack_tasks.api.errors import (
    BarrackAuthenticationError,
    BarrackError,
    BarrackNotFoundError,
    BarrackResponseError,
    BarrackTransportError,
)
from barrack_tasks.api.models.minimums import MINIMUM_BALANCE
from barrack_tasks.api.operations import OPERATIONS, Operation
from barrack_tasks.api.transport.body import TooMuch, parsed
from barrack_tasks.api.transport.bounds import DEFAULT
from barrack_tasks.dialects.doctor.examine import examine
from barrack_tasks.dialects.doctor.report import DoctorReport, Finding, Readiness, Verdict
from barrack_tasks.dialects.doctor.sense import make_no_sense

_LISTED_BY = {
    "instance_id": "list_instances",
    "snapshot_id": "list_snapshots",
    "volume_id": "list_volumes",
    "firewall_id": "list_firewalls",
    "key_id": "list_ssh_keys",
    "script_id": "list_scripts",
    "image_id": "list_images",
}
"""Which list gives an id for each parameter of a path."""


def _json(body: bytes) -> Any:
    try:
        return parsed(body, DEFAULT)
    except (ValueError, TooMuch):
        return {}


class _Nothing(Exception):
    """The account has nothing to try the operation on."""


def checkup(client: Barrack, told: Callable[[Finding], None] = lambda _: None) -> DoctorReport:
    """Run every read-only operation once, and compare what comes with what is expected.

    Args:
        client: of the account to be looked at.
        told: is called with each finding as it is made.

    Example:
        >>> report = checkup(client)
        >>> [str(d) for finding in report.findings for d in finding.differences]
    """
    rounds = _Round(client)
    findings = []
    for operation in reads():
        finding = rounds.try_one(operation)
        findings.append(finding)
        told(finding)
        if finding.verdict == "refused" and isinstance(
            rounds.last_error, BarrackAuthenticationError
        ):
            break  # the key is wrong for all
        if finding.verdict == "cannot be reached" and not rounds.has_answers:
            break  # nothing answers, and to find that out for each takes minutes
    return DoctorReport(
        dialect=client.dialect.name,
        base_url=client.base_url,
        findings=tuple(findings),
        readiness=tuple(rounds.readiness()),
    )


def reads() -> list[Operation[Any]]:
    """The operations that change nothing, lists first, for they give the ids for the others."""
    found = [o for o in OPERATIONS.values() if not o.changes]
    return sorted(found, key=lambda o: (bool(o.path_parameters), o.request is not None))


class _Round:
    def __init__(self, client: Barrack) -> None:
        self._client = client
        self._results: dict[str, Any] = {}
        self.last_error: BarrackError | None = None

    def try_one(self, operation: Operation[Any]) -> Finding:
        name = operation.name
        if name not in self._client.dialect.operations:
            return Finding(operation=name, verdict="not tried", said="the dialect does not have it")
        try:
            arguments = self._arguments(operation)
        except _Nothing as nothing:
            return Finding(operation=name, verdict="not tried", said=str(nothing))
        with self._client.listening() as bodies:
            failure: BarrackError | None = None
            try:
                self._results[name] = self._client.perform(name, **arguments)
            except BarrackError as error:
                failure = self.last_error = error
        differences = tuple(
            difference
            for heard, body in bodies
            if heard == name
            for difference in examine(self._client.dialect, operation, _json(body))
        )
        if failure is None:
            found = self._results[name]
            now, dialect = self._client.now(), self._client.dialect
            differences += tuple(make_no_sense(name, found, self._results, now, dialect))
        return self._finding(operation, tuple(dict.fromkeys(differences)), failure)

    def _finding(
        self, operation: Operation[Any], differences: Any, failure: BarrackError | None
    ) -> Finding:
        name = operation.name
        if failure is None:
            verdict: Verdict = "differs" if differences else "works"
            return Finding(operation=name, verdict=verdict, differences=differences)
        if isinstance(failure, BarrackNotFoundError):
            path = self._client.dialect.operations[name].path
            return Finding(
                operation=name,
                verdict="path not found",
                said=f"there is nothing at {path}; write operations: "
                f"{{{name}: {{path: <its path>}}}}",
            )
        if isinstance(failure, BarrackResponseError) and failure.status_code:
            return Finding(
                operation=name, verdict="unreadable", said=failure.message, differences=differences
            )
        away = isinstance(failure, BarrackTransportError)
        verdict = "cannot be reached" if away else "refused"
        return Finding(operation=name, verdict=verdict, said=str(failure))

    @property
    def has_answers(self) -> bool:
        """Whether any operation was answered as it should be."""
        return bool(self._results)

    def _arguments(self, operation: Operation[Any]) -> dict[str, Any]:
        arguments: dict[str, Any] = {p: self._an_id(p) for p in operation.path_parameters}
        if operation.name == "quote_price":
            prices = self._results.get("get_pricing") or []
            models = [p.gpu_model for p in prices if p.gpu_model is not None]
            if not models:
                raise _Nothing("no GPU model is known to ask a price for")
            arguments["gpu_model"] = models[0]
        if operation.name == "list_snapshot_images":
            arguments["snapshot_ids"] = [self._an_id("snapshot_id")]
        return arguments

    def _an_id(self, parameter: str) -> str:
        things = self._results.get(_LISTED_BY[parameter]) or []
        if not things:
            raise _Nothing(f"the account has no {parameter.removesuffix('_id').replace('_', ' ')}")
        return str(things[0].id)

    def readiness(self) -> Iterator[Readiness]:
        """Whether what the flows need is in order: key, balance, profile, stock."""
        wrong_key = isinstance(self.last_error, BarrackAuthenticationError)
        if not self._results and isinstance(self.last_error, BarrackTransportError):
            said = f"it cannot be reached: {self.last_error.message}"
            yield Readiness(topic="the API", state="not ready", said=said)
            return
        yield Readiness(
            topic="key",
            state="not ready" if wrong_key else ("ready" if self._results else "unknown"),
            said="the API refuses it"
            if wrong_key
            else ("the API accepts it" if self._results else "no operation was answered"),
        )
        if wrong_key:
            return
        yield self._balance()
        yield Readiness(
            topic="profile",
            state="unknown",
            said="no operation reads it; restoring a snapshot requires a full name, billing "
            "address, postal code and country",
        )
        stock = self._results.get("get_gpu_stock")
        there = [s for s in stock or [] if s.count.at_least > 0]
        yield Readiness(
            topic="stock",
            state="unknown" if stock is None else "ready",
            said="it cannot be read"
            if stock is None
            else f"{len(there)} of {len(stock)} GPU models and regions are in stock",
        )
        priced = [i for i in self._results.get("list_instances") or [] if i.hourly_price is None]
        if priced:
            yield Readiness(
                topic="prices",
                state="not ready",
                said=f"{len(priced)} instances show no price, and guards refuse to act without "
                "prices",
            )

    def _balance(self) -> Readiness:
        data = self._results.get("get_credit_balance")
        if data is None:
            return Readiness(topic="balance", state="not ready", said="it cannot be read")
        balance = data.balance
        least = MINIMUM_BALANCE.get(balance.currency)
        if least is None:
            said = f"{balance.amount} {balance.currency}, a currency that this release does not "
            "know"
            return Readiness(topic="balance", state="unknown", said=said)
        enough = balance.amount >= least
        return Readiness(
            topic="balance",
            state="ready" if enough else "not ready",
            said=f"{balance.amount:z.2f} {balance.currency}; deploying and restoring need "
            f"{least:.2f} {balance.currency}",
        )
