"""A smoke test of local training: a few rows, one answer, and nothing that becomes head or live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from finetune_assets.storage.artifacts import ArtifactStore
from finetune_assets.storage.files import read_json
from finetune_assets.storage.heads import current_head
from finetune_assets.storage.home import Home
from finetune_assets.storage.namespaces import MAIN
from finetune_assets_tests.e2e.command import database, finetune, live_release
from finetune_assets_tests.e2e.tasks import write_task


def test_a_local_smoke_test_trains_asks_and_releases_nothing(fresh_home: Callable[..., Path], tmp_path: Path) -> None:
    home = fresh_home(tmp_path / "home")
    env = write_task(tmp_path / "tasks")
    said = finetune(home, "run", "tools", "--smoke", env=env)
    assert said.code == 0, said.all
    assert "the smoke test succeeded" in said.out
    (key,) = (path.name for path in (home / "artifacts" / "smoke").iterdir())
    record = read_json(ArtifactStore(Home(home).artifacts).open("smoke", key).file("smoke.json"))
    assert (record["task"], record["backend"], record["rows"]) == ("tools", "local", 20)
    assert record["asked"]
    assert current_head(database(home), "tools", MAIN) is None
    assert live_release(home, "tools") is None
