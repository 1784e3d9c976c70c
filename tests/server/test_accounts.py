"""One account is one, whatever it is called by, and its records stay its own."""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from string import ascii_lowercase, digits
from typing import Literal
from unicodedata import normalize

import pytest
from prefect import flow

from barrack_tasks import BarrackCredentials
from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.cli import keeping
from barrack_tasks.controllers import adoption as adopting
from barrack_tasks.controllers.admission import caps_of
from barrack_tasks.controllers.adoption import adopt, check_adoption, told_of_unowned
from barrack_tasks.controllers.doctor import CheckupFailed
from barrack_tasks.controllers.expiry import add_expiries, read_expiries
from barrack_tasks.controllers.notes import read_notes, write_notes
from barrack_tasks.controllers.proofs import Open, read_open, read_proofs, write_open, write_proofs
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.power.expiry import Expiry
from barrack_tasks.plans.power.schedule import Note
from barrack_tasks.plans.snapshots.drill import Proof
from barrack_tasks.runtime.leases import holding
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server import accounts
from barrack_tasks.server.account_names import _OF_NO_ACCOUNT, account_name
from barrack_tasks.server.accounts import Unowned, known_names, move, unowned
from barrack_tasks.server.credentials import saved_accounts
from barrack_tasks.server.variables import Records
from flows.doctor import doctor
from flows.end_expired import end_expired
from flows.watch_account import watch_account
from tests.deployments.playing import barrack
from tests.thinning import some_slow

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
URL = "https://gpu.example.com/v1"


@pytest.fixture(autouse=True)
def _served(prefect_server: str) -> None:
    """All of it is about what a server keeps."""


@pytest.fixture(autouse=True)
def _as_in_a_new_process() -> None:
    accounts._done.clear()


def key() -> str:
    return f"key-{uuid.uuid4().hex}"


def block() -> str:
    return f"team-{uuid.uuid4().hex[:8]}"


def save(account: BarrackCredentials, name: str) -> None:
    account.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]


def of_first_release(secret: str, base_url: str | None) -> str:
    """How the first release called an account."""
    return hashlib.blake2s(f"{base_url or ''}\n{secret}".encode(), digest_size=5).hexdigest()


def run(credentials: BarrackCredentials | str | None) -> str:
    """The account's name, as a run of a flow finds it."""

    @flow
    def look() -> str:
        return BarrackCredentials.resolve(credentials).account

    return look()


def test_what_records_keep_is_told_in_words() -> None:
    """Whatever a module of the library keeps for an account."""
    library = Path(adopting.__file__).parents[1]
    kinds = {
        kind
        for path in library.rglob("*.py")
        for kind in re.findall(r"barrack_([a-z]+)(?:\{more\})?_\{", path.read_text())
    }
    assert {"hold", "things", "begun", "view"} <= kinds
    for kind in sorted(kinds - _OF_NO_ACCOUNT):
        words = adopting.kept(Unowned("a", {kind: 1}, NOW))
        assert words.startswith("1 record: ")
        assert "other notes" not in words, kind


# One account, one name


