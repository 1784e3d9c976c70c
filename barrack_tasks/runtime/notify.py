"""Telling people, through Prefect's notification blocks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated, Any, cast
from uuid import UUID

import httpx
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.blocks.notifications import (
    AbstractAppriseNotificationBlock,
    AppriseNotificationBlock,
    CustomWebhookNotificationBlock,
)
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import Field, WithJsonSchema

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.models.text import one_line, printable
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.dialects.doctor import Readiness
from barrack_tasks.events import get_logger
from barrack_tasks.tasks.base import NOTIFIER, check_names

_log = get_logger(__name__)
_PAGE = 200
_LONGEST_SUBJECT = 200
_WIRE = ("apprise", "httpcore", "httpx", "requests", "urllib3")
"""Loggers of those that carry messages: they log addresses, and addresses carry secrets."""
_wire_lock = threading.Lock()
_wire_before: list[tuple[logging.Logger, bool, int]] = []
_wire_depth = 0
Notify = Annotated[
    list[Annotated[str, WithJsonSchema({"type": "string", "pattern": NOTIFIER})]],
    Field(
        description="Notification blocks that are told: names, or type/name such as "
        "slack-webhook/team.",
        default=[],
    ),
]
"""Names of notification blocks."""


class AppriseUrl(AppriseNotificationBlock):
    """Any service that Apprise knows, by its URL; for mail servers of your own above all.

    Like an account, it keeps its secret where it is: a pickle of a saved block is a reference.

    Example:
        Tell people by a saved URL:

        ```python
        from barrack_tasks import AppriseUrl

        notifier = AppriseUrl.load("BLOCK_NAME")
        notifier.notify("The disk of train-1 is nearly full.")
        ```
    """

    _block_type_name = "Apprise URL"
    _block_type_slug = "apprise-url"
    _description = "A notification service by its Apprise URL, such as mailto://."
    _logo_url = CustomWebhookNotificationBlock._logo_url

    def __reduce__(self) -> Any:
        id_ = self._block_document_id
        if id_ is None:
            raise BarrackConfigurationError(
                "a notification block that is not saved cannot be stored or sent to another "
                "process, because its URL would be sent in clear text; save it and pass its name"
            )
        return _load_by_reference, (id_,)

    def block_initialization(self) -> None:
        """Refuse a URL that nobody could be told by, before the block is saved or used."""
        with _wire_silent():
            super().block_initialization()
        _check_url(self)


def _load_by_reference(id_: UUID) -> AppriseUrl:
    """The block that a pickle refers to."""
    return cast("AppriseUrl", cast(Any, AppriseUrl.load_from_ref)(id_, _sync=True))


def register_blocks() -> None:
    """Let the Prefect server offer the block types of this library as they are in this release."""
    for kind in (BarrackCredentials, AppriseUrl):
        cast(Any, kind.register_type_and_schema)(_sync=True)


def find_notifiers(names: Iterable[str]) -> dict[str, NotificationBlock]:
    """The notification blocks of these names.

    Args:
        names: names of saved blocks, or `type/name` where two types share a name.

    Raises:
        BarrackConfigurationError: one does not exist, or cannot notify; names those that can.
            Or nobody can be told by its URL.
    """
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}
    check_names(wanted)
    known = _saved()
    found: dict[str, NotificationBlock] = {}
    for name in wanted:
        slugs = [slug for slug in known if name in (slug, slug.partition("/")[2])]
        if not slugs:
            there = ", ".join(sorted(known)) or "none"
            raise BarrackConfigurationError(
                f"notify: no notification block is called {name!r}; saved are: {there}"
            )
        if len(slugs) > 1:
            raise BarrackConfigurationError(
                f"notify: {name!r} may mean {' or '.join(sorted(slugs))}; write one of these"
            )
        found[name] = _load(slugs[0])
    return found


def _saved() -> list[str]:
    """Type and name of all saved blocks that can notify."""
    slugs: list[str] = []
    with get_client(sync_client=True) as client:
        while True:
            page = client.request(
                "POST",
                "/block_documents/filter",
                json={
                    "block_schemas": {"block_capabilities": {"all_": ["notify"]}},
                    "include_secrets": False,
                    "limit": _PAGE,
                    "offset": len(slugs),
                },
            ).json()
            slugs += [f"{item['block_type']['slug']}/{item['name']}" for item in page]
            if len(page) < _PAGE:
                return slugs


def _load(slug: str) -> NotificationBlock:
    problem = ""
    try:
        with _wire_silent():
            block: Any = Block.load(slug, _sync=True)  # type: ignore[call-arg]
        _check_url(block)
    except BarrackConfigurationError as error:
        raise BarrackConfigurationError(f"notify: the block {slug}: {error}") from None
    except (httpx.HTTPError, PrefectHTTPStatusError):
        raise
    except Exception as error:  # noqa: BLE001 - blocks of others may fail in any way
        block, problem = None, type(error).__name__
    if block is None:
        # Raised out here, so that what was kept in the block is not behind it.
        raise BarrackConfigurationError(
            f"notify: the block {slug} cannot be loaded ({problem}); save it again"
        )
    if not isinstance(block, NotificationBlock):
        raise BarrackConfigurationError(f"notify: the block {slug} is not a notification block")
    return block


@contextmanager
def _wire_silent() -> Iterator[None]:
    """Nothing is logged of what goes over the wire: it would say a URL with the secret in it."""
    global _wire_depth
    with _wire_lock:
        _wire_depth += 1
        if _wire_depth == 1:
            known = [n for n in logging.root.manager.loggerDict if n.partition(".")[0] in _WIRE]
            for logger in map(logging.getLogger, {*known, *_WIRE}):
                _wire_before.append((logger, logger.disabled, logger.level))
                logger.disabled = True
                # Loggers that are made meanwhile take their level from those above them.
                logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        with _wire_lock:
            _wire_depth -= 1
            while _wire_depth == 0 and _wire_before:
                logger, was_disabled, level = _wire_before.pop()
                logger.disabled = was_disabled
                logger.setLevel(level)


def _check_url(block: Any) -> None:
    """Refuse a block of which Apprise can make no service; Prefect keeps it without a word."""
    # The URL itself is not told: it may carry a secret.
    if isinstance(block, AbstractAppriseNotificationBlock) and not len(block._apprise_client):
        raise BarrackConfigurationError(
            "its url is not one that Apprise supports; write one such as "
            "mailtos://user:password@mail.example.com?to=team@example.com and save it again"
        )


def saved_notifiers() -> dict[str, str | None]:
    """All saved blocks that can notify, as type/name, each with what keeps it from that.

    Nobody is told anything.
    """
    found: dict[str, str | None] = {}
    for slug in _saved():
        try:
            _load(slug)
        except BarrackConfigurationError as error:
            found[slug] = str(error)
        except Exception as error:  # noqa: BLE001 - blocks of others may fail in any way
            found[slug] = f"notify: the block {slug} cannot be loaded: {type(error).__name__}"
        else:
            found[slug] = None
    return found


def readiness_of_notifiers() -> Readiness:
    """Whether every saved block that can notify could tell somebody. Nobody is told anything."""
    saved = saved_notifiers()
    wrong = [problem for problem in saved.values() if problem is not None]
    if wrong:
        return Readiness(topic="notifiers", state="not ready", said="; ".join(wrong))
    said = f"usable are {', '.join(sorted(saved))}" if saved else "no notification block is saved"
    return Readiness(topic="notifiers", state="ready", said=said)


def tell(
    notifiers: Mapping[str, NotificationBlock], to: Sequence[str], subject: str, body: str
) -> dict[str, str]:
    """Tell people, all at once; those that could not be told, each with the reason.

    A notifier that is down holds up and breaks nothing.

    Args:
        notifiers: by name.
        to: the names of those that are told.
        subject: is told as one line.
        body: may have several lines; control characters are shown by number.
    """
    if not to:
        return {}
    subject, body = one_line(subject, _LONGEST_SUBJECT), printable(body)

    def one(name: str) -> tuple[str, str | None]:
        try:
            with _wire_silent(), notifiers[name].raise_on_failure():
                notify: Any = notifiers[name].notify
                notify(body, subject, _sync=True)
        except Exception as error:  # noqa: BLE001 - whatever a notifier does stops nothing
            # A reason may carry the address, and an address may carry a secret.
            return name, type(error).__name__
        return name, None

    with ThreadPoolExecutor(len(to)) as pool:
        results = list(pool.map(one, to))
    failed = {name: why for name, why in results if why is not None}
    for name, why in failed.items():
        _log.error("the notification block %s could not send %r: %s", name, subject, why)
    return failed
