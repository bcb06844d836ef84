"""`finetune budget`: limit, reserved, settled and left, job by job, and a person's word on a bill."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets.storage.intents import mark, record_intent
from finetune_assets.storage.ledger import Reservation
from finetune_assets_tests.cli.conftest import Finetune

TASK = "tools"


def job(home: Path, key: str, task: str = TASK, usd: float = 2.0) -> Database:
    database = Database.open(Home(home).ensure().database_url)
    high = round(usd * 1e6)
    record_intent(
        database,
        key,
        task=task,
        backend="gemini",
        variant="large",
        run_key_of=lambda attempt: f"run-{key}-{attempt}",
        reservation=Reservation(low=1, mid=high // 2, high=high, limit=None, prices_as_of="2026-09-30"),
    )
    mark(database, key, "RUNNING", handle="h")
    return database


@pytest.fixture
def limited(tools: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINETUNE_TOOLS__CLOUD__BUDGET__MONTHLY_USD", "10")
    return tools


def test_a_month_shows_each_job_and_what_is_left(finetune: Finetune, limited: Path, platform_home: Path) -> None:
    database = job(platform_home, "a")
    job(platform_home, "b", usd=3.0)
    mark(database, "a", "SUCCEEDED", actual_cost=500_000)
    (month,) = finetune("budget", TASK, "--json").json()
    assert (month["limit"], month["reserved"], month["settled"], month["left"]) == (10.0, 3.0, 0.5, 6.5)
    first, second = month["jobs"]
    assert (first["key"], first["estimated"], first["billed"], first["status"]) == ("a", 1.0, 0.5, "settled")
    assert (second["reserved"], second["billed"], second["status"]) == (3.0, None, "reserved")
    assert finetune("budget", "show", TASK, "--json").json() == [month]
    told = finetune("budget", TASK).out
    assert "$6.50 left of $10.00; $3.00 reserved, $0.50 settled" in told
    assert "settle" not in told.replace("settled", "")


def test_without_a_task_all_that_spent_are_shown(finetune: Finetune, limited: Path, platform_home: Path) -> None:
    job(platform_home, "a", task="gone")
    months = {month["task"]: month for month in finetune("budget", "--json").json()}
    assert (months["gone"]["limit"], months["gone"]["reserved"]) == (None, 2.0)
    assert months[TASK]["left"] == 10.0
    (earlier,) = finetune("budget", "--month", "2020-01", "--json").json()
    assert (earlier["task"], earlier["month"], earlier["jobs"]) == (TASK, "2020-01", [])


def test_a_bill_that_a_person_has_seen_takes_the_reservations_place(
    finetune: Finetune, limited: Path, platform_home: Path
) -> None:
    database = job(platform_home, "a")
    early = finetune("budget", "settle", "a", "1", "--note", "x")
    assert (early.code, "has not ended" in early.error) == (1, True)
    mark(database, "a", "CANCELLED")
    assert "keeps its reservation until somebody has seen the bill" in finetune("budget", TASK).out
    assert finetune("budget", "settle", "a", "$0.25", "--note", "invoice 7").code == 0
    (month,) = finetune("budget", TASK, "--json").json()
    assert (month["reserved"], month["settled"], month["left"]) == (0.0, 0.25, 9.75)
    assert (month["jobs"][0]["billed"], month["jobs"][0]["note"]) == (0.25, "invoice 7")
    shown = finetune("jobs", "show", "a", "--json").json()
    assert (shown["billed_usd"], shown["events"][-1]["note"]) == (0.25, "settled at $0.25: invoice 7")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--month", "2026-13"), 1, "not a month"),
        (("no-such-task",), 1, "task is not known"),
        (("settle", "a", "much", "--note", "x"), 1, "not an amount"),
        (("settle", "a", "NaN", "--note", "x"), 1, "not an amount"),
        (("settle", "no", "1", "--note", "x"), 1, "no such paid job"),
        (("settle", "no", "1"), 2, "--note"),
    ],
)
def test_what_is_wrong_is_one_line(
    finetune: Finetune, limited: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    said = finetune("budget", *arguments)
    assert (said.code, told in said.error) == (code, True), said.error
