"""`finetune db`: the check finds what is wrong and says how to mend it; the upgrade keeps a copy and loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from finetune_assets.storage.checking import check_database
from finetune_assets.storage.database import Database
from finetune_assets.storage.laws import LAWS
from finetune_assets.storage.models import SCHEMA_REVISION
from finetune_assets_tests.cli.conftest import Finetune
from finetune_assets_tests.storage.databases import DATABASES, fresh_url

AT = "'2026-01-01 00:00:00'"
RELEASE = (
    "INSERT INTO releases (task, version, candidate, state, base_model, request_key, dataset_digest, report_key, "
    "report_digest, artifact_key, scores, created_at, updated_at) VALUES "
    f"('t', {{version}}, 'c{{version}}', '{{state}}', 'b', 'r', 'd', 'k', 'r', 'a', '{{{{}}}}', {AT}, {AT})"
)
ENTRY = (
    "INSERT INTO budget_ledger (task, month, run_key, seq, kind, amount, at, by, note) "
    f"VALUES ('t', '2026-01', 'run', {{seq}}, '{{kind}}', {{amount}}, {AT}, 'x', '')"
)
MONTH = "INSERT INTO budget_months (task, month) VALUES ('t', '2026-01')"
CLUSTER = f"INSERT INTO error_clusters (id, task, cluster_key, sketch, created_at) VALUES (1, 't', 'k', '', {AT})"
CASE = (
    "INSERT INTO error_cases (id, task, case_key, cluster_id, state, source, prediction_id, input_digest, "
    "answer_digest, label, signals, score, groups, correction_id, dataset_version, dismissed_for, reported_at, "
    f"updated_at) VALUES ({{number}}, 't', 'c{{number}}', 1, '{{state}}', 'detector', '', '', '', '', '[]', 0, '[]', "
    f"{{correction}}, '', '', {AT}, {AT})"
)
OPENED = (
    "INSERT INTO case_events (case_id, from_state, to_state, source, detail, by, at) "
    f"VALUES ({{number}}, '', '{{state}}', 's', '', 'x', {AT})"
)
INTENT = (
    "INSERT INTO tuning_intents (request_key, task, backend, state, handle, attempt, error, created_at, updated_at, "
    "run_key, namespace, variant, phase, provider_state, cancel_requested_by, request, currency, prices_as_of, "
    f"actual_cost) VALUES ('key', 't', 'gemini', 'SUCCEEDED', '', 1, '', {AT}, {AT}, 'run', '', '', '', '', '', "
    "'{}', '', '', 5)"
)
# What breaks each law, as nobody but a fault or a person with a database tool would write it.
BREACHES: dict[str, tuple[str, ...]] = {
    "moves of the live pointer": (
        RELEASE.format(version=1, state="live"),
        f"INSERT INTO pointer_history (task, seq, release_id, action, at, by, run_id) "
        f"SELECT 't', 2, id, 'deploy', {AT}, 'x', '' FROM releases",
    ),
    "what is live": (RELEASE.format(version=1, state="live"),),
    "versions of releases": (RELEASE.format(version=2, state="candidate"),),
    "states of releases": (
        RELEASE.format(version=1, state="approved"),
        "INSERT INTO release_events (release_id, from_state, to_state, at, by, note, run_id) "
        f"SELECT id, '', 'candidate', {AT}, 'x', '', '' FROM releases",
    ),
    "versions of datasets": (
        "INSERT INTO dataset_versions (task, namespace, number, inputs_key, artifact_key, digest, created_at) "
        f"VALUES ('t', 'main', 3, 'i', 'a', 'd', {AT})",
    ),
    "states of tuning jobs": (
        INTENT,
        "INSERT INTO tuning_events (request_key, attempt, run_key, from_state, to_state, phase, provider_state, "
        f"handle, at, by, note) VALUES ('key', 1, 'run', '', 'RUNNING', '', '', '', {AT}, 'x', '')",
    ),
    "entries of the ledger": (MONTH, ENTRY.format(seq=2, kind="reserve", amount=5)),
    "sums of the ledger": (MONTH, ENTRY.format(seq=1, kind="reserve", amount=-5)),
    "reservations given back": (
        MONTH,
        ENTRY.format(seq=1, kind="reserve", amount=5),
        ENTRY.format(seq=2, kind="release", amount=-4),
    ),
    "what jobs cost": (
        INTENT,
        MONTH,
        ENTRY.format(seq=1, kind="reserve", amount=9),
        ENTRY.format(seq=2, kind="settle", amount=-3),
    ),
    "months of the ledger": (ENTRY.format(seq=1, kind="reserve", amount=5),),
    "states of error cases": (
        CLUSTER,
        CASE.format(number=1, state="new", correction="NULL"),
        OPENED.format(number=1, state="corrected"),
    ),
    "beginnings of error cases": (CLUSTER, CASE.format(number=1, state="new", correction="NULL")),
    "corrections of error cases": (
        CLUSTER,
        CASE.format(number=1, state="corrected", correction="7"),
        OPENED.format(number=1, state="corrected"),
    ),
    "ends of triggered runs": (
        "INSERT INTO trigger_events (task, kind, run_key, window_digest, policy_digest, reasons, evidence, by, at) "
        f"VALUES ('t', 'end', 'run', 'w', 'p', '[]', '{{}}', 'x', {AT})",
    ),
}


@pytest.fixture(params=DATABASES)
def named(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database that FINETUNE_DATABASE_URL names."""
    with fresh_url(request.param, tmp_path, is_empty=True) as url:
        monkeypatch.setenv("FINETUNE_DATABASE_URL", url)
        yield url


