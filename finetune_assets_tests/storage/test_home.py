from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.home import Home


def test_default_is_dot_finetune_in_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home.from_environment({}).path == tmp_path / ".finetune"
    assert Home.from_environment({"FINETUNE_HOME": "  "}).path == tmp_path / ".finetune"
    assert Home.from_environment({"FINETUNE_HOME": "here"}).path == tmp_path / "here"


def test_reads_the_given_mapping_and_not_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FINETUNE_HOME", str(tmp_path / "process"))
    assert Home.from_environment({"FINETUNE_HOME": str(tmp_path / "given")}).path == tmp_path / "given"


def test_expands_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.from_environment({"FINETUNE_HOME": "~/ft"}).path == tmp_path / "ft"


def test_ensure_makes_private_folders(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home").ensure()
    for folder in (home.path, home.artifacts, home.dagster, home.work, home.logs):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert home.ensure() == home
    assert home.dagster == home.path / "dagster"
    assert home.database_url == f"sqlite:///{home.path}/finetune.db"


@pytest.mark.parametrize("name", ["what?", "line\nbreak"])
def test_refuses_a_path_that_a_url_cannot_hold(name: str) -> None:
    with pytest.raises(StorageError, match="FINETUNE_HOME"):
        Home.from_environment({"FINETUNE_HOME": f"/tmp/{name}"})


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(StorageError, match="cannot write") as caught:
        Home(tmp_path / "home").ensure()
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "home") in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_place_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="FINETUNE_HOME"):
        Home(tmp_path / "home").ensure()
