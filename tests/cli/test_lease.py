"""`barrack lease` against a real Prefect server and a real local cloud."""

from __future__ import annotations

import os
from pathlib import Path

from barrack_tasks.sandbox import Sandbox
from tests.cli.test_up import barrack


def test_a_machine_is_leased_extended_listed_and_released(
    tmp_path: Path, prefect_server: str
) -> None:
    with Sandbox(fleet=0) as sandbox:
        sandbox.seed_instance("train-1", gpu_model="L40")
        server = {k: v for k, v in os.environ.items() if k.startswith("PREFECT_")}
        env = {**server, **sandbox.env, "PREFECT_API_URL": prefect_server}

        def lease(*words: str) -> tuple[int, str]:
            done = barrack(tmp_path, "lease", *words, **env)
            return done.returncode, " ".join((done.stdout + done.stderr).split())

        code, told = lease("train-1", "--for", "8h", "--owner", "ann")
        assert (code, told.startswith("train-1 is kept for ann until ")) == (0, True), told
        code, told = lease("train-1", "--extend", "2d")
        assert (code, told.startswith("train-1 is kept for ann until ")) == (0, True), told
        _, shown = lease("ls")
        assert "train-1" in shown
        assert "47 h left" in shown
        code, told = lease("train-1", "--release", "--owner", "ann")
        assert told.startswith("train-1 is not leased any more")
        for words, says in (
            (["train-1", "--for", "3x"], "'3x' is not a duration"),
            (["train-1", "--extend", "8h", "--release"], "give either --extend or --release"),
            (["trian-1"], "no instance is called 'trian-1'; the nearest is 'train-1'"),
        ):
            done = barrack(tmp_path, "lease", *words, **env)
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith(f"barrack: {says}")
            assert done.stderr.count("\n") == 1


def test_without_a_prefect_server_nothing_is_leased(tmp_path: Path) -> None:
    with Sandbox(fleet=1) as sandbox:
        done = barrack(tmp_path, "lease", "alpha", "--owner", "ann", **sandbox.env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("barrack: ")
