"""Make a bill of materials of the tested versions, as CycloneDX, with their licences.

Reads what is installed in the environment that it runs in, and the hashes of hashes.txt.

Use: .venv/bin/python scripts/make_sbom.py dist/sbom.json
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Write the file that is named on the command line."""
    [name] = sys.argv[1:]
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(made(), indent=2) + "\n")


def made() -> dict[str, Any]:
    """The whole bill."""
    own = distribution("prefect-barrack")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": component(own.name, own.version, [], "application", own),
        },
        "components": [
            component(name, version, hashes, "library", installed(name))
            for name, version, hashes in pinned(ROOT / "hashes.txt")
        ],
    }


def pinned(file: Path) -> list[tuple[str, str, list[str]]]:
    """Name, version and hashes of each package of a file with hashes."""
    text = re.sub(r"\\\n\s*", "", file.read_text())
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return [
        (*pin.partition("==")[::2], [h.removeprefix("--hash=sha256:") for h in rest])
        for pin, *rest in lines
    ]


def installed(name: str) -> Distribution | None:
    """A package as it is installed here; None if it is for other machines only."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def component(
    name: str, version: str, hashes: list[str], kind: str, found: Distribution | None
) -> dict[str, Any]:
    """One package."""
    return {
        "type": kind,
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}",
        "hashes": [{"alg": "SHA-256", "content": one} for one in hashes],
        "licenses": [{"license": {"name": one}} for one in licences(found)],
    }


def licences(found: Distribution | None) -> list[str]:
    """Licences of a package, as its own metadata tells them."""
    if found is None:
        return []
    told = found.metadata
    if expression := told.get("License-Expression"):
        return [expression]
    classified = [
        text.rpartition(" :: ")[2]
        for text in told.get_all("Classifier") or []
        if text.startswith("License ::") and not text.endswith("OSI Approved")
    ]
    free = (told.get("License") or "").strip().splitlines()
    return classified or free[:1]


if __name__ == "__main__":
    main()
