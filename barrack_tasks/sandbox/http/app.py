"""The ASGI app: one request in, one effect at most, one reply out, or none.

This is plain ASGI: a fake of a cloud is asked thousands of times a second by a fleet's flows, and
a framework's own reading and checking of each request would cost more than all the rest.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from email.utils import format_datetime
from typing import Any, get_args
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel

from barrack_tasks.api.dialect import Dialect
from barrack_tasks.api.models import ErrorResponse
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.sandbox.cloud.clock import SECOND, to_datetime
from barrack_tasks.sandbox.cloud.ledger import LoggedRequest, RequestLog
from barrack_tasks.sandbox.cloud.refusals import Refused
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.handlers import HANDLERS, SandboxCall
from barrack_tasks.sandbox.http import faults as f
from barrack_tasks.sandbox.http.control import Control
from barrack_tasks.sandbox.http.drift import tamper
from barrack_tasks.sandbox.http.lookups import Lookups
from barrack_tasks.sandbox.http.openapi import document
from barrack_tasks.sandbox.http.replies import (
    HungUp,
    Receive,
    Reply,
    Scope,
    Send,
    hold,
    json_reply,
    read_all,
    reset,
    send_reply,
)
from barrack_tasks.sandbox.http.requests import Asking, json_in, read_call
from barrack_tasks.sandbox.http.routes import Route, Routes
from barrack_tasks.sandbox.http.wire import as_json, path_of, priced, put, wrap, write

log = logging.getLogger(__name__)
_LISTED_BY = {"key_id": "list_ssh_keys"}
"""Lists that are not called like the parameters of paths that name what is in them."""
_HTML = "text/html; charset=utf-8"
_PAGE = "<html><head><title>{0} Bad Gateway</title></head><body><h1>{0}</h1></body></html>\n"


def _listed_by_name(dialect: Dialect) -> frozenset[str]:
    """Lists of things that have no id on the wire beside their name."""

    def has_names_alone(schema: str) -> bool:
        names = dialect.schemas.get(schema, {})
        return names.get("id", "id") == names.get("name", "name")

    return frozenset(
        operation.name
        for operation in OPERATIONS.values()
        if operation.name.startswith("list_") and operation.result
        for kind in get_args(operation.response.model_fields[operation.result].annotation)
        if has_names_alone(kind.__name__)
    )


class App:
    """A Barrack cloud as an ASGI app.

    Args:
        world: the state behind it.
        dialect: how it speaks.
        drift: let answers differ from what the dialect says; see
            `barrack_tasks.sandbox.http.drift`.
        api_key: the key it wants to see.
        seed: of faults that hit by chance.
        latency: real seconds that every reply of the API takes longer.
    """

    def __init__(
        self,
        world: CloudState,
        dialect: Dialect,
        api_key: str,
        seed: int = 0,
        latency: float = 0,
        drift: bool = False,
    ) -> None:
        self.world = world
        self.dialect = dialect
        self.drift = drift
        self.latency = latency
        self.faults = f.Faults(seed)
        self.requests = RequestLog()
        self.routes = Routes(dialect)
        self._lookups = Lookups(dialect, self.routes.prefix)
        self._control = Control(world, self.faults, self.requests)
        self._listed_by_name = _listed_by_name(dialect)
        self._auth_header = dialect.auth.header.lower().encode("latin-1")
        self._auth_value = f"{dialect.auth.scheme} {api_key}".strip()
        self._api_key = api_key
        self._works: dict[str, int] = {}
        """Work that an answer named, and how often it was asked for."""
        self._document: bytes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        try:
            path = scope["path"]
            if path.startswith("/_sandbox/"):
                await send_reply(send, self._control.reply(scope, await read_all(receive)))
            elif path in ("/openapi.json", f"{self.routes.prefix}/openapi.json"):
                await read_all(receive)
                await send_reply(send, Reply(200, self._openapi()))
            else:
                await self._serve(scope, receive, send)
        except HungUp:
            return

    def _openapi(self) -> bytes:
        if self._document is None:
            self._document = json.dumps(document(self.dialect)).encode()
        return self._document

    # One request of the API

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_all(receive)
        now = self.world.clock.now()
        asked = LoggedRequest(
            time=now.isoformat(),
            request_id=f"req-{self.requests.total + 1:08d}",
            method=scope["method"],
            path=scope["path"],
            operation=None,
            parameters={},
            query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        )
        if (
            listed := self._lookups.at(asked.path, asked.query)
        ) is not None and asked.method == "GET":
            self.requests.add(asked, time.monotonic())
            await self._send(send, asked, self._found(scope, asked, listed))
            return
        if (work := self._work(asked.path)) is not None:
            self.requests.add(asked, time.monotonic())
            await self._send(send, asked, work)
            return
        if self.latency:
            await asyncio.sleep(self.latency)
        try:
            route, asking = self._read(scope, asked, body)
        except Refused as refusal:
            self.requests.add(asked, time.monotonic())
            await self._send(send, asked, self._refusal(refusal))
            return
        self.requests.add(asked, time.monotonic())
        hits = self.faults.take(route.operation.name, self._about(asking))
        asked.fault = ",".join(fault.kind for fault in hits) or None
        for fault in hits:
            if fault.kind == "latency":
                await hold(receive, fault.seconds)
        plain = next((x for x in hits if x.kind in f.BEFORE_EFFECT | f.AFTER_EFFECT), None)
        if plain is None or plain.kind in f.AFTER_EFFECT:
            reply = self._effect(route, asking, asked, hits)
        else:
            reply = Reply(500, b"")
        if plain is None:
            await self._send(send, asked, reply)
        else:
            await self._go_wrong(plain, reply, asked, (scope, receive, send))

    def _found(self, scope: Scope, asked: LoggedRequest, listed: Any) -> Reply:
        try:
            self._check_key(scope, asked.query)
        except Refused as refusal:
            return self._refusal(refusal)
        return json_reply(200, listed)

    def _read(self, scope: Scope, asked: LoggedRequest, body: bytes) -> tuple[Route, Asking]:
        """Find the operation, check the key, read the request.

        Raises:
            Refused: 404, 405, 401; a body that is not valid is refused by `Asking.call` later, so
                that faults hit it all the same.
        """
        found = self.routes.find(scope["raw_path"].decode("latin-1"))
        for methods, values in found:
            route = methods.get(asked.method)
            if route is not None:
                asked.operation, asked.parameters = route.operation.name, values
                self._check_key(scope, asked.query)
                route = route.chosen(json_in(body), asked.query)
                asked.operation = route.operation.name
                asking = read_call(self.dialect, route, values, asked.query, body)
                asking.canonical |= self._lookups.meant(asked.operation, asking.raw)
                asked.body = asking.raw
                return route, asking
        if not found:
            raise Refused(404, f"There is nothing at {asked.path}", "unknown_path")
        allowed = sorted({method for methods, _ in found for method in methods})
        raise Refused(
            405,
            f"{asked.method} is not possible at {asked.path}",
            "method_not_allowed",
            headers={"allow": ", ".join(allowed)},
        )

    def _check_key(self, scope: Scope, query: Mapping[str, str]) -> None:
        parameter = self.dialect.auth.query
        if parameter:
            if query.get(parameter) == self._api_key:
                return
            raise Refused(401, f"The key in {parameter} is missing or not valid", "invalid_api_key")
        for name, value in scope["headers"]:
            if name == self._auth_header:
                if value.decode("latin-1").strip() == self._auth_value:
                    return
                raise Refused(401, "The API key is not valid", "invalid_api_key")
        raise Refused(401, f"The header {self.dialect.auth.header} is missing", "missing_api_key")

    def _about(self, asking: Asking) -> set[str]:
        """Ids and names that a request is about, for faults that pick some out."""
        about = set(asking.path.values())
        about |= {str(v) for k, v in asking.canonical.items() if k == "name" or k.endswith("_id")}
        for id_ in tuple(about):
            machine = self.world.machines.ever(id_)
            if machine is not None:
                about.add(machine.name)
        return about

    def _effect(
        self, route: Route, asking: Asking, asked: LoggedRequest, hits: list[f.Fault]
    ) -> Reply:
        name = route.operation.name
        handler = HANDLERS.get(name)
        try:
            if handler is None:
                raise Refused(501, f"The sandbox does not know {name} yet", "not_implemented")
            with self.world.acting(name, asked.request_id):
                call = self._with_ids(asking.call())
                self._need_parents(route, call)
                self.world.twists = {x.kind: x.seconds for x in hits if x.kind in f.TWISTS}
                answer = handler(self.world, call)
                return self._success(route, call, answer)
        except Refused as refusal:
            return self._refusal(refusal)
        except Exception:
            log.exception("the sandbox itself failed in %s", name)
            return self._refusal(Refused(500, f"The sandbox itself failed in {name}", "bug"))

    def _success(self, route: Route, call: SandboxCall, answer: BaseModel) -> Reply:
        fields = type(answer).model_fields
        # An answer that is a thing itself, such as a script, has status and message beside its own.
        if ("status" in fields) == ("message" in fields):
            done = {"status": True, "message": f"{route.operation.title}: done"}
            answer = answer.model_copy(update=done)
        envelope = self.dialect.envelope if route.wire.envelope is None else route.wire.envelope
        answer, headers = self._linked(call, priced(self.dialect, answer))
        body = write(self.dialect, answer)
        if self.drift:
            body = tamper(route.operation.name, body)
        body = wrap(envelope, body)
        if self.dialect.failure is not None:
            put(body, path_of(self.dialect.failure.at), as_json(self.dialect.failure.good[0]))
        if self.dialect.work is not None and route.operation.changes:
            id_ = f"work-{len(self._works) + 1}"
            self._works[id_] = 0
            body = {}
            put(body, path_of(self.dialect.work.id), id_)
            return json_reply(202, body)
        return json_reply(200, body, headers)

    def _with_ids(self, call: SandboxCall) -> SandboxCall:
        """A call in which the names that the wire sends for ids have become ids."""
        found: dict[str, str] = {}
        for field, how in self.dialect.values.get(type(call.body).__name__, {}).items():
            given = getattr(call.body, field)
            if how.name_of is None or given is None:
                continue
            found[field] = self._id_of(how.name_of, given)
        body = call.body.model_copy(update=found) if found else call.body
        path = {
            name: self._id_of(listed, given) if listed in self._listed_by_name else given
            for name, given in call.path.items()
            for listed in [_LISTED_BY.get(name, f"list_{name.removesuffix('_id')}s")]
        }
        return replace(call, body=body, path=path)

    def _id_of(self, listed: str, name: str) -> str:
        """The id of what a list shows under a name; the name if there is no such thing."""
        things = getattr(
            HANDLERS[listed](self.world, SandboxCall(listed)), OPERATIONS[listed].result
        )
        return next((thing.id for thing in things if thing.name == name), name)

    def _need_parents(self, route: Route, call: SandboxCall) -> None:
        """Refuse a path that says of a thing that it lies in something where it does not lie.

        Raises:
            Refused: 404.
        """
        own = route.operation.path_parameters
        for name, listed in route.wire.parents.items() if own else ():
            answer = HANDLERS[listed](self.world, SandboxCall(listed))
            things = getattr(answer, OPERATIONS[listed].result)
            inside = {thing.id for thing in things if getattr(thing, name) == call.path[name]}
            if call.path[own[-1]] not in inside:
                raise Refused(404, f"It is not in {call.path[name]}", "not_found")

    def _linked(self, call: SandboxCall, answer: Any) -> tuple[Any, dict[str, str]]:
        """A page that tells the address of the next one, in the styles that do."""
        paging = self.dialect.paging
        at = getattr(answer, "pagination", None)
        if paging.style not in ("link", "next") or at is None:
            return answer, {}
        after = at.next_cursor
        query = urlencode({paging.cursor: after or "", paging.page_size: call.page.size})
        address = f"https://elsewhere.example{self.routes.prefix}/list?{query}" if after else None
        is_link = paging.style == "link"
        told = at.model_copy(update={"next_cursor": None if is_link else address})
        headers = {"link": f'<{address}>; rel="next"'} if is_link and address else {}
        return answer.model_copy(update={"pagination": told}), headers

    def _work(self, path: str) -> Reply | None:
        """How work fares that is asked for, if that is what stands at a path."""
        how = self.dialect.work
        if how is None:
            return None
        before, _, after = f"{self.routes.prefix}{how.path}".partition("{id}")
        id_ = path.removeprefix(before).removesuffix(after)
        if id_ not in self._works or path != f"{before}{id_}{after}":
            return None
        self._works[id_] += 1
        body: dict[str, Any] = {}
        put(body, path_of(how.state), how.done[0] if self._works[id_] > 1 else "under_way")
        return json_reply(200, body)

    def _refusal(self, refusal: Refused) -> Reply:
        about: dict[str, Any] = {
            "status": False,
            "message": refusal.message,
            "error_reason": refusal.reason,
        }
        if refusal.errors:
            about["errors"] = refusal.errors
        body = wrap(self.dialect.error_envelope, write(self.dialect, ErrorResponse(**about)))
        failure = self.dialect.failure
        if failure is not None:
            put(body, path_of(failure.at), f"not {failure.good[0]}")
            if failure.status is not None:
                put(body, path_of(failure.status), refusal.status)
            return json_reply(200, body, refusal.headers)
        return json_reply(refusal.status, body, refusal.headers)

    async def _send(self, send: Send, asked: LoggedRequest, reply: Reply) -> None:
        reply.headers.setdefault("date", self._date())
        reply.headers[self.dialect.request_id_header] = asked.request_id
        asked.status = reply.status
        await send_reply(send, reply)

    def _date(self, later: float = 0) -> str:
        moment = to_datetime(self.world.clock.micros() + round(later * SECOND))
        return format_datetime(moment, usegmt=True)

    # What goes wrong

    async def _go_wrong(
        self, fault: f.Fault, reply: Reply, asked: LoggedRequest, wire: tuple[Scope, Receive, Send]
    ) -> None:
        scope, receive, send = wire
        match fault.kind:
            case "refuse" | "reset_before" | "reset_after":
                await reset(scope, receive)
                return
            case "timeout_before":
                await hold(receive, fault.seconds)
                reply = self._refusal(Refused(504, "The gateway gave up waiting", "timeout"))
            case "timeout_after":
                await hold(receive, fault.seconds)
            case "status" | "error_after":
                reply = self._refusal(self._status(fault))
            case "html":
                status = fault.status or 502
                reply = Reply(status, _PAGE.format(status).encode(), _HTML)
            case "truncated":
                # Shorter JSON under a length of its own: a connection that broke would be a reset.
                reply.body = reply.body[: len(reply.body) // 2]
            case "mislabelled":
                reply.content_type = _HTML
            case _:
                reply.body = b'{"status": true, "data": <<<' + reply.body[:8]
        await self._send(send, asked, reply)

    def _status(self, fault: f.Fault) -> Refused:
        status = fault.status or 500
        headers: dict[str, str] = {}
        if fault.retry_after is not None:
            as_date = fault.retry_after_date
            after = fault.retry_after
            headers["retry-after"] = self._date(after) if as_date else f"{after:g}"
        message = fault.message or {429: "Too many requests"}.get(status, "An injected fault")
        reason = fault.error_reason or {
            402: "insufficient_credits",
            429: "rate_limited",
        }.get(status, "injected")
        return Refused(status, message, reason, headers=headers)
