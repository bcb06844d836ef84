"""Looks at this machine: what is wrong comes back as a line with its mend, and never as an exception."""

from __future__ import annotations

import shutil
import socket
import sqlite3
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from finetune_assets.lineage import machine_checks
from finetune_assets.lineage.machine_checks import (
    check_database,
    check_disk,
    check_home,
    check_instance,
    check_packages,
    check_port,
    check_python,
    check_torch,
)
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DAGSTER_HOME", "")
    return Home(tmp_path / "home")


def test_a_fresh_home_is_ready(home: Home) -> None:
    assert check_python().state == "ok"
    assert check_home(home).state == "ok"
    assert list(home.path.glob(".doctor-*")) == []
    fresh = check_database(home)
    assert (fresh.state, "makes it" in fresh.found) == ("ok", True)
    Database.open(home.database_url).close()
    assert check_database(home).state == "ok"
    assert check_instance(home).state == "ok"


def test_torch_is_loaded_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_torch().state == "ok"
    monkeypatch.setattr(machine_checks, "_TORCH_S", 0.001)
    late = check_torch()
    assert (late.state, "not loaded within" in late.found) == ("error", True)


def test_a_home_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    found = check_home(Home(tmp_path / "home"))
    assert (found.state, found.mend) == ("error", "set FINETUNE_HOME to another")


@pytest.mark.parametrize(("free", "state"), [(50.0, "ok"), (2.0, "warning"), (0.2, "error")])
def test_little_room_is_told(home: Home, monkeypatch: pytest.MonkeyPatch, free: float, state: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, int(free * 10**9)))
    found = check_disk(home)
    assert (found.state, found.found) == (state, f"{free:.1f} GB free")


@pytest.mark.parametrize(("revision", "state"), [("0001", "warning"), ("9999", "error")])
def test_another_schema_is_told_and_not_touched(home: Home, revision: str, state: str) -> None:
    Database.open(home.database_url).close()
    place = home.path / "finetune.db"
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()
    assert check_database(home).state == state
    assert Database(home.database_url).revision() == revision


def test_a_damaged_database_is_one_line(home: Home) -> None:
    home.ensure()
    (home.path / "finetune.db").write_bytes(b"no database at all" * 100)
    found = check_database(home)
    assert (found.state, "\n" in found.found) == ("error", False)
    assert found.mend


def test_packages_are_held_against_ranges_and_tested_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["typer>=0.1", "orjson>=99", "no-such-package-here>=1", "uvloop>=1; extra == 'fast'"]
    monkeypatch.setattr(metadata, "requires", lambda _: wanted)
    pins = tmp_path / "constraints.txt"
    pins.write_text("# tested\ntyper==0.0.1\n")
    found = {look.name: look for look in check_packages(pins)}
    assert found["package orjson"].state == found["package no-such-package-here"].state == "error"
    assert found["package no-such-package-here"].found == "not installed"
    assert found["packages"].state == "warning"
    assert "(tested: 0.0.1)" in found["packages"].found
    wanted[:] = ["typer>=0.1"]
    assert [look.found for look in check_packages(tmp_path / "none.txt")] == ["within their ranges"]


def test_a_taken_port_is_told() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port: Any = server.getsockname()[1]
        assert check_port(port, "the UI").state == "warning"
    assert check_port(port, "the UI").state == "ok"
