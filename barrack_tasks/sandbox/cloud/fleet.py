"""A fleet to begin with."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

_NAMES = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi",
    "psi", "omega",
)  # fmt: skip
_HARDWARE = (
    ("H100-PCIe-80GB", 1, "CANADA-1"),
    ("A100-PCIe-80GB", 2, "NORWAY-1"),
    ("L40", 1, "US-1"),
    ("RTX-A6000", 4, "CANADA-1"),
    ("A40", 1, "NORWAY-1"),
    ("A100-SXM4-80GB-NVLink", 8, "US-1"),
    ("H100-PCIe-NVLink-80GB", 2, "CANADA-1"),
)


def default_fleet(size: int) -> list[dict[str, Any]]:
    """So many ACTIVE instances of different hardware in different regions.

    Example:
        >>> [x["name"] for x in default_fleet(3)]
        ['alpha', 'beta', 'gamma']
    """
    return [
        {
            "name": _NAMES[n] if n < len(_NAMES) else f"{_NAMES[n % len(_NAMES)]}-{n}",
            "gpu_model": model,
            "gpu_count": count,
            "region": region,
        }
        for n, (model, count, region) in enumerate(islice(cycle(_HARDWARE), size))
    ]
