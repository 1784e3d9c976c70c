"""Records on a real Prefect server, with a server in between that is busy for a moment."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
    temporary_settings,
)

from barrack_tasks.server.variables import Records
from tests.relay import relay


def test_a_server_that_is_busy_for_a_moment_is_asked_again_at_once(prefect_server: str) -> None:
    waits: list[float] = []
    busy: Counter[str] = Counter()

    def before(method: str, _: bytes) -> int | None:
        if busy[method] <= 0:
            return None
        busy[method] -= 1
        return 503

    target = os.environ["PREFECT_API_URL"].removesuffix("/api")
    with (
        relay(target, before=before) as (passed, url),
        temporary_settings({PREFECT_API_URL: f"{url}/api"}),
        Records("busy_", sleep=waits.append) as records,
    ):
        records.put("one", {"a": 1})
        for method, work in (
            ("PATCH", lambda: records.put("one", {"a": 2})),
            ("POST", records.all),
            ("DELETE", lambda: records.drop("one")),
        ):
            waits.clear()
            busy[method] = 2
            asked, refused = passed.count(method), passed.count(method, 503)
            work()
            # The real server may be busy as well, when another test writes at this moment.
            refused = passed.count(method, 503) - refused
            assert refused >= 2
            assert len(waits) == refused, method
            assert max(waits) <= 0.2, "it passes in milliseconds"
            assert passed.count(method) == asked + refused + 1
        assert records.all() == {}


def test_no_record_is_missed_while_another_is_deleted(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barrack_tasks.server.variables._PAGE", 2)
    target = os.environ["PREFECT_API_URL"].removesuffix("/api")
    with Records("page_") as other:
        deleted: list[bool] = []

        def before(_: str, body: bytes) -> None:
            if b'"offset":2' in body and not deleted:
                deleted.append(other.drop("a") is None)

        with (
            relay(target, before=before) as (_, url),
            temporary_settings({PREFECT_API_URL: f"{url}/api"}),
            Records("page_") as records,
        ):
            for name in "abcd":
                records.put(name, 1)
            assert set(records.all()) == {"page_b", "page_c", "page_d"}
            assert deleted


def test_records_share_their_connections_and_ask_for_a_token_once(prefect_server: str) -> None:
    target = os.environ["PREFECT_API_URL"].removesuffix("/api")
    with (
        relay(target) as (passed, url),
        temporary_settings(
            {PREFECT_API_URL: f"{url}/api", PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: True}
        ),
    ):
        for number in range(3):
            with Records(f"shared_{number}_") as records, Records("shared_") as others:
                records.put("one", number)
                assert others.all() == {f"shared_{number}_one": number}
                records.drop("one")
    # Three requests to write and delete one, one to read them, three times; one for a token. The
    # real server may be busy, when another test writes at this moment.
    assert len([1 for _, status in passed.answered if status != 503]) == 3 * 4 + 1


def test_another_server_or_password_is_another_client(prefect_server: str) -> None:
    with Records("mine_") as first, Records("mine_") as second:
        assert first._client is second._client
        with (
            temporary_settings({PREFECT_API_AUTH_STRING: "another:password"}),
            Records("mine_") as stranger,
            pytest.raises(PrefectHTTPStatusError),
        ):
            stranger.all()
        assert first.all() == {}, "it goes on with its own"