def test_unset_explicit_default_and_slash_are_one_account(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = key()
    spellings = (None, "https://api.barrack.ai/v1", "https://API.Barrack.ai/v1/")
    assert len({BarrackCredentials(api_key=secret, base_url=s).account for s in spellings}) == 1
    assert BarrackCredentials(api_key=key()).account != BarrackCredentials(api_key=key()).account


def test_block_environment_and_explicit_key_are_one_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret, name = key(), block()
    save(BarrackCredentials(api_key=secret, base_url=f"{URL}/"), name)
    monkeypatch.setenv("BARRACK_API_KEY", secret)
    monkeypatch.setenv("BARRACK_BASE_URL", URL)
    names = {
        run(name),
        run(None),
        run(BarrackCredentials(api_key=secret)),
        BarrackCredentials(api_key=secret, base_url=URL).account,
    }
    assert len(names) == 1
    assert run(BarrackCredentials(api_key=key(), base_url=URL)) not in names, "another team's key"


def test_two_blocks_with_one_key_are_one_account() -> None:
    secret, one, two = key(), block(), block()
    save(BarrackCredentials(api_key=secret, base_url=URL), one)
    save(BarrackCredentials(api_key=secret, base_url=f"{URL}/"), two)
    assert run(one) == run(two)


def test_a_rotated_key_keeps_leases_expiries_proofs_drills_and_notes() -> None:
    name = block()
    save(BarrackCredentials(api_key=key(), base_url=URL), name)
    before = run(name)
    add_expiries(before, [Expiry("BRK-1", "one", NOW, "delete")])
    save(BarrackCredentials(api_key=key(), base_url=URL), name)
    after = run(name)
    assert after == before
    assert [e.id for e in read_expiries(after)] == ["BRK-1"]


def test_a_name_that_was_given_is_the_account_whatever_key_and_block_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two, given = block(), block(), f"lab-{uuid.uuid4().hex[:6]}"
    save(BarrackCredentials(api_key=key(), base_url=URL, account=given), one)
    save(BarrackCredentials(api_key=key(), base_url=URL, account=given), two)
    assert run(one) == run(two)
    secret = key()
    monkeypatch.setenv("BARRACK_ACCOUNT", given)
    monkeypatch.setenv("BARRACK_API_KEY", secret)
    assert run(None) == run(one)
    stranger = block()
    save(BarrackCredentials(api_key=key(), base_url=URL), stranger)
    assert run(stranger) != run(one), "the environment's name is that of the environment's key"
    assert run(BarrackCredentials(api_key=key(), base_url=URL)) != run(one)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_one_however_its_letters_are_encoded(form: Literal["NFC", "NFD"]) -> None:
    given = f"équipe-{uuid.uuid4().hex[:6]}"
    names = {
        run(BarrackCredentials(api_key=key(), account=normalize(one, given)))
        for one in ("NFC", "NFD")
    }
    assert len(names) == 1
    # What an earlier release wrote, which took the signs as they came.
    plain = normalize(form, given).casefold()
    letters = "".join(sign for sign in plain if sign in ascii_lowercase + digits)[:20]
    old = letters + hashlib.blake2s(plain.encode(), digest_size=3).hexdigest()
    add_expiries(old, [Expiry("BRK-1", "one", NOW, "delete")])
    accounts._done.clear()
    now = run(BarrackCredentials(api_key=key(), account=normalize("NFC", given)))
    assert [e.id for e in read_expiries(now)] == ["BRK-1"]


def test_no_server_is_needed_for_a_name_where_none_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: None}):
        monkeypatch.setattr("barrack_tasks.server.credentials.get_client", None)
        one, two = (BarrackCredentials(api_key="k", base_url=s) for s in (URL, f"{URL}/"))
        assert one.account == two.account
        assert BarrackCredentials.resolve(one).account == one.account


# The name of a key lives on the server


def delete(name: str) -> None:
    BarrackCredentials.delete(name, _sync=True)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_key_has_one_name_wherever_another_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    secret, name = key(), block()
    bare = BarrackCredentials(api_key=secret, base_url=URL)
    monkeypatch.setenv("BARRACK_API_KEY", secret)
    monkeypatch.setenv("BARRACK_BASE_URL", URL)
    with monkeypatch.context() as one_place:
        one_place.setenv("BARRACK_ACCOUNT", f"prod{uuid.uuid4().hex[:6]}")
        called = run(None)
        assert called.startswith("prod")
    assert run(None) == run(bare) == called, "the key alone, elsewhere"
    save(bare, name)
    assert run(name) == called, "in a block that says no name"
    other = BarrackCredentials(api_key=secret, base_url=f"{URL}/", account="another")
    assert run(other) == other.account == called, "with another name in code"
    monkeypatch.setenv("BARRACK_ACCOUNT", "stage")
    assert run(None) == called, "with another name in the environment"


def test_a_block_without_a_name_and_the_environments_name_are_one_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret, name = key(), block()
    save(BarrackCredentials(api_key=secret, base_url=URL), name)
    monkeypatch.setenv("BARRACK_API_KEY", secret)
    monkeypatch.setenv("BARRACK_BASE_URL", URL)
    called = run(name)
    monkeypatch.setenv("BARRACK_ACCOUNT", "prod")
    assert run(None) == run(name) == called


def test_two_blocks_that_call_one_key_differently_are_one_account() -> None:
    secret, one, two = key(), block(), block()
    first, second = (f"lab{uuid.uuid4().hex[:6]}" for _ in range(2))
    save(BarrackCredentials(api_key=secret, base_url=URL, account=first), one)
    save(BarrackCredentials(api_key=secret, base_url=URL, account=second), two)
    assert run(two) == run(one) == first, "the oldest block says it"


