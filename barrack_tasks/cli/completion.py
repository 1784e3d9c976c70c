"""`barrack completion`: what a shell may complete, names of instances among it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from barrack_tasks import flows
from barrack_tasks.cli.names import recall, remember

_BASH = """\
_barrack() {
    local IFS=$'\\n'
    COMPREPLY=($(barrack complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _barrack barrack
"""
_ZSH = """\
#compdef barrack
_barrack() {
    local -a found
    found=("${(@f)$(barrack complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    compadd -- $found
}
compdef _barrack barrack
"""
_FISH = """\
complete -c barrack -f -a '(barrack complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_TAKE_NAMES = ("show", "hibernate", "restore", "snapshot")
_TAKE_NAMES_BEHIND = ("--select", "--protect", "--exclude", "--priority")
_PATIENCE = 0.8


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the completion of a shell: commands, flags, flows, and names of instances.

    bash: add `source <(barrack completion bash)` to ~/.bashrc. zsh: the same in ~/.zshrc, below
    compinit. fish: `barrack completion fish > ~/.config/fish/completions/barrack.fish`.

    Parameters
    ----------
    shell
        bash, zsh or fish.
    """
    sys.stdout.write(_SCRIPTS[shell])
    return 0


def candidates(app: App, words: Sequence[str], instances: Iterable[str]) -> list[str]:
    """What may stand where the last word stands, as far as that is begun.

    Args:
        app: the command line.
        words: behind `barrack`; the last one is what is being written, and may be empty.
        instances: names of instances; read only where they may stand.

    Example:
        >>> candidates(app, ["sta"], [])
        ['status']
    """
    *before, begun = words or [""]
    names, taken = _command(app, before)
    rest = list(before[taken:])
    if not names:
        found = [] if before else _commands(app)
    elif names == ["run"]:
        found = _of_run(rest, begun, instances)
    elif begun.startswith("-"):
        found = _flags(app, names)
    elif taken == len(before) and (inner := _commands(_at(app, names))):
        found = inner
    elif names == ["ls"]:
        found = [*_kinds(), *instances] if not rest else list(instances)
    elif names[-1] in _TAKE_NAMES or (rest and rest[-1] in _TAKE_NAMES_BEHIND):
        found = list(instances)
    else:
        found = []
    return sorted({one for one in found if one.startswith(begun)})


def _kinds() -> tuple[str, ...]:
    from barrack_tasks.cli.ls import KINDS

    return KINDS


def _command(app: App, before: Sequence[str]) -> tuple[list[str], int]:
    """The command that some words begin with, and how many of them it takes."""
    names: list[str] = []
    for word in before:
        if word not in _commands(_at(app, names)):
            break
        names.append(word)
    return names, len(names)


def _at(app: App, names: Sequence[str]) -> App:
    for name in names:
        app = app[name]
    return app


def _commands(app: App) -> list[str]:
    return [name for name in app if not name.startswith("-") and app[name].show]


def _flags(app: App, names: Sequence[str]) -> list[str]:
    arguments: Any = _at(app, names).assemble_argument_collection()
    return ["--help", *(n for one in arguments for n in one.names if n.startswith("--"))]


def _of_run(rest: Sequence[str], begun: str, instances: Iterable[str]) -> list[str]:
    if not rest:
        return list(flows.__all__)
    flow = rest[0].replace("-", "_")
    if begun.startswith("-") and flow in flows.__all__:
        words = [f"--{name.replace('_', '-')}" for name in _parameters(flow)]
        return [*words, "--no-dry-run", "--json", "--watch", "--help"]
    is_name = rest[-1] in _TAKE_NAMES_BEHIND or not rest[-1].startswith("-")
    return list(instances) if is_name else []


def _parameters(flow: str) -> list[str]:
    """Of a flow, from its source: to load it takes longer than a person waits for a completion."""
    here = Path(flows.__file__).parent
    folder = here / "_flows" if (here / "_flows").is_dir() else here.parent / "flows"
    for node in ast.parse((folder / f"{flow}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == flow:
            return [one.arg for one in (*node.args.args, *node.args.kwonlyargs)]
    return []


class _Instances:
    """Names of the environment's account, asked for when they are needed."""

    def __iter__(self) -> Any:
        from barrack_tasks.api.transport.retries import RetryPolicy
        from barrack_tasks.cli.accounts import client_from_environment

        soon = RetryPolicy(attempts=1, timeout=_PATIENCE, deadline=_PATIENCE)
        with client_from_environment(soon) as client:
            known = recall(client.base_url)
            if known is None:
                known = [one.name for one in client.instances.list()]
                remember(client.base_url, known)
        return iter(known)


def completer(app: App) -> Callable[..., int]:
    """The command `complete` of a command line, which the scripts of shells call."""

    def complete(
        *words: Annotated[str, Parameter(allow_leading_hyphen=True, negative="")],
    ) -> int:
        """Print what may stand where the last of some words stands; for the scripts of shells."""
        try:
            found = candidates(app, words, _Instances())
        except Exception:  # noqa: BLE001 - a shell that completes shows no errors
            return 1
        sys.stdout.write("".join(f"{one}\n" for one in found))
        return 0

    return complete