def states(database: Database) -> dict[str, str]:
    return {item.subject: item.state for item in check_database(database)}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_the_check_finds_what_does_not_add_up(db: Database, law: Any) -> None:
    assert set(states(db).values()) <= {"ok", "warning"}
    with db.session() as session:
        for statement in BREACHES[law.name]:
            session.connection().exec_driver_sql(statement)
    found = {item.subject: item for item in check_database(db)}[law.name]
    assert found.state == "error"
    assert law.told in found.found
    assert "restore a backup" in found.mend


def test_an_empty_database_is_well(named: str, finetune: Finetune) -> None:
    said = finetune("db", "check")
    assert said.code == 0
    assert "no tables yet" in said.out
    done = finetune("db", "upgrade")
    assert f"went from revision base to {SCHEMA_REVISION}" in done.out
    assert "backup" not in done.out
    facts = finetune("db", "check", "--json").json()
    assert {item["state"] for item in facts} <= {"ok", "warning"}
    assert [item["subject"] for item in facts][:2] == ["reachable", "schema"]
    assert f"at revision {SCHEMA_REVISION} already" in finetune("db", "upgrade").out


def test_an_older_schema_is_an_error_with_its_mend(named: str, finetune: Finetune) -> None:
    assert finetune("db", "upgrade", "--to", "0003").code == 0
    said = finetune("db", "check")
    assert said.code == 1
    assert "run `finetune db upgrade`" in said.out
    tried = finetune("db", "upgrade", "--dry-run")
    assert f"would go from revision 0003 to {SCHEMA_REVISION}" in tried.out
    assert "CREATE TABLE error_cases" in finetune("db", "upgrade", "--sql").out
    done = finetune("db", "upgrade")
    assert ("backup: " in done.out) == named.startswith("sqlite")
    assert finetune("db", "check").code == 0


def test_a_downgrade_needs_its_word_and_loses_nothing(named: str, finetune: Finetune) -> None:
    finetune("db", "upgrade")
    assert "--downgrade" in finetune("db", "upgrade", "--to", "0003").error
    database = Database(named)
    with database.session() as session:
        session.execute(text(CLUSTER))
    assert "1 rows of error_clusters" in finetune("db", "upgrade", "--to", "0003", "--downgrade").error
    with database.session() as session:
        session.execute(text("DELETE FROM error_clusters"))
    assert finetune("db", "upgrade", "--to", "0003", "--downgrade").code == 0
    assert database.revision() == "0003"
    database.close()


def test_missing_tables_and_triggers_are_found(db: Database) -> None:
    trigger = "case_sides_no_delete" if db.is_sqlite else "case_sides_append_only ON case_sides"
    with db.session() as session:
        session.execute(text(f"DROP TRIGGER {trigger}"))
        session.execute(text("DROP TABLE stage_results"))
    (found,) = [item for item in check_database(db) if item.state == "error"]
    assert found.subject == "tables"
    assert "no table stage_results" in found.found
    assert "case_sides may be changed: its triggers are gone" in found.found


def test_orphans_and_damage_of_a_file_are_found(tmp_path: Path, finetune: Finetune, monkeypatch: Any) -> None:
    with fresh_url("sqlite", tmp_path) as url:
        monkeypatch.setenv("FINETUNE_DATABASE_URL", url)
        database = Database(url)
        with database.engine.connect() as connection:
            raw: Any = connection.connection.dbapi_connection
            raw.execute("PRAGMA foreign_keys=OFF")
            raw.execute("INSERT INTO release_events VALUES (1, 99, '', 'x', '2026-01-01', 'x', '', '')")
            connection.invalidate()
        database.close()
        said = finetune("db", "check")
        assert said.code == 1
        assert "row 1 of release_events has no releases" in said.out


def test_a_database_out_of_reach_is_one_line_without_the_password(
    finetune: Finetune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINETUNE_DATABASE_URL", "postgresql+psycopg://ann:hush-hush@127.0.0.1:1/db")
    for command in (("db", "check"), ("db", "upgrade"), ("jobs", "list")):
        said = finetune(*command)
        assert said.code == 1
        assert said.error.startswith("the database cannot be reached at postgresql+psycopg://ann:***@127.0.0.1:1/db")
        assert "hush" not in said.error + said.out


def test_other_commands_use_the_named_database(
    db_url: str, finetune: Finetune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINETUNE_DATABASE_URL", db_url)
    assert json.loads(finetune("jobs", "list", "--json").out) == []
    assert finetune("budget").code == 0
