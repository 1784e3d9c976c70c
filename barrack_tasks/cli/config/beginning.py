"""The first barrack.yaml of an account: as the release guards one, dry, and with comments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_UP, Decimal
from typing import Any

import yaml

from barrack_tasks.api.models import Balance, UserVM
from barrack_tasks.api.models.text import one_line
from barrack_tasks.cli.config.sections import KINDS
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.plans.report import money

_HOURS_A_MONTH = 730
_MOST_NAMED = 40
_WIDEST = 100
_SHOWN = ("balance", "budgets", "timetables", "retention", "drills", "costs", "watch")
"""Sections that the first file has; others stand in it as comments."""
_NAMED = "office"
_LATER = """\
# What every flow may spend at most, such as:
# caps: {hourly_price: 12, burn: 60, lasts: 24h}

# Reports GPU stock, and claims it once it is armed:
# stock:
#   armed: false
#   wants:
#     - {gpu_model: "H100-*", gpu_count: 8}

# Ends instances that were made for a time (`expires`), once it is armed:
# ends: {armed: true}
"""


def first_file(
    block: str,
    templates: Iterable[Mapping[str, Any]],
    instances: Sequence[UserVM] = (),
    balance: Balance | None = None,
) -> str:
    """The text of a first barrack.yaml; nothing in it is armed.

    Args:
        block: name of the account's block.
        templates: the deployments of the release, as its prefect.yaml has them.
        instances: of the account.
        balance: of the account; None if it is not known.

    Example:
        >>> first_file("barrack", templates).startswith("# barrack.yaml")
        True
    """
    by_flow = {str(one["entrypoint"]).rpartition(".")[2]: one for one in templates}
    name = "" if block == "barrack" else f"name: {block}\n"
    parts = [
        "# barrack.yaml says what guards an account. `barrack check` checks it, `barrack plan`\n"
        "# shows what it would change and do, and `barrack apply` applies it. Nothing acts until\n"
        "# its section says `armed: true`.\n"
        "#\n"
        "# For completion in an editor, run `barrack schema > barrack.schema.json` and begin\n"
        "# this file with the line `# yaml-language-server: $schema=barrack.schema.json`.\n",
        _account(instances, balance),
        f"{name}accounts: [{block}]\n",
        "# Names, globs and ids of instances that no flow ever touches.\nprotect: []\n",
        "# Channels that are told: each is a saved notification block, such as\n"
        "# notify: {team: slack-webhook/team}\nnotify: {}\n",
    ]
    for section in _SHOWN:
        kind = KINDS[section]
        given = dict(by_flow[kind.flow].get("parameters") or {})
        given.pop("dry_run", None)
        if section == "budgets":
            given["budgets"] = _budgets(given["budgets"], instances)
        parts.append(f"# {kind.meaning}\n{_section(section, given, acts=kind.acts)}")
    parts.append(_LATER)
    return "\n".join(parts)


def _account(instances: Sequence[UserVM], balance: Balance | None) -> str:
    currency = str(balance.currency) if balance is not None else None
    count = {0: "no instances", 1: "1 instance"}.get(len(instances), f"{len(instances)} instances")
    burn = _burn(instances)
    # An instance of unknown price would make the sum too small, so it is not said then.
    cost = "" if not burn else f" for {money(burn, currency)} an hour"
    left = "" if balance is None else f"; the balance is {money(balance.amount, currency)}"
    lines = [f"# The account has {count}{cost}{left}."]
    costly = sorted(instances, key=lambda i: (-(hourly_cost(i) or 0), i.name))
    for one in costly[:_MOST_NAMED]:
        price = money(hourly_cost(one), currency)
        gpus = f"{one.gpu_count or '?'}x {one.gpu_model or '?'}"
        told = f"{one.name}: {one.status}, {gpus} in {one.region or '?'}, {price} an hour"
        lines.append(f"#   {one_line(told, _WIDEST)}")
    if len(costly) > _MOST_NAMED:
        lines.append(f"#   and {len(costly) - _MOST_NAMED} more")
    return "\n".join(lines) + "\n"


def _burn(instances: Iterable[UserVM]) -> Decimal | None:
    prices = [hourly_cost(one) for one in instances]
    return sum((p for p in prices if p is not None), Decimal(0)) if None not in prices else None


def _budgets(usual: list[dict[str, Any]], instances: Sequence[UserVM]) -> list[dict[str, Any]]:
    """A month as it is now, and a quarter more; as in the release where nothing runs."""
    burn = _burn(instances)
    if not burn:
        return usual
    month = burn * _HOURS_A_MONTH
    soft, hard = _round(month), _round(month * Decimal("1.25"))
    return [{"per": "month", "soft": soft, "hard": max(hard, soft + 1)}]


def _round(amount: Decimal) -> int:
    return int((amount / 100).to_integral_value(ROUND_UP) * 100)


def _section(name: str, given: Mapping[str, Any], *, acts: bool) -> str:
    lines = ["  armed: false"] if acts else []
    if name == "timetables":
        rules = [dict(rule) for rule in given["rules"]]
        lines += ["  named:", f"    {_NAMED}: {_flow(rules[0]['timetable'])}"]
        given = {**given, "rules": [{**rules[0], "timetable": _NAMED}, *rules[1:]]}
    for key, value in given.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"  {key}:", *(f"    - {_flow(one)}" for one in value)]
        else:
            lines.append(f"  {key}: {_flow(value)}")
    return f"{name}:\n" + "\n".join(lines) + "\n" if lines else f"{name}: {{}}\n"


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.strip().removesuffix("...").strip()
