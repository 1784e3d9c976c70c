"""`barrack plan` and `barrack apply`: what a barrack.yaml changes, and changing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

from barrack_tasks.api import BarrackError
from barrack_tasks.cli.answers import AppliedChangeShown, AppliedShown
from barrack_tasks.cli.check import FILE, read, tell
from barrack_tasks.cli.failing import WrongWordsError, said_of
from barrack_tasks.cli.inputs import AsJson
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server

if TYPE_CHECKING:
    from barrack_tasks.cli.applying import Plan

NOTHING, FAILED, MISTAKEN = 0, 1, 2


class _Differs(int):
    """An exit code that is told apart from that of a mistake."""


DIFFERS = _Differs(2)


def two_means_differs(main: Callable[[], None]) -> Callable[[], None]:
    """The entry point of the command line, in which every error of `barrack plan` exits 1.

    So 2 says of it that the server is not as the file says, also after a mistake in its words.

    Args:
        main: exits with a code.
    """

    @wraps(main)
    def run() -> None:
        try:
            main()
        except SystemExit as end:
            is_plan = sys.argv[1:2] == ["plan"]
            if is_plan and end.code == MISTAKEN and not isinstance(end.code, _Differs):
                sys.exit(FAILED)
            raise

    return run


def plan(
    file: Path = FILE,
    /,
    *,
    detailed_exitcode: bool = False,
    json: bool = False,
    markdown: bool = False,
    overwrite: bool = False,
) -> int:
    """Show what `barrack apply` would change, and what each flow would do now.

    Nothing is changed. Each flow is run dry, on the account as it is.

    Parameters
    ----------
    file
        The file; barrack.yaml in this folder, if not given.
    detailed_exitcode
        Exit 0 if the server is as the file says, 2 if it is not, and 1 after any error, such as
        that of a dry run. Without it, 1 is for a mistake and for an account that cannot be read.
    json
        Print it as JSON.
    markdown
        Print it as markdown, such as for a comment on a pull request.
    overwrite
        Plan to overwrite what was changed by hand since the last apply.
    """
    if json and markdown:
        raise WrongWordsError("--json and --markdown exclude each other; leave out one of them")
    made = _planned(file, overwrite, FAILED)
    if isinstance(made, int):
        return made
    from barrack_tasks.cli.plan_views import as_markdown, show, view_of

    if json:
        sys.stdout.write(view_of(made).model_dump_json(indent=2) + "\n")
    elif markdown:
        sys.stdout.write(as_markdown(made))
    else:
        show(Screen(), made)
    if made.is_unread or (detailed_exitcode and any(one.failed for one in made.foreseen)):
        return FAILED
    return DIFFERS if detailed_exitcode and made.differs else NOTHING


def apply(
    file: Path = FILE,
    /,
    *,
    yes: bool = False,
    overwrite: bool = False,
    json: AsJson = False,
) -> int:
    """Show the plan of a barrack.yaml, ask, and apply it.

    What somebody changed by hand since the last apply stays, and only what this file made is
    removed. Applied twice, it changes nothing the second time. What fails as a dry run is not
    armed.

    Parameters
    ----------
    file
        The file; barrack.yaml in this folder, if not given.
    yes
        Do not ask.
    overwrite
        Let what was changed by hand become as the file says.
    json
        Show what was done as JSON, and not the plan, which `barrack plan --json` shows. It does not
        ask: without `--yes` nothing is changed.
    """
    made = _planned(file, overwrite, MISTAKEN)
    if isinstance(made, int):
        return made
    from barrack_tasks.cli.applying import apply as apply_plan
    from barrack_tasks.cli.plan_views import show

    screen = Screen()
    if not json:
        show(screen, made)
    if made.unforeseeable:
        names = ", ".join(one.title for one in made.unforeseeable)
        why = (
            f"nothing was changed, because the dry run of {names} failed and would do so armed as "
            f"well; correct what the plan says of it, or leave `armed` out"
        )
        return _not_applied(made, why, json)
    armed = ", ".join(made.titles[key] for key in made.newly_armed)
    question = f"Apply this, and let {armed} act?" if armed else "Apply this?"
    # Where nothing is to be done, it is noted what the file says, so that what somebody changed by
    # hand and then wrote into the file is not taken for a change by hand any more.
    if made.is_done and not yes and json:
        return _not_applied(made, "nobody confirmed it; pass --yes", json)
    if made.is_done and not yes and not screen.agrees(question):
        screen.print("Nothing was changed.")
        return FAILED
    told: list[str] = []
    with known_server():
        try:
            apply_plan(made, overwrite=overwrite, tell=told.append if json else screen.print)
        except BarrackError as error:
            return _not_applied(made, said_of(error), json, told)
    if json:
        screen.print_json(_applied(made, None))
    return NOTHING


def _not_applied(made: Plan, why: str, as_json: bool, told: Sequence[str] = ()) -> int:
    """Say why a plan was not applied, or only in part; the exit code."""
    if as_json:
        Screen().print_json(_applied(made, why, told))
    else:
        Screen(stderr=True).print(f"barrack: {why}", style="red")
    return FAILED


def _applied(made: Plan, problem: str | None, told: Sequence[str] = ()) -> AppliedShown:
    begun = {one.rpartition(": ")[0] for one in told}
    named = [(made.titles.get(one.key, one.key), one) for one in made.changes if one.is_done]
    return AppliedShown(
        applied=problem is None,
        changes=tuple(
            AppliedChangeShown(name=name, action=one.action, done=problem is None or name in begun)
            for name, one in named
        ),
        problem=problem,
    )


def _planned(file: Path, overwrite: bool, mistake: int) -> Plan | int:
    """The plan; the exit code if there is none, which was told."""
    from barrack_tasks.cli.config.reading import MistakesError

    try:
        config = read(file)
        with known_server() as server:
            if not server.answers:
                raise server.away()
            from barrack_tasks.cli.applying import plan_of

            return plan_of(config, overwrite=overwrite)
    except MistakesError as error:
        tell(error)
    except BarrackError as error:
        Screen(stderr=True).print(f"barrack: {said_of(error)}", style="red")
    return mistake
