"""Files from anybody: whatever they hold, one sentence and exit code 2, in bounded time and memory.

Each command that reads a file is given files that mean harm, in a process of little memory; the
reader itself is given texts and bytes of all kinds.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.dialect import DialectError, OperationWire, load_dialect
from barrack_tasks.api.dialect.reading import (
    DEEPEST,
    MOST_VALUES,
    UnreadableError,
    read_file,
    read_json,
    read_toml,
    read_yaml,
    text_of,
)
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.cli.schedule import _read as read_rules
from barrack_tasks.dialects.learn import LearnError, learn_har, learn_openapi

MEMORY = 1_500_000_000
"""Bytes of address space that a command may have: its libraries take a third of it."""


def bomb(merges: bool) -> str:
    """A kilobyte that stands for gigabytes."""
    lines = ["a0: &a0 {x: 1}"]
    inner = "{{<<: [{}]}}" if merges else "[{}]"
    for n in range(1, 12):
        names = ", ".join([f"*a{n - 1}"] * 9)
        lines.append(f"a{n}: &a{n} {inner.format(names)}")
    return "\n".join(lines)


FILES: dict[str, bytes] = {
    "aliases": bomb(merges=False).encode(),
    "merges": bomb(merges=True).encode(),
    "deep": b"[" * 200_000,
    "deep tables": b'{"a":' * 200_000,
    "deep blocks": b"- " * 200_000,
    "many keys": "\n".join(f"k{n}: v" for n in range(200_000)).encode(),
    "many quoted keys": json.dumps({f"k{n}": 1 for n in range(200_000)}).encode(),
    "long number": b"a: " + b"9" * 1_000_000,
    "long number in JSON": b'{"a": ' + b"9" * 1_000_000 + b"}",
    "long key": b"k" * 3_000_000 + b": 1",
    "long word": b"a" * 4_000_000,
    "NUL": b"a: \0b",
    "bytes": bytes(range(256)) * 100,
    "UTF-16": "rules: []".encode("utf-16"),
    "tag": b"a: !!python/object/apply:os.system ['touch /tmp/x']",
    "two documents": b"a: 1\n---\nb: 2",
    "twice": b"a: 1\na: 2",
    "too large": b"# " + b"x" * 60_000_000,
    "unknown key": b"rules:\n- select: [a]\n  ? " + b"k" * 500_000 + b"\n  : 1",
    "width": b"operations: {get_instance: {path: '/i/{instance_id:>1000000000}'}}",
}
WORDS = {
    "rules": ("schedule", "preview", "--rules"),
    "dialect": ("dialect", "show"),
    "openapi": ("learn", "--out", "out.yaml", "--yes", "--openapi"),
    "har": ("learn", "--out", "out.yaml", "--yes", "--from-har"),
}
COMMAND = """
import contextlib, io, json, resource, sys, time
from barrack_tasks.cli import main
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
for words in json.loads(sys.stdin.read()):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["barrack", *words]
    code, started = 0, time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        except BaseException as error:
            code = type(error).__name__
    print(json.dumps([words, code, err.getvalue(), time.process_time() - started]))
"""


def ran(folder: Path, commands: list[list[str]]) -> list[tuple[list[str], Any, str, float]]:
    """Commands, one after the other in a process of little memory: code, complaint, seconds."""
    child = subprocess.run(
        [sys.executable, "-c", COMMAND.format(memory=MEMORY)],
        input=json.dumps(commands),
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith("BARRACK_")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    return [tuple(json.loads(line)) for line in child.stdout.splitlines()]


@pytest.mark.slow
def test_every_command_refuses_in_one_sentence_and_changes_nothing(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    names = [*FILES, "folder", "pipe", "loop", "missing", "/dev/zero"]
    before = sorted(p.name for p in tmp_path.iterdir())
    commands = [[*words, name] for words in WORDS.values() for name in names]
    results = ran(tmp_path, commands)
    assert len(results) == len(commands)
    for words, code, said, seconds in results:
        where = " ".join(words)
        assert code == 2, (where, code, said[-300:])
        assert said.count("\n") == 1, (where, said[:300])
        assert 20 < len(said) < 600, (where, said[:600])
        assert "Traceback" not in said, where
        assert seconds < 20, (where, seconds)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


# The reader

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Peer(LOADER):  # type: ignore[misc]
    """PyYAML's reading, with keys as text."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**60), 10**60),
    st.floats(allow_nan=False),
    st.dates(),
    st.text(),
    st.sampled_from(["<<", "=", "~", "yes", "0x1F", "1:30", "1_0", "2026-99-99", "*a", "&a", "!a"]),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(TREES, st.booleans())
