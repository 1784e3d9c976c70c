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
        "there is no time zone called 'Europe/Berln'; the nearest are Europe/Berlin",
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
        "the selection is empty, and that does not mean everything; name instances, or say "
        'select=["*"]',
    ),
    "a section without what it needs": Made(
        "drills: {at_most: 1}\n", 1, 1, "drills lacks `select`; add it"
    ),
    "a threshold that hibernates nobody knows what": Made(
        "balance: {thresholds: [{runway: 1h, actions: [hibernate]}]}\n",
        1,
        1,
        "the threshold runway 1 h hibernates, and nothing says what: name instances in select=",
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
        "a budget needs a limit: give soft=, hard= or both",
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
        "costs: {armed: true}\n", 1, 9, "no such key 'armed'; there are"
    ),
    "a section that is a list": Made(
        "budgets: [{per: day, hard: 5}]\n",
        1,
        10,
        "budgets must be a mapping, such as `budgets: {armed: false}`",
    ),
    "one name where a list is wanted": Made(
        "protect: prod-1\n", 1, 10, "protect must be a list, such as [a, b] (it is 'prod-1')"
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
        "a claim that is to deploy needs name",
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
        "name must be lower case letters, digits and hyphens, 40 at most",
    ),
    "a template": Made(
        'retention: {select: ["{{ $HOME }}"]}\n',
        1,
        22,
        "{{ and }} are filled in by nobody here; write the value itself",
    ),
    "a key that is there twice": Made(
        "balance: {}\nbalance: {}\n", 2, 1, "the key 'balance' is given twice; keep one of them"
    ),
    "an anchor": Made(
        "protect: &all [a]\n", 1, 10, "&all is an anchor; write out what it stands for"
    ),
    "a bracket that is not closed": Made("protect: [a\nbalance: {}\n", 2, 8, "this is not YAML"),
    "a tab as indentation": Made("balance:\n\tarmed: true\n", 2, 1, "this is not YAML"),
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
}
