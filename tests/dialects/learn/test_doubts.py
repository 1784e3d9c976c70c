"""What a document says against a likeness of names is asked, and never taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.learn import Learned, learn_openapi
from barrack_tasks.dialects.learn.calls import Wired, segments_of
from barrack_tasks.dialects.learn.doubts import doubt_of_field, doubt_of_operation
from tests.dialects.learn.other_clouds import Api, document

_VM = {"id": str, "name": str, "status": ("RUNNING", "OFF"), "hourly_price": float,
       "gpu_model": str, "gpu_count": int, "region": str}  # fmt: skip
_SHOT = {"id": str, "name": str, "instance_id": str, "status": ("ok", "making"), "size_gb": int}
_ONE = "/v1/instances/{instance_id}"

WHOLE: Api = [
    ("GET", "/v1/instances", "List instances", {"page": int}, {"instances": [_VM]}),
    ("GET", _ONE, "Get instance details", {}, {"instance": _VM}),
    ("POST", "/v1/instances", "Create instance", {"name!": str, "gpu_model!": str},
     {"instance": _VM}),
    ("DELETE", _ONE, "Delete instance", {}, {}),
    ("POST", f"{_ONE}/stop", "Stop instance", {}, {}),
    ("POST", f"{_ONE}/start", "Start instance", {}, {}),
    ("POST", f"{_ONE}/hibernate", "Hibernate instance", {}, {}),
    ("GET", "/v1/snapshots", "List snapshots", {"page": int}, {"snapshots": [_SHOT]}),
    ("POST", "/v1/snapshots", "Create snapshot", {"instance_id!": str, "name": str},
     {"snapshot": _SHOT}),
    ("GET", "/v1/snapshots/{snapshot_id}", "Get snapshot details", {}, {"snapshot": _SHOT}),
    ("DELETE", "/v1/snapshots/{snapshot_id}", "Delete snapshot", {}, {}),
    ("GET", "/v1/volumes", "List volumes", {"page": int}, {"volumes": [{"id": str, "name": str}]}),
    ("GET", "/v1/firewalls", "List firewalls", {"page": int},
     {"firewalls": [{"id": str, "name": str}]}),
]  # fmt: skip


def learned(changed: dict[str, Any]) -> Learned:
    found = learn_openapi(json.dumps(changed).encode(), yes=True)
    assert found.recognised
    return found


def taken(found: Learned) -> set[str]:
    return {
        what.split(".")[1]
        for what, match in found.matches.items()
        if what.startswith("operations.") and what.count(".") == 1 and match.wire is not None
    }


def asked(found: Learned) -> set[str]:
    return {w.split(".")[1] for w in found.open if w.startswith("operations.") and w.count(".") < 2}


def test_without_a_doubt_all_is_taken() -> None:
    found = learned(document(WHOLE))
    assert {"stop_instance", "hibernate_instance", "list_snapshots", "create_snapshot"} <= taken(
        found
    )
    assert found.matches["schemas.UserVM.hourly_price"].wire == "hourly_price"


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("stop", "Stops the instance. Its disk is permanently deleted."),
        ("stop", "Terminates the machine"),
        ("hibernate", "Archives the disk and destroys the instance."),
        ("start", "Reinstalls the system and starts the instance."),
    ],
)
def test_an_action_whose_description_destroys_is_asked(action: str, said: str) -> None:
    changed = document(WHOLE)
    changed["paths"][f"{_ONE}/{action}"]["post"]["description"] = said
    found = learned(changed)
    assert f"{action}_instance" not in taken(found)
    reason = found.open[f"operations.{action}_instance"].candidates[0].reason
    assert "but its description says" in reason


def test_snapshots_of_disks_are_asked_and_all_that_is_done_to_them() -> None:
    shot = {"id": str, "name": str, "volume_id": str, "status": str, "size": int}
    api: Api = [
        (m, p, t, {"volume_id!": str} if "snapshot" in p and m == "POST" else a,
         {k: [shot] if isinstance(v, list) else shot for k, v in r.items()}
         if "snapshot" in p else r)
        for m, p, t, a, r in WHOLE
    ]  # fmt: skip
    found = learned(document(api))
    of_snapshots = {"list_snapshots", "get_snapshot", "create_snapshot", "delete_snapshot"}
    assert not of_snapshots & taken(found)
    assert of_snapshots <= asked(found)


@pytest.mark.parametrize("thing", ["database", "Kubernetes", "PostgreSQL"])
def test_instances_of_something_else_are_asked(thing: str) -> None:
    listed = Wired("/instances", "GET", titles=(f"List {thing} instances",))
    assert doubt_of_operation("list_instances", listed) is not None
    assert doubt_of_operation("list_instances", Wired("/instances", "GET")) is None


def test_a_tag_tells_of_something_else_too() -> None:
    changed = document(WHOLE)
    changed["paths"]["/v1/instances"]["get"]["tags"] = ["Managed databases"]
    found = learned(changed)
    assert "list_instances" not in taken(found)
    assert "get_instance" not in taken(found), "what lies under the list is asked with it"


@pytest.mark.parametrize("said", ["What it costs per month", "in US cents", "Price / month"])
def test_a_price_that_is_described_otherwise_is_asked(said: str) -> None:
    changed = document(WHOLE)
    content = changed["paths"]["/v1/instances"]["get"]["responses"]["200"]["content"]
    listed = content["application/json"]["schema"]["properties"]["instances"]["items"]
    listed["properties"]["hourly_price"]["description"] = said
    found = learned(changed)
    assert "schemas.UserVM.hourly_price" not in found.matches
    (candidate,) = found.open["schemas.UserVM.hourly_price"].candidates
    assert candidate.wire == "hourly_price"


@pytest.mark.parametrize(
    ("field", "said", "is_doubted"),
    [
        ("hourly_price", "The price for an hour in USD", False),
        ("hourly_price", "Hourly price in cents", True),
        ("hourly_price", "Billed per minute", True),
        ("hourly_price", "Recent prices; accent on the currency", False),
        ("amount", "The credit that is left", False),
        ("amount", "What you owe", True),
        ("amount", "Your credit limit", True),
        ("size_gb", "Size in bytes", True),
        ("size_gb", "Size in gigabytes", False),
        ("size_gb", "Size in GiB", False),
        ("name", "It costs a cent per month", False),
    ],
)
def test_what_a_description_says_of_a_field(field: str, said: str, is_doubted: bool) -> None:
    assert (doubt_of_field(field, said) is not None) is is_doubted


@pytest.mark.parametrize(
    ("name", "said", "is_doubted"),
    [
        ("stop_instance", "Stops the machine", False),
        ("stop_instance", "Stops the machine and releases its disk, which is erased", True),
        ("delete_instance", "Deletes the machine and its disk permanently", False),
        ("get_instance", "Tells whether the machine was deleted", False),
    ],
)
def test_what_a_description_says_of_an_operation(name: str, said: str, is_doubted: bool) -> None:
    wired = Wired("/vms/{id}/do", "POST", description=said)
    assert (doubt_of_operation(name, wired) is not None) is is_doubted


def test_keys_in_brackets_and_verbs_behind_a_colon_are_read() -> None:
    assert segments_of("/odata/Servers({key})/stop") == ("odata", "instance", "{}", "stop")
    assert segments_of("/v1/servers/{server}:stop") == ("v1", "instance", "{}", "stop")


def test_what_does_the_same_to_a_machine_is_asked_however_it_is_called() -> None:
    api = [*WHOLE, ("POST", f"{_ONE}/actions/poweron", "Power on a Server", {}, {})]
    api = [one for one in api if not one[1].endswith("/start")]
    (candidate,) = learned(document(api)).open["operations.start_instance"].candidates
    assert candidate.shown == f"POST {_ONE}/actions/poweron"


def test_reading_a_thing_is_no_candidate_for_changing_it() -> None:
    api: Api = [(m, p.replace(_ONE, "/v1/Machines({key})"), "", a, r) for m, p, _, a, r in WHOLE]
    found = learn_openapi(json.dumps(document(api)).encode(), yes=True)
    for name in ("start_instance", "stop_instance", "reboot_instance", "hibernate_instance"):
        question = found.open.get(f"operations.{name}")
        shown = [c.shown for c in question.candidates] if question else []
        assert not [place for place in shown if place.startswith("GET ")], name


def test_a_list_of_the_systems_images_is_not_taken_for_your_own() -> None:
    image: dict[str, Any] = {"id": str, "name": str}
    api = [
        *WHOLE,
        ("GET", "/v1/images", OPERATIONS["list_images"].title, {"page": int}, {"images": [image]}),
        ("DELETE", "/v1/images/{image_id}", OPERATIONS["delete_image"].title, {}, {}),
    ]
    plain = document(api)
    assert {"list_images", "delete_image"} <= taken(learned(plain))
    plain["paths"]["/v1/images"]["get"]["description"] = "All available operating system images."
    found = learned(plain)
    assert not {"list_images", "delete_image", "list_os_images"} & taken(found)
    for name in ("list_images", "list_os_images"):
        [candidate] = found.open[f"operations.{name}"].candidates
        assert candidate.shown == "GET /v1/images"
        assert candidate.reason.endswith("its description says 'operating system'")


def test_one_list_is_not_taken_for_two_without_asking() -> None:
    api = [*WHOLE, ("GET", "/v1/images", "List images", {}, {"images": [{"id": str, "name": str}]})]
    found = learned(document(api))
    both = {"list_images", "list_os_images"}
    assert len(both & taken(found)) < 2
    assert both & asked(found)
