"""What a user can get wrong: each gives one line, and what was live stays live."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune_assets_tests.e2e.command import TASK, finetune, live_release
from finetune_assets_tests.e2e.tasks import write_task

pytestmark = pytest.mark.usefixtures("unharmed")
TAXONOMY = {"domains": [{"id": 1, "name": "a", "labels": ["x"]}, {"id": 1, "name": "b", "labels": ["y"]}]}


@pytest.fixture
def unharmed(still_live) -> Iterator[None]:
    yield
    still_live()


def test_a_missing_source_file_is_named(steady: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.jsonl"
    said = finetune(steady, "run", TASK, env={"FINETUNE_CHILDCARE__DATASET__SOURCE__PATH": str(missing)})
    line = said.one_error()
    assert str(missing) in line
    assert "Mend:" in line


def test_an_empty_source_file_is_named(steady: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    said = finetune(steady, "run", TASK, env={"FINETUNE_CHILDCARE__DATASET__SOURCE__PATH": str(empty)})
    line = said.one_error()
    assert str(empty) in line
    assert "empty" in line
    assert "Mend:" in line


def test_a_taxonomy_with_duplicate_ids_is_named_with_both_places(steady: Path, tmp_path: Path) -> None:
    path = tmp_path / "taxonomy.json"
    path.write_text(json.dumps(TAXONOMY), encoding="utf-8")
    said = finetune(steady, "run", TASK, env={"FINETUNE_CHILDCARE__CLASSIFICATION__TAXONOMY": str(path)})
    line = said.one_error()
    assert path.name in line
    assert "domain 'a'" in line
    assert "domain 'b'" in line
    assert "Mend:" in line


def test_an_unknown_task_is_answered_with_the_known_ones(steady: Path) -> None:
    line = finetune(steady, "run", "childcar").one_error()
    assert "childcar" in line
    assert TASK in line
    assert "finetune tasks" in line


def test_a_bad_value_in_the_yaml_is_named_with_its_file(steady: Path, tmp_path: Path) -> None:
    env = write_task(tmp_path, tuning={"epochs": "many"})
    line = finetune(steady, "run", "tools", env=env).one_error()
    assert str(tmp_path / "tools" / "defs.yaml") in line
    assert "tuning.epochs" in line
    assert "many" in line
    assert "Mend:" in line


def test_yaml_that_is_none_is_named_with_its_file_and_line(steady: Path, tmp_path: Path) -> None:
    env = write_task(tmp_path)
    path = tmp_path / "tools" / "defs.yaml"
    path.write_text("type: [unclosed\nattributes: {}\n", encoding="utf-8")
    line = finetune(steady, "run", "tools", env=env).one_error()
    assert f"{path}:2" in line


def test_a_bad_value_on_the_command_line_is_named(steady: Path) -> None:
    line = finetune(steady, "run", TASK, "--set", "tuning.epochs=-1").one_error()
    assert "tuning.epochs (--set)" in line
    assert "-1" in line
    assert "Mend:" in line


def test_a_bad_value_in_the_environment_is_named_with_its_variable(steady: Path) -> None:
    line = finetune(steady, "run", TASK, env={"FINETUNE_CHILDCARE__RELEASE__APPROVAL": "maybe"}).one_error()
    assert "FINETUNE_CHILDCARE__RELEASE__APPROVAL" in line
    assert "maybe" in line


def test_an_unknown_setting_is_named(steady: Path) -> None:
    line = finetune(steady, "run", TASK, "--set", "tuning.epoch=3").one_error()
    assert "tuning.epoch (--set)" in line
    assert f"finetune config {TASK}" in line


def test_a_folder_of_tasks_that_is_missing_is_named(steady: Path, tmp_path: Path) -> None:
    line = finetune(steady, "tasks", env={"FINETUNE_TASKS": str(tmp_path / "gone")}).one_error()
    assert str(tmp_path / "gone") in line
    assert "FINETUNE_TASKS" in line


def test_without_free_training_rows_the_gate_stops_the_run(steady: Path, tmp_path: Path) -> None:
    env = write_task(tmp_path, rows=40)
    said = finetune(steady, "run", "tools", env=env)
    assert said.code == 3, said.all
    (line,) = said.err.splitlines()
    assert line.startswith("gate not passed: tools/validated_splits min_rows:")
    assert "of at least 50" in line
    assert "tuned_adapter" not in said.out


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    home = tmp_path / "file" / "home"
    done = finetune_in(tmp_path, home)
    assert str(home) in done
    assert "Mend:" in done


def finetune_in(folder: Path, home: Path) -> str:
    """Run with a home whose parent is no folder, so that the command must start elsewhere."""
    from finetune_assets_tests.e2e.command import Said, command, environment

    done = subprocess.run(
        command("run", TASK),
        env=environment(home),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr).one_error()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 48 MiB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("this user may not mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, *, leave: int) -> None:
    """Leave so many bytes free on a disk."""
    room = os.statvfs(disk)
    with (disk / "filler").open("wb") as stream:
        stream.write(b"\0" * max(0, room.f_bavail * room.f_frsize - leave))


@pytest.mark.parametrize("leave", [0, 600_000, 1_500_000])
def test_a_full_disk_is_named(live_home, small_disk: Path, tmp_path: Path, leave: int) -> None:
    home = Path(shutil.copytree(live_home.path, small_disk / "home"))
    before = live_release(home)
    fill(small_disk, leave=leave)
    # Another setting: checks have to look again, and a split has to be built.
    said = finetune(home, "run", TASK, env={"FINETUNE_CHILDCARE__DATASET__SOURCE__MAX_NESTING": "63"})
    # Dagster may say beside it that its log could not be written.
    line = said.one_error(alone=False)
    assert "the disk is full" in line
    assert str(small_disk) in line
    assert "Mend:" in line
    (small_disk / "filler").unlink()
    assert live_release(home) == before


@pytest.fixture
def frozen_disk(live_home, tmp_path: Path) -> Iterator[Path]:
    """A live home on a disk that cannot be written, where this user may mount one."""
    place = tmp_path / "frozen"
    place.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("this user may not mount a disk")
    shutil.copytree(live_home.path, place / "home")
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_home_on_a_disk_that_cannot_be_written_is_named(frozen_disk: Path) -> None:
    from finetune_assets_tests.e2e.command import Said, command, environment

    home = frozen_disk / "home"
    done = subprocess.run(
        command("run", TASK), env=environment(home), capture_output=True, text=True, timeout=120, check=False
    )
    line = Said(done.returncode, done.stdout, done.stderr).one_error()
    assert str(home) in line
    assert "Mend:" in line
