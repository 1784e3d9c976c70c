"""The control surface: what a test or a person does to the sandbox past its API."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from barrack_tasks.api.models import VMStatus
from barrack_tasks.api.models.rules import InstanceName
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.sandbox.cloud import refusals
from barrack_tasks.sandbox.cloud.catalogue import OFFERS, REGIONS
from barrack_tasks.sandbox.cloud.history import LONGEST, live_through
from barrack_tasks.sandbox.cloud.ledger import PERSON, RequestLog
from barrack_tasks.sandbox.cloud.refusals import Refused
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.http.faults import Fault, Faults
from barrack_tasks.sandbox.http.replies import Reply, Scope, json_reply

LOOPBACK = ("127.0.0.1", "::1", "localhost")
B = TypeVar("B", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClockBody(_Body):
    """Put the clock forward by some seconds, or change its speed."""

    advance: float | None = None
    speed: float | None = None


class HistoryBody(_Body):
    """How long people use the instances, and are billed, before anybody looks."""

    seconds: float = Field(gt=0, le=LONGEST.total_seconds())
    seed: int = 0


class CreditBody(_Body):
    """Credits to be added; negative to be taken away."""

    amount: Decimal = Field(allow_inf_nan=False)


class StockBody(_Body):
    """How many GPUs are free from now on."""

    region: str
    gpu_model: str
    count: int = Field(ge=0)


class SeedBody(_Body):
    """An instance that is there at once."""

    name: InstanceName
    gpu_model: str = "L40"
    gpu_count: int = 1
    region: str = "CANADA-1"
    status: str = "ACTIVE"
    can_hibernate: bool | None = None
    labels: list[str] = []


class StatusBody(_Body):
    """The state that a person puts an instance into."""

    status: str


class Control:
    """Serves `/_sandbox/...`, to callers on this machine only, without a key."""

    def __init__(self, world: CloudState, faults: Faults, requests: RequestLog) -> None:
        self._world = world
        self._faults = faults
        self._requests = requests
        self._at: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", "state"): lambda _: self._state(),
            ("GET", "ledger"): lambda _: self._world.ledger.dump(),
            ("GET", "requests"): lambda _: requests.dump(),
            ("GET", "faults"): lambda _: faults.dump(),
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "clock"): self._set_clock,
            ("POST", "history"): self._live_through,
            ("POST", "credit"): self._add_credit,
            ("POST", "stock"): self._set_stock,
            ("GET", "settings"): lambda _: self._world.settings.model_dump(),
            ("POST", "settings"): self._set_settings,
            ("POST", "instances"): self._seed,
        }

    def reply(self, scope: Scope, body: bytes) -> Reply:
        """Serve one request."""
        if why := _is_foreign(scope):
            return json_reply(403, {"message": why})
        try:
            with self._world.acting(PERSON):
                return json_reply(200, self._dispatch(scope["method"], scope["path"], body))
        except Refused as refusal:
            problems = {"message": _sentence(refusal), "errors": refusal.errors or {}}
            return json_reply(refusal.status, problems)

    def _dispatch(self, method: str, path: str, body: bytes) -> Any:
        name = path.removeprefix("/_sandbox/").strip("/")
        sent: Any = {}
        if body.strip():
            try:
                sent = json.loads(body, parse_float=Decimal)
            except (ValueError, ArithmeticError, RecursionError):
                raise Refused(400, "the body is not JSON", "invalid_json") from None
        serve = self._at.get((method, name))
        if serve is not None:
            return serve(sent)
        parts = name.split("/")
        if method == "POST" and len(parts) == 3 and parts[::2] == ["instances", "status"]:
            machine = self._world.machines.force(parts[1], _read(StatusBody, sent).status)
            return {"id": machine.id, "status": str(machine.status)}
        known = ", ".join(f"{m} {n}" for m, n in self._at)
        raise Refused(404, f"there is no {method} {name}; there is {known}", "unknown_path")

    # Reading

    def _state(self) -> dict[str, Any]:
        world = self._world
        return {
            "clock": {"now": world.now.isoformat(), "speed": world.clock.speed},
            "balance": str(world.balance()),
            "burn_rate": str(world.meter.burn_rate()),
            "currency": world.currency,
            "instances": world.machines.dump(),
            "snapshots": world.snapshots.dump(),
            "images": world.images.dump(),
            "volumes": world.volumes.dump(),
            "firewalls": world.firewalls.dump(),
            "ssh_keys": world.keys.dump(),
            "scripts": world.scripts.dump(),
            "stock": [
                {"region": region, "gpu_model": model, "count": count}
                for (region, model), count in world.stock.items()
            ],
            "settings": world.settings.model_dump(),
            "faults": self._faults.dump(),
            "ledger_size": len(world.ledger),
            "requests": self._requests.counters(),
        }

    # Acting

    def _set_clock(self, sent: Any) -> Any:
        body = _read(ClockBody, sent)
        try:
            if body.speed is not None:
                self._world.clock.set_speed(body.speed)
            if body.advance is not None:
                self._world.clock.advance(body.advance)
        except ValueError as error:
            raise Refused(422, str(error), "validation_error") from None
        self._world.settle()
        return {"now": self._world.now.isoformat(), "speed": self._world.clock.speed}

    def _live_through(self, sent: Any) -> Any:
        body = _read(HistoryBody, sent)
        live_through(self._world, timedelta(seconds=body.seconds), body.seed)
        return {"now": self._world.now.isoformat()}

    def _add_credit(self, sent: Any) -> Any:
        amount = _read(CreditBody, sent).amount
        self._world.meter.add_credit(amount)
        self._world.record("account", "", "", f"credit {amount}")
        return {"balance": str(self._world.balance())}

    def _set_stock(self, sent: Any) -> Any:
        body = _read(StockBody, sent)
        errors: dict[str, str] = {}
        if body.region not in REGIONS:
            errors["region"] = f"must be one of {', '.join(REGIONS)}"
        if body.gpu_model not in OFFERS:
            errors["gpu_model"] = f"must be one of {', '.join(OFFERS)}"
        if errors:
            raise refusals.invalid(errors)
        self._world.stock[body.region, body.gpu_model] = body.count
        self._world.record("stock", f"{body.region}/{body.gpu_model}", "", f"set to {body.count}")
        return body.model_dump()

    def _set_settings(self, sent: Any) -> Any:
        if not isinstance(sent, dict):
            raise Refused(422, "the body must be a JSON object", "validation_error")
        try:
            self._world.settings = self._world.settings.changed(sent)
        except ValidationError as error:
            raise refusals.invalid(_messages(error)) from None
        except ValueError as error:
            raise Refused(422, str(error), "validation_error") from None
        return self._world.settings.model_dump()

    def _add_fault(self, sent: Any) -> Any:
        fault = _read(Fault, sent)
        if fault.operation != "*" and fault.operation not in OPERATIONS:
            raise Refused(422, f"there is no operation {fault.operation!r}", "validation_error")
        self._faults.add(fault)
        return fault.model_dump()

    def _clear_faults(self, sent: Any) -> Any:
        self._faults.clear()
        return []

    def _seed(self, sent: Any) -> Any:
        if isinstance(sent, list):
            return [self._seed(one) for one in sent]
        body = _read(SeedBody, sent)
        if not VMStatus(body.status).known or body.status.upper() == "DELETED":
            words = ", ".join(word for word in VMStatus.__members__ if word != "DELETED")
            raise refusals.invalid({"status": f"must be one of {words}"})
        machine = self._world.machines.seed(**body.model_dump(exclude_none=True))
        return {"id": machine.id, "name": machine.name, "status": str(machine.status)}


def _is_foreign(scope: Scope) -> str:
    """Why a request is not served; empty if it comes from a program on this machine.

    A page that a browser on this machine shows comes from this machine, too. It is told by the
    origin that the browser names, or by a host name of its own that was made to point here.
    """
    client = scope.get("client")
    if client is None or client[0] not in LOOPBACK:
        return "only callers on this machine may do this"
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get(b"host", "")
    if _host_of(f"//{host}") not in LOOPBACK:
        return f"this is served as {' or '.join(LOOPBACK)}, not as {host[:100]!r}"
    origin = headers.get(b"origin")
    is_own = origin == f"http://{host}"
    if (origin is not None and not is_own) or headers.get(b"sec-fetch-site") == "cross-site":
        return "pages of another origin may not do this"
    return ""


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _read(model: type[B], sent: Any) -> B:
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        raise refusals.invalid(_messages(error)) from None


def _messages(error: ValidationError) -> dict[str, str]:
    return {
        ".".join(str(part) for part in problem["loc"]) or "body": problem["msg"].removeprefix(
            "Value error, "
        )
        for problem in error.errors(include_url=False, include_input=False)
    }


def _sentence(refusal: Refused) -> str:
    if not refusal.errors:
        return refusal.message
    return "; ".join(f"{name}: {message}" for name, message in refusal.errors.items())


def start_of(text: str) -> datetime:
    """A moment given on a command line; without a zone it is UTC.

    Raises:
        ValueError: text that is no moment.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
