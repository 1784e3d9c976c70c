"""Make the hashes of the tested versions, with a hash for each file of them.

The library has hashes.txt, its tests have hashes-test.txt, and the image of servers and workers has
deployments/hashes.txt as well.

Asks pip what it would install on each platform and Python that is supported, and writes the hashes
that it tells. Names and versions come from constraints.txt and deployments/constraints.txt; no
address is written.

Use: .venv/bin/python scripts/make_hashes.py
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = (
    ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    ("macosx_14_0_arm64", "macosx_11_0_arm64"),
    ("macosx_14_0_x86_64", "macosx_10_13_x86_64"),
)
HEAD = """\
# {what}, with the hashes of their files for Linux and macOS.
# Made by scripts/make_hashes.py from {pins}; do not edit.
# Use: pip install --require-hashes -r {name}{use}
"""
PACKAGE = ", then pip install --no-deps prefect-barrack"
IMAGE = "deployments/constraints.txt"
WHAT_IMAGE = "The tested versions of what the image of servers and workers needs besides"


def main() -> None:
    """Write all three files."""
    image = read_pins(ROOT / IMAGE)
    write("deployments/hashes.txt", WHAT_IMAGE, list(image), image, hashes_of(image), IMAGE, "")
    pins = read_pins(ROOT / "constraints.txt")
    needed = closure("prefect-barrack", frozenset())
    found = hashes_of(pins)
    if missing := sorted(set(pins) - set(found)):
        sys.exit(f"no hash was told for {', '.join(missing)}")
    run = [name for name in pins if name in needed]
    rest = [name for name in pins if name not in needed]
    write("hashes.txt", "The tested versions of what the library needs", run, pins, found)
    write(
        "hashes-test.txt",
        "The tested versions of what its tests and its site need",
        rest,
        pins,
        found,
    )


def read_pins(file: Path) -> dict[str, str]:
    """Versions by canonical name."""
    lines = (line.split("#")[0].strip() for line in file.read_text().splitlines())
    return {canonical(n): v for n, _, v in (line.partition("==") for line in lines if line)}


def canonical(name: str) -> str:
    """A package's name as all tools compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(name: str, extras: frozenset[str]) -> set[str]:
    """Everything that a package needs on this machine, by the installed packages."""
    found: set[str] = set()
    waiting = [(name, extras)]
    done = set()
    while waiting:
        one, wanted = waiting.pop()
        if (one, wanted) in done:
            continue
        done.add((one, wanted))
        try:
            told = requires(one) or []
        except PackageNotFoundError:
            continue
        for text in told:
            need = Requirement(text)
            places = [{"extra": extra} for extra in wanted] or [{"extra": ""}]
            if need.marker is None or any(need.marker.evaluate(place) for place in places):
                found.add(canonical(need.name))
                waiting.append((canonical(need.name), frozenset(need.extras)))
    return found


def hashes_of(pins: dict[str, str]) -> dict[str, set[str]]:
    """Hashes by name: of the wheels for all platforms, or of what this machine would take."""
    found: dict[str, set[str]] = defaultdict(set)
    for python in PYTHONS:
        for tags in PLATFORMS:
            named = [word for tag in tags for word in ("--platform", tag)]
            how = ["--only-binary=:all:", "--target", "none", "--python-version", python, *named]
            for name, value in report(pins, how).items():
                found[name].add(value)
            print(python, tags[0], len(found), flush=True)
    left = {name: version for name, version in pins.items() if name not in found}
    for name, value in report(left, []).items():
        found[name].add(value)
    return found


def report(pins: dict[str, str], how: list[str]) -> dict[str, str]:
    """What pip would install, one hash each; what it does not find for a platform is left out."""
    waiting = dict(pins)
    with tempfile.TemporaryDirectory() as folder:
        wanted, told = Path(folder) / "wanted.txt", Path(folder) / "told.json"
        while waiting:
            wanted.write_text("".join(f"{n}=={v}\n" for n, v in waiting.items()))
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps"]
            command += ["--ignore-installed", "--report", str(told), "-r", str(wanted), *how]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                break
            gone = re.search(r"No matching distribution found for ([A-Za-z0-9._-]+)", done.stderr)
            if gone is None:
                sys.exit(done.stderr)
            del waiting[canonical(gone[1])]
        else:
            return {}
        items = json.loads(told.read_text())["install"]
    return {
        canonical(item["metadata"]["name"]): item["download_info"]["archive_info"]["hashes"][
            "sha256"
        ]
        for item in items
    }


def write(
    name: str,
    what: str,
    names: list[str],
    pins: dict[str, str],
    found: dict[str, set[str]],
    source: str = "constraints.txt",
    use: str = PACKAGE,
) -> None:
    """One file."""
    text = HEAD.format(what=what, name=name, pins=source, use=use)
    for one in names:
        lines = [f"{one}=={pins[one]}", *(f"--hash=sha256:{h}" for h in sorted(found[one]))]
        text += " \\\n    ".join(lines) + "\n"
    (ROOT / name).write_text(text)


if __name__ == "__main__":
    main()
