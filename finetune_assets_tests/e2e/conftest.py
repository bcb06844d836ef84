"""Homes that a real run has made. Training takes a minute or two, so it is done once, and each test gets a copy."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from finetune_assets.lineage.bases import EMBEDDED_STAGE
from finetune_assets.storage.files import read_json, write_json_atomic
from finetune_assets_tests.e2e.cloud import prepare
from finetune_assets_tests.e2e.command import MANUAL, SECRETS, TASK, MadeHome, Said, finetune, live_release

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here as slow."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Said]) -> MadeHome:
    """Make a home once for all workers of a test session: the first makes it, the others wait.

    xdist's groups would do, but what xdist 3.8 writes into a test's id is not read by pytest 9.2.
    """
    root = factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / f"made-{name}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = folder / "said.json"
        if not record.exists():
            write_json_atomic(record, asdict(make(folder / "home")))
        return MadeHome(folder / "home", Said(**read_json(record)))


@pytest.fixture(scope="session")
def judged_home(tmp_path_factory: pytest.TempPathFactory) -> MadeHome:
    """A home in which a run with manual approval went as far as it goes: a report, and nothing live."""
    return made_once(tmp_path_factory, "judged", lambda home: finetune(home, "run", TASK, env={**MANUAL, **SECRETS}))


@pytest.fixture(scope="session")
def live_home(judged_home: MadeHome, tmp_path_factory: pytest.TempPathFactory) -> MadeHome:
    """The same home after a run with automatic approval, which made version 1 live."""
    assert judged_home.said.code == 0, judged_home.said.all

    def make(home: Path) -> Said:
        shutil.copytree(judged_home.path, home, dirs_exist_ok=True)
        return finetune(home, "run", TASK, env=SECRETS)

    made = made_once(tmp_path_factory, "live", make)
    assert made.said.code == 0, made.said.all
    return made


@pytest.fixture
def home(judged_home: MadeHome, tmp_path: Path) -> Path:
    """A copy of the judged home for this test alone."""
    return Path(shutil.copytree(judged_home.path, tmp_path / "home"))


@pytest.fixture
def live(live_home: MadeHome, tmp_path: Path) -> Path:
    """A copy of the live home for this test alone."""
    return Path(shutil.copytree(live_home.path, tmp_path / "home"))


@pytest.fixture(scope="module")
def steady(live_home: MadeHome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the live home for the tests of one module that change nothing in it."""
    return Path(shutil.copytree(live_home.path, tmp_path_factory.mktemp("steady") / "home"))


@pytest.fixture
def still_live(steady: Path) -> Callable[[], None]:
    """A check that the release that was live before the test is live after it."""
    before = live_release(steady)
    assert before is not None

    def check() -> None:
        assert live_release(steady) == before

    return check


@pytest.fixture(scope="session")
def fresh_home(judged_home: MadeHome) -> Callable[..., Path]:
    """Make a home that holds nothing but the pre-trained base and artifacts of the kinds that are named."""

    def make(home: Path, *kinds: str) -> Path:
        for kind in (EMBEDDED_STAGE, *kinds):
            shutil.copytree(judged_home.path / "artifacts" / kind, home / "artifacts" / kind)
        return home

    return make


@pytest.fixture(scope="session")
def real_data_folder() -> Path:
    """As `real_data`, for what is made once for several tests."""
    folder = os.environ.get("FINETUNE_REAL_DATA", "")
    if not folder:
        pytest.skip("FINETUNE_REAL_DATA is not set: the real data is not in this repository")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def uploaded_home(tmp_path_factory: pytest.TempPathFactory) -> MadeHome:
    """A home and a bucket beside it with the rows of the Gemini task in both; no job was asked for."""
    made = made_once(tmp_path_factory, "uploaded", prepare)
    assert made.said.code == 0, made.said.all
    return made
