"""Telling people, through Prefect's notification blocks."""

from __future__ import annotations

import html
import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated, Any, Literal, NamedTuple, cast
from uuid import UUID

import httpx
from prefect import runtime
from prefect.blocks.abstract import NotificationBlock, NotificationError
from prefect.blocks.core import Block
from prefect.blocks.notifications import (
    AbstractAppriseNotificationBlock,
    AppriseNotificationBlock,
    CustomWebhookNotificationBlock,
)
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging import LogEavesdropper
from prefect.settings import PREFECT_UI_URL
from pydantic import Field, WithJsonSchema

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.models.text import one_line, printable
from barrack_tasks.server.credentials import NOTIFIER, BarrackCredentials, check_names
from barrack_tasks.server.events import get_logger

_log = get_logger(__name__)
_PAGE = 200
_LONGEST_SUBJECT = 200
_WIRE = ("apprise", "httpcore", "httpx", "requests", "urllib3")
"""Loggers of those that carry messages: they log addresses, and addresses carry secrets."""
_wire_lock = threading.Lock()
_wire_before: list[tuple[logging.Logger, bool, int, bool]] = []
_handlers_before: list[logging.Handler] = []
_wire_depth = 0
Severity = Literal["info", "success", "warning", "failure"]
"""How bad it is, in the words of Apprise."""
_RANKS: Mapping[str, int] = {"info": 0, "success": 0, "warning": 1, "failure": 2}
Notify = Annotated[
    list[Annotated[str, WithJsonSchema({"type": "string", "pattern": NOTIFIER})]],
    Field(
        description="Notification blocks that are told: names, or type/name such as "
        "slack-webhook/team; :warning or :failure behind it tells only what is that severe.",
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
        names: names of saved blocks, or `type/name` where two types share a name. A severity
            behind a colon, as in `team-slack:failure`, is that from which on it is told.

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
        asked = name.partition(":")[0]
        slugs = [slug for slug in known if asked in (slug, slug.partition("/")[2])]
        if not slugs:
            there = ", ".join(sorted(known)) or "none"
            raise BarrackConfigurationError(
                f"notify: no notification block is called {asked!r}; saved are: {there}; "
                "`barrack notify add` saves one"
            )
        if len(slugs) > 1:
            raise BarrackConfigurationError(
                f"notify: {asked!r} may mean {' or '.join(sorted(slugs))}; write one of these"
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


_silent = logging.NullHandler()


@contextmanager
def _wire_silent() -> Iterator[None]:
    """Nothing is logged of what goes over the wire: it would say a URL with the secret in it.

    What Apprise logs goes only to Prefect's own listener, so that it can be told why it failed.
    """
    global _wire_depth
    with _wire_lock:
        _wire_depth += 1
        if _wire_depth == 1:
            known = [n for n in logging.root.manager.loggerDict if n.partition(".")[0] in _WIRE]
            for logger in map(logging.getLogger, {*known, *_WIRE}):
                _wire_before.append((logger, logger.disabled, logger.level, logger.propagate))
                logger.propagate = False
                if logger.name == "apprise":
                    _handlers_before.extend(logger.handlers)
                    # Without any handler, Python would print warnings on the error output.
                    logger.handlers[:] = [_silent]
                    logger.disabled = False
                    logger.setLevel(logging.WARNING)
                    continue
                logger.disabled = True
                # Loggers that are made meanwhile take their level from those above them.
                logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        with _wire_lock:
            _wire_depth -= 1
            while _wire_depth == 0 and _wire_before:
                logger, was_disabled, level, propagates = _wire_before.pop()
                logger.disabled, logger.propagate = was_disabled, propagates
                logger.setLevel(level)
                if logger.name == "apprise":
                    others = [h for h in logger.handlers if h is not _silent]
                    logger.handlers[:] = [*_handlers_before, *others]
                    _handlers_before.clear()


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


def tell(
    notifiers: Mapping[str, NotificationBlock],
    to: Sequence[str],
    subject: str,
    body: str = "",
    *,
    severity: Severity = "info",
    account: str = "",
    link: str | None = None,
    picture: str = "",
) -> dict[str, str]:
    """Tell people, all at once; those that could not be told, each with the reason.

    A name with a severity, such as `team-slack:failure`, is told only what is that severe, and
    counts as told otherwise. A notifier that is down holds up and breaks nothing. What the subject
    says the body does not repeat, unless a notifier shows no subject, or the subject had to be cut.

    Args:
        notifiers: by name.
        to: the names of those that are told.
        subject: is told as one line.
        body: may have several lines; control characters are shown by number.
        severity: in the words of Apprise; services show it as a colour or an icon.
        account: what the account is called; stands below the body.
        link: an address that says more; that of the run in Prefect's UI, if not given.
        picture: an SVG that is attached to mails.
    """
    to = [name for name in to if is_told(name, severity)]
    if not to:
        return {}
    address = link_to_run() if link is None else link
    below = [f"Account: {account}" if account else "", f"Run: {address}" if address else ""]
    whole = one_line(subject)
    subject = one_line(subject, _LONGEST_SUBJECT)
    # What is cut off may be the very command or link by which people say no.
    lines = [whole if subject != whole else "", body.strip("\n"), *below]
    body = printable("\n".join(filter(None, lines)))
    letter = Letter(subject, body or subject, severity, address, picture)

    def one(name: str) -> tuple[str, str | None]:
        try:
            with _wire_silent():
                _send(notifiers[name], letter)
        except Exception as error:  # noqa: BLE001 - whatever a notifier does stops nothing
            return name, _reason(error)
        return name, None

    with ThreadPoolExecutor(len(to)) as pool:
        results = list(pool.map(one, to))
    failed = {name: why for name, why in results if why is not None}
    for name, why in failed.items():
        _log.error("the notification block %s could not send %r: %s", name, subject, why)
    return failed


def is_told(name: str, severity: Severity) -> bool:
    """Whether a name in `notify` is told of something so severe.

    Example:
        >>> is_told("team-slack:failure", "warning"), is_told("team-slack", "info")
        (False, True)
    """
    return _RANKS[severity] >= _RANKS[name.partition(":")[2] or "info"]


def link_to_run(id_: object = None) -> str:
    """The address of a flow run in Prefect's UI; of the one that is under way, if none is given.

    Empty outside of runs, and where the UI has no address.
    """
    run, address = id_ or runtime.flow_run.id, PREFECT_UI_URL.value()
    return f"{address}/runs/flow-run/{run}" if run and address else ""


class Letter(NamedTuple):
    """One message to people; `link` is the last address in the body, `picture` an SVG."""

    subject: str
    body: str
    severity: Severity
    link: str
    picture: str

    @property
    def html(self) -> str:
        """The body as HTML: names are text, and the link can be followed."""
        lines = [
            f'Run: <a href="{html.escape(self.link)}">{html.escape(self.link)}</a>'
            if self.link and line == f"Run: {self.link}"
            else html.escape(line)
            for line in self.body.splitlines()
        ]
        return f"<p>{'<br/>'.join(lines)}</p>"


def _send(block: NotificationBlock, letter: Letter) -> None:
    chosen: Any = block
    body = letter.body
    if isinstance(block, AbstractAppriseNotificationBlock):
        if block.notify_type == "info":  # whoever saved another one wants that
            chosen = block.model_copy(update={"notify_type": letter.severity})
        if isinstance(block, AppriseUrl) and _is_mail(block):
            _send_mail(chosen, letter)
            return
        # Else a service that shows HTML would take a name for markup.
        cast(Any, block._apprise_client).asset.body_format = "text"
    elif isinstance(block, CustomWebhookNotificationBlock) and not _shows_subject(block):
        body = f"{letter.subject}\n{body}" if body != letter.subject else body
    with chosen.raise_on_failure():
        chosen.notify(body, letter.subject, _sync=True)


def _shows_subject(block: CustomWebhookNotificationBlock) -> bool:
    written = (block.url, block.params, block.json_data, block.form_data, block.headers)
    return any("{{subject}}" in str(part).replace(" ", "") for part in written)


def _is_mail(block: AppriseUrl) -> bool:
    from apprise.plugins.email import NotifyEmail

    return all(isinstance(one, NotifyEmail) for one in cast(Any, block._apprise_client))


def _send_mail(block: AppriseUrl, letter: Letter) -> None:
    """Send it as HTML and as text, with the picture, if there is one."""
    from apprise.attachment.memory import AttachMemory

    with LogEavesdropper("apprise", level=logging.WARNING) as heard:
        is_sent = cast(Any, block._apprise_client).notify(
            body=letter.html,
            title=letter.subject,
            notify_type=block.notify_type,
            body_format="html",
            attach=cast(Any, AttachMemory)(
                content=letter.picture, name="chart.svg", mimetype="image/svg+xml"
            )
            if letter.picture
            else None,
        )
    if not is_sent:
        raise NotificationError(log=heard.text())


_HTTP = re.compile(r"error[=:]\s*([1-5][0-9]{2})\b")


def _reason(error: Exception) -> str:
    """Why a notifier could not tell: a sentence without its address, which may carry a secret."""
    log = error.log.casefold() if isinstance(error, NotificationError) else ""
    kind = type(error).__name__
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answered with the status {error.response.status_code} ({kind})"
    if code := _HTTP.search(log):
        return f"it answered with the status {code[1]} ({kind})"
    if isinstance(error, httpx.TimeoutException | TimeoutError) or "timed out" in log:
        return f"it gave no answer in time ({kind})"
    if isinstance(error, httpx.TransportError | OSError) or "connection error" in log:
        return f"it cannot be reached ({kind})"
    if "authentication" in log or "login" in log:
        return f"it refuses the user or the password ({kind})"
    return f"it gives no reason ({kind})"