def test_what_is_written_plainly_is_read_as_it_was(tree: Any, flow: bool) -> None:
    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    text = yaml.dump(tree, Dumper=Plain, default_flow_style=flow, allow_unicode=True)
    assert read_yaml(text, "x") == yaml.safe_load(text)


@given(st.one_of(st.text(), st.text("[]{}:-?,&*!|>'\"%@`#~<= \n\tab01.")))
@settings(max_examples=300)
def test_any_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    for read in (read_yaml, read_json, read_toml):
        said = refusal_of(read, text)
        assert "\n" not in said
        assert len(said) < 400
        if not said and read is read_yaml and "=" not in text and ".nan" not in text.lower():
            assert read(text, "x") == yaml.load(text, Loader=Peer)  # noqa: S506 - a safe loader


def refusal_of(read: Callable[[str, str], Any], text: str) -> str:
    try:
        read(text, "given.x")
    except UnreadableError as error:
        return error.message
    return ""


@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    with contextlib.suppress(UnreadableError):
        assert "\0" not in text_of(data, "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x 1", "line 1, column 4: &x is an anchor; write out what it stands for"),
        ("b: 1\na: *x", "line 2, column 4: *x is an alias; write out what it stands for"),
        ("<<: {a: 1}", "line 1, column 1: << is a merge key; write out"),
        ("a: !!int '1'", "line 1, column 4: the tag tag:yaml.org,2002:int is not supported"),
        ("a: 1\n---\nb: 1", "line 2, column 1: a second document begins here"),
        ("a:\n  b: 1\n  b: 2", "line 3, column 3: the key 'b' is given twice; keep one"),
        ("? [a]\n: 1", "line 1, column 3: a key must be a single word or text"),
        ("a: " + "1" * 101, "line 1, column 4: the number has 101 characters"),
        ("a: 2026-99-99", "line 1, column 4: '2026-99-99' is neither a number nor a date"),
        ("- " * (DEEPEST + 1) + "a", f"nested more than {DEEPEST} levels deep"),
        ("- a\n" * MOST_VALUES, f"more than {MOST_VALUES} values; use a smaller file"),
        ("a: [1\nb: 2", "line 2, column 2: this is not YAML"),
    ],
)
def test_what_is_refused_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read_yaml(text, "rules.yaml")
    assert said in caught.value.message
    assert caught.value.message.startswith("rules.yaml, line ")


def test_keys_are_text_as_they_are_written() -> None:
    text = "200: a\n0x10: b\nno: c\n~: d\n1.50: e\n2026-01-02: f\n'7': {8: 9}\n"
    keys = {"200": "a", "0x10": "b", "no": "c", "~": "d", "1.50": "e", "2026-01-02": "f"}
    assert read_yaml(text, "x") == {**keys, "7": {"8": 9}}
    with pytest.raises(UnreadableError, match="the key '7' is given twice"):
        read_yaml("7: a\n'7': b", "x")


def spent(read: Callable[[str, str], Any], text: str) -> float:
    """Seconds of work on a text, whether it is refused or not."""
    began = time.process_time()
    with contextlib.suppress(UnreadableError):
        read(text, "x")
    return time.process_time() - began


def test_keys_that_would_all_be_stored_in_one_place_take_no_longer() -> None:
    same = (1 << 61) - 1  # whole numbers have the same hash if they differ by this
    assert spent(read_yaml, "".join(f"{same * n}: a\n" for n in range(1, 25_000))) < 15


@pytest.mark.parametrize(
    "text",
    [
        "[" + ".".join("a" * 20_000) + "]\n",
        "[" + ".".join("a" * 99) + "]\n" + "".join(f"{'b.' * 99}k{n} = 1\n" for n in range(20_000)),
        "".join("[" + "a." * 500 + f"k{n}]\n" for n in range(500)),
        "x = {" + "a." * 20_000 + "b = 1}",
        "a = 1\n" * 800_000,
    ],
    ids=["one key", "below a table", "tables", "inline", "long"],
)
def test_toml_with_long_keys_is_refused_at_once(text: str) -> None:
    assert spent(read_toml, text) < 2
    assert "x" in refusal_of(read_toml, text)


