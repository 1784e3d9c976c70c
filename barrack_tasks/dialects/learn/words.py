"""Words of the wire and what they mean: states, kinds, directions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from barrack_tasks.dialects.learn.likeness import Certainty, words_of

CATALOGUES = frozenset(
    {"RegionEnum", "GpuModelEnum", "GpuCountEnum", "VolumeTypeEnum", "CurrencyEnum"}
)
"""Enums of names: a word that is not known is a new name, not a translation."""

_READY, _COMING = ("SUCCESS", "available"), ("CREATING", "PENDING")
_COPY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ready", "completed", "complete", "succeeded", "done", "ok"), _READY),
    **dict.fromkeys(
        ("in_progress", "snapshotting", "building", "processing", "saving", "copying", "queued",
         "queuing", "started", "running", "in_creation", "making", "waiting"), _COMING),
    **dict.fromkeys(("failure", "broken", "aborted"), ("FAILED", "ERROR")),
    **dict.fromkeys(("removing", "in_deletion"), ("DELETING",)),
}  # fmt: skip
SYNONYMS: dict[str, dict[str, tuple[str, ...]]] = {
    "VMStatus": {
        **dict.fromkeys(("running", "run", "up", "started", "powered_on", "on"), ("ACTIVE",)),
        **dict.fromkeys(("stopped", "shut_off", "shutdown", "shut_down", "powered_off", "off",
                         "power_off", "halted"), ("SHUTOFF",)),
        **dict.fromkeys(("sleeping", "asleep", "in_hibernation"), ("HIBERNATED",)),
        **dict.fromkeys(("going_to_sleep", "falling_asleep", "entering_hibernation"),
                        ("HIBERNATING",)),
        **dict.fromkeys(("waking", "waking_up", "resuming", "leaving_hibernation", "unhibernating"),
                        ("RESTORING",)),
        **dict.fromkeys(("building", "provisioning", "deploying", "in_creation", "launching"),
                        ("CREATING",)),
        **dict.fromkeys(("booting", "powering_on", "starting_up"), ("STARTING",)),
        **dict.fromkeys(("shutting_down", "powering_off", "halting"), ("STOPPING",)),
        **dict.fromkeys(("restarting", "reboot", "resetting"), ("REBOOTING",)),
        **dict.fromkeys(("removed", "destroyed"), ("DELETED",)),
        **dict.fromkeys(("removing", "destroying", "in_deletion"), ("DELETING",)),
        **dict.fromkeys(("failed", "failure", "broken", "crashed", "faulted"), ("ERROR",)),
        # Each of these is two things: what it means must be said by someone who knows.
        **dict.fromkeys(("paused", "suspended", "inactive", "idle"), ("SHUTOFF", "HIBERNATED")),
        "terminated": ("DELETED", "SHUTOFF"),
        "terminating": ("DELETING", "STOPPING"),
        "suspending": ("HIBERNATING", "STOPPING"),
        "ready": ("ACTIVE", "SHUTOFF"),
        "pending": ("CREATING", "STARTING"),
        "transitioning": ("STARTING", "STOPPING"),
    },
    "SnapshotStatus": _COPY,
    "ImageStatus": _COPY,
    "VolumeStatus": {
        **dict.fromkeys(("attached", "inuse", "used"), ("in-use",)),
        **dict.fromkeys(("ready", "free", "detached", "unattached"), ("available",)),
        **dict.fromkeys(("failed", "failure"), ("error",)),
        **dict.fromkeys(("resizing", "growing"), ("extending",)),
        **dict.fromkeys(("removed", "destroyed"), ("deleted",)),
        **dict.fromkeys(("removing", "destroying"), ("deleting",)),
        **dict.fromkeys(("building", "provisioning"), ("creating",)),
    },
    "DirectionEnum": {
        **dict.fromkeys(("in", "inbound", "incoming"), ("ingress",)),
        **dict.fromkeys(("out", "outbound", "outgoing"), ("egress",)),
    },
    "EthertypeEnum": {"4": ("IPv4",), "v4": ("IPv4",), "6": ("IPv6",), "v6": ("IPv6",)},
    "ProtocolEnum": {"all": ("any",), "icmpv6": ("ipv6-icmp",)},
    "TierEnum": {
        **dict.fromkeys(("ondemand", "standard", "regular"), ("on-demand",)),
        **dict.fromkeys(("preemptible", "interruptible"), ("spot",)),
    },
    "ResourceTypeEnum": {
        **dict.fromkeys(("vm", "virtual_machine", "machine", "server", "gpu"), ("instance",)),
        "disk": ("volume",),
        **dict.fromkeys(("hibernated", "hibernation", "hibernated_vm"), ("hibernated_instance",)),
    },
    "ChatRole": {"bot": ("assistant",), "human": ("user",)},
}  # fmt: skip
"""Words by enum. More than one meaning is an order of preference where the meanings come to the
same (ready, in progress, failed), and an open question for the states of an instance."""
_SAME = frozenset({"SnapshotStatus", "ImageStatus"})


@dataclass(frozen=True)
class Meaning:
    """What a word may mean."""

    word: str
    meanings: tuple[str, ...]
    reason: str
    certainty: Certainty

    @property
    def told(self) -> str | None:
        """The meaning, if it is one."""
        return self.meanings[0] if len(self.meanings) == 1 else None


def values_of(enum: type[Enum]) -> list[str]:
    """The words of an enum of ours."""
    return [str(member.value) for member in enum]


def meaning(enum: type[Enum], word: str, others: Iterable[str] = ()) -> Meaning:
    """What a word of the wire means, beside the other words that the wire has."""
    values = values_of(enum)
    exact = [v for v in values if v == word] or [v for v in values if _same(v, word)]
    if len(exact) == 1:
        reason = "the same word" if exact[0] == word else "the same word in another case"
        return Meaning(word, (exact[0],), reason, "certain")
    if enum.__name__ in CATALOGUES:
        return Meaning(word, (), "a name that is not known", "guess")
    found = SYNONYMS.get(enum.__name__, {}).get("_".join(words_of(word)), ())
    # A meaning that has a word of its own on this wire is not what another word means.
    spoken = {v for v in values for o in others if o != word and _same(v, o)}
    free = tuple(v for v in found if v not in spoken)
    if not free:
        return Meaning(word, found, "has a word of its own beside it" if found else "", "guess")
    if (len(free) == 1 and len(found) == 1) or enum.__name__ in _SAME:
        return Meaning(word, free[:1], f"a synonym of {free[0]}", "likely")
    return Meaning(word, found, "could mean more than one thing", "guess")


def _same(ours: str, theirs: str) -> bool:
    return words_of(ours) == words_of(theirs) or ours.casefold() == theirs.casefold()


def meaning_share(enum: type[Enum], words: list[str]) -> float | None:
    """The share of some words that an enum knows, or None if there are none."""
    if not words:
        return None
    return sum(bool(meaning(enum, w).meanings) for w in words) / len(words)
