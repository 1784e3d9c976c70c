"""What somebody wants of the GPU stock, the best first."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from barrack_tasks.api.models import TierEnum, UserVM, VMStatus
from barrack_tasks.api.models.rules import check_instance_name
from barrack_tasks.plans.inputs import Given, PositiveAmount, Texts, read_each
from barrack_tasks.plans.money.burn import Tariff
from barrack_tasks.plans.money.caps import Caps, against_place
from barrack_tasks.plans.plain_words import nearest_are
from barrack_tasks.plans.power.expiry import why_no_end
from barrack_tasks.plans.report import money
from barrack_tasks.plans.world import Stock

LOST = (VMStatus.DELETED, VMStatus.DELETING)
"""States in which an instance does not keep its name from being asked for."""
_COUNT = re.compile(r"\s*(\d+)\s*x?\s*")


def _read_count(value: Any) -> Any:
    if isinstance(value, str) and (found := _COUNT.fullmatch(value)):
        return int(found[1])
    return value


Count = Annotated[
    int,
    BeforeValidator(_read_count),
    Field(ge=1),
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], "description": "Such as 8 or 8x."}
    ),
]
"""GPUs of one instance: a number, or text such as `"8x"`."""


class Option(Given):
    """One way to meet a want: a GPU model or glob, a count, where, and at what price.

    Example:
        >>> Option(gpu_model="H100-SXM5*", gpu_count="8x", regions=["CANADA-1"], max_price=22)
    """

    gpu_model: str = Field(min_length=1, description="A model or a glob, such as H100-*.")
    gpu_count: Count = 1
    regions: Texts = Field(default=(), description="Names or globs; anywhere, if none.")
    max_price: PositiveAmount | None = Field(default=None, description="Of one instance, an hour.")

    def fits(self, place: Place) -> bool:
        """Whether a configuration in a region is what this asks for, whatever it costs."""
        return (
            place.gpu_count == self.gpu_count
            and _matches(place.gpu_model, (self.gpu_model,))
            and (not self.regions or _matches(place.region, self.regions))
        )

    def __str__(self) -> str:
        where = f" in {' or '.join(self.regions)}" if self.regions else ""
        return f"{self.gpu_count}x {self.gpu_model}{where}"


class Claim(Given):
    """What is done when the stock is there.

    Attributes:
        how: `deploy` a new instance, `restore` a hibernated one, or make one of a `snapshot`.
        name: of the new instance; with a quantity above one, `-1`, `-2` and so on follow.
        instance: name or id of the hibernated instance to `restore`.
        snapshot_id: of the ready `snapshot`.
        image_id, ssh_key_id, script_id, tier, public_ip: as `create_instance` takes them;
            `latest:<family>` is the newest image of a family when the watch begins.
    """

    how: Literal["deploy", "restore", "snapshot"] = "deploy"
    name: str | None = None
    instance: str | None = None
    snapshot_id: str | None = None
    image_id: str | None = None
    ssh_key_id: str | None = None
    script_id: str | None = None
    tier: str | None = None
    public_ip: bool = True

    @field_validator("tier")
    @classmethod
    def _is_a_tier(cls, value: str | None) -> str | None:
        """A price is looked up by it, so that one that is written otherwise would have none."""
        if value is None:
            return None
        tiers = [str(tier) for tier in TierEnum]
        written = value.strip().casefold().replace("_", "-").replace(" ", "-")
        if written not in tiers:
            raise ValueError(f"there is no tier {value!r}; there are {', '.join(tiers)}")
        return written

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        needed = {
            "deploy": ("name", "image_id"),
            "restore": ("instance",),
            "snapshot": ("name", "snapshot_id"),
        }[self.how]
        missing = [field for field in needed if not getattr(self, field)]
        if missing:
            named = " and ".join(f"`{field}`" for field in missing)
            it = "it" if len(missing) == 1 else "them"
            raise ValueError(f"a claim that is to {self.how} needs {named}; add {it}")
        return self


class Want(Option):
    """What is wanted: an option, further ones in the order of preference, and how many.

    Attributes:
        quantity: instances.
        otherwise: what will do as well if the first is not there, the best first.
        claim: what is done when the stock is there; without one it is only told.

    Example:
        >>> Want(
        ...     gpu_model="H100-SXM5*", gpu_count="8x", quantity=2,
        ...     otherwise=[{"gpu_model": "H100-SXM5*", "gpu_count": "4x"}, {"gpu_model": "A100*"}],
        ...     claim={"name": "train", "image_id": "1"},
        ... )
    """

    quantity: int = Field(default=1, ge=1, le=100)
    otherwise: tuple[Option, ...] = ()
    claim: Claim | None = None

    @field_validator("otherwise", mode="before")
    @classmethod
    def _inherit(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _can_be_claimed(self) -> Self:
        if self.claim is None:
            return self
        if self.claim.how == "restore" and self.quantity != 1:
            raise ValueError("one instance can be restored once: leave out quantity")
        for name in self.names:
            try:
                check_instance_name(name)
            except ValueError as error:
                raise ValueError(f"the claim would be called {name!r}: {error}") from None
        return self

    @property
    def options(self) -> tuple[Option, ...]:
        """All ways to meet it, the best first."""
        return (self, *self.otherwise)

    @property
    def is_made(self) -> bool:
        """Whether a claim makes a new instance, and brings none back."""
        return self.claim is not None and self.claim.how != "restore"

    def is_met_by(self, instance: UserVM) -> bool:
        """Whether an instance is what is wanted, in whatever state it is.

        What the API does not tell of it stands against nothing.
        """
        is_told = instance.gpu_model is not None and instance.region is not None
        place = place_of(instance)
        return not is_told or any(option.fits(place) for option in self.options)

    @property
    def tier(self) -> str | None:
        """The tier that is deployed; None if the claim names none."""
        return self.claim.tier if self.claim is not None and self.claim.how == "deploy" else None

    @property
    def names(self) -> tuple[str, ...]:
        """What the instances are called that are claimed for it: always the same."""
        if self.claim is None or self.claim.name is None:
            return ()
        name = self.claim.name
        if self.quantity == 1:
            return (name,)
        return tuple(f"{name}-{n}" for n in range(1, self.quantity + 1))

    @property
    def own_names(self) -> set[str]:
        """Names that are its own, whatever other want has a family of names that they fit."""
        name = self.claim.name if self.claim is not None else None
        return {*self.names, name} if name is not None else set()

    def number_of(self, name: str) -> int | None:
        """Which of its family of names one is: 0 for `train`, 7 for `train-7`; None if of none."""
        base = self.claim.name if self.claim is not None else None
        if base is None or name == base:
            return None if base is None else 0
        start, _, number = name.rpartition("-")
        return int(number) if start == base and number.isdecimal() else None


def family_of(
    want: Want, instances: Iterable[UserVM], wants: Iterable[Want] = ()
) -> tuple[UserVM, ...]:
    """The instances that count as one of those that a want is to have, by their numbers.

    These are all that have one of its `names`, for no other can be called so, and all others of
    its family of names that are what is wanted, such as `train` where a quantity was one before.
    One in ERROR keeps its own name, and does for nothing else.

    Args:
        want: the want.
        instances: all of the account.
        wants: all of them: what is called like another is not counted for this one.
    """
    others = {name for one in wants if one is not want for name in one.own_names}
    found = [
        (number, i)
        for i in instances
        if i.status not in LOST
        and (number := want.number_of(i.name)) is not None
        and (i.name in want.names or _stands_in(want, i, others))
    ]
    return tuple(i for _, i in sorted(found, key=lambda one: one[0]))


def _stands_in(want: Want, instance: UserVM, others: Collection[str]) -> bool:
    is_broken = instance.status is VMStatus.ERROR
    return instance.name not in others and not is_broken and want.is_met_by(instance)


def wanted_names(want: Want, there: Iterable[UserVM], made: Iterable[str] = ()) -> tuple[str, ...]:
    """What the instances of a want are called: those that there are, and those to be asked for.

    As many are asked for as are missing, whatever the others are called, so that one more is had
    when a quantity is raised by one. Whoever sees the same instances asks for the same names.

    Args:
        want: the want.
        there: its family, see `family_of`.
        made: names that were claimed for it and may not be listed yet.
    """
    known = {i.name for i in there} | set(made)
    free = [name for name in want.names if name not in known]
    missing = max(0, want.quantity - len(known))
    asked = free[len(free) - missing :]
    return tuple(sorted([*known, *asked], key=lambda name: want.number_of(name) or 0))


def only_in(want: Want, region: str) -> Want:
    """The want in one region alone, because what it boots from is there.

    Raises:
        ValueError: one of its options is for other regions.
    """
    for option in want.options:
        if option.regions and not _matches(region, option.regions):
            raise ValueError(f"the image is in {region}, and wanted is {option}: give its region")
    there = {"regions": (region,)}
    otherwise = tuple(option.model_copy(update=there) for option in want.otherwise)
    return want.model_copy(update={**there, "otherwise": otherwise})


def read_wants(value: Any) -> list[Want]:
    """Read wants, typed or as dicts.

    Raises:
        ValueError: one cannot be read, or two would claim the same name.
    """
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("wants must be a list such as [{'gpu_model': 'H100-*'}], not empty")
    wants = read_each(Want, value, "want")
    names = [name for want in wants for name in want.names]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two wants would claim the name {name!r}; give each its own")
    return wants


def check_nothing_old_is_deleted(wants: Iterable[Want], on_expiry: str) -> None:
    """Refuse wants that bring back an instance which would be deleted when its time is over.

    Raises:
        ValueError: there is one.
    """
    for want in wants:
        if on_expiry == "delete" and want.claim is not None and want.claim.how == "restore":
            raise ValueError(
                f"on_expiry: the claim brings back {want.claim.instance!r}, which existed before, "
                "so it is not deleted when its time is over; use on_expiry='hibernate'"
            )


@dataclass(frozen=True, order=True)
class Place:
    """A configuration in a region."""

    region: str
    gpu_model: str
    gpu_count: int

    def __str__(self) -> str:
        return f"{self.gpu_count}x {self.gpu_model} in {self.region}"


def place_of(instance: UserVM) -> Place:
    """The configuration of an instance, and where it is."""
    return Place(str(instance.region), str(instance.gpu_model), int(instance.gpu_count or 1))


def places_of(stock: Stock) -> dict[Place, int]:
    """How many instances of each configuration can be deployed, at least."""
    return {
        Place(region, model, count): available
        for (region, model), counts in stock.items()
        for count, available in counts.items()
    }


def by_priority(places: Mapping[Place, int], wants: Sequence[Want]) -> dict[Place, int]:
    """The places that are wanted, those first that the wants name first."""
    options = [option for want in wants for option in want.options]
    rank = {p: next((n for n, o in enumerate(options) if o.fits(p)), None) for p in places}
    wanted = [place for place in places if rank[place] is not None]
    return {place: places[place] for place in sorted(wanted, key=lambda p: (rank[p], p))}


def check_wants(
    wants: Sequence[Want],
    offered: Mapping[str, Iterable[int]],
    regions: Iterable[str],
    tariff: Tariff,
    currency: str,
    most_hourly: Decimal | None = None,
    caps: Sequence[Caps] = (),
    unable: frozenset[tuple[str, int]] = frozenset(),
) -> None:
    """Refuse wants that can never be met.

    Args:
        wants: the wants.
        offered: GPU models, and the counts they come in.
        regions: all that there are.
        tariff: prices an hour.
        currency: of the account.
        most_hourly: what the account's caps allow one instance to cost.
        caps: whose regions and GPU models count for what is to be claimed.
        unable: flavors that do not count for what is to be made, for they cannot hibernate.

    Raises:
        ValueError: a model, count or region does not exist, naming the nearest that do; or no
            option of a want can ever be had for its price, or where the caps allow it.
    """
    names = sorted(regions)
    for want in wants:
        for option in want.options:
            _check_option(option, offered, names)
        against = caps if want.claim else ()
        asleep = unable if want.is_made else frozenset()
        allowed = _allowed_places(want, offered, names, against, asleep)
        _check_price(want, allowed, tariff, currency, most_hourly)


def why_not_allowed(place: Place, caps: Iterable[Caps]) -> str | None:
    """Why caps never allow a place, whatever it costs; None if they do."""
    reasons = (why for one in caps for why in against_place(place.region, place.gpu_model, one))
    return next(reasons, None)


def why_not_ended(place: Place, unable: frozenset[tuple[str, int]]) -> str | None:
    """Why what is made there could not be hibernated when its time is over; None if it could."""
    hardware = (place.gpu_model, place.gpu_count)
    return why_no_end(hardware) if hardware in unable else None


def _allowed_places(
    want: Want,
    offered: Mapping[str, Iterable[int]],
    regions: Sequence[str],
    caps: Sequence[Caps],
    unable: frozenset[tuple[str, int]],
) -> list[tuple[Option, Place]]:
    """Where a want may be met, by option."""
    fitting = [(o, p) for o in want.options for p in _all_places(offered, regions) if o.fits(p)]
    against = {
        place: why_not_allowed(place, caps) or why_not_ended(place, unable) for _, place in fitting
    }
    if against and all(against.values()):
        raise ValueError(f"the want {want} can never be met: {against[fitting[0][1]]}")
    return [(option, place) for option, place in fitting if against[place] is None]


def _check_option(
    option: Option, offered: Mapping[str, Iterable[int]], regions: Sequence[str]
) -> None:
    models = [m for m in offered if _matches(m, (option.gpu_model,))]
    if not models:
        raise ValueError(
            f"no GPU model matches {option.gpu_model!r}; {_nearest(option.gpu_model, offered)}"
        )
    counts = sorted({count for m in models for count in offered[m]})
    if option.gpu_count not in counts:
        near = sorted(counts, key=lambda c: abs(c - option.gpu_count))[:3]
        raise ValueError(
            f"{option.gpu_model} does not come as {option.gpu_count}x; "
            f"{nearest_are([f'{c}x' for c in sorted(near)])}"
        )
    for region in option.regions:
        if not any(_matches(name, (region,)) for name in regions):
            raise ValueError(f"no region matches {region!r}; {_nearest(region, regions)}")


def _check_price(
    want: Want,
    allowed: Iterable[tuple[Option, Place]],
    tariff: Tariff,
    currency: str,
    most_hourly: Decimal | None,
) -> None:
    cheapest: list[tuple[Decimal, Place, Decimal]] = []
    for option, place in allowed:
        limits = [p for p in (option.max_price, most_hourly) if p is not None]
        price = _least_price(want, place, tariff)
        if price is None or not limits or price <= min(limits):
            return
        cheapest.append((price, place, min(limits)))
    if cheapest:
        price, place, limit = min(cheapest)
        raise ValueError(
            f"the want {want} can never be met: the cheapest is {place} for "
            f"{money(price, currency)} an hour, and the limit is {money(limit, currency)}"
        )


def _least_price(want: Want, place: Place, tariff: Tariff) -> Decimal | None:
    """What a want costs at a place an hour: at the cheapest tier, if it is only told."""
    where = (place.gpu_model, place.gpu_count, place.region)
    if want.claim is None and (tiers := tariff.by_tier(*where)):
        return min(tiers.values())
    return tariff.of(*where, want.tier)


def _all_places(offered: Mapping[str, Iterable[int]], regions: Sequence[str]) -> Iterable[Place]:
    return (Place(r, m, c) for m, counts in offered.items() for c in counts for r in regions)


def _nearest(wanted: str, existing: Iterable[str]) -> str:
    names = sorted(existing)
    folded: dict[str, str] = {name.casefold(): name for name in names}
    stripped = wanted.casefold().replace("*", "")
    near = get_close_matches(stripped, folded, n=3, cutoff=0.3)
    inside = [name for low, name in folded.items() if stripped and stripped in low]
    shown = inside[:3] or [folded[n] for n in near] or names
    return nearest_are(shown) if near or inside else f"there are {', '.join(shown)}"


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name.casefold(), glob.casefold()) for glob in globs)