def test_toml_is_as_deep_and_as_dotted_as_people_write_it() -> None:
    text = (
        "# " + "." * 70 + "\n[schemas.UserVM]\nstatus = 'vm.state'\nlist = [" + "1.5, " * 20 + "]"
    )
    assert read_toml(text, "x")["schemas"]["UserVM"]["status"] == "vm.state"


def test_json_is_read_strictly() -> None:
    for text, said in (
        ('{"a": 1, "a": 2}', "the key 'a' is given twice"),
        ('{"a": NaN}', "NaN is not a number in JSON"),
        ('{"a": 1,}', "line 1, column"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested too deeply"),
    ):
        with pytest.raises(UnreadableError, match=said):
            read_json(text, "x.json")
    assert read_json("[" * DEEPEST + "]" * DEEPEST, "x.json")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"\xef\xbb\xbfenvelope: data\n")
    assert load_dialect(file).envelope == "data"
    assert text_of(read_file(file), "x") == "envelope: data\n"


# What is made of what was read

KEYS = st.one_of(
    st.sampled_from(
        ["rules", "select", "timetable", "protect", "exclude", "catch_up", "adopt", "strict",
         "name", "base_url", "auth", "paging", "operations", "schemas", "words", "get_instance",
         "path", "method", "query", "UserVM", "status", "VMStatus", "header", "style"]
    ),
    st.text(max_size=5),
    st.integers(0, 9),
)  # fmt: skip
VALUES = st.one_of(
    SCALARS,
    st.sampled_from(
        ["/i/{instance_id}", "Mon-Fri 08:00-20:00 UTC", "always", "http://x", "https://x/{a}", "*"]
    ),
)
CONTENTS = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, min_size=1, max_size=6)
    ),
    max_leaves=25,
)


@given(CONTENTS)
@settings(max_examples=200)
def test_rules_and_dialects_of_anything(content: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "given.yaml"
        file.write_text(yaml.safe_dump(content), encoding="utf-8")
        for read, errors in ((read_rules, BarrackConfigurationError), (load_dialect, DialectError)):
            with contextlib.suppress(errors):
                read(file)


@given(CONTENTS)
@settings(max_examples=100)
def test_documents_and_recordings_of_anything(content: Any) -> None:
    for root in (
        content,
        {"openapi": "3.1.0", "paths": {"/x": content}, "servers": [content]},
        {"log": {"entries": [content, {"request": content, "response": content}]}},
    ):
        data = json.dumps(root, default=str).encode()
        for learn in (learn_openapi, learn_har):
            with contextlib.suppress(LearnError):
                learn(data)


# Templates


@given(st.text("{}[]!:.>0a_/ instance_id", max_size=30))
@settings(max_examples=500)
def test_a_path_holds_plain_names_alone(tail: str) -> None:
    """Whatever passes is filled in without a surprise: as long as it looks."""
    try:
        wire = OperationWire(method="GET", path=f"/i{tail}")
    except ValueError:
        return
    names = dict.fromkeys(("instance_id", "i", "n", "s", "a", "t", "c", "e", "d"), "x")
    with contextlib.suppress(KeyError):
        assert len(wire.path.format(**names)) <= len(wire.path)


@pytest.mark.parametrize(
    "braces",
    ["{instance_id:>1000000000}", "{instance_id!r}", "{instance_id.__class__}", "{instance_id[0]}",
     "{}", "{0}", "{{instance_id}}", "{instance_id", "instance_id}", "{instance_id:{instance_id}}",
     "{other}", "{instance_id}{instance_id}"],
)  # fmt: skip
def test_braces_of_any_other_kind_are_refused(braces: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"operations": {"get_instance": {"path": f"/i/{braces}"}}}))
    with pytest.raises(DialectError, match=r"line 3: operations.get_instance.path: must") as caught:
        load_dialect(file)
    assert len(caught.value.message) < 400
    assert OPERATIONS["get_instance"].path_parameters == ("instance_id",)
