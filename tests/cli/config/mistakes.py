"""Mistakes that people make in a barrack.yaml, each with where it is and what is said of it.

The page docs/barrack-yaml-mistakes.md is made of this table.
"""

from __future__ import annotations

from typing import NamedTuple

KEY = "sk-live-0123456789abcdef0123"
"""A key that somebody puts where it must not be."""


class Made(NamedTuple):
    """A mistake: the text, line and column of what is wrong, and the sentence about it."""

    text: str
    line: int
    column: int
    said: str


MADE: dict[str, Made] = {
    "a section that is misspelt": Made(
        "balnce: {}\n", 1, 1, "no such key 'balnce'; did you mean 'balance'?"
    ),
    "a word of a section that is misspelt": Made(
        'balance:\n  selct: ["*"]\n', 2, 3, "no such key 'selct'; did you mean 'select'?"
    ),
    "a word of a rule that is misspelt": Made(
        'timetables:\n  rules:\n    - {select: ["*"], timetabel: always}\n',
        3,
        23,
        "no such key 'timetabel'; did you mean 'timetable'?",
    ),
    "a word of a want that is misspelt": Made(
        "stock: {wants: [{gpu_modle: L40}]}\n",
        1,
        18,
        "no such key 'gpu_modle'; did you mean 'gpu_model'?",
    ),
    "a word of a schedule that is misspelt": Made(
        "costs: {schedule: {evry: 1h}}\n", 1, 20, "no such key 'evry'; did you mean 'every'?"
    ),
    "a word of a selection that is misspelt": Made(
        "retention: {select: {staes: [ACTIVE]}}\n",
        1,
        21,
        "select: no such key 'staes'; did you mean 'states'?",
    ),
    "an action that does not exist": Made(
        "balance:\n  thresholds:\n    - {runway: 24h, actions: [alert, hibernat]}\n",
        3,
        38,
        "actions must be one of alert, hibernate, hibernate_all, and is 'hibernat'; did you mean "
        "'hibernate'?",
    ),
    "a period that does not exist": Made(
        "budgets: {budgets: [{per: week, hard: 100}]}\n",
        1,
        27,
        "per must be one of hour, day, month, and is 'week'",
    ),
    "a state that does not exist": Made(
        "retention: {select: {states: [SLEEPING]}}\n",
        1,
        21,
        "no instance state is called 'SLEEPING'; known are",
    ),
    "a day that does not exist": Made(
        'timetables:\n  rules:\n    - select: ["*"]\n      timetable: Mon-Fry 08:00-20:00 UTC\n',
        4,
        22,
        "no day is called 'Fry'; days are Mon, Tue, Wed, Thu, Fri, Sat, Sun or their full English "
        "names",
    ),
    "a time zone that does not exist": Made(
        "costs: {zone: Europe/Berln}\n",
        1,
        15,
        "there is no time zone called 'Europe/Berln'; the nearest is Europe/Berlin",
    ),
    "a timetable that has no such name": Made(
        "timetables:\n  named: {office: always}\n  rules:\n"
        '    - {select: ["*"], timetable: ofice}\n',
        4,
        34,
        "no timetable is called 'ofice'; did you mean 'office'?",
    ),
    "a channel that has no such name": Made(
        "notify: {team: slack-webhook/team}\nbalance: {notify: [taem]}\n",
        2,
        20,
        "no channel is called 'taem'; did you mean 'team'?",
    ),
    "a channel where none is declared": Made(
        "balance: {notify: [team]}\n",
        1,
        20,
        "no channel is called 'team'; add it to `notify` at the top",
    ),
    "an empty selection": Made(
        "retention: {select: []}\n",
        1,
        21,
        "the selection is empty, and that does not mean everything; name instances, or write '*'",
    ),
    "a section without what it needs": Made(
        "drills: {at_most: 1}\n", 1, 1, "drills lacks `select`; add it"
    ),
    "a threshold that hibernates nobody knows what": Made(
        "balance: {thresholds: [{runway: 1h, actions: [hibernate]}]}\n",
        1,
        1,
        "the threshold runway 1 h hibernates, and nothing says what: name instances as `select`, "
        "or write '*'",
    ),
    "thresholds in the wrong order": Made(
        "balance: {thresholds: [{runway: 24h}, {runway: 72h}]}\n",
        1,
        1,
        "thresholds are in the wrong order: runway 24 h comes before runway 72 h; write them from "
        "the highest line to the lowest, each once",
    ),
    "a threshold that is two lines": Made(
        "balance: {thresholds: [{runway: 1h, amount: 5}]}\n",
        1,
        24,
        "a threshold is either an amount or a runway: give one of the two",
    ),
    "a list without anything": Made(
        "balance: {thresholds: []}\n",
        1,
        23,
        "thresholds is empty; write at least one, or leave it out",
    ),
    "a budget without a limit": Made(
        "budgets: {budgets: [{per: day}]}\n",
        1,
        21,
        "a budget needs a limit: give `soft`, `hard` or both",
    ),
    "an amount that is no number": Made(
        "drills: {select: [a], max_cost: cheap}\n",
        1,
        33,
        "'cheap' is not an amount; write a number",
    ),
    "a duration that is none": Made(
        "balance: {thresholds: [{runway: 3 weeks of work}]}\n",
        1,
        33,
        "'3 weeks of work' is not a duration; write '8h'",
    ),
    "a number that is too large": Made(
        "drills: {select: [a], at_most: 99}\n", 1, 32, "at_most must be 50 or less, and is 99"
    ),
    "a number that is none": Made(
        "drills: {select: [a], at_most: many}\n",
        1,
        32,
        "at_most must be a whole number (it is 'many')",
    ),
    "a yes that is none": Made(
        "watch: {}\nretention: {armed: maybe, select: [a]}\n",
        2,
        20,
        "armed must be true or false (it is 'maybe')",
    ),
    "a section that only looks, armed": Made(
        "costs: {armed: true}\n",
        1,
        9,
        "`costs` only looks, so there is nothing to arm; leave `armed` out",
    ),
    "a section that is a list": Made(
        "budgets: [{per: day, hard: 5}]\n",
        1,
        10,
        "budgets must be a mapping; write the list below its own key, as "
        "`budgets: {budgets: [...]}`",
    ),
    "one name where a list is wanted": Made(
        "protect: prod-1\n", 1, 10, "protect must be a list, such as ['prod-1'] (it is 'prod-1')"
    ),
    "a time of cron with four fields": Made(
        "costs: {schedule: {cron: '0 7 * *'}}\n",
        1,
        26,
        "'0 7 * *' is not a time of cron; write five fields",
    ),
    "a schedule that is too fast": Made(
        "watch: {schedule: {every: 5s}}\n",
        1,
        19,
        "`every` is shorter than a minute; give 1m or longer",
    ),
    "a schedule that is two": Made(
        "watch: {schedule: {every: 5m, cron: '* * * * *'}}\n",
        1,
        19,
        "a schedule is either `every` or `cron`: give one of the two",
    ),
    "a claim without a name": Made(
        "stock: {wants: [{gpu_model: L40, claim: {image_id: '1'}}]}\n",
        1,
        41,
        "a claim that is to deploy needs `name`; add it",
    ),
    "an end for nothing": Made(
        "stock: {on_expiry: delete, wants: [{gpu_model: L40}]}\n",
        1,
        1,
        "on_expiry: without `expires` nothing ends; give it as well",
    ),
    "caps that allow nothing": Made(
        "caps: {regions: []}\n", 1, 7, "regions is empty and would allow nothing; leave it out"
    ),
    "a key as an account": Made(
        f"accounts: [{KEY.upper()}]\n",
        1,
        12,
        "this is not the name of a block, which has lower case letters, digits and hyphens",
    ),
    "a key under its name": Made(
        f"accounts: [{{api_key: {KEY}}}]\n",
        1,
        13,
        "a key must not stand in a file; save it as a block, and name the block in `accounts`",
    ),
    "the key of the environment somewhere": Made(
        f"protect: [a, {KEY}]\n",
        1,
        14,
        "a key must not stand in a file; save it as a block, and name the block in `accounts`",
    ),
    "a variable that no worker reads": Made(
        "accounts: [{environment: MY_KEY}]\n",
        1,
        26,
        "workers read their account's key from BARRACK_API_KEY alone; name that one",
    ),
    "an account twice": Made(
        "accounts: [barrack, barrack]\n", 1, 21, "this account is named twice; keep one"
    ),
    "protection without a block": Made(
        "accounts: [{environment: BARRACK_API_KEY}]\nprotect: [prod-1]\n",
        2,
        1,
        "protect is kept in an account's block, and the account of the environment has none",
    ),
    "a name that no server takes": Made(
        "name: Team A\n",
        1,
        7,
        "name must have lower case letters, digits and hyphens, and 40 of them at most",
    ),
    "a template": Made(
        'retention: {select: ["{{ $HOME }}"]}\n',
        1,
        22,
        "templates such as {{ x }} are not filled in; write the value itself",
    ),
    "a key that is there twice": Made(
        "balance: {}\nbalance: {}\n", 2, 1, "the key 'balance' is given twice; keep one of them"
    ),
    "an anchor": Made(
        "protect: &all [a]\n", 1, 10, "&all is an anchor; write out what it stands for"
    ),
    "a bracket that is not closed": Made("protect: [a\nbalance: {}\n", 2, 8, "this is not YAML"),
    "a tab as indentation": Made(
        "balance:\n\tarmed: true\n", 2, 1, "a tab indents this line; write spaces"
    ),
    "an included file that is not there": Made(
        "include: [timetables.yaml]\n", 1, 11, "cannot be read: No such file or directory"
    ),
    "an included file of another folder": Made(
        "include: [../secrets.yaml]\n", 1, 11, "'../secrets.yaml' lies outside of the folder"
    ),
    "a file that includes itself": Made(
        "include: [barrack.yaml]\n", 1, 11, "'barrack.yaml' includes itself; leave it out"
    ),
    "a pattern that matches no file": Made(
        "include: ['teams/*.yaml']\n", 1, 11, "no file matches 'teams/*.yaml'"
    ),
    "two budgets that are equal": Made(
        "budgets: {budgets: [{per: day, hard: 5}, {per: day, hard: 5}]}\n",
        1,
        42,
        "item 2 of budgets says the same as item 1; keep one of them",
    ),
    "two budgets for the same": Made(
        "budgets: {budgets: [{per: day, hard: 5}, {per: day, soft: 3}]}\n",
        1,
        42,
        "there are two budgets for everything per day; write one with both limits",
    ),
    "two wants that are equal": Made(
        "stock:\n  wants:\n    - {gpu_model: L40}\n    - {gpu_count: 1x, gpu_model: L40}\n",
        4,
        7,
        "item 2 of wants says the same as item 1; keep one of them",
    ),
    "two wants that claim one name": Made(
        "stock:\n  wants:\n    - {gpu_model: L40, claim: {name: a1, image_id: '1'}}\n"
        "    - {gpu_model: A40, claim: {name: a1, image_id: '1'}}\n",
        4,
        38,
        "two wants would claim the name 'a1'; give each its own",
    ),
    "something else that is the same": Made(
        "stock: {wants: [{gpu_model: L40, otherwise: [{gpu_model: L40}]}]}\n",
        1,
        46,
        "this is what the want itself asks for; name something else, or leave it out",
    ),
    "a name that is written twice": Made(
        "protect: [a, b, a]\n", 1, 17, "item 3 of protect says the same as item 1; keep one"
    ),
    "a rule that is written twice": Made(
        "timetables:\n  rules:\n    - {select: [a], timetable: always}\n"
        "    - {select: a, timetable: always}\n",
        4,
        7,
        "item 2 of rules says the same as item 1; keep one of them",
    ),
    "a rule behind one for everything": Made(
        'timetables:\n  rules:\n    - {select: ["*"], timetable: always}\n'
        "    - {select: [a], timetable: never}\n",
        4,
        7,
        "rule 2 is never reached: rule 1 takes all that it selects; put it above",
    ),
    "a rule for what is protected": Made(
        "protect: ['prod-*']\ntimetables:\n  rules:\n"
        "    - {select: [prod-1, a], timetable: always}\n",
        4,
        17,
        "'prod-1' is protected or excluded, so that selecting it does nothing",
    ),
    "a rule about idleness without a probe": Made(
        "forgotten: {rules: [{select: [a], longer_than: 8h, idle: true}]}\n",
        1,
        58,
        "a rule that counts idle time does nothing without a probe; give `idleness`",
    ),
    "a retention of no last snapshot": Made(
        "retention: {select: [a], retention: {last: 0}}\n",
        1,
        44,
        "last: 0 changes nothing, since the newest ready snapshot of an instance is always kept",
    ),
    "a retention that keeps nothing": Made(
        "retention: {select: [a], retention: {last: 0, daily: 0, weekly: 0, monthly: 0}}\n",
        1,
        37,
        "retention keeps nothing; give at least one of last, daily, weekly, monthly",
    ),
    "an end of what never begins": Made(
        "balance: {thresholds: [{runway: 1h, until: 8h}]}\n",
        1,
        44,
        "`until` says when the action hibernate may end, and this line does not have it",
    ),
    "a snapshot before nothing": Made(
        "balance: {thresholds: [{runway: 1h, snapshot: true}]}\n",
        1,
        47,
        "a line that hibernates nothing takes no snapshot",
    ),
    "a day that no month has": Made(
        "costs: {schedule: {cron: '0 7 31 2 *'}}\n",
        1,
        26,
        "'0 7 31 2 *' is never due, since no year has such a day",
    ),
    "a file that is included twice": Made(
        "include: [a.yaml, a.yaml]\n", 1, 19, "'a.yaml' is included twice; keep one"
    ),
    "the address of a channel": Made(
        "notify: {team: 'https://hooks.example.com/T0/B0'}\n",
        1,
        16,
        "this is not the name of a notification block, such as slack-webhook/team",
    ),
    "a severity that does not exist": Made(
        "notify: {team: {block: a, severity: warn}}\n",
        1,
        37,
        "severity must be one of info, warning, failure, and is 'warn'; did you mean 'warning'?",
    ),
    "a section for an account that is not there": Made(
        "accounts: [team-a, team-b]\nbalance: {account: team-c}\n",
        2,
        20,
        "`accounts` at the top has no 'team-c'; did you mean",
    ),
    "a misspelt cap of an account": Made(
        "accounts:\n  - {block: a, caps: {brun: 60}}\n",
        2,
        23,
        "no such key 'brun'; did you mean 'burn'?",
    ),
    "what the environment's account protects": Made(
        "accounts:\n  - {environment: BARRACK_API_KEY, protect: [db]}\n",
        2,
        36,
        "protect is kept in an account's block, and the account of the environment has none",
    ),
    "what the only account protects, selected": Made(
        "accounts:\n  - {block: a, protect: [db]}\nretention: {select: [db]}\n",
        3,
        22,
        "'db' is protected or excluded, so that selecting it does nothing",
    ),
    "two sections for one account": Made(
        "accounts: [a, b]\nbalance:\n  - {accounts: [a, b]}\n  - {account: b}\n",
        4,
        5,
        "the account b has two `balance`; keep one of them",
    ),
    "one of several sections without an account": Made(
        "accounts: [a, b]\nbalance:\n  - {account: a}\n  - {armed: true}\n",
        4,
        5,
        "if there are several `balance`, each must name its `account`; add it",
    ),
}
