"""The fixtures that other people's tests get, in a pytest of their own."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytest_plugins = ["pytester"]
PLUGIN = ("-p", "barrack_tasks.pytest_plugin", "-p", "no:xdist", "-p", "no:cacheprovider")

THEIRS = """
import os
import sys
import pytest

def test_that_asks_for_nothing():
    assert not {"prefect", "httpx", "barrack_tasks.sandbox"} & set(sys.modules)
    assert os.environ["BARRACK_API_KEY"] == "of a real account"

@pytest.mark.barrack_sandbox(fleet=[{"name": "train-1"}], speed=0, balance="7")
def test_with_a_sandbox_of_its_own(barrack_sandbox):
    from barrack_tasks.api import Barrack
    assert os.environ["BARRACK_API_KEY"] == barrack_sandbox.api_key != "of a real account"
    assert "BARRACK_DIALECT" not in os.environ
    with Barrack(barrack_sandbox.api_key, barrack_sandbox.url) as client:
        [machine] = client.instances.list()
        assert machine.name == "train-1"
        client.instances.hibernate(machine.id)
        assert client.instances.get(machine.id).status != "HIBERNATED"
        barrack_sandbox.advance(3600)
        assert client.instances.get(machine.id).status == "HIBERNATED"

def test_with_an_account(barrack_account, barrack_sandbox):
    found = [one.name for one in barrack_account.get_client().instances.list()]
    assert found == [one["name"] for one in barrack_sandbox.state()["instances"]]
    assert len(found) == 3

def test_after_them():
    assert os.environ["BARRACK_API_KEY"] == "of a real account"
"""


def test_other_peoples_tests_have_a_cloud_of_their_own(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BARRACK_API_KEY", "of a real account")
    monkeypatch.setenv("BARRACK_DIALECT", "of-a-real-account.yaml")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(THEIRS)
    pytester.runpytest_subprocess(*PLUGIN, "--strict-markers").assert_outcomes(passed=4)


def test_pytest_finds_the_plugin_once_the_package_is_installed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [module] = settings["project"]["entry-points"]["pytest11"].values()
    assert import_module(module).barrack_account.__doc__
