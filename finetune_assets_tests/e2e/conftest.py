"""Homes that a real run has made. Training takes a minute or two, so it is done once, and each test gets a copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune_assets.lineage.bases import EMBEDDED_STAGE
from finetune_assets_tests.e2e.command import MANUAL, SECRETS, TASK, MadeHome, finetune, live_release

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests in one worker, so that the homes are made once, and only one model is trained at a time."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("home"))
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def judged_home(tmp_path_factory: pytest.TempPathFactory) -> MadeHome:
    """A home in which a run with manual approval went as far as it goes: a report, and nothing live."""
    home = tmp_path_factory.mktemp("judged") / "home"
    return MadeHome(home, finetune(home, "run", TASK, env={**MANUAL, **SECRETS}))


@pytest.fixture(scope="session")
def live_home(judged_home: MadeHome, tmp_path_factory: pytest.TempPathFactory) -> MadeHome:
    """The same home after a run with automatic approval, which made version 1 live."""
    assert judged_home.said.code == 0, judged_home.said.all
    home = tmp_path_factory.mktemp("live") / "home"
    shutil.copytree(judged_home.path, home)
    made = MadeHome(home, finetune(home, "run", TASK, env=SECRETS))
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
