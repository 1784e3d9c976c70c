"""A fleet to begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def fleet_of(wanted: int | Sequence[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A fleet by its size, by names, or by what `seed_instance` takes of each instance.

    Example:
        >>> [x["name"] for x in fleet_of(["train-1", "train-2"])]
        ['train-1', 'train-2']
    """
    if isinstance(wanted, int):
        return default_fleet(wanted)
    return [
        {**usual, "name": one} if isinstance(one, str) else dict(one)
        for one, usual in zip(wanted, default_fleet(len(wanted)), strict=True)
    ]
