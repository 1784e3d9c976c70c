"""Runs parts of the benchmark, and writes what was measured into `results.md` with a chart.

`python -m benchmarks a g --sizes 1000 --in-flight 64 --rounds 3`
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pygal

from benchmarks import planning, runs, stage
from benchmarks.stage import CONTENDERS, middle, prefect_server, rounds, sandbox_rate, spread

HERE = Path(__file__).resolve().parent
KEPT = HERE / "results.json"
TITLES = {
    "a": "The main job: snapshot, wait until ready, hibernate",
    "b": "One task for each instance that polls its own instance",
    "c": "10,000 instances decided on",
    "d": "Ticks that find nothing to do",
    "e": "Stock that comes",
    "f": "200 instances restored",
    "g": "The sandbox alone",
}


def main() -> None:
    """Measure the parts that are asked for; the others keep what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["a", "g"], metavar="PART")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000])
    parser.add_argument("--fleets", type=int, nargs="+", default=[10, 1000, 10000])
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if strange := set(given.parts) - TITLES.keys():
        parser.error(
            f"there is no part {', '.join(sorted(strange))}; there are {', '.join(TITLES)}"
        )
    found: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for part in given.parts:
        print(f"{part}: {TITLES[part]} ...", flush=True)
        measured = measure(part, given)
        if part in ("a", "b"):
            measured = {**found.get(part, {}).get("figures", {}), **measured}
        found[part] = {
            "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "load": os.getloadavg()[0],
            "figures": measured,
        }
        KEPT.write_text(json.dumps(found, indent=1) + "\n")
        write(found)
    print(f"see {HERE / 'results.md'}")


def measure(part: str, given: argparse.Namespace) -> dict[str, Any]:
    """The figures of one part."""
    match part:
        case "a":
            contenders = list(CONTENDERS)
        case "b":
            contenders = ["flow", "task each"]
        case "c":
            return planning.measure()
        case "g":
            return sandbox_rate()
        case _:
            with prefect_server():
                match part:
                    case "d":
                        return runs.ticks(given.fleets)
                    case "e":
                        return runs.reaction()
                    case _:
                        return runs.restores()
    with prefect_server():
        return {
            f"{size}/{in_flight}": rounds(contenders, size, in_flight, given.rounds)
            for size in given.sizes
            for in_flight in given.in_flight
        }


def write(found: dict[str, Any]) -> None:
    """The page, and its chart."""
    lines = [
        "# What the flows cost",
        "",
        "`make bench` writes this page; `make bench PART=a` measures one part of it anew.",
        "The contenders take turns on one machine, on which a Prefect server runs already and the",
        f"cloud is a sandbox whose answers take {stage.LATENCY * 1000:g} ms. Times are seconds",
        "from the call to its result, without imports. Compare ratios and CPU seconds: the machine",
        "may be busy with other work, which the load tells.",
        "",
        f"{os.cpu_count()} cores, Python {platform.python_version()}.",
    ]
    for part, kept in sorted(found.items()):
        busy = f"{kept['at']}, load {kept['load']:.1f}"
        lines += ["", f"## {part.upper()}. {TITLES[part]}", "", f"Measured {busy}.", ""]
        lines += table(part, kept["figures"])
    (HERE / "results.md").write_text("\n".join(lines) + "\n")


def table(part: str, figures: dict[str, Any]) -> list[str]:
    """The figures as a table."""
    if part not in ("a", "b"):
        return [
            "| what | figure |",
            "| --- | --- |",
            *(f"| {k} | {v} |" for k, v in figures.items()),
        ]
    lines = [
        "| instances | in flight | who | median s | from, to | CPU s | requests | to the flow |",
        "| ---: | ---: | --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for setting, by_who in figures.items():
        size, in_flight = setting.split("/")
        flow = middle(by_who["flow"], "s")
        for who, told in by_who.items():
            one = middle(told, "s")
            lines.append(
                f"| {size} | {in_flight} | {who} | {one:.1f} | {spread(told)} | "
                f"{middle(told, 'cpu'):.1f} | {middle(told, 'requests'):.0f} | {one / flow:.2f} |"
            )
    draw(part, figures)
    return [*lines, "", f"![Seconds by contender](results-{part}.svg)"]


def draw(part: str, figures: dict[str, Any]) -> None:
    """The medians as bars."""
    chart = pygal.Bar(width=700, height=350, title=TITLES[part], y_title="seconds", js=[])
    chart.x_labels = [setting.replace("/", " instances, ") + " in flight" for setting in figures]
    for who in next(iter(figures.values())):
        chart.add(who, [round(middle(told[who], "s"), 2) for told in figures.values()])
    chart.render_to_file(str(HERE / f"results-{part}.svg"))


if __name__ == "__main__":
    main()