def test_what_up_saves_is_called_the_same_where_the_environment_says_no_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret, name, given = key(), block(), f"prod-{uuid.uuid4().hex[:6]}"
    monkeypatch.setenv("BARRACK_API_KEY", secret)
    monkeypatch.setenv("BARRACK_BASE_URL", URL)
    monkeypatch.setenv("BARRACK_ACCOUNT", given)
    keeping._save(BarrackCredentials.from_environment(), name)
    called = account_name(given)
    monkeypatch.delenv("BARRACK_ACCOUNT")
    assert run(None) == run(name) == called
    monkeypatch.delenv("BARRACK_API_KEY")
    monkeypatch.delenv("BARRACK_BASE_URL")
    assert run(name) == BarrackCredentials.find(name).account == called
    assert BarrackCredentials.find(name).account_name == given


@pytest.mark.slow
def test_a_block_that_is_saved_under_another_name_keeps_its_account() -> None:
    secret, one, two = key(), block(), block()
    save(BarrackCredentials(api_key=secret, base_url=URL), one)
    before = run(one)
    fill(before)
    save(BarrackCredentials(api_key=secret, base_url=URL), two)
    delete(one)
    assert run(two) == run(BarrackCredentials(api_key=secret, base_url=URL)) == before
    check(before)
    save(BarrackCredentials(api_key=key(), base_url=URL), two)
    assert run(two) == before, "and with a new key"
    assert not [line for line in told_of_unowned() if repr(before) in line]


@pytest.mark.slow
def test_a_named_account_is_called_otherwise_only_while_no_run_works() -> None:
    secret, name, given = key(), block(), f"lab{uuid.uuid4().hex[:6]}"
    save(BarrackCredentials(api_key=secret, base_url=URL), name)
    before = run(name)
    fill(before)
    with holding(before, "r1", "run old", "a", timedelta(0)) as hold:
        assert hold.claim({"BRK-1": "one"}) == {}
        save(BarrackCredentials(api_key=secret, base_url=URL, account=given), name)
        assert run(name) == before
        with holding(run(name), "r2", "run new", "b", timedelta(0)) as other:
            assert hold.claim({"BRK-2": "two"}) == {}
            assert other.claim({"BRK-2": "two"}) == {"BRK-2": "run old"}
    assert run(name) == given
    check(given)
    assert run(BarrackCredentials(api_key=secret, base_url=URL)) == given


@pytest.mark.slow
def test_a_name_that_other_keys_have_is_not_changed_with_one_key() -> None:
    one, two, secret = block(), block(), key()
    given = f"lab{uuid.uuid4().hex[:6]}"
    save(BarrackCredentials(api_key=key(), base_url=URL, account=given), one)
    save(BarrackCredentials(api_key=secret, base_url=URL, account=given), two)
    assert run(one) == run(two) == given
    fill(given)
    save(BarrackCredentials(api_key=secret, base_url=URL, account="elsewhere"), two)
    assert run(two) == run(one) == given
    check(given)


def test_a_run_whose_account_is_renamed_while_it_begins_sends_nothing() -> None:
    """It took the name, and another run gave a new one before its lease could be seen."""
    secret, name, given = key(), block(), f"lab{uuid.uuid4().hex[:6]}"
    save(BarrackCredentials(api_key=secret, base_url=URL), name)

    @flow
    def begin() -> None:
        early = BarrackCredentials.resolve(name)
        save(BarrackCredentials(api_key=secret, base_url=URL, account=given), name)
        BarrackCredentials.resolve(name)
        with holding(early.account, "r1", "run early", "a", timedelta(0)) as hold:
            assert hold.claim({"BRK-1": "one"}) == {}
            guarded = early.under(lambda: 60.0)
            assert guarded._permit is not None
            with pytest.raises(BarrackConfigurationError, match="was renamed"):
                guarded._permit()

    begin()


def test_two_that_begin_at_once_for_the_first_time_call_an_account_the_same() -> None:
    secret = key()
    found: list[str] = []

    def begin(given: str | None) -> None:
        one = BarrackCredentials(api_key=secret, base_url=URL, account=given)
        saved, known = saved_accounts(), known_names()
        together.wait()
        found.append(one._settle(saved, known).account)

    together = threading.Barrier(3)
    names = ("red", "blue", "green")
    them = [threading.Thread(target=begin, args=(name,)) for name in names]
    for one in them:
        one.start()
    for one in them:
        one.join()
    assert len(found) == 3
    assert len(set(found)) == 1


def test_what_the_server_keeps_of_a_key_does_not_tell_it() -> None:
    secret = key()
    run(BarrackCredentials(api_key=secret, base_url=URL))
    with Records("barrack_") as records:
        assert secret not in repr(records.all())


