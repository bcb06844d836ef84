"""Dagster's SQLite event log with its connections kept: the same events, readable by everybody else at once."""

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from finetune_assets.lineage.event_log import keep_connections
from finetune_assets.lineage.instance import open_instance
from finetune_assets.storage.home import Home


@dg.asset
def stone() -> dg.MaterializeResult[Any]:
    """Make something small."""
    return dg.MaterializeResult(metadata={"weight": 1})


def test_another_instance_reads_the_events_while_the_connections_are_kept(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with open_instance(home, {}) as writer:
        result = dg.materialize([stone], instance=writer)
        with dg.DagsterInstance.from_config(str(home.dagster)) as reader:
            event = reader.get_latest_materialization_event(stone.key)
            kinds = {
                record.event_log_entry.dagster_event_type
                for record in reader.get_records_for_run(result.run_id).records
            }
    assert event is not None
    assert event.run_id == result.run_id
    assert {dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.ASSET_MATERIALIZATION} <= kinds


def test_every_event_is_in_the_files_afterwards(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with open_instance(home, {}) as instance:
        result = dg.materialize([stone], instance=instance)
        written = len(instance.get_records_for_run(result.run_id).records)
    log = home.dagster / "history" / "runs" / f"{result.run_id}.db"
    with closing(sqlite3.connect(log)) as connection:
        assert connection.execute("select count(*) from event_logs").fetchone()[0] == written > 5
        assert connection.execute("pragma journal_mode").fetchone()[0] == "wal"
    assert not log.with_name(log.name + "-wal").exists(), "a connection was left open"


def test_dagsters_own_way_is_back_after_the_block(tmp_path: Path) -> None:
    with open_instance(Home(tmp_path), {}) as instance:
        storage: Any = instance.event_log_storage
        assert "_connect" in vars(storage)
    assert "_connect" not in vars(storage)


@pytest.mark.parametrize("storage", [SimpleNamespace(), SimpleNamespace(_connect=None, _db_lock=None)])
def test_any_other_storage_is_left_alone(storage: SimpleNamespace) -> None:
    before = dict(vars(storage))
    with keep_connections(cast(dg.DagsterInstance, SimpleNamespace(event_log_storage=storage))):
        assert vars(storage) == before