# What came from the environment


def test_what_is_not_given_comes_from_the_environment_field_by_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BARRACK_BASE_URL", URL)
    monkeypatch.setenv("BARRACK_DIALECT", "learned.yaml")
    monkeypatch.setenv("BARRACK_PROTECT", "prod-*, ,BRK-1")
    bare = BarrackCredentials(api_key=key())
    assert (bare.base_url, bare.dialect, bare.protect) == (URL, "learned.yaml", ["prod-*", "BRK-1"])
    own = BarrackCredentials(api_key=key(), base_url="http://x.example", protect=["BRK-1", "mine"])
    assert own.base_url == "http://x.example"
    assert own.dialect == "learned.yaml"
    assert own.protect == ["BRK-1", "mine", "prod-*"], "protection is all that is said anywhere"


def test_the_environment_is_not_kept_in_a_block_that_is_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = block()
    with monkeypatch.context() as here:
        here.setenv("BARRACK_BASE_URL", URL)
        here.setenv("BARRACK_DIALECT", "learned.yaml")
        here.setenv("BARRACK_PROTECT", "prod-*,mine")
        save(BarrackCredentials(api_key=key(), protect=["mine"]), name)
        there = BarrackCredentials.resolve(name)
        assert there.protect == ["mine", "prod-*"]
        assert there.base_url == URL
        save(there, name)
    elsewhere = BarrackCredentials.resolve(name)
    assert (elsewhere.base_url, elsewhere.dialect) == (None, None)
    assert elsewhere.protect == ["mine"]


def test_a_saved_key_is_not_sent_to_the_address_of_another_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = block()
    save(BarrackCredentials(api_key=key()), name)
    monkeypatch.setenv("BARRACK_API_KEY", "of-a-local-stand-in")
    monkeypatch.setenv("BARRACK_BASE_URL", "http://127.0.0.1:9")
    assert BarrackCredentials.resolve(name).get_client().base_url == "https://api.barrack.ai/v1"
    assert BarrackCredentials.resolve(None).get_client().base_url == "http://127.0.0.1:9"


def test_what_a_block_of_the_account_protects_is_protected_for_its_bare_key_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = key()
    save(BarrackCredentials(api_key=secret, base_url=URL, protect=["prod-*"]), block())
    save(BarrackCredentials(api_key=secret, base_url=URL, protect=["db"]), block())
    monkeypatch.setenv("BARRACK_API_KEY", secret)
    monkeypatch.setenv("BARRACK_BASE_URL", f"{URL}/")
    monkeypatch.setenv("BARRACK_PROTECT", "mine")
    assert set(BarrackCredentials.resolve(None).protect) == {"mine", "prod-*", "db"}
    assert set(BarrackCredentials.resolve(BarrackCredentials(api_key=key())).protect) == {"mine"}


def test_a_new_key_under_the_accounts_name_has_the_protection_and_the_caps_of_its_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A block may still hold the key from before, while a run has the new one."""
    secret, name, given = key(), block(), f"lab-{uuid.uuid4().hex[:6]}"
    of_name, of_given = Caps(gpus=1), Caps(burn=Decimal(9))
    save(BarrackCredentials(api_key=key(), base_url=URL, protect=["prod-*"], caps=of_name), name)
    rotated = [BarrackCredentials(api_key=secret, base_url=URL, account=name)]
    monkeypatch.setenv("BARRACK_ACCOUNT", name)
    monkeypatch.setenv("BARRACK_API_KEY", secret)
    monkeypatch.setenv("BARRACK_BASE_URL", URL)
    rotated.append(BarrackCredentials.from_environment())
    for one in rotated:
        found = BarrackCredentials.resolve(one)
        assert found.protect == ["prod-*"]
        assert caps_of(found) == [of_name]
    monkeypatch.delenv("BARRACK_ACCOUNT")
    other = BarrackCredentials(
        api_key=secret, base_url=URL, account=given, protect=["db"], caps=of_given
    )
    save(other, block())
    # The second block has the key, the first one the name.
    found = BarrackCredentials.resolve(rotated[0])
    assert set(found.protect) == {"prod-*", "db"}
    assert caps_of(found, {"gpus": 2}) == [of_name, of_given, Caps(gpus=2)]
    assert caps_of(BarrackCredentials.resolve(found)) == [of_name, of_given], "each once"
    stranger = BarrackCredentials.resolve(BarrackCredentials(api_key=key(), base_url=URL))
    assert (stranger.protect, caps_of(stranger)) == ([], [])


def test_what_blocks_of_the_account_say_is_not_saved_with_another() -> None:
    secret, one, two = key(), block(), block()
    caps = Caps(gpus=1)
    save(BarrackCredentials(api_key=secret, base_url=URL, protect=["prod-*"], caps=caps), one)
    found = BarrackCredentials.resolve(BarrackCredentials(api_key=secret, base_url=URL))
    assert caps_of(found) == [caps]
    save(found, two)
    assert (BarrackCredentials.find(two).protect, BarrackCredentials.find(two).caps) == ([], None)


# What was written under another name


def fill(account: str) -> None:
    add_expiries(account, [Expiry("BRK-1", "one", NOW, "delete")])
    write_proofs(account, {"BRK-1": Proof(NOW, "4711", NOW)})
    write_open(account, {"drill-one": Open(NOW, "BRK-9")})
    write_notes(account, {}, {"BRK-1": Note(settled=NOW)}, NOW)


def check(account: str) -> None:
    assert [e.id for e in read_expiries(account)] == ["BRK-1"]
    assert read_proofs(account) == {"BRK-1": Proof(NOW, "4711", NOW)}
    assert read_open(account) == {"drill-one": Open(NOW, "BRK-9")}
    assert read_notes(account)["BRK-1"].settled == NOW


def left(account: str) -> dict[str, object]:
    with Records("barrack_") as records:
        return records.like(f"barrack_%_{account}_%")


@pytest.mark.parametrize(
    "spelling", some_slow([URL], [None, "https://api.barrack.ai/v1", f"{URL}/"])
)
def test_what_the_first_release_wrote_is_found(spelling: str | None) -> None:
    secret, name = key(), block()
    old = of_first_release(secret, spelling)
    fill(old)
    bare = BarrackCredentials(api_key=secret, base_url=spelling)
    check(run(bare))
    save(bare, name)
    accounts._done.clear()
    check(run(name))
    assert left(old) == {}
    assert run(name).startswith("team")


@pytest.mark.slow
def test_a_lease_of_the_first_release_keeps_others_out_after_an_upgrade() -> None:
    secret, name = key(), block()
    save(BarrackCredentials(api_key=secret, base_url=URL), name)
    old = of_first_release(secret, URL)

    def renewed(finished: bool = False) -> None:
        """A run of the first release, on another machine, writes where it always did."""
        now = datetime.now(UTC)
        record = {
            "run": "r1",
            "by": "run old",
            "intent": "a",
            "moment": now.isoformat(),
            "until": (now + timedelta(seconds=120)).isoformat(),
            "machine": "another",
            "pid": 1,
            "born": None,
            "finished": finished,
            "held": {"BRK-1": "one"},
        }
        with Records(f"barrack_hold_{old}_") as records:
            records.put("r1_0", record)

    renewed()
    now = run(name)
    with holding(now, "r2", "run new", "b", timedelta(0)) as other:
        assert other.claim({"BRK-1": "one"}) == {"BRK-1": "run old"}
        renewed()
        accounts._done.clear()
        assert run(name) == now
        assert other.claim({"BRK-1": "one"}) == {"BRK-1": "run old"}
        renewed(finished=True)
        accounts._done.clear()
        assert run(name) == now
        assert left(old) == {}
        assert other.claim({"BRK-1": "one"}) == {}


@pytest.mark.slow
def test_a_run_that_works_while_its_account_is_named_keeps_others_out() -> None:
    secret, name = key(), block()
    bare = BarrackCredentials(api_key=secret, base_url=URL)
    before = run(bare)
    with holding(before, "r1", "run old", "a", timedelta(0)) as hold:
        assert hold.claim({"BRK-1": "one"}) == {}
        save(bare, name)
        with holding(run(name), "r2", "run new", "b", timedelta(0)) as other:
            assert other.claim({"BRK-1": "one"}) == {"BRK-1": "run old"}
            hold.renew()
            accounts._done.clear()
            run(name)
            assert hold.is_valid, "it does not lose what it holds"
            assert other.claim({"BRK-1": "one"}) == {"BRK-1": "run old"}


def test_two_that_move_the_same_records_at_once_lose_and_double_nothing() -> None:
    old, new = (uuid.uuid4().hex[:10] for _ in range(2))
    fill(old)
    write_notes(new, {}, {"BRK-2": Note(settled=NOW)}, NOW)
    movers = [threading.Thread(target=move, args=(old, new)) for _ in range(4)]
    for one in movers:
        one.start()
    for one in movers:
        one.join()
    check(new)
    assert read_notes(new)["BRK-2"].settled == NOW
    assert left(old) == {}
    assert move(old, new) == 0


def test_records_that_no_known_account_owns_are_told_until_they_are_adopted() -> None:
    old, new = uuid.uuid4().hex[:10], uuid.uuid4().hex[:10]
    fill(old)

    def found(*known: str) -> dict[str, dict[str, int]]:
        return {one.account: dict(one.kinds) for one in unowned(known, datetime.now(UTC))}

    assert found(new)[old] == {"drilling": 1, "expiry": 1, "proofs": 1, "schedule": 1}
    assert old not in found(old)
    assert move(old, new) == 4
    assert old not in found(new)
    check(new)


@pytest.mark.slow
def test_an_end_that_nobody_owns_is_told_by_every_flow_and_by_the_check_up(
    sandbox: Sandbox, account: BarrackCredentials
) -> None:
    """As after a block was deleted whose key this server never remembered."""
    old, young = uuid.uuid4().hex[:10], uuid.uuid4().hex[:10]
    sandbox.advance(5 * 3600)  # the clock of this machine is behind that of the cloud, which counts
    now = sandbox.now()
    add_expiries(old, [Expiry("BRK-1", "forgotten-1", now - timedelta(hours=1), "delete")])
    add_expiries(young, [Expiry("BRK-2", "young-1", now - timedelta(minutes=5), "delete")])
    save(account, block())
    own = account.account
    add_expiries(own, [Expiry("BRK-3", "own-1", now - timedelta(hours=1), "delete")])
    for report in (end_expired(credentials=account), watch_account(credentials=account)):
        [told] = [note for note in report.notes if repr(old) in note]
        assert "Nobody ends forgotten-1: " in told
        assert f"barrack adopt {old} --to BLOCK" in told
        assert not [n for n in report.notes if repr(young) in n or repr(own) in n]
    try:
        ready = doctor(credentials=account).readiness
    except CheckupFailed as failed:
        ready = failed.report.readiness
    [records] = [one for one in ready if one.topic == "records"]
    assert records.state == "unknown"
    assert repr(old) in records.said
    move(old, own)
    assert not [n for n in watch_account(credentials=account).notes if repr(old) in n]


def test_one_command_adopts_what_a_key_left_that_was_changed_where_nothing_named_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, name = key(), block()
    old = run(BarrackCredentials(api_key=before, base_url=URL))
    fill(old)
    save(BarrackCredentials(api_key=key(), base_url=URL), name)
    [told] = [line for line in told_of_unowned() if repr(old) in line]
    assert f"barrack adopt {old} --to" in told
    assert re.search(r"was used \d+ s ago, .* leave it alone if it is a colleague's", told)
    words = "4 records: drills under way, ends of instances, proven snapshots, notes of timetables"
    assert words in told
    later = datetime.now(UTC) + timedelta(days=2)
    [told] = [line for line in told_of_unowned(later) if repr(old) in line]
    assert "No account known here owns" in told
    assert "last used 48 h ago" in told
    with holding(old, "r1", "run old", "a", timedelta(0)) as hold:
        hold.claim({"BRK-1": "one"})
        with pytest.raises(BarrackConfigurationError, match="a run still works"):
            adopt(old, BarrackCredentials.find(name))
    done = barrack("adopt", old, "--to", name, "--yes")
    assert done.returncode == 2
    assert "add --yes-to-living" in done.stderr
    assert [e.id for e in read_expiries(old)] == ["BRK-1"], "somebody may work with it"
    an_hour_later = datetime.now(UTC) + timedelta(hours=1, seconds=1)
    assert check_adoption(old, an_hour_later).account == old
    done = barrack("adopt", old, "--to", name, "--yes-to-living")
    assert done.returncode == 1, "nobody was there to be asked"
    assert "pass --yes" in done.stdout
    done = barrack("adopt", old, "--to", name, "--yes", "--yes-to-living")
    assert done.returncode == 0, done.stderr
    check(run(name))
    assert not [line for line in told_of_unowned() if repr(old) in line]
    done = barrack("adopt", old, "--to", name, "--yes")
    assert done.returncode == 2
    assert "there are no unowned records of" in done.stderr
    with pytest.raises(BarrackConfigurationError, match="already belong to the block"):
        adopt(run(name), BarrackCredentials.find(name))
